"""What request models are built from: strict types for values that come from JSON or from a query string.

FastAPI hands pydantic Python objects, where strict mode knows no days, moments or enums; the types here read them from
text, in one way only. Rules of one domain belong to its own schemas.

    class NewRound(Input):
        name: Annotated[str, Text(1, 50)]
        kind: Choice[RoundKind]
        starts_on: Day

    class RoundQuery(Input):
        limit: Annotated[int, QueryInt(1, 200)] = 50
        is_open: QueryBool | None = None
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    Strict,
    ValidationInfo,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema

YEARS = range(1900, 2201)


class Input(BaseModel):
    """What comes in: nothing unknown, no type taken for another, text in Unicode's composed form (NFC)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _composed(cls, value: Any) -> Any:
        return _composed(value)


def _composed(value: Any) -> Any:
    match value:
        case str():
            return unicodedata.normalize("NFC", value)
        case list():
            return [_composed(item) for item in value]
        case dict():
            return {key: _composed(item) for key, item in value.items()}
    return value


# Controls, and what reorders, hides or breaks text: forged log lines, names that look like other names.
_CONTROLS = "\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
_IN_LINE = re.compile(f"[{_CONTROLS}]")
_IN_LINES = re.compile(f"(?![\\n\\t])[{_CONTROLS}]")


_UNSEEN = frozenset({"Cc", "Cf", "Me", "Mn", "Zl", "Zp", "Zs"})
# Letters and signs by their category, and blank or without a width all the same.
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")


def _is_visible(sign: str) -> bool:
    """Whether a sign shows by itself; joiners, selectors and marks need another one."""
    return unicodedata.category(sign) not in _UNSEEN and sign not in _BLANK


@dataclass(frozen=True, slots=True)
class Text:
    """Text of `min` to `max` code points after composing and trimming; line breaks and tabs only with `lines`.

    What shows nothing at all is empty.
    """

    min: int
    max: int
    lines: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.str_schema(min_length=self.min, max_length=self.max, strict=True)
        return core_schema.no_info_before_validator_function(self._trimmed, text)

    def _trimmed(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        text = unicodedata.normalize("NFC", value).strip()
        if self.lines:
            text = text.replace("\r\n", "\n")
        if (_IN_LINES if self.lines else _IN_LINE).search(text):
            raise PydanticCustomError("control_character", "Text must not contain control characters")
        return text if any(map(_is_visible, text)) else ""


_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
)


def _day(value: Any) -> date:
    if type(value) is date:
        day = value
    elif not isinstance(value, str):
        raise PydanticKnownError("date_type")
    else:
        try:
            day = date.fromisoformat(_matched(_DAY, value))
        except ValueError:
            raise PydanticCustomError("date_parsing", "Input should be a day like 2026-11-20") from None
    if day.year not in YEARS:
        raise PydanticCustomError("day_out_of_range", "The year should be between 1900 and 2200")
    return day


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime) and value.tzinfo is not None:
        moment = value
    elif not isinstance(value, str):
        raise PydanticKnownError("datetime_type")
    else:
        try:
            moment = datetime.fromisoformat(_matched(_MOMENT, value))
        except ValueError:
            raise PydanticCustomError(
                "datetime_parsing", "Input should be a moment with its offset, like 2026-11-20T09:30:00+08:00"
            ) from None
    # Looked at before the zone is changed: year 1 in another zone is no date at all.
    if moment.year not in YEARS:
        raise PydanticCustomError("moment_out_of_range", "The year should be between 1900 and 2200")
    return moment.astimezone(UTC)


def _matched(pattern: re.Pattern[str], text: str) -> str:
    if pattern.fullmatch(text) is None:
        raise ValueError(text)
    return text


Day = Annotated[date, BeforeValidator(_day, json_schema_input_type=date)]
"""A calendar day, written `YYYY-MM-DD`, years 1900 to 2200."""

Moment = Annotated[datetime, BeforeValidator(_moment, json_schema_input_type=datetime)]
"""A moment, written as RFC 3339 with its offset; becomes UTC."""


def _behind_since(until: datetime | None, info: ValidationInfo) -> datetime | None:
    since = info.data.get("since")
    if until is not None and since is not None and until <= since:
        raise PydanticCustomError("moments_out_of_order", "`until` should be later than `since`")
    return until


Until = Annotated[Moment | None, AfterValidator(_behind_since)]
"""The end, itself not included, of a stretch that begins with the member `since`, which stands before this one."""

Kind = TypeVar("Kind", bound=StrEnum)
Choice = Annotated[Kind, Strict(False)]
"""`Choice[Channel]`: one of an enum's texts. A `Literal` of texts needs no wrapping."""

MAX_DIGITS = 100
_DIGITS = re.compile(r"-?[0-9]+")


@dataclass(frozen=True, slots=True)
class QueryInt:
    """An integer of a query: plain decimal digits, from `ge` to `le`."""

    ge: int
    le: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        number = core_schema.int_schema(ge=self.ge, le=self.le, strict=True)
        return core_schema.no_info_before_validator_function(_integer, number)


def _integer(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if _DIGITS.fullmatch(value) is None:
        raise PydanticKnownError("int_parsing")
    if len(value) > MAX_DIGITS:
        raise PydanticKnownError("int_parsing_size")
    return int(value)


def _truth(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value not in ("true", "false"):
        raise PydanticCustomError("bool_parsing", "Input should be true or false")
    return value == "true"


QueryBool = Annotated[bool, BeforeValidator(_truth, json_schema_input_type=bool)]
"""A truth of a query: `true` or `false`."""

QueryDay = Day
"""A day of a query; days are text there as in JSON."""
