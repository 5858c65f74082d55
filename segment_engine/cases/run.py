"""Running the cases of a file: every valid one on every engine, every other one against the problem it names.

An engine is a function; those that compile are joined by whoever calls. Here are the reference interpreter's, and the
wrapper that turns the order of all rules around, which must change nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from segment_engine.cases.case_file import Case, read_case_file
from segment_engine.cases.interpreter import selected
from segment_engine.cases.world import World
from segment_engine.checked import CheckedGroup
from segment_engine.parse import parse
from segment_engine.problems import InvalidFilterError, Problem
from segment_engine.tree import Group
from segment_engine.validate import Asking, validate

REFUSAL = "parse and validate"
"""What stands for an engine where a filter is, or should have been, refused."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A valid filter at a moment, as a document, a tree and checked; the case's name is there to be told."""

    name: str
    as_of: datetime
    document: Any
    tree: Group
    checked: CheckedGroup


Engine = Callable[[World, Sequence[Asked]], Sequence[frozenset[int]]]
"""Given a world and filters of one moment, who is selected by each of them, in their order."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case on an engine.

    expected, got: customers, or in words what else it should have been and was
    """

    case: str
    engine: str
    ok: bool
    expected: frozenset[int] | str
    got: frozenset[int] | str

    def line(self) -> str:
        """All of it in one line."""
        return f"{self.case} [{self.engine}]: expected {_told(self.expected)}, got {_told(self.got)}"


def run_file(path: Path, engines: Sequence[tuple[str, Engine]]) -> list[Outcome]:
    """The outcomes of a file, engine by engine; raises BadCaseFileError where the file cannot be read."""
    return run_text(path.read_text(encoding="utf-8"), engines)


def run_text(text: str, engines: Sequence[tuple[str, Engine]]) -> list[Outcome]:
    """The outcomes of a file with this text."""
    file = read_case_file(text)
    outcomes: list[Outcome] = []
    valid: list[tuple[Asked, frozenset[int]]] = []
    for case in file.cases:
        try:
            tree, checked = read_filter(case.filter, file.world)
        except InvalidFilterError as refused:
            outcomes.append(_refusal(case, refused.problems))
            continue
        if case.expect is None or case.as_of is None:
            outcomes.append(_refusal(case, ()))
        else:
            valid.append((Asked(case.name, case.as_of, case.filter, tree, checked), case.expect))
    for name, engine in engines:
        outcomes += _run(name, engine, file.world, valid)
    return outcomes


def read_filter(document: Any, world: World) -> tuple[Group, CheckedGroup]:
    """A filter that can be asked of a world; raises InvalidFilterError."""
    tree = parse(document)
    asking = Asking(tags=frozenset(world.tags), segments=frozenset(world.segments))
    return tree, validate(tree, world.catalog, asking)


def interpreted(world: World, cases: Sequence[Asked]) -> list[frozenset[int]]:
    """The reference interpreter as an engine."""
    return [selected(case.document, world, case.as_of) for case in cases]


def with_rules_reversed(engine: Engine) -> Engine:
    """The engine, asked the same with the rules of every group in the opposite order."""

    def turned(world: World, cases: Sequence[Asked]) -> Sequence[frozenset[int]]:
        return engine(world, [_reversed(case, world) for case in cases])

    return turned


def _reversed(case: Asked, world: World) -> Asked:
    document = reversed_rules(case.document)
    return Asked(case.name, case.as_of, document, *read_filter(document, world))


INTERPRETERS: Sequence[tuple[str, Engine]] = (
    ("interpreter", interpreted),
    ("interpreter, rules reversed", with_rules_reversed(interpreted)),
)


def reversed_rules(document: Any) -> Any:
    """The document with the rules of every group, those of `where` too, in the opposite order."""
    if isinstance(document, dict):
        turned = {name: reversed_rules(value) for name, value in document.items()}
        return turned | ({"rules": turned["rules"][::-1]} if isinstance(turned.get("rules"), list) else {})
    return [reversed_rules(item) for item in document] if isinstance(document, list) else document


def _run(name: str, engine: Engine, world: World, valid: Sequence[tuple[Asked, frozenset[int]]]) -> Iterator[Outcome]:
    """One engine over all cases, moment by moment."""
    for _, group in groupby(sorted(valid, key=_moment), key=_moment):
        cases = list(group)
        answers = _answers(engine, world, [asked for asked, _ in cases])
        for (asked, expected), got in zip(cases, answers, strict=True):
            yield Outcome(asked.name, name, got == expected, expected, got)


def _moment(case: tuple[Asked, frozenset[int]]) -> float:
    return case[0].as_of.timestamp()


def _answers(engine: Engine, world: World, cases: Sequence[Asked]) -> Sequence[frozenset[int] | str]:
    """What the engine says; where it fails instead, that is its answer to every case."""
    try:
        answers = engine(world, cases)
    except Exception as failure:
        return [f"{type(failure).__name__}: {failure}"] * len(cases)
    if len(answers) != len(cases):
        return [f"{len(answers)} answers to {len(cases)} cases"] * len(cases)
    return answers


def _refusal(case: Case, problems: Sequence[Problem]) -> Outcome:
    """A case whose filter was refused with these problems, or should have been."""
    wanted = case.problem
    ok = wanted is not None and any(
        all(getattr(problem, name) == value for name, value in wanted.items()) for problem in problems
    )
    got = ", ".join(f"{one.code} at {one.path or '/'}" for one in problems) or "a valid filter"
    if wanted is None:
        return Outcome(case.name, REFUSAL, ok, case.expect or frozenset(), got)
    return Outcome(case.name, REFUSAL, ok, _told_problem(wanted.get("code"), wanted.get("path")), got)


def _told_problem(code: str | None, path: str | None) -> str:
    where = "" if path is None else f" at {path or '/'}"
    return f"{code or 'any problem'}{where}"


def _told(answer: frozenset[int] | str) -> str:
    return answer if isinstance(answer, str) else str(sorted(answer))
