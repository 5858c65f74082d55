"""A case file: a world, and for each case the filter and who is meant, or the problem with which it is refused.

The text is read in `documents.py`, the world in `world.py`. Whether a filter is valid is asked when the case is run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from segment_engine.cases.documents import read_document
from segment_engine.cases.notes import BadCaseFileError, Notes, Place
from segment_engine.cases.stored import UnreadableError, moment
from segment_engine.cases.world import World, read_world


@dataclass(frozen=True, slots=True)
class Case:
    """One filter at one moment; either `expect` or `problem` is there.

    source: where the expectation comes from; as_of: always there with `expect`; problem: what is given of code and path
    """

    name: str
    source: str | None
    as_of: datetime | None
    filter: Any
    expect: frozenset[int] | None
    problem: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class CaseFile:
    """A world and what is asked of it."""

    world: World
    cases: tuple[Case, ...]


def read_case_file(text: str) -> CaseFile:
    """The file; raises BadCaseFileError with everything wrong with it."""
    document = read_document(text)
    notes = Notes(document.lines)
    members = notes.members(document.data, (), required={"world", "cases"})
    if not members:
        raise BadCaseFileError(*notes.problems)
    world = read_world(members["world"], notes, ("world",))
    read = [_case(raw, world, notes, place) for place, raw in notes.items(members["cases"], ("cases",))]
    cases = tuple(case for case in read if case)
    _check_names(read, notes)
    if notes.problems:
        raise BadCaseFileError(*notes.problems)
    return CaseFile(world, cases)


def _case(raw: Any, world: World, notes: Notes, place: Place) -> Case | None:
    # A filter may be null: that is one to be refused.
    allowed = {"source", "as_of", "filter", "expect", "problem"}
    members = notes.members(raw, place, required={"name"}, allowed=allowed)
    if not members:
        return None
    if "filter" not in members:
        notes.tell("missing_member", (*place, "filter"), "缺少 filter", "filter is missing.")
    as_of = _as_of(members.get("as_of"), world.zone, notes, (*place, "as_of"))
    expected, problem = members.get("expect"), members.get("problem")
    if (expected is None) == (problem is None):
        told = "expect 与 problem 应恰有一个", "Either expect or problem must be there, and not both."
        notes.tell("missing_member", (*place, "expect"), *told)
    elif expected is not None and members.get("as_of") is None:
        told = "缺少 as_of:没有时刻就无法求值", "as_of is missing: nothing here reads a clock."
        notes.tell("missing_member", (*place, "as_of"), *told)
    return Case(
        _text(members["name"], notes, (*place, "name")) or "",
        None if "source" not in members else _text(members["source"], notes, (*place, "source")),
        as_of,
        members.get("filter"),
        None if expected is None else _expect(expected, world, notes, (*place, "expect")),
        None if problem is None else _problem(problem, notes, (*place, "problem")),
    )


def _as_of(raw: Any, zone: ZoneInfo, notes: Notes, place: Place) -> datetime | None:
    try:
        return None if raw is None else moment(raw, zone)
    except UnreadableError as wrong:
        notes.tell_type(place, wrong.zh, wrong.en)
        return None


def _text(raw: Any, notes: Notes, place: Place) -> str | None:
    if isinstance(raw, str) and raw.strip():
        return raw
    notes.tell_type(place, "非空文本", "text that says something")
    return None


def _expect(raw: Any, world: World, notes: Notes, place: Place) -> frozenset[int]:
    found = set()
    for at, one in notes.items(raw, place):
        if isinstance(one, bool) or not isinstance(one, int) or one not in world.customers:
            notes.tell("unknown_customer", at, "没有这个客户", "There is no such customer.")
        elif one in found:
            notes.tell("duplicate", at, f"客户 {one} 重复", f"Customer {one} is there twice.")
        else:
            found.add(one)
    return frozenset(found)


def _problem(raw: Any, notes: Notes, place: Place) -> Mapping[str, str]:
    members = notes.members(raw, place, allowed={"code", "path"})
    for name, value in members.items():
        # An empty path is a path: that of the whole document.
        if not isinstance(value, str):
            notes.tell_type((*place, name), "文本", "text")
    return members


def _check_names(read: list[Case | None], notes: Notes) -> None:
    seen: set[str] = set()
    for index, case in enumerate(read):
        if case is not None and case.name in seen:
            told = f"用例 {case.name} 重复", f"There are two cases {case.name!r}."
            notes.tell("duplicate", ("cases", index, "name"), *told)
        seen.add(case.name if case is not None else "")
