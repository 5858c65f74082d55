"""A thing of a plan in one short line, for people who look at how filters are worked out; no sentence about a filter.

visit[visit_type = 初诊 & visited_at in 2026-05-27…2026-11-22]: count in 2…
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from segment_engine.formula import All, Always, Formula, No, Some, Thing
from segment_engine.predicates import (
    Among,
    Anniversary,
    Column,
    Compared,
    During,
    Follows,
    Has,
    HasRows,
    Holds,
    InAudience,
    InBucket,
    Matches,
    Measured,
    OfRows,
    PartOf,
    Present,
    RowSet,
    SizeOf,
    Term,
    Within,
)

_MOST_VALUES: Final = 3


def leaf_text(formula: Formula) -> str:
    """A thing, or a formula of things."""
    match formula:
        case Always(value):
            return "all" if value else "none"
        case No(part):
            return f"not {_nested(part)}"
        case All(parts):
            return " & ".join(map(_nested, parts))
        case Some(parts):
            return " | ".join(map(_nested, parts))
    return _TEXTS[type(formula)](formula)


def _nested(formula: Formula) -> str:
    text = leaf_text(formula)
    return f"({text})" if isinstance(formula, All | Some) else text


def _rows(rows: RowSet) -> str:
    return rows.source if rows.where == Always(True) else f"{rows.source}[{leaf_text(rows.where)}]"


def _of_rows(thing: OfRows) -> str:
    return f"{_rows(thing.rows)}: {leaf_text(thing.predicate)}"


def _term(term: Term) -> str:
    match term:
        case Column(name):
            return name
        case SizeOf(column):
            return f"size({_term(column)})"
        case PartOf(column, part):
            return f"{part}({_term(column)})"
    assert isinstance(term, Measured)
    return str(term.metric) if term.column is None else f"{term.metric}({term.column.name})"


def _among(thing: Among) -> str:
    return f"{_term(thing.term)} = {_listed(thing.values)}"


def _listed(values: tuple[Any, ...]) -> str:
    told = ", ".join(str(value) for value in values[:_MOST_VALUES])
    return told if len(values) <= _MOST_VALUES else f"{told} … ({len(values)})"


def _within(thing: Within) -> str:
    low, high = ("" if bound is None else str(bound) for bound in (thing.low, thing.high))
    opened = "" if thing.includes_low else "> ", "" if thing.includes_high else "< "
    return f"{_term(thing.term)} in {opened[0]}{low}…{opened[1]}{high}"


def _follows(thing: Follows) -> str:
    steps = " → ".join(map(_rows, thing.steps))
    without = "" if thing.without is None else f" without {_rows(thing.without)}"
    gap = "" if thing.max_gap is None else f" gap {thing.max_gap.n} {thing.max_gap.unit}"
    same = "" if thing.same is None else f" same {thing.same.name}"
    return f"{steps} within {thing.within.n} {thing.within.unit}{gap}{without}{same}"


def _during(thing: During) -> str:
    return f"{_term(thing.term)} {thing.operator}"


_TEXTS: Final[Mapping[type[Thing], Callable[[Any], str]]] = {
    Present: lambda thing: f"{_term(thing.term)} is set",
    Among: _among,
    Within: _within,
    Matches: lambda thing: f"{_term(thing.term)} {thing.likeness} {thing.text}",
    Holds: lambda thing: _term(thing.term),
    Has: lambda thing: f"{_term(thing.term)} has {thing.overlap} of {_listed(thing.values)}",
    Compared: lambda thing: f"{_term(thing.term)} {thing.order} {thing.other.name}",
    During: _during,
    Anniversary: lambda thing: f"anniversary({_term(thing.term)}) within {thing.n}",
    HasRows: lambda thing: _rows(thing.rows),
    OfRows: _of_rows,
    InAudience: lambda thing: f"{thing.kind} {thing.id}",
    InBucket: lambda thing: f"bucket {thing.salt} {thing.first}…{thing.end}",
    Follows: _follows,
}
