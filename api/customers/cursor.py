"""Keyset cursors of the customer list: the sort values of the last row, as opaque text."""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Self


class InvalidCursorError(ValueError):
    """The text is not a cursor that this API gave out."""


@dataclass(frozen=True, slots=True)
class CustomerCursor:
    """Where a page ended: (created_at, customer_key), newest first."""

    created_at: datetime
    customer_key: int

    def encode(self) -> str:
        """As it stands in `next_cursor`."""
        text = json.dumps([self.created_at.isoformat(), self.customer_key])
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Self:
        """The cursor a client sent back; raises InvalidCursorError on anything else."""
        try:
            moment, key = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            created_at = datetime.fromisoformat(moment)
        except (ValueError, TypeError, binascii.Error, RecursionError) as error:
            raise InvalidCursorError(text) from error
        if type(key) is not int or not 0 <= key < 1 << 31 or created_at.tzinfo is None:
            raise InvalidCursorError(text)
        return cls(created_at, key)
