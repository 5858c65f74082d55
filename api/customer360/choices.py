"""Several values of one query parameter, separated by commas: a parameter given twice is refused everywhere."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


@dataclass(frozen=True, slots=True, init=False)
class Several:
    """Text that names one or more of these, each at most once; `chosen` takes it apart."""

    allowed: tuple[str, ...]

    def __init__(self, allowed: Iterable[str] | type[StrEnum]) -> None:
        object.__setattr__(self, "allowed", tuple(str(one) for one in allowed))

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._known, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        one = "|".join(self.allowed)
        return {"type": "string", "pattern": f"^({one})(,({one}))*$"}

    def _known(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        named = value.split(",")
        if set(named) - set(self.allowed) or len(set(named)) < len(named):
            expected = ", ".join(self.allowed)
            message = "Input should be one or several of {expected}, separated by commas, each once"
            raise PydanticCustomError("not_several_of", message, {"expected": expected})
        return value


def chosen(text: str | None) -> list[str] | None:
    """What `Several` let through, taken apart; None for everything."""
    return None if text is None else text.split(",")
