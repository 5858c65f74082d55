"""A write that must not be lost to a busy store: what it tells of has happened, or would have to be done again."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from api.storage.database import Database, StoreBusyError

T = TypeVar("T")

ATTEMPTS = 3


def insist(database: Database, work: Callable[[Connection], T]) -> T:
    """`Database.write`, tried again when others held the store too long; StoreBusyError after ATTEMPTS of them."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return database.write(work)
        except StoreBusyError:  # nothing was written
            if attempt == ATTEMPTS:
                raise
    raise AssertionError("the loop returns or raises")
