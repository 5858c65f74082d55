"""Predicates over whole columns in memory: a comparison of a million numbers is one pass without the database.

Numbers, codes, days and booleans of the engine's customers; what needs more than comparing one column is SQL's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import reduce
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from segment_engine.formula import All, Always, Formula, No, Some, things_of
from segment_engine.operators import FieldType
from segment_engine.predicates import Among, Bits, Column, Holds, Overlap, Part, PartOf, Present, Within

Flags = npt.NDArray[np.bool_]

_COMPARED: Final = frozenset({FieldType.INTEGER, FieldType.MONEY, FieldType.DATE})
_EPOCH: Final = date(1970, 1, 1)
_FEW: Final = 8


@dataclass(frozen=True, slots=True)
class Values:
    """A column's values, one per key from 0 on; days are counted from 1970. present: None where none is missing."""

    numbers: npt.NDArray[Any]
    present: Flags | None


def is_answered(formula: Formula) -> bool:
    """Whether columns in memory answer it: comparisons of numbers, codes and days, booleans, presence."""
    return all(_is_compared(thing) for thing in things_of(formula))


def read_values(column: pa.ChunkedArray) -> Values:
    """A column of Arrow's as values."""
    if pa.types.is_date32(column.type):
        column = column.cast(pa.int32())
    present = None
    if column.null_count:
        present = column.is_valid().to_numpy()
        column = column.fill_null(False if pa.types.is_boolean(column.type) else 0)
    return Values(column.to_numpy(), present)


def truths(formula: Formula, values: Callable[[str], Values], size: int) -> Flags:
    """For each key whether the formula holds; only of what `is_answered`."""
    match formula:
        case Always(value):
            return np.full(size, value)
        case No(part):
            return ~truths(part, values, size)
        case All(parts):
            return reduce(np.logical_and, (truths(part, values, size) for part in parts))
        case Some(parts):
            return reduce(np.logical_or, (truths(part, values, size) for part in parts))
    return _of(formula, values)


def holding(numbers: npt.NDArray[Any], predicate: Among | Within) -> Flags:
    """Where whole numbers, none of which is missing, are among some or within bounds."""
    if isinstance(predicate, Among):
        wanted = [_number(value) for value in predicate.values]
        # A pass per value beats one that sorts, as long as there are few.
        return (
            np.isin(numbers, wanted)
            if len(wanted) > _FEW
            else reduce(np.logical_or, (numbers == one for one in wanted))
        )
    low, high = _number(predicate.low), _number(predicate.high)
    if low is None or high is None:
        found: Flags = (
            np.ones(len(numbers), bool) if low == high else numbers >= low if high is None else numbers <= high
        )
        return found
    both: Flags = (numbers >= low) & (numbers <= high)
    return both


def _of(predicate: Formula, values: Callable[[str], Values]) -> Flags:
    assert isinstance(predicate, Present | Holds | Among | Bits | Within)
    term = predicate.term
    inner = term.column if isinstance(term, PartOf) else term
    assert isinstance(inner, Column)
    column = values(inner.name)
    numbers = _part(column.numbers, term.part) if isinstance(term, PartOf) else column.numbers
    match predicate:
        case Present():
            found = np.ones(len(numbers), bool)
        case Holds():
            found = numbers.astype(bool)
        case Bits(_, overlap, mask):
            met = numbers & mask
            found = met != 0 if overlap is Overlap.ANY else met == mask
        case _:
            found = holding(numbers, predicate)
    return found if column.present is None else found & column.present


def _part(days: npt.NDArray[Any], part: Part) -> npt.NDArray[Any]:
    """Month, day, or month and day of days counted from 1970: found for each day there is, customers look it up."""
    if not len(days):
        return days
    first = int(days.min())
    dates = np.arange(first, int(days.max()) + 1).astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    day = (dates - months).astype(np.int64) + 1
    month = months.astype(np.int64) % 12 + 1
    parts: dict[Part, npt.NDArray[Any]] = {Part.MONTH: month, Part.DAY: day, Part.YEARLY: month * 100 + day}
    found: npt.NDArray[Any] = parts[part][days - first]
    return found


def _is_compared(thing: object) -> bool:
    match thing:
        case Bits() | Holds(Column()) | Present(Column(type=FieldType.BOOLEAN)):
            return True
        case Among(PartOf(Column(type=kind))) | Within(PartOf(Column(type=kind))):
            return kind is FieldType.DATE
        case Present(Column(type=kind)) | Among(Column(type=kind)):
            return kind in _COMPARED
        case Within(Column(type=kind), low, high):
            return kind in _COMPARED and not (low is None and high is None)
    return False


def _number(bound: Any) -> Any:
    assert not isinstance(bound, datetime)
    return (bound - _EPOCH).days if isinstance(bound, date) else bound


def different_days(keys: npt.NDArray[Any], days: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """For each key, on how many different days it has rows; days are counted from 1970."""
    pairs = keys.astype(np.int64) << _DAY_BITS | (days.astype(np.int64) + (1 << _DAY_BITS - 1))
    pairs.sort()
    is_first = np.ones(len(pairs), bool)
    is_first[1:] = pairs[1:] != pairs[:-1]
    return np.bincount(pairs[is_first] >> _DAY_BITS, minlength=size)


# Ten thousand years of days.
_DAY_BITS: Final = 23
