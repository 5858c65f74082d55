"""Keyset cursors of the customer list: the sort and its values in the last row, as opaque text."""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from api.customers.schemas import Sort


class InvalidCursorError(ValueError):
    """The text is not a cursor that this API gave out for this sort."""


@dataclass(frozen=True, slots=True)
class CustomerCursor:
    """Where a page ended: the sort's value, null for a row without one, then `customer_key`."""

    sort: Sort
    value: datetime | str | None
    customer_key: int

    def encode(self) -> str:
        """As it stands in `next_cursor`."""
        value = self.value.isoformat() if isinstance(self.value, datetime) else self.value
        text = json.dumps([self.sort, value, self.customer_key])
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str, sort: Sort) -> Self:
        """The cursor a client sent back with this sort; raises InvalidCursorError on anything else."""
        try:
            of_sort, value, key = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            if value is not None and sort is not Sort.NAME:
                value = datetime.fromisoformat(value)
            str(value).encode()  # half a surrogate pair is no text
        except (ValueError, TypeError, binascii.Error, RecursionError) as error:
            raise InvalidCursorError(text) from error
        wrong_value = isinstance(value, datetime) and value.tzinfo is None
        wrong_value = wrong_value or not isinstance(value, str | datetime | None)
        if wrong_value or of_sort != sort or type(key) is not int or not 0 <= key < 1 << 31:
            raise InvalidCursorError(text)
        return cls(sort, value, key)
