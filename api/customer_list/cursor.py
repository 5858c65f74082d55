"""Keyset cursors of a search: the order, and what the last row of the page had in it, as opaque text."""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Self

from api.customer_list.columns import COLUMNS
from api.errors import InvalidError
from segment_engine.problems import Problem

WRONG_CURSOR: Final = Problem("invalid_cursor", "/cursor", "翻页游标无效", "This is not a cursor of a former page.")
MAX_KEY: Final = 1 << 31


@dataclass(frozen=True, slots=True)
class Order:
    """By which column, and in which direction; customers without a value come last either way."""

    column: str
    is_descending: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: the column's value, None for a row without one, then `customer_key`."""

    value: str | date | datetime | None
    key: int

    def encode(self, order: Order) -> str:
        """As it stands in `next_cursor`."""
        value = self.value.isoformat() if isinstance(self.value, date) else self.value
        text = json.dumps([order.column, order.is_descending, value, self.key])
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str, order: Order) -> Self:
        """The place that a client sent back with this order; raises InvalidError on anything else."""
        try:
            column, is_descending, raw, key = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            value = None if raw is None else _value(COLUMNS[order.column].kind, raw)
        except (ValueError, TypeError, binascii.Error, RecursionError):
            raise InvalidError(WRONG_CURSOR) from None
        is_key = type(key) is int and 0 <= key < MAX_KEY
        if (column, is_descending) != (order.column, order.is_descending) or not is_key:
            raise InvalidError(WRONG_CURSOR)
        return cls(value, key)


def _value(kind: type[str | date | datetime] | None, raw: Any) -> str | date | datetime:
    """A value as it was written; raises TypeError, ValueError."""
    if not isinstance(raw, str):
        raise TypeError(raw)
    if kind is datetime:
        moment = datetime.fromisoformat(raw)
        if moment.tzinfo is None:
            raise ValueError(raw)
        return moment
    if kind is date:
        return date.fromisoformat(raw)
    raw.encode()  # half a surrogate pair is no text
    return raw
