"""A plan and what it took to answer it, as a table for people: what is shared, what was read, and how long it took."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from unicodedata import east_asian_width

import sqlglot
from sqlglot import exp

from segment_engine.formula import Thing
from segment_engine.leaf_text import leaf_text
from segment_engine.plan import Plan
from segment_engine.runtime.audiences import Answer
from segment_engine.runtime.leaves import Reading

_LONGEST: Final = 100
_HEAD: Final = ("leaf 叶子", "used 次数", "read from 读取", "rows 行数", "ms 毫秒")
_SAME: Final = "″"


@dataclass(frozen=True, slots=True)
class _Line:
    leaf: str
    uses: str
    relation: str = ""
    rows: str = ""
    ms: str = ""


def plan_text(plan: Plan, answer: Answer) -> str:
    """One line per leaf, with the statement that answered it; then the totals.

    Leaves of one statement stand together, rows and time with the first of them; rows: those that came back
    """
    uses = _uses(plan)
    lines = [*_read(answer, uses), *_unread(answer, uses)]
    cells = [_HEAD, *((line.leaf, line.uses, line.relation, line.rows, line.ms) for line in lines)]
    widths = [max(_width(row[place]) for row in cells) for place in range(len(_HEAD))]
    table = ["  ".join(_padded(cell, widths[place], place) for place, cell in enumerate(row)).rstrip() for row in cells]
    return "\n".join([*table, _totals(plan, answer)])


def _uses(plan: Plan) -> dict[Thing, int]:
    """Every leaf, and how many filters ask it."""
    of_rows = [pair for scan in plan.scans for pair in scan.things.items()]
    return dict([*plan.of_customers.items(), *of_rows, *plan.sequences.items(), *plan.audiences.items()])


def _read(answer: Answer, uses: Mapping[Thing, int]) -> Iterator[_Line]:
    for reading in sorted(answer.readings, key=lambda one: -one.seconds):
        if not reading.answers:
            # A whole column, which is compared in memory.
            took = f"{reading.rows:,}", f"{reading.seconds * 1000:.1f}"
            yield _Line(_cut(reading.text), "", relations_in(reading), *took)
        for place, thing in enumerate(reading.answers):
            took = (f"{reading.rows:,}", f"{reading.seconds * 1000:.1f}") if place == 0 else (_SAME, _SAME)
            yield _Line(_short(thing), str(uses.get(thing, 0)), relations_in(reading) if place == 0 else _SAME, *took)


def _unread(answer: Answer, uses: Mapping[Thing, int]) -> Iterator[_Line]:
    """What was remembered or compared in memory, and tags and segments, which are kept by their members."""
    read = {thing for reading in answer.readings for thing in reading.answers}
    for thing in (thing for thing in uses if thing not in read):
        yield _Line(_short(thing), str(uses[thing]), "memory 内存")


def relations_in(reading: Reading) -> str:
    """The tables that a statement reads, each once."""
    parsed = sqlglot.parse_one(reading.text, read="duckdb")
    return ", ".join(dict.fromkeys(f"{one.db}.{one.name}" for one in parsed.find_all(exp.Table) if one.db))


def _totals(plan: Plan, answer: Answer) -> str:
    ratio = plan.uses / plan.leaves if plan.leaves else 1.0
    seconds = sum(reading.seconds for reading in answer.readings)
    return (
        f"{len(plan.formulas)} filters, {plan.leaves} leaves, {plan.uses} uses, shared {ratio:.2f} times; "
        f"{len(answer.readings)} statements, {answer.remembered} remembered, {seconds * 1000:.1f} ms / "
        f"{len(plan.formulas)} 个筛选,{plan.leaves} 个叶子,{plan.uses} 次使用,{len(answer.readings)} 条语句"
    )


def _short(thing: Thing) -> str:
    return _cut(leaf_text(thing))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _width(text: str) -> int:
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def _padded(text: str, width: int, place: int) -> str:
    """Names to the left, numbers to the right."""
    space = " " * (width - _width(text))
    return space + text if place in (1, 3, 4) else text + space
