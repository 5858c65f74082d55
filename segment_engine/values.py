"""Values of conditions: from JSON to what they are, by the shape that their operator asks for.

Texts are normalised as loading normalises stored ones, money becomes fen, days become dates. Whether an option or
another field exists is asked in `validate.py`; the clock is nowhere: a window stays the window that was written.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Any, Final, TypeVar

import re2

from segment_engine.document import INT64, FilterLimits
from segment_engine.operators import OPERATORS, SIZE_OPERATORS, FieldType, Operator, Shape
from segment_engine.problems import InvalidFilterError, Problem, pointer
from segment_engine.texts import normalised
from segment_engine.tree import Missing, Place

Scalar = str | int | Decimal | date
"""Text and option: str; integer: int; money: int, fen; decimal: Decimal; date and datetime: a day in the zone."""


class Unit(StrEnum):
    """Units of windows; an hour is exact to the second, all others are calendar days."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


LONGEST: Final[Mapping[Unit, int]] = {
    Unit.HOUR: 876_000,
    Unit.DAY: 36_500,
    Unit.WEEK: 5_200,
    Unit.MONTH: 1_200,
    Unit.YEAR: 100,
}
"""A hundred years in each unit: no window leaves the calendar."""

LONGEST_PATTERN: Final = 100
_DIGITS: Final = 18

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FieldRef:
    """Another field of the same row."""

    field: str


@dataclass(frozen=True, slots=True)
class Window:
    """The last or next n units; include_today: whether the last ones end today or yesterday."""

    n: int
    unit: Unit
    include_today: bool = True


@dataclass(frozen=True, slots=True)
class Span:
    """Within a units and not within b."""

    a: int
    b: int
    unit: Unit


@dataclass(frozen=True, slots=True)
class Size:
    """A comparison of how many values there are."""

    operator: str
    value: "Value"


Value = Scalar | FieldRef | tuple[Scalar, ...] | Window | Span | Size | None
"""None for an operator without a value; a pair is a tuple of two, what is ahead a number of days."""


def read_value(
    raw: Any, operator: Operator, field_type: FieldType, place: Place, limits: FilterLimits | None = None
) -> Value:
    """The value of a condition, which stands at `place`; raises InvalidFilterError with everything wrong with it."""
    if operator.shape is Shape.NONE:
        if not isinstance(raw, Missing):
            raise _wrong(
                "unexpected_value", place, f"操作符 {operator.name} 不带值", f"{operator.name} takes no value."
            )
        return None
    if raw is None or isinstance(raw, Missing):
        raise _wrong("missing_value", place, f"操作符 {operator.name} 需要一个值", f"{operator.name} needs a value.")
    return _SHAPES[operator.shape](raw, place, _Asked(field_type, operator, limits or FilterLimits()))


@dataclass(frozen=True, slots=True)
class _Asked:
    type: FieldType
    operator: Operator
    limits: FilterLimits


def _one(raw: Any, place: Place, asked: _Asked) -> Value:
    if not isinstance(raw, dict):
        return _scalar(raw, place, asked)
    field = _members(raw, place, ("field",))["field"]
    if isinstance(field, str) and field.strip() and len(field) <= asked.limits.text:
        return FieldRef(field)
    raise _wrong_type((*place, "field"), "字段名", "the name of a field")


def _scalar(raw: Any, place: Place, asked: _Asked) -> Scalar:
    match asked.type:
        case FieldType.INTEGER:
            return _whole(raw, place, INT64)
        case FieldType.DECIMAL:
            return _number(raw, place, decimals=6)
        case FieldType.MONEY:
            return int(_number(raw, place, decimals=2) * 100)
        case FieldType.DATE | FieldType.DATETIME:
            return _day(raw, place)
    return _text(raw, place, asked)


def _items(raw: Any, place: Place, asked: _Asked) -> tuple[Scalar, ...]:
    return _each(raw, place, asked, lambda item, at: _scalar(item, at, asked))


def _months(raw: Any, place: Place, asked: _Asked) -> tuple[Scalar, ...]:
    return _each(raw, place, asked, lambda item, at: _whole(item, at, range(1, 13)))


def _days(raw: Any, place: Place, asked: _Asked) -> tuple[Scalar, ...]:
    return _each(raw, place, asked, lambda item, at: _whole(item, at, range(1, 32)))


def _pair(raw: Any, place: Place, asked: _Asked) -> tuple[Scalar, ...]:
    if not isinstance(raw, list) or len(raw) != 2:
        raise _wrong_type(place, "两个值的列表", "a list of two values")
    first, last = _together((partial(_scalar, item, (*place, index), asked) for index, item in enumerate(raw)))
    if first > last:  # type: ignore[operator]  # both are of the field's type
        raise _wrong("empty_range", place, "起始值不能大于结束值", "The first must not be after the second.")
    return first, last


def _window(raw: Any, place: Place, asked: _Asked) -> Window:
    # What is earlier than a window, or in the next, leaves no choice about today.
    further = ("include_today",) if asked.operator.name == "within_past" else ()
    members = _members(raw, place, ("n", "unit"), further)
    unit = _unit(members["unit"], (*place, "unit"), asked)
    include_today = members.get("include_today", True)
    if not isinstance(include_today, bool):
        raise _wrong_type((*place, "include_today"), "true 或 false", "true or false")
    if unit is Unit.HOUR and "include_today" in members:
        at = (*place, "include_today")
        raise _wrong("unexpected_member", at, "小时不带 include_today", "Hours take no include_today.")
    return Window(_whole(members["n"], (*place, "n"), range(1, LONGEST[unit] + 1)), unit, include_today)


def _span(raw: Any, place: Place, asked: _Asked) -> Span:
    members = _members(raw, place, ("a", "b", "unit"))
    unit = _unit(members["unit"], (*place, "unit"), asked)
    allowed = range(1, LONGEST[unit] + 1)
    a, b = _together(partial(_whole, members[name], (*place, name), allowed) for name in ("a", "b"))
    if a <= b:
        raise _wrong("empty_range", place, "a 应大于 b", "a must be more than b.")
    return Span(a, b, unit)


def _size(raw: Any, place: Place, asked: _Asked) -> Size:
    members = _members(raw, place, ("operator", "value"))
    name = members["operator"]
    if not isinstance(name, str) or name not in SIZE_OPERATORS:
        known = ", ".join(SIZE_OPERATORS)
        raise _wrong("unknown_operator", (*place, "operator"), f"应为以下之一:{known}", f"Must be one of {known}.")
    if isinstance(members["value"], dict):
        raise _wrong_type((*place, "value"), "整数", "a whole number")
    operator = OPERATORS[FieldType.INTEGER][name]
    return Size(name, read_value(members["value"], operator, FieldType.INTEGER, (*place, "value"), asked.limits))


def _ahead(raw: Any, place: Place, asked: _Asked) -> int:
    return _whole(_members(raw, place, ("n",))["n"], (*place, "n"), range(1, 367))


def _text(raw: Any, place: Place, asked: _Asked) -> str:
    is_pattern = asked.operator.name in ("regex", "not_regex")
    most = LONGEST_PATTERN if is_pattern else asked.limits.text
    if not isinstance(raw, str) or not normalised(raw) or len(raw) > most:
        raise _wrong_type(place, f"非空文本,最多 {most} 个字符", f"text of 1 to {most} characters")
    return _pattern(raw, place) if is_pattern else normalised(raw)


def _pattern(raw: str, place: Place) -> str:
    """A pattern that RE2 takes, which is what DuckDB runs it with."""
    try:
        re2.compile(raw, _QUIETLY)
    except re2.error as error:
        raise _wrong(
            "bad_pattern", place, f"不是 RE2 正则表达式:{error}", f"This is no pattern of RE2: {error}."
        ) from None
    return raw


def _whole(raw: Any, place: Place, allowed: range) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int):
        raise _wrong_type(place, "整数", "a whole number")
    if raw not in allowed:
        low, high = allowed.start, allowed.stop - 1
        raise _wrong("out_of_range", place, f"应在 {low} 到 {high} 之间", f"Must be from {low} to {high}.")
    return int(raw)


def _number(raw: Any, place: Place, *, decimals: int) -> Decimal:
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise _wrong_type(place, "数字", "a number")
    # The shortest text of a float is what was written, 0.1 and not what the bits hold.
    number = Decimal(repr(raw))
    if not number.is_finite() or abs(number) >= Decimal(10) ** (_DIGITS - decimals):
        raise _wrong("out_of_range", place, "数值过大", "The number is too large.")
    if number != round(number, decimals):
        told = f"最多 {decimals} 位小数", f"At most {decimals} digits after the point."
        raise _wrong("too_many_decimals", place, *told)
    return _in_one_form(number)


def _in_one_form(number: Decimal) -> Decimal:
    """4, 4.0 and 4.00 are one number, and so are 0 and -0.0: to readers of its text too."""
    short = number.normalize() + 0
    return short.quantize(Decimal(1)) if short == short.to_integral_value() else short


def _day(raw: Any, place: Place) -> date:
    if isinstance(raw, str) and _DAY.fullmatch(raw):
        with suppress(ValueError):
            return date.fromisoformat(raw)
    raise _wrong_type(place, "日期 YYYY-MM-DD", "a day, YYYY-MM-DD")


def _unit(raw: Any, place: Place, asked: _Asked) -> Unit:
    units = [unit for unit in Unit if unit is not Unit.HOUR or asked.type is FieldType.DATETIME]
    if isinstance(raw, str) and raw in units:
        return Unit(raw)
    known = ", ".join(units)
    raise _wrong("unknown_unit", place, f"应为以下之一:{known}", f"Must be one of {known}.")


def _each(raw: Any, place: Place, asked: _Asked, read: Callable[[Any, Place], Scalar]) -> tuple[Scalar, ...]:
    """Several values, each once, in their order."""
    if not isinstance(raw, list):
        raise _wrong_type(place, "列表", "a list")
    if not raw:
        raise _wrong("empty_list", place, "列表不能为空", "The list must not be empty.")
    if len(raw) > (most := asked.limits.list_items):
        raise _wrong("list_too_long", place, f"最多 {most} 项", f"At most {most} items.")
    return tuple(dict.fromkeys(_together(partial(read, item, (*place, index)) for index, item in enumerate(raw))))


def _members(raw: Any, place: Place, required: Sequence[str], further: Sequence[str] = ()) -> Mapping[str, Any]:
    """The members of an object that has all it needs and nothing else."""
    if not isinstance(raw, dict):
        listed = ", ".join(required)
        raise _wrong_type(place, f"含 {listed} 的对象", f"an object with {listed}")
    known = ", ".join((*required, *further))
    problems = [
        Problem("unknown_member", pointer((*place, name)), f"未知成员,可用:{known}", f"Unknown member; known: {known}.")
        for name in raw
        if name not in (*required, *further)
    ]
    problems += [
        Problem("missing_member", pointer((*place, name)), f"缺少 {name}", f"{name} is missing.")
        for name in required
        if raw.get(name) is None
    ]
    if problems:
        raise InvalidFilterError(*problems)
    return raw


def _together(reads: Iterable[Callable[[], T]]) -> list[T]:
    """What all of them read; or the problems of all of them."""
    found: list[T] = []
    problems: list[Problem] = []
    for read in reads:
        try:
            found.append(read())
        except InvalidFilterError as wrong:
            problems += wrong.problems
    if problems:
        raise InvalidFilterError(*problems)
    return found


def _wrong_type(place: Place, zh: str, en: str) -> InvalidFilterError:
    return _wrong("wrong_type", place, f"应为{zh}", f"Must be {en}.")


def _wrong(code: str, place: Place, zh: str, en: str) -> InvalidFilterError:
    return InvalidFilterError(Problem(code, pointer(place), zh, en))


_QUIETLY = re2.Options()
_QUIETLY.log_errors = False

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

_SHAPES: Final[Mapping[Shape, Callable[[Any, Place, _Asked], Value]]] = {
    Shape.ONE: _one,
    Shape.WHOLE: _scalar,
    Shape.ITEMS: _items,
    Shape.PAIR: _pair,
    Shape.WINDOW: _window,
    Shape.SPAN: _span,
    Shape.SIZE: _size,
    Shape.AHEAD: _ahead,
    Shape.MONTHS: _months,
    Shape.DAYS: _days,
}
