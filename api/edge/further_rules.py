"""Rules of a body beyond the shapes of its members: told in one answer with what is wrong with the shapes.

A route asks for them itself once the body has its shape; here they are asked as well when it has not.

@router.post("/overrides")
@further_rules(problems_of_new)
def create_override(body: NewOverride) -> Override: ...
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from starlette.types import Scope

from api.edge.routes import matched_route
from segment_engine.problems import Problem

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
Rules = Callable[[Mapping[str, Any], Collection[str]], Sequence[Problem]]
"""Given the members that have their shape, and the names of those that stand in the body without having it."""

MARK = "__cdp_further_rules__"


def further_rules(rules: Rules) -> Callable[[Endpoint], Endpoint]:
    """The body of the route, a JSON object, has these rules besides its shape."""

    def mark(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, MARK, rules)
        return endpoint

    return mark


def further_problems(scope: Scope, body: Any, findings: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    """What the route's rules say of a body of which pydantic found these; nothing where it declares none."""
    rules: Rules | None = getattr(getattr(matched_route(scope), "endpoint", None), MARK, None)
    if rules is not None and isinstance(body, dict):
        wrong = {finding["loc"][1] for finding in findings if finding["loc"][0] == "body"}
        readable = {name: value for name, value in body.items() if name not in wrong}
        yield from rules(readable, wrong & body.keys())
