"""Cursors of lists whose order is not that of time alone: the values by which the last row of a page was ordered."""

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from api.errors import InvalidError
from api.keyset import WRONG_CURSOR
from api.shapes import YEARS
from segment_engine.document import INT64

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def encode_cursor(values: Sequence[int | str]) -> str:
    """As it stands in `next_cursor`."""
    return base64.urlsafe_b64encode(json.dumps(list(values)).encode()).decode().rstrip("=")


def decode_cursor(text: str, *types: type[int] | type[str]) -> list[Any]:
    """The values that a client sent back; raises InvalidError for what was never given out."""
    try:
        values = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        raise InvalidError(WRONG_CURSOR) from None
    if not isinstance(values, list) or len(values) != len(types) or not all(map(_fits, values, types)):
        raise InvalidError(WRONG_CURSOR)
    return values


def number_of(moment: datetime) -> int:
    """A moment as cursors hold it: whole microseconds."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(number: int) -> datetime:
    """The moment of a cursor; raises InvalidError for one that no row has."""
    try:
        moment = _EPOCH + number * _MICROSECOND
    except OverflowError:
        raise InvalidError(WRONG_CURSOR) from None
    if moment.year not in YEARS:
        raise InvalidError(WRONG_CURSOR)
    return moment


def _fits(value: Any, wanted: type) -> bool:
    """Whether the store can compare with it."""
    if isinstance(value, str):
        return wanted is str and value.isascii() and value.isprintable()
    return type(value) is int and wanted is int and value in INT64
