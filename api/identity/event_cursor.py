"""Cursors of a customer's history: the night and number of the last change shown, as opaque text."""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import date
from typing import Self

from api.errors import InvalidError
from api.keyset import WRONG_CURSOR
from api.shapes import YEARS

MAX_SEQ = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class EventPlace:
    """One change's place in the log."""

    night: date
    seq: int

    def encode(self) -> str:
        """As it stands in `next_cursor`."""
        text = json.dumps([self.night.isoformat(), self.seq])
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Self:
        """The place a client sent back; raises InvalidError for anything that was never given out."""
        try:
            day, seq = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            night = date.fromisoformat(day)
        except (ValueError, TypeError, binascii.Error, RecursionError):
            raise InvalidError(WRONG_CURSOR) from None
        if type(seq) is not int or not 0 <= seq <= MAX_SEQ or night.year not in YEARS:
            raise InvalidError(WRONG_CURSOR)
        return cls(night, seq)
