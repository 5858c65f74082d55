"""The reference interpreter's operators: what each says of a stored value, missing ones included.

Written from the design alone and for reading, as `day_windows.py` is. Filters are known to be valid here. Whose value
is judged, a customer's, a row's or that of a metric, is decided in `interpreter.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import re2

from segment_engine.cases.day_windows import (
    CALENDAR,
    RELATIVE,
    IsIn,
    anniversary_stretch,
    calendar_stretch,
    day_of,
    elapsed,
    relative_stretch,
)
from segment_engine.cases.world import Values
from segment_engine.catalog import DATED, NUMERIC
from segment_engine.operators import OPERATORS, FieldType
from segment_engine.texts import normalised

Judge = Callable[[Any, Values], bool]
"""What is said of a value, None for a missing one; the values beside it are there for field-to-field comparison."""

_POSITIVE_OF: Final = {
    "neq": "eq",
    "not_in": "in",
    "not_contains": "contains",
    "not_regex": "regex",
    "has_none": "has_any",
    "not_on": "on",
    "not_between": "between",
}
_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "eq": lambda value, wanted: value == wanted,
    "in": lambda value, wanted: value in wanted,
    "gt": lambda value, wanted: value > wanted,
    "gte": lambda value, wanted: value >= wanted,
    "lt": lambda value, wanted: value < wanted,
    "lte": lambda value, wanted: value <= wanted,
    "between": lambda value, wanted: wanted[0] <= value <= wanted[1],
    "contains": lambda value, wanted: wanted in value,
    "starts_with": lambda value, wanted: value.startswith(wanted),
    "ends_with": lambda value, wanted: value.endswith(wanted),
    "regex": lambda value, wanted: wanted.search(value) is not None,
    "has_any": lambda value, wanted: bool(set(value) & set(wanted)),
    "has_all": lambda value, wanted: set(value) >= set(wanted),
    "set_eq": lambda value, wanted: set(value) == set(wanted),
    "on": lambda value, wanted: value == wanted,
    "before": lambda value, wanted: value < wanted,
    "after": lambda value, wanted: value > wanted,
}


@dataclass(frozen=True, slots=True)
class _Condition:
    type: FieldType
    operator: str
    raw: Any


def judge_of(field_type: FieldType, condition: Mapping[str, Any], as_of: datetime) -> Judge:
    """What a condition (its `operator`, `value` and `null_policy`) says of values of this type."""
    operator = condition["operator"]
    if operator in ("is_set", "not_set"):
        return lambda value, _: (value is not None) == (operator == "is_set")
    negative = OPERATORS[field_type][operator].is_negative
    matches_missing = negative and condition.get("null_policy") == "match"
    asked = _Condition(field_type, _POSITIVE_OF.get(operator, operator), condition.get("value"))
    says_yes = _between_fields(asked) if _is_field(asked.raw) else _with_value(asked, as_of)

    def judge(value: Any, beside: Values) -> bool:
        answer = None if value is None else says_yes(value, beside)
        return matches_missing if answer is None else answer != negative

    return judge


def comparable(value: Any) -> Any:
    """A stored value in a form that is equal and ordered as it means, across clocks, types of number and orders."""
    match value:
        case datetime():
            return elapsed(value)
        case Decimal():
            return Fraction(value)
        case list() | tuple():
            return tuple(sorted(value))
    return value


Answer = Callable[[Any, Values], bool | None]
"""Yes, no, or None where something to compare with is missing."""


def _is_field(raw: Any) -> bool:
    return isinstance(raw, dict) and "field" in raw


def _between_fields(asked: _Condition) -> Answer:
    """Days are compared where either side is a moment: every operator on dates speaks of days."""
    holds = _COMPARE[asked.operator]
    ready = day_of if asked.type in DATED else comparable

    def answer(value: Any, beside: Values) -> bool | None:
        other = beside.get(asked.raw["field"])
        return None if other is None else holds(ready(value), ready(other))

    return answer


def _with_value(asked: _Condition, as_of: datetime) -> Answer:
    if asked.operator == "size":
        number_of = judge_of(FieldType.INTEGER, asked.raw, as_of)
        return lambda value, beside: number_of(len(value), beside)
    if asked.type is FieldType.BOOLEAN:
        return lambda value, _: value == (asked.operator == "is_true")
    if asked.type in DATED:
        is_in = _stretch(asked.operator, asked.raw, as_of)
        return lambda value, _: is_in(value)
    holds, wanted = _COMPARE[asked.operator], _wanted(asked)
    return lambda value, _: holds(comparable(value), wanted)


def _stretch(operator: str, raw: Any, as_of: datetime) -> IsIn:
    if operator in CALENDAR:
        return calendar_stretch(operator, as_of)
    if operator in RELATIVE:
        return relative_stretch(operator, raw, as_of)
    match operator:
        case "anniversary_within":
            return anniversary_stretch(raw["n"], as_of)
        case "month_in":
            return lambda at: at.month in raw
        case "day_in":
            return lambda at: at.day in raw
    holds, wanted = _COMPARE[operator], _each(raw, date.fromisoformat)
    return lambda at: holds(day_of(at), wanted)


def _wanted(asked: _Condition) -> Any:
    """The value of a filter as stored ones are: money in fen, texts normalised but for patterns."""
    if asked.operator == "regex":
        return _pattern(asked.raw)
    if asked.type in NUMERIC:
        return _each(asked.raw, _fen if asked.type is FieldType.MONEY else _exact)
    return _each(asked.raw, normalised)


def _each(raw: Any, read: Callable[[Any], Any]) -> Any:
    return [read(item) for item in raw] if isinstance(raw, Sequence) and not isinstance(raw, str) else read(raw)


def _exact(raw: float) -> Fraction:
    """The number that was written: 0.1, not what the bits of a float hold."""
    return Fraction(repr(raw))


def _fen(raw: float) -> Fraction:
    return _exact(raw) * 100


def _pattern(raw: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    return re2.compile(raw, options)
