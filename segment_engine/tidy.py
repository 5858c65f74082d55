"""Formulas made smaller without changing what they mean: ranges of one term meet, what follows from a neighbour goes.

x ≥ 3 and x ≤ 6 → 3 ≤ x ≤ 6; x is a or x is b → x is one of a, b; x is there and x is a → x is a; rows are there and
there are at most 5 → there are 1 to 5. Only what is true of every row and every customer, missing values included.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any, Final

from segment_engine.formula import FALSE, TRUE, All, Always, Formula, No, Some, Thing, all_of, any_of
from segment_engine.operators import FieldType
from segment_engine.predicates import (
    COUNT,
    Among,
    Bound,
    Compared,
    HasRows,
    Measured,
    OfRows,
    Predicate,
    Present,
    RowSet,
    Term,
    Within,
)
from segment_engine.tree import METRICS_OF_ROWS, Metric

_Owner = tuple[RowSet | None, Term]
_WHOLE: Final = frozenset({FieldType.INTEGER, FieldType.MONEY})
_NUMBERS: Final = _WHOLE | {FieldType.DECIMAL}


def tidy(formula: Formula) -> Formula:
    """The formula with everything said once and no contradiction left standing."""
    match formula:
        case All(parts):
            return _meet(tidy(part) for part in parts)
        case Some(parts):
            return _join(tidy(part) for part in parts)
        case No(part) if isinstance(clear := _cleared(part), Always):
            return FALSE if clear.value else TRUE
        case Always() | No():
            return formula
    return _cleared(formula)


def within(
    term: Term, low: Bound | None, high: Bound | None, *, includes_low: bool = True, includes_high: bool = True
) -> Formula:
    """The range, false where it is empty, and one value where it is one; an open end counts as included."""
    if _is_whole(term):
        low = low + 1 if low is not None and not includes_low else low  # type: ignore[operator]
        high = high - 1 if high is not None and not includes_high else high  # type: ignore[operator]
        includes_low = includes_high = True
    includes_low, includes_high = includes_low or low is None, includes_high or high is None
    if low is not None and high is not None:
        if low > high or (low == high and not (includes_low and includes_high)):  # type: ignore[operator]
            return FALSE
        if low == high and term.type in _NUMBERS:
            return Among(term, (low,))
    return Within(term, low, high, includes_low, includes_high)


def _is_whole(term: Term) -> bool:
    """Whether between a number and the next there is none: not so of averages, which are not rounded."""
    return term.type in _WHOLE and not (isinstance(term, Measured) and term.metric is Metric.AVG)


def holds_over_none(predicate: Predicate) -> bool:
    """Whether it holds where nothing is measured: of counts, which are 0 then; everything else is missing."""
    if not isinstance(predicate.term, Measured) or predicate.term.metric not in METRICS_OF_ROWS:
        return False
    match predicate:
        case Present():
            return True
        case Among(_, values):
            return 0 in values
        case Within():
            return _is_inside(0, predicate)
    return False


def _cleared(thing: Thing) -> Formula:
    """What is measured over rows that cannot be is known; one row or more is having rows."""
    match thing:
        case HasRows(RowSet(_, Always(False))):
            return FALSE
        case OfRows(RowSet(_, Always(False)), predicate):
            return Always(holds_over_none(predicate))
        case OfRows(rows, Within(measured, 1, None)) if measured == COUNT:
            return HasRows(rows)
        case OfRows(_, Present(Measured(metric))) if metric in METRICS_OF_ROWS:
            return TRUE
    return thing


def _meet(parts: Iterable[Formula]) -> Formula:
    """All of them, as few as say the same."""
    met = all_of(parts)
    if not isinstance(met, All):
        return met
    counted = _counted_from_one(met.parts)
    ranges: dict[_Owner, list[Among | Within]] = {}
    others: list[Formula] = []
    for part in counted:
        owner, predicate = _owner(part)
        if owner is not None and isinstance(predicate, Among | Within):
            ranges.setdefault(owner, []).append(predicate)
        else:
            others.append(part)
    narrowed = [_owned(owner, one) for owner, several in ranges.items() for one in _intersection(several)]
    kept = _without_implied([*others, *narrowed])
    # What was narrowed may now be clear, or contradict a neighbour.
    again = all_of(_cleared(part) if not isinstance(part, No | All | Some | Always) else part for part in kept)
    return again if again == met else tidy(again)


def _join(parts: Iterable[Formula]) -> Formula:
    """Any of them, as few as say the same."""
    joined = any_of(parts)
    if not isinstance(joined, Some):
        return joined
    values: dict[_Owner, list[Bound]] = {}
    others: list[Formula] = []
    for part in joined.parts:
        owner, predicate = _owner(part)
        if owner is not None and isinstance(predicate, Among):
            values.setdefault(owner, []).extend(predicate.values)
        else:
            others.append(part)
    together = [_owned(owner, Among(owner[1], _sorted(several))) for owner, several in values.items()]
    everything = [*others, *together]
    return any_of(part for part in everything if not any(_implies(part, weaker) for weaker in everything))


def _owner(part: Formula) -> tuple[_Owner | None, Predicate | None]:
    """Whose predicate it is: the customer's or row's own, or one over rows."""
    match part:
        case OfRows(rows, predicate):
            return (rows, predicate.term), predicate
        case Present() | Among() | Within():
            return (None, part.term), part
    return None, None


def _owned(owner: _Owner, predicate: Formula) -> Formula:
    rows = owner[0]
    return predicate if rows is None or isinstance(predicate, Always) else OfRows(rows, predicate)  # type: ignore[arg-type]


def _counted_from_one(parts: Sequence[Formula]) -> list[Formula]:
    """Where rows are there, their count begins at 1."""
    there = {part.rows for part in parts if isinstance(part, HasRows)}
    return [_from_one(part) if isinstance(part, OfRows) and part.rows in there else part for part in parts]


def _from_one(part: OfRows) -> Formula:
    match part.predicate:
        case Among(term, values) if term == COUNT:
            several = tuple(value for value in values if value != 0)
            return OfRows(part.rows, Among(term, several)) if several else FALSE
        case Within(term, low, high) if term == COUNT and (low is None or low < 1):  # type: ignore[operator]
            narrowed = within(term, 1, high)
            return narrowed if isinstance(narrowed, Always) else OfRows(part.rows, narrowed)  # type: ignore[arg-type]
    return part


def _without_implied(parts: list[Formula]) -> list[Formula]:
    return [part for part in parts if not any(_implies(stronger, part) for stronger in parts)]


def _implies(stronger: Formula, weaker: Formula) -> bool:
    """Whether the one cannot hold without the other; of different things only."""
    match stronger, weaker:
        case OfRows(rows, predicate), HasRows(others):
            return rows == others and not holds_over_none(predicate)
        case OfRows(rows, predicate), OfRows(others, Present(term)):
            return rows == others and _looks_at(predicate.term, term) and stronger != weaker
        case Compared(_, _, other), Present(term) if other == term:
            return True
        case (No() | All() | Some() | Always() | Present(), _):
            return False
        case _, Present(term):
            return hasattr(stronger, "term") and _looks_at(stronger.term, term)
    return False


def _looks_at(term: Term, whole: Term) -> bool:
    """Whether a term is another, or a part of it."""
    return whole in (term, getattr(term, "column", None))


def _intersection(predicates: Sequence[Among | Within]) -> Iterator[Formula]:
    """Of one term; whole days and moments of it are not mixed."""
    groups: dict[bool, list[Among | Within]] = {}
    for predicate in predicates:
        groups.setdefault(_is_of_moments(predicate), []).append(predicate)
    for group in groups.values():
        met: Formula = group[0]
        for predicate in group[1:]:
            met = _both(met, predicate) if isinstance(met, Among | Within) else met
        yield met


def _both(one: Among | Within, other: Among | Within) -> Formula:
    if isinstance(one, Within) and isinstance(other, Within):
        return _overlap(one, other)
    values, test = (one, other) if isinstance(one, Among) else (other, one)
    assert isinstance(values, Among)
    others = frozenset(test.values) if isinstance(test, Among) else frozenset()
    kept = tuple(
        value for value in values.values if (value in others if isinstance(test, Among) else _is_inside(value, test))
    )
    return replace(values, values=kept) if kept else FALSE


def _overlap(one: Within, other: Within) -> Formula:
    # Of equal ends the one that is left out is the narrower.
    low, leaves_low_out = max(
        ((range_.low, not range_.includes_low) for range_ in (one, other) if range_.low is not None),
        default=(None, False),
    )
    high, includes_high = min(
        ((range_.high, range_.includes_high) for range_ in (one, other) if range_.high is not None),
        default=(None, True),
    )
    return within(one.term, low, high, includes_low=not leaves_low_out, includes_high=includes_high)


def _is_inside(value: Any, test: Within) -> bool:
    after = test.low is None or (value >= test.low if test.includes_low else value > test.low)
    before = test.high is None or (value <= test.high if test.includes_high else value < test.high)
    return bool(after and before)


def _is_of_moments(predicate: Among | Within) -> bool:
    bounds = predicate.values if isinstance(predicate, Among) else (predicate.low, predicate.high)
    return any(isinstance(bound, datetime) for bound in bounds if isinstance(bound, date))


def _sorted(values: Iterable[Bound]) -> tuple[Bound, ...]:
    return tuple(sorted(set(values)))
