"""Query parameters that a route does not declare are refused: a misspelt filter would silently filter nothing."""

from collections.abc import Iterator
from typing import Any, get_args

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_params_to_args
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel

from api.edge.routes import matched_route


class UnknownParameters:
    """A dependency of the whole application; raises RequestValidationError with every problem of the query."""

    def __init__(self) -> None:
        # The route is kept with its names, so that its id stays its own.
        self._declared: dict[int, tuple[object, frozenset[str]]] = {}

    async def __call__(self, request: Request) -> None:
        route = matched_route(request.scope)
        if route is None or not request.query_params:
            return
        if id(route) not in self._declared:
            self._declared[id(route)] = (route, frozenset(_declared(route.dependant)))
        unknown = request.query_params.keys() - self._declared[id(route)][1]
        if unknown:
            raise RequestValidationError([*map(_refused, sorted(unknown)), *_others(route.dependant, request, unknown)])


def _declared(dependant: Dependant) -> Iterator[str]:
    for field in dependant.query_params:
        if model := _model_in(field.field_info.annotation):
            yield from (_name(name, info.validation_alias or info.alias) for name, info in model.model_fields.items())
        else:
            yield field.alias
    for dependency in dependant.dependencies:
        yield from _declared(dependency)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The query model of `Model` or `Model | None`."""
    candidates = (annotation, *get_args(annotation))
    return next((kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _name(name: str, alias: object) -> str:
    return alias if isinstance(alias, str) else name


def _refused(name: str) -> dict[str, Any]:
    return {"type": "extra_forbidden", "loc": ("query", name), "msg": "Extra inputs are not permitted"}


def _others(dependant: Dependant, request: Request, unknown: set[str]) -> Iterator[dict[str, Any]]:
    """What else is wrong with path and query: FastAPI stops here, and all is to be told at once."""
    for fields, values in (
        (dependant.path_params, request.path_params),
        (dependant.query_params, request.query_params),
    ):
        for error in request_params_to_args(fields, values)[1]:
            if not (error["type"] == "extra_forbidden" and error["loc"][-1] in unknown):
                yield error
    for dependency in dependant.dependencies:
        yield from _others(dependency, request, unknown)
