"""Which route a request was matched to, and what that route declares."""

from typing import Any

from starlette.types import Scope

UNMATCHED = "unmatched"


def matched_route(scope: Scope) -> Any | None:
    """The route as it stands in this application: with the prefix and dependencies its router was included with."""
    return scope.get("fastapi", {}).get("effective_route_context") or scope.get("route")


def route_template(scope: Scope) -> str:
    """The path as it was declared, `/v1/rounds/{round_id}`: never what the caller wrote, which may name a person."""
    return getattr(matched_route(scope), "path", None) or UNMATCHED
