"""The reference interpreter's own calendar: which days or moments an operator on dates means at a moment.

Written a second time on purpose, from the design alone: what the compiler thinks of days is held against this. Days are
those of the zone that the moments are in; hours are elapsed time, whatever the clocks do meanwhile.
"""

from calendar import monthrange
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final

IsIn = Callable[[Any], bool]
"""Whether a date, or a moment, is in a stretch of time."""

# Consecutive numbers for the days, weeks and so on of the calendar; its first day was a Monday.
_NUMBER_OF: Final[Mapping[str, Callable[[date], int]]] = {
    "day": lambda day: day.toordinal(),
    "week": lambda day: (day.toordinal() - 1) // 7,
    "month": lambda day: day.year * 12 + day.month,
    "quarter": lambda day: day.year * 4 + (day.month - 1) // 3,
    "year": lambda day: day.year,
}
_WHICH: Final = {"last": -1, "this": 0, "next": 1}
CALENDAR: Final[Mapping[str, tuple[str, int]]] = {
    "today": ("day", 0),
    "yesterday": ("day", -1),
    "tomorrow": ("day", 1),
    **{f"{name}_{unit}": (unit, which) for name, which in _WHICH.items() for unit in _NUMBER_OF if unit != "day"},
}
"""Operators that name a day, week, month, quarter or year: its unit, and how many after the present one it is."""

RELATIVE: Final = frozenset({"within_past", "before_past", "past_range", "within_next", "next_range"})
"""Operators whose stretch is counted from the present."""


def day_of(value: Any) -> date:
    """A date, or the day of a moment in its own zone."""
    day: date = value.date() if isinstance(value, datetime) else value
    return day


def elapsed(moment: datetime) -> timedelta:
    """Since the calendar began in UTC: orders moments whatever the clocks did, and knows no end of the calendar."""
    offset = moment.utcoffset()
    assert offset is not None
    return moment.replace(tzinfo=None) - datetime.min - offset


def calendar_stretch(operator: str, as_of: datetime) -> IsIn:
    """What an operator of CALENDAR holds."""
    unit, which = CALENDAR[operator]
    number = _NUMBER_OF[unit]
    wanted = number(as_of.date()) + which
    return lambda at: number(day_of(at)) == wanted


def relative_stretch(operator: str, value: Mapping[str, Any], as_of: datetime) -> IsIn:
    """What an operator of RELATIVE holds, with its value as it stands in a filter."""
    match operator:
        case "within_past":
            return _past(value, as_of)
        case "within_next":
            return _next(value, as_of)
        case "before_past":
            in_window = _past(value, as_of)
            return lambda at: not in_window(at) and not _is_later(at, as_of, value["unit"])
    within = _past if operator == "past_range" else _next
    longer, shorter = (within({"n": value[name], "unit": value["unit"]}, as_of) for name in ("a", "b"))
    return lambda at: longer(at) and not shorter(at)


def anniversary_stretch(n: int, as_of: datetime) -> IsIn:
    """Births whose anniversary is on one of n days, of which today is the first."""
    today = as_of.date()
    end = today + timedelta(days=n)
    return lambda at: any(today <= _anniversary(day_of(at), year) < end for year in (today.year, today.year + 1))


def is_within(first: datetime, last: datetime, value: Mapping[str, Any]) -> bool:
    """Whether no more than a window lies between two moments: hours as they elapse, all else by date and clock."""
    if value["unit"] == "hour":
        return elapsed(last) - elapsed(first) <= timedelta(hours=value["n"])
    try:
        end = _moved(first.replace(tzinfo=None), value["n"], value["unit"])
    except OverflowError:
        return True  # No moment of the calendar is so late.
    return bool(last.replace(tzinfo=None) <= end)


def _past(value: Mapping[str, Any], as_of: datetime) -> IsIn:
    if value["unit"] == "hour":
        now = elapsed(as_of)
        start = now - timedelta(hours=value["n"])
        return lambda at: start <= elapsed(at) <= now
    last = as_of.date() - timedelta(days=0 if value.get("include_today", True) else 1)
    before = _moved(last, -value["n"], value["unit"])
    return lambda at: before < day_of(at) <= last


def _next(value: Mapping[str, Any], as_of: datetime) -> IsIn:
    if value["unit"] == "hour":
        now = elapsed(as_of)
        end = now + timedelta(hours=value["n"])
        return lambda at: now <= elapsed(at) <= end
    today = as_of.date()
    after = _moved(today, value["n"], value["unit"])
    return lambda at: today <= day_of(at) < after


def _is_later(at: Any, as_of: datetime, unit: str) -> bool:
    if unit == "hour":
        return elapsed(at) > elapsed(as_of)
    return bool(day_of(at) > as_of.date())


def _moved(start: Any, n: int, unit: str) -> Any:
    """The same date, and time of day, n units later; a month that is too short gives its last day."""
    if unit in ("day", "week"):
        return start + timedelta(days=n * (7 if unit == "week" else 1))
    months = start.year * 12 + start.month - 1 + n * (12 if unit == "year" else 1)
    year, month = months // 12, months % 12 + 1
    if not 1 <= year <= 9999:
        raise OverflowError("outside the calendar")
    return start.replace(year=year, month=month, day=min(start.day, monthrange(year, month)[1]))


def _anniversary(born: date, year: int) -> date:
    """The day on which a birth is kept; that of 29 February is kept on the 28th in common years."""
    return date(year, born.month, min(born.day, monthrange(year, born.month)[1]))
