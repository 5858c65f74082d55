"""The members of smart tags and segments, many at once, on one published version.

One whose rule makes no sense any more, or cannot be answered, is refused with a reason, and so is who refers to it;
all others are calculated. Files are `memberships.py`'s; which rules there are, and what counts, is the caller's.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb

from segment_engine.checked import CheckedGroup, CheckedNode
from segment_engine.clinics import without_clinics
from segment_engine.compile import check, compile_many
from segment_engine.predicates import InAudience
from segment_engine.problems import InvalidFilterError, Problem, pointer
from segment_engine.references import CycleError, in_order
from segment_engine.runtime.audiences import AudienceReader
from segment_engine.runtime.bitmaps import Bitmap
from segment_engine.runtime.version import Opened
from segment_engine.tree import AudienceKind, Membership
from segment_engine.validate import Asking

Members = Callable[[InAudience], Bitmap]

_WORDS: Final = {AudienceKind.TAG: "标签", AudienceKind.SEGMENT: "分群"}


@dataclass(frozen=True, slots=True)
class Rule:
    """A smart tag or segment and the filter that says who is in it."""

    audience: InAudience
    document: Any


@dataclass(frozen=True, slots=True)
class Calculated:
    """Members of all that went well, and why the others did not; every audience stands in one of the two."""

    members: Mapping[InAudience, Bitmap]
    refused: Mapping[InAudience, tuple[Problem, ...]]


def recalculate(
    rules: Sequence[Rule],
    opened: Opened,
    connection: duckdb.DuckDBPyConnection,
    *,
    asking: Asking,
    others: Members,
    workers: int = 2,
) -> Calculated:
    """Calculate the rules in one pass, each after those that it refers to.

    asking: which fields, tags and segments there are; others: members of those that are referred to and no rule of
    these. Clinics that the version excludes are left out here. Raises duckdb.InterruptException.
    """
    checked, refused = _checked(rules, opened, asking)
    clinics = opened.excluded_clinics
    ordered = {one: without_clinics(checked[one], clinics) for one in _in_order(checked, refused)}
    sound = {one: tree for one, tree in ordered.items() if not _is_held_back(one, tree, refused)}

    def read(some: Mapping[InAudience, CheckedGroup], known: Members) -> dict[InAudience, Bitmap]:
        filters: dict[Hashable, CheckedGroup] = dict(some.items())
        plan = compile_many(filters, opened.as_of, opened.known)
        found = AudienceReader(connection, opened.version, known, workers=workers).read(plan).members
        return {one: found[one] for one in some}

    try:
        return Calculated(read(sound, others), refused)
    except duckdb.InterruptException:
        raise
    # Whatever it is, a mistake of the engine's own too: a night does not fail for the sake of one rule.
    except Exception:
        return _one_by_one(sound, refused, read, others)


def named_in(node: CheckedNode) -> Iterator[tuple[InAudience, str]]:
    """The tags and segments that a filter names, each with its place as a JSON Pointer."""
    if isinstance(node, CheckedGroup):
        for rule in node.rules:
            yield from named_in(rule)
    elif isinstance(node, Membership):
        for one in node.ids:
            yield InAudience(node.kind, one), pointer(node.place)


def _checked(
    rules: Sequence[Rule], opened: Opened, asking: Asking
) -> tuple[dict[InAudience, CheckedGroup], dict[InAudience, tuple[Problem, ...]]]:
    checked: dict[InAudience, CheckedGroup] = {}
    refused: dict[InAudience, tuple[Problem, ...]] = {}
    for rule in rules:
        try:
            checked[rule.audience] = check(rule.document, opened.catalog, asking)
        except InvalidFilterError as wrong:
            refused[rule.audience] = wrong.problems
    return checked, refused


def _in_order(
    checked: Mapping[InAudience, CheckedGroup], refused: dict[InAudience, tuple[Problem, ...]]
) -> list[InAudience]:
    """Each after those it refers to; those in a circle are refused."""
    left = dict(checked)
    while True:
        named = {one: [other for other, _ in named_in(tree) if other in left] for one, tree in left.items()}
        try:
            return in_order(named)
        except CycleError as circle:
            for one in circle.path:
                if isinstance(one, InAudience) and one in left:
                    refused[one] = (_circle(circle),)
                    del left[one]


def _is_held_back(one: InAudience, tree: CheckedGroup, refused: dict[InAudience, tuple[Problem, ...]]) -> bool:
    """Whether it refers to one that is refused; then it is too."""
    failed = {named: place for named, place in named_in(tree) if named in refused}
    if failed:
        refused[one] = tuple(_because(named, place) for named, place in failed.items())
    return bool(failed)


def _one_by_one(
    sound: Mapping[InAudience, CheckedGroup],
    refused: dict[InAudience, tuple[Problem, ...]],
    read: Callable[[Mapping[InAudience, CheckedGroup], Members], dict[InAudience, Bitmap]],
    others: Members,
) -> Calculated:
    """Something in the whole plan fails: all but that are answered, each by itself."""
    members: dict[InAudience, Bitmap] = {}

    def known(one: InAudience) -> Bitmap:
        return members[one] if one in members else others(one)

    for one, tree in sound.items():
        if _is_held_back(one, tree, refused):
            continue
        try:
            members |= read({one: tree}, known)
        except duckdb.InterruptException:
            raise
        except Exception as error:
            refused[one] = (_unanswered(error),)
    return Calculated(members, refused)


def _circle(circle: CycleError) -> Problem:
    named = " → ".join(f"{one.kind}:{one.id}" for one in circle.path if isinstance(one, InAudience))
    return Problem(
        "reference_cycle",
        "",
        f"标签与分群循环引用:{named}",
        f"Tags and segments refer to each other in a circle: {named}.",
    )


def _because(named: InAudience, place: str) -> Problem:
    return Problem(
        "reference_failed",
        place,
        f"引用的{_WORDS[named.kind]} {named.id} 规则失效",
        f"The {named.kind} {named.id} that this refers to could not be calculated.",
    )


def _unanswered(error: Exception) -> Problem:
    told = type(error).__name__
    return Problem("not_answered", "", f"规则计算出错({told})", f"The rule could not be answered ({told}).")
