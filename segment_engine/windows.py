"""Which days, or which moments, an operator on a date means on one day; the only place where windows are computed.

Days are calendar days in the tenant's zone; `as_of` is an argument, nothing here reads a clock. What is compared with
the answer, a date or a moment in the zone, is the planner's business.
"""

from calendar import monthrange
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from segment_engine.values import Span, Unit, Value, Window

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Days:
    """From the first to the last day, both included; None is open."""

    first: date | None
    last: date | None


@dataclass(frozen=True, slots=True)
class Moments:
    """From a moment to another; an end that is not included says so, None is open."""

    start: datetime | None
    end: datetime | None
    includes_start: bool = True
    includes_end: bool = True


def span_of(operator: str, value: Value, as_of: datetime) -> Days | Moments:
    """What an operator that speaks of a stretch of time means at `as_of`, which is aware and in the tenant's zone.

    Not for yearly operators, and not for `not_on`, which is the contrary of `on`. Hours are exact to the moment,
    everything else is whole days. Source: filter-language.md, Meaning 6 and Edges.
    """
    assert as_of.tzinfo is not None
    if isinstance(value, Window | Span) and value.unit is Unit.HOUR:
        return _HOURS[operator](value, as_of)
    return _DAYS[operator](value, as_of.date())


def absolute_days(operator: str, value: Value) -> Days:
    """The days of an operator that names them itself: on, before, after, between."""
    assert operator in _ABSOLUTE
    return _DAYS[operator](value, date.min)


def anniversaries(n: int, today: date) -> frozenset[tuple[int, int]]:
    """(month, day) of the births whose anniversary falls on one of the n days from today on.

    29 February counts on 28 February in common years.
    """
    days = [_moved(today, ahead, Unit.DAY) for ahead in range(n)]
    leap = {(2, 29) for day in days if (day.month, day.day) == (2, 28) and monthrange(day.year, 2)[1] == 28}
    return frozenset({(day.month, day.day) for day in days} | leap)


def months_later(day: date, months: int) -> date:
    """The same date some months later (earlier, when negative), or the last day of that month where it is shorter."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _moved(day: date, n: int, unit: Unit) -> date:
    """The day n units later; where the calendar ends, its last day or its first."""
    try:
        match unit:
            case Unit.MONTH:
                return months_later(day, n)
            case Unit.YEAR:
                return months_later(day, 12 * n)
            case Unit.WEEK:
                return day + _DAY * 7 * n
        return day + _DAY * n
    except (OverflowError, ValueError):
        return date.max - _DAY if n > 0 else date.min


def _first_of_past(n: int, unit: Unit, last: date) -> date:
    """The first of the n units that end on `last`."""
    return _moved(last, -n, unit) + _DAY


def _last_of_next(n: int, unit: Unit, first: date) -> date:
    """The last of the n units that begin on `first`."""
    return _moved(first, n, unit) - _DAY


def _within_past(value: Value, today: date) -> Days:
    assert isinstance(value, Window)
    last = today if value.include_today else today - _DAY
    return Days(_first_of_past(value.n, value.unit, last), last)


def _before_past(value: Value, today: date) -> Days:
    assert isinstance(value, Window)
    return Days(None, _first_of_past(value.n, value.unit, today) - _DAY)


def _past_range(value: Value, today: date) -> Days:
    assert isinstance(value, Span)
    return Days(_first_of_past(value.a, value.unit, today), _first_of_past(value.b, value.unit, today) - _DAY)


def _within_next(value: Value, today: date) -> Days:
    assert isinstance(value, Window)
    return Days(today, _last_of_next(value.n, value.unit, today))


def _next_range(value: Value, today: date) -> Days:
    assert isinstance(value, Span)
    return Days(_last_of_next(value.b, value.unit, today) + _DAY, _last_of_next(value.a, value.unit, today))


def _on(value: Value, today: date) -> Days:
    assert isinstance(value, date)
    return Days(value, value)


def _before(value: Value, today: date) -> Days:
    assert isinstance(value, date)
    return Days(None, value - _DAY) if value > date.min else Days(date.max, date.min)


def _after(value: Value, today: date) -> Days:
    assert isinstance(value, date)
    return Days(value + _DAY, None) if value < date.max else Days(date.max, date.min)


def _between(value: Value, today: date) -> Days:
    assert isinstance(value, tuple)
    first, last = value
    assert isinstance(first, date)
    assert isinstance(last, date)
    return Days(first, last)


def _from_today(days: int) -> Callable[[Value, date], Days]:
    return lambda _, today: Days(_moved(today, days, Unit.DAY), _moved(today, days, Unit.DAY))


def _week(which: int) -> Callable[[Value, date], Days]:
    """Monday to Sunday."""

    def days(_: Value, today: date) -> Days:
        first = _moved(today, 7 * which - today.weekday(), Unit.DAY)
        return Days(first, _moved(first, 6, Unit.DAY))

    return days


def _calendar(which: int, months: int) -> Callable[[Value, date], Days]:
    """The stretch of so many months, counted from January, in which today is; or the one before or after it."""

    def days(_: Value, today: date) -> Days:
        first = _moved(date(today.year, (today.month - 1) // months * months + 1, 1), which * months, Unit.MONTH)
        return Days(first, _moved(first, months, Unit.MONTH) - _DAY)

    return days


_WHICH: Final = {"last": -1, "this": 0, "next": 1}

_DAYS: Final[Mapping[str, Callable[[Value, date], Days]]] = {
    "on": _on,
    "before": _before,
    "after": _after,
    "between": _between,
    "within_past": _within_past,
    "before_past": _before_past,
    "past_range": _past_range,
    "within_next": _within_next,
    "next_range": _next_range,
    "today": _from_today(0),
    "yesterday": _from_today(-1),
    "tomorrow": _from_today(1),
    **{f"{name}_week": _week(which) for name, which in _WHICH.items()},
    **{f"{name}_month": _calendar(which, 1) for name, which in _WHICH.items()},
    **{f"{name}_quarter": _calendar(which, 3) for name, which in _WHICH.items()},
    **{f"{name}_year": _calendar(which, 12) for name, which in _WHICH.items()},
}


_ABSOLUTE: Final = ("on", "before", "after", "between")

RELATIVE: Final = tuple(name for name in _DAYS if name not in _ABSOLUTE)
"""The operators whose stretch of time is counted from a day."""


def _ago(as_of: datetime, hours: int) -> datetime:
    """So many hours before, as they pass: in UTC, for clocks are put forward and back."""
    return (as_of.astimezone(UTC) - timedelta(hours=hours)).astimezone(as_of.tzinfo)


def _within_past_hours(value: Window | Span, as_of: datetime) -> Moments:
    assert isinstance(value, Window)
    return Moments(_ago(as_of, value.n), as_of)


def _before_past_hours(value: Window | Span, as_of: datetime) -> Moments:
    assert isinstance(value, Window)
    return Moments(None, _ago(as_of, value.n), includes_end=False)


def _past_range_hours(value: Window | Span, as_of: datetime) -> Moments:
    assert isinstance(value, Span)
    return Moments(_ago(as_of, value.a), _ago(as_of, value.b), includes_end=False)


def _within_next_hours(value: Window | Span, as_of: datetime) -> Moments:
    assert isinstance(value, Window)
    return Moments(as_of, _ago(as_of, -value.n))


def _next_range_hours(value: Window | Span, as_of: datetime) -> Moments:
    assert isinstance(value, Span)
    return Moments(_ago(as_of, -value.b), _ago(as_of, -value.a), includes_start=False)


_HOURS: Final[Mapping[str, Callable[[Window | Span, datetime], Moments]]] = {
    "within_past": _within_past_hours,
    "before_past": _before_past_hours,
    "past_range": _past_range_hours,
    "within_next": _within_next_hours,
    "next_range": _next_range_hours,
}
