"""From what is counted from a day to that day's own: windows become ranges, anniversaries days of the year.

`as_of` is aware and in the tenant's zone. After this nothing in a formula depends on when it is asked, so a formula is
its own key in a cache.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Final

from segment_engine.formula import Formula, Thing, any_of, mapped
from segment_engine.predicates import (
    Anniversary,
    Column,
    During,
    Follows,
    HasRows,
    Measured,
    OfRows,
    Part,
    PartOf,
    RowSet,
    Term,
)
from segment_engine.tidy import tidy, within
from segment_engine.windows import Days, anniversaries, span_of


def resolve(formula: Formula, as_of: datetime, known: Mapping[str, datetime] | None = None) -> Formula:
    """The formula as it is at `as_of`; raises nothing.

    known: per source, the moment by which all of its rows were known; where `as_of` is no earlier, rows need not be
    asked when they became known
    """
    assert as_of.tzinfo is not None
    return _Day(as_of, known or {}).of(formula)


class _Day:
    def __init__(self, as_of: datetime, known: Mapping[str, datetime]) -> None:
        self._as_of = as_of
        self._known = known

    def of(self, formula: Formula) -> Formula:
        return tidy(mapped(formula, self._thing))

    def _thing(self, thing: Thing) -> Formula:
        match thing:
            case During(term, operator, value):
                span = span_of(operator, value, self._as_of)
                if isinstance(span, Days):
                    return within(term, span.first, span.last)
                ends = {"includes_low": span.includes_start, "includes_high": span.includes_end}
                return within(term, span.start, span.end, **ends)
            case Anniversary(term, n):
                return _on_days_of_the_year(term, anniversaries(n, self._as_of.date()))
            case HasRows(rows):
                return HasRows(self._rows(rows))
            case OfRows(rows, predicate):
                return mapped(self._thing(predicate), lambda one: OfRows(self._rows(rows), one))  # type: ignore[arg-type]
            case Follows(steps, without=without):
                known = None if without is None else self._rows(without)
                return replace(thing, steps=tuple(map(self._rows, steps)), without=known)
        return thing

    def _rows(self, rows: RowSet) -> RowSet:
        latest = self._known.get(rows.source)
        known_by = None if latest is not None and latest <= self._as_of else self._as_of
        return replace(rows, where=self.of(rows.where), known_by=known_by)


def _on_days_of_the_year(term: Term, days: Collection[tuple[int, int]]) -> Formula:
    """The date's month and day is one of these, told as few stretches of the year."""
    assert isinstance(term, Column | Measured)
    every = [day.month * 100 + day.day for day in _DAYS_OF_A_LEAP_YEAR]
    asked = [number in {month * 100 + day for month, day in days} for number in every]
    stretches = [
        list(stretch) for there, stretch in groupby(every, key=dict(zip(every, asked, strict=True)).get) if there
    ]
    return any_of(within(PartOf(term, Part.YEARLY), stretch[0], stretch[-1]) for stretch in stretches)


_DAYS_OF_A_LEAP_YEAR: Final = [date(2000, 1, 1) + timedelta(days=ahead) for ahead in range(366)]
