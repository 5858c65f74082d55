"""An operator with its value in words: 「在过去7天之内(2025-06-04 至 2025-06-10)」.

Words of operators come from `operators.py`, counted days from `windows.py`. Whose value it is, and what rules mean
together, is said in `describe.py`. Units of fields are Chinese in the catalogue and are said in Chinese only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from segment_engine.catalog import DATED, Field
from segment_engine.operators import OPERATORS, FieldType, Operator, Shape
from segment_engine.sentences import (
    NOTHING,
    OptionLabels,
    Sentence,
    between,
    listed,
    quoted,
    remark,
    same,
)
from segment_engine.values import Scalar, Size, Span, Unit, Value, Window
from segment_engine.windows import Days, Moments, span_of

_SPACE: Final = same(" ")
_OPEN: Final = same("…")
_PRESENCE: Final = frozenset({"is_set", "not_set"})
_UNITS: Final[Mapping[Unit, tuple[str, str]]] = {
    Unit.HOUR: ("小时", "hour"),
    Unit.DAY: ("天", "day"),
    Unit.WEEK: ("周", "week"),
    Unit.MONTH: ("个月", "month"),
    Unit.YEAR: ("年", "year"),
}
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Subject:
    """What is compared: the type of its values, and how they are called."""

    type: FieldType
    unit: str | None = None
    dictionary: str | None = None
    options: tuple[str, ...] = ()

    @classmethod
    def of(cls, field: Field) -> "Subject":
        """A field as it is."""
        table = None if field.options_from is None else field.options_from.table
        return cls(field.type, field.unit, table, field.options or ())


@dataclass(frozen=True, slots=True)
class Wording:
    """What words draw on: the moment that windows are counted from, if any, and labels of options."""

    as_of: datetime | None = None
    labels: OptionLabels = field(default_factory=dict)


def predicate(subject: Subject, operator: Operator, value: Value, other: Field | None, wording: Wording) -> Sentence:
    """The operator with its value, or with the field on the right; the counted days follow what is relative."""
    if other is not None:
        days = Sentence("的那一天", "'s day") if other.type is FieldType.DATETIME else Sentence("", "")
        return _words(operator) + _SPACE + Sentence(f"字段{other.label_zh}", f"the field {other.label_en}") + days
    return _PHRASES[operator.shape](_Said(subject, operator, value, wording))


def length(window: Window) -> Sentence:
    """「7天」, and `7 days`."""
    return _counted(window.n, window.unit)


@dataclass(frozen=True, slots=True)
class _Said:
    subject: Subject
    operator: Operator
    value: Value
    wording: Wording


def _words(operator: Operator) -> Sentence:
    return Sentence(operator.zh, operator.en)


def _none(said: _Said) -> Sentence:
    if said.subject.type not in DATED or said.operator.name in _PRESENCE:
        return _words(said.operator)
    return Sentence(f"为{said.operator.zh}", said.operator.en) + _days(said)


def _one(said: _Said) -> Sentence:
    return _words(said.operator) + _SPACE + _scalar(said.value, said)


def _items(said: _Said) -> Sentence:
    assert isinstance(said.value, tuple)
    return _words(said.operator) + _SPACE + listed([_scalar(one, said) for one in said.value])


def _pair(said: _Said) -> Sentence:
    assert isinstance(said.value, tuple)
    ends = between(Sentence(" 至 ", " and "), (_scalar(one, said) for one in said.value))
    return _words(said.operator) + _SPACE + ends + remark(Sentence("含两端", "both included"))


def _window(said: _Said) -> Sentence:
    assert isinstance(said.value, Window)
    words, without_today = length(said.value), NOTHING
    if not said.value.include_today:
        without_today = remark(Sentence("不含今天", "today not included"))
    zh = said.operator.zh.replace(_OPEN.zh, words.zh + without_today.zh)
    return Sentence(zh, f"{said.operator.en} {words.en}{without_today.en}") + _days(said)


def _span(said: _Said) -> Sentence:
    assert isinstance(said.value, Span)
    first, last = (_counted(n, said.value.unit) for n in (said.value.a, said.value.b))
    beyond = Sentence("之前", "earlier than") if said.operator.name == "past_range" else Sentence("之后", "later than")
    told = Sentence(f"{first.zh}之内,{last.zh}{beyond.zh}", f"within {first.en}, {beyond.en} {last.en}")
    return _words(said.operator) + remark(told) + _days(said)


def _size(said: _Said) -> Sentence:
    assert isinstance(said.value, Size)
    inner = OPERATORS[FieldType.INTEGER][said.value.operator]
    counted = predicate(Subject(FieldType.INTEGER), inner, said.value.value, None, said.wording)
    return _words(said.operator) + _SPACE + counted


def _ahead(said: _Said) -> Sentence:
    assert isinstance(said.value, int)
    days = _counted(said.value, Unit.DAY)
    zh = said.operator.zh.replace(_OPEN.zh, str(said.value))
    told = Sentence(zh, f"{said.operator.en} {days.en}") + remark(Sentence("含今天", "today included"))
    if said.wording.as_of is None:
        return told
    today = said.wording.as_of.date()
    return told + remark(_stretch(Days(today, today + timedelta(days=said.value - 1))))


def _months(said: _Said) -> Sentence:
    return _calendar(said, lambda month: Sentence(f"{month}月", _MONTHS[month - 1]))


def _days_of_month(said: _Said) -> Sentence:
    return _calendar(said, lambda day: Sentence(f"{day}日", str(day)))


def _calendar(said: _Said, name: Callable[[int], Sentence]) -> Sentence:
    assert isinstance(said.value, tuple)
    named = [name(number) for number in said.value if isinstance(number, int)]
    return _words(said.operator) + _SPACE + listed(named)


def _counted(n: int, unit: Unit) -> Sentence:
    zh, en = _UNITS[unit]
    return Sentence(f"{n}{zh}", f"{n} {en}" if n == 1 else f"{n} {en}s")


def _scalar(value: Value | Scalar, said: _Said) -> Sentence:
    match said.subject.type:
        case FieldType.MONEY:
            assert isinstance(value, int)
            yuan = f"{Decimal(value) / 100:.2f}"
            return Sentence(f"{yuan}元", f"¥{yuan}")
        case FieldType.INTEGER | FieldType.DECIMAL:
            number = f"{value:f}" if isinstance(value, Decimal) else str(value)
            return Sentence(f"{number}{said.subject.unit or ''}", number)
        case FieldType.DATE | FieldType.DATETIME:
            assert isinstance(value, date)
            return same(value.isoformat())
        case FieldType.OPTION | FieldType.OPTIONS:
            return _option(str(value), said)
    return quoted(str(value))


def _option(value: str, said: _Said) -> Sentence:
    """Its label, or itself; an option that nobody listed is a text like any other."""
    label = said.wording.labels.get((said.subject.dictionary or "", value))
    if label is not None:
        return same(label)
    return same(value) if value in said.subject.options else quoted(value)


def _days(said: _Said) -> Sentence:
    """The days that are meant now; nothing where nobody said when now is."""
    if said.wording.as_of is None:
        return NOTHING
    return remark(_stretch(span_of(said.operator.name, said.value, said.wording.as_of)))


def _stretch(span: Days | Moments) -> Sentence:
    if isinstance(span, Days):
        first, last = (None if day is None else day.isoformat() for day in (span.first, span.last))
        return same(first) if first and first == last else _ends(first, last)
    return _ends(
        _moment(span.start), _moment(span.end), open_first=not span.includes_start, open_last=not span.includes_end
    )


def _ends(first: str | None, last: str | None, *, open_first: bool = False, open_last: bool = False) -> Sentence:
    """From the first to the last; an open end is not meant itself."""
    if first is None:
        return (
            Sentence(f"{last} 之前", f"before {last}")
            if open_last
            else Sentence(f"{last} 及以前", f"{last} or earlier")
        )
    if last is None:
        return Sentence(f"{first} 及以后", f"{first} or later")
    opened = remark(Sentence("不含", "not included"))
    start = same(first) + (opened if open_first else NOTHING)
    return start + Sentence(" 至 ", " to ") + same(last) + (opened if open_last else NOTHING)


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.replace(tzinfo=None).isoformat(sep=" ", timespec="seconds")


_PHRASES: Final[Mapping[Shape, Callable[[_Said], Sentence]]] = {
    Shape.NONE: _none,
    Shape.ONE: _one,
    Shape.WHOLE: _one,
    Shape.ITEMS: _items,
    Shape.PAIR: _pair,
    Shape.WINDOW: _window,
    Shape.SPAN: _span,
    Shape.SIZE: _size,
    Shape.AHEAD: _ahead,
    Shape.MONTHS: _months,
    Shape.DAYS: _days_of_month,
}
