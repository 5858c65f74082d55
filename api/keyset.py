"""Cursors of lists that are read newest first: where a page ended, as opaque text."""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Self

from pydantic import Field
from sqlalchemy import Column, ColumnElement, Text, literal, tuple_

from api.errors import InvalidError
from api.shapes import YEARS, Input, QueryInt
from api.storage.types import Moment
from segment_engine.problems import Problem

MAX_PAGE = 200

WRONG_CURSOR = Problem("invalid_cursor", "/query/cursor", "翻页游标无效", "This is not a cursor of a former page.")


class Page(Input):
    """Which part of a list is asked for."""

    limit: Annotated[int, QueryInt(1, MAX_PAGE), Field(description="Rows per page / 每页条数")] = 50
    cursor: Annotated[
        str | None, Field(max_length=300, description="`next_cursor` of the page before / 上一页返回的游标")
    ] = None


@dataclass(frozen=True, slots=True)
class Place:
    """One row's place in a list: (created_at, id), newest first."""

    created_at: datetime
    id: str

    def encode(self) -> str:
        """As it stands in `next_cursor`."""
        text = json.dumps([self.created_at.isoformat(), self.id])
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Self:
        """The place a client sent back; raises InvalidError for anything that was never given out."""
        try:
            moment, row_id = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            created_at = datetime.fromisoformat(moment)
        except (ValueError, TypeError, binascii.Error, RecursionError):
            raise InvalidError(WRONG_CURSOR) from None
        readable = isinstance(row_id, str) and row_id.isascii() and "\0" not in row_id
        if not readable or created_at.tzinfo is None or created_at.year not in YEARS:
            raise InvalidError(WRONG_CURSOR)
        return cls(created_at, row_id)


def behind(place: Place, created_at: Column[datetime], row_id: Column[str]) -> ColumnElement[bool]:
    """The condition on rows that come after the place."""
    return tuple_(created_at, row_id) < tuple_(literal(place.created_at, Moment()), literal(place.id, Text()))
