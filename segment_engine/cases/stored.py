"""Values of a world as loading would store them: texts normalised, money in fen, moments in the zone, missing as None.

One value at a time; which field has which type is known to `world.py`. Values of filters are no business of this
module.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from segment_engine.operators import FieldType
from segment_engine.texts import normalised

Stored = str | int | Decimal | date | tuple[str, ...]
"""text, option: str; options: tuple, sorted; integer: int; decimal: Decimal; money: int, fen; boolean: bool; date;
datetime: aware, in the zone of the world.

Two moments of one zone are compared by the clock on the wall; who needs their order goes through UTC.
"""

INT64: Final = range(-(1 << 63), 1 << 63)
_DECIMAL_END: Final = Decimal(10) ** 12
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?"
)
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")


class UnreadableError(Exception):
    """A value that is none of its type; says what it should be."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh = zh
        self.en = en


def stored(raw: Any, field_type: FieldType, zone: ZoneInfo) -> Stored | None:
    """What the database would hold, None for what is missing; raises UnreadableError."""
    return None if raw is None else _READERS[field_type](raw, zone)


def moment(raw: Any, zone: ZoneInfo) -> datetime:
    """A moment in the zone; without an offset it is one of the zone's own clock. Raises UnreadableError."""
    if not isinstance(raw, str) or not _MOMENT.fullmatch(raw):
        raise _no_moment()
    try:
        read = datetime.fromisoformat(raw)
        aware = read if read.tzinfo is not None else read.replace(tzinfo=zone)
        return aware.astimezone(UTC).astimezone(zone)
    except (ValueError, OverflowError) as wrong:
        raise _no_moment() from wrong


def _no_moment() -> UnreadableError:
    return UnreadableError("时间,如 2026-01-31T12:00:00+08:00", "a moment such as 2026-01-31T12:00:00+08:00")


def _text(raw: Any, zone: ZoneInfo) -> str | None:
    if not isinstance(raw, str) or _UNSTORABLE.search(raw):
        raise UnreadableError("文本(数字和真值请加引号)", "text (quote numbers and truth values)")
    return normalised(raw) or None


def _texts(raw: Any, zone: ZoneInfo) -> tuple[str, ...] | None:
    if not isinstance(raw, list):
        raise UnreadableError("文本的列表", "a list of texts")
    found = {_text(item, zone) for item in raw} - {None}
    return tuple(sorted(text for text in found if text)) or None


def _integer(raw: Any, zone: ZoneInfo) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool) and raw in INT64:
        return int(raw)
    raise UnreadableError("64 位整数", "a whole number of 64 bits")


def _decimal(raw: Any, zone: ZoneInfo) -> Decimal:
    number = _number(raw, places=6)
    if number is None or abs(number) >= _DECIMAL_END:
        raise UnreadableError("数字,最多 12 位整数和 6 位小数", "a number of at most 12 digits and 6 decimals")
    return number


def _money(raw: Any, zone: ZoneInfo) -> int:
    number = _number(raw, places=2)
    fen = None if number is None else int(number * 100)
    if fen is None or fen not in INT64:
        raise UnreadableError("金额(元),最多两位小数", "an amount in yuan with at most two decimals")
    return fen


def _number(raw: Any, *, places: int) -> Decimal | None:
    """The number as it was written, None where it is none or has more decimals."""
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return None
    number = Decimal(repr(raw))
    # Counting digits rounds nothing, however long the number is.
    exponent = number.normalize().as_tuple().exponent if isinstance(raw, float) else 0
    return number if isinstance(exponent, int) and exponent >= -places else None


def _boolean(raw: Any, zone: ZoneInfo) -> bool:
    if not isinstance(raw, bool):
        raise UnreadableError("true 或 false", "true or false")
    return raw


def _day(raw: Any, zone: ZoneInfo) -> date:
    try:
        if isinstance(raw, str) and _DAY.fullmatch(raw):
            return date.fromisoformat(raw)
    except ValueError:
        pass
    raise UnreadableError("日期 YYYY-MM-DD", "a day, YYYY-MM-DD")


_READERS: Final[Mapping[FieldType, Callable[[Any, ZoneInfo], Stored | None]]] = {
    FieldType.TEXT: _text,
    FieldType.OPTION: _text,
    FieldType.OPTIONS: _texts,
    FieldType.INTEGER: _integer,
    FieldType.DECIMAL: _decimal,
    FieldType.MONEY: _money,
    FieldType.BOOLEAN: _boolean,
    FieldType.DATE: _day,
    FieldType.DATETIME: moment,
}
