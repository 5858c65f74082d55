"""Cutting a page out of rows found by `api.customers.rows.newest`. Pure."""

from collections.abc import Iterable
from typing import Generic, TypeVar

from api.keyset import Place

T = TypeVar("T")


class Cut(Generic[T]):
    """What is behind the cursor, newest first and by id, up to the limit; `next_cursor` when there is more."""

    def __init__(self, found: Iterable[tuple[Place, T]], *, after: Place | None, limit: int) -> None:
        behind = [one for one in found if after is None or _order(one[0]) < _order(after)]
        behind.sort(key=lambda one: _order(one[0]), reverse=True)
        page = behind[:limit]
        self.rows = [row for _, row in page]
        self.next_cursor = page[-1][0].encode() if len(behind) > limit else None


def _order(place: Place) -> tuple[object, str]:
    return place.created_at, place.id
