"""What the engine says of a filter, as answers of the API."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from api.errors import ApiError, InvalidError, NotPermittedError, NotReadyError
from segment_engine.problems import InvalidFilterError, Problem
from segment_engine.runtime.limited import QueryCancelledError, QueryTimeoutError

_MASKED: Final = (
    "该字段对您脱敏,不能用于筛选",
    "You see this field masked, so you cannot filter by it.",
)


def refused(error: InvalidFilterError, place: str) -> ApiError:
    """403 where only permissions are missing, else 422 with everything; `place` is the document's in the body."""
    problems = [told_at(problem, place) for problem in error.problems]
    masked = all(problem.code == "field_not_permitted" for problem in error.problems)
    return NotPermittedError(*problems) if masked else InvalidError(*problems)


def told_at(problem: Problem, place: str) -> Problem:
    """A problem of a document that stands somewhere in a body, in the words that other routes have for it."""
    moved = replace(problem, path=f"{place}{problem.path}")
    if problem.code != "field_not_permitted":
        return moved
    return Problem("masked_field", moved.path, *_MASKED)


def all_at_once(refusals: Sequence[ApiError]) -> ApiError:
    """Several refusals of one request as one: 403 where each is, else 422."""
    problems = [problem for refusal in refusals for problem in refusal.problems]
    masked = all(isinstance(refusal, NotPermittedError) for refusal in refusals)
    return NotPermittedError(*problems) if masked else InvalidError(*problems)


def given_up(error: QueryTimeoutError | QueryCancelledError, place: str) -> ApiError:
    """422 for a filter that takes too long: the same request again would too. Whoever left reads no answer."""
    problem = replace(error.problem, path=place)
    return InvalidError(problem) if isinstance(error, QueryTimeoutError) else NotReadyError(problem)


def members_lost(place: str) -> NotReadyError:
    """503 where the file of members of a tag or segment that is asked for cannot be read."""
    return NotReadyError(
        Problem(
            "members_lost",
            place,
            "所引用的智能标签或分群的成员文件缺失,请重新计算后再试",
            "The file of a smart tag's or segment's members is lost; calculate it anew and try again.",
        )
    )
