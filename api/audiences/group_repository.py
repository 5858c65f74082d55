"""Rows of groups of tags (标签组)."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, case, exists, func, insert, literal, or_, select, tuple_
from sqlalchemy import update as update_

from api.audiences.cursor import decode_cursor
from api.audiences.repository import Row, holds
from api.audiences.schemas import GroupQuery
from api.storage.tables.audiences import audience, tag_group
from api.storage.types import Whole

_IS_THERE = tag_group.c.deleted_at.is_(None)
_ITS_TAGS = and_(audience.c.group_id == tag_group.c.id, audience.c.deleted_at.is_(None))


def one_group(connection: Connection, group_id: int) -> Row | None:
    """A group; None for one that is not there."""
    found = connection.execute(select(tag_group).where(tag_group.c.id == group_id, _IS_THERE))
    row = found.mappings().one_or_none()
    return None if row is None else dict(row)


def page_of_groups(connection: Connection, query: GroupQuery, *, limit: int) -> list[Row]:
    """Groups in their order; raises InvalidError for a foreign cursor."""
    order = (tag_group.c.position, tag_group.c.id)
    rows = select(tag_group).where(_IS_THERE).order_by(*order).limit(limit)
    if query.smart is not None:
        rows = rows.where(tag_group.c.is_smart == query.smart)
    if query.search is not None:
        its_tags = exists().where(_ITS_TAGS, holds(connection, audience.c.name, query.search))
        rows = rows.where(or_(holds(connection, tag_group.c.name, query.search), its_tags))
    if query.cursor is not None:
        place = decode_cursor(query.cursor, int, int)
        rows = rows.where(tuple_(*order) > tuple_(*(literal(one, Whole) for one in place)))
    return [dict(row) for row in connection.execute(rows).mappings()]


def tag_counts(connection: Connection, ids: Collection[int]) -> dict[int, tuple[int, int]]:
    """How many tags each group has, and how many of them are enabled; groups without are not here."""
    enabled = func.sum(case((audience.c.is_enabled, 1), else_=0))
    rows = connection.execute(
        select(audience.c.group_id, func.count(), enabled)
        .where(audience.c.group_id.in_(ids), audience.c.deleted_at.is_(None))
        .group_by(audience.c.group_id)
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def matching_groups(connection: Connection, ids: Collection[int], search: str) -> frozenset[int]:
    """Those of the groups whose own name holds the text."""
    named = and_(tag_group.c.id.in_(ids), holds(connection, tag_group.c.name, search))
    return frozenset(connection.scalars(select(tag_group.c.id).where(named)))


def matching_tags(connection: Connection, ids: Collection[int], search: str) -> dict[int, list[Row]]:
    """The tags of each group whose names hold the text, in their order."""
    named = (
        select(audience.c.id, audience.c.name, audience.c.group_id)
        .where(audience.c.group_id.in_(ids), audience.c.deleted_at.is_(None))
        .where(holds(connection, audience.c.name, search))
        .order_by(audience.c.position, audience.c.id)
    )
    found: dict[int, list[Row]] = {}
    for row in connection.execute(named).mappings():
        found.setdefault(row["group_id"], []).append(dict(row))
    return found


def positions(connection: Connection, *, is_smart: bool) -> dict[int, int]:
    """Where each group of a kind stands, in their order."""
    rows = select(tag_group.c.id, tag_group.c.position).where(tag_group.c.is_smart == is_smart, _IS_THERE)
    return {row.id: row.position for row in connection.execute(rows.order_by(tag_group.c.position, tag_group.c.id))}


def group_named(connection: Connection, name: str, *, is_smart: bool) -> int | None:
    """The group of a kind that has this name."""
    wanted = (tag_group.c.name == name, tag_group.c.is_smart == is_smart, _IS_THERE)
    return connection.execute(select(tag_group.c.id).where(*wanted)).scalar_one_or_none()


def insert_group(connection: Connection, *, is_smart: bool, name: str, by: str, now: datetime) -> int:
    """A new group, above all others; returns its id."""
    lowest: int = connection.execute(
        select(func.coalesce(func.min(tag_group.c.position), 1)).where(_IS_THERE)
    ).scalar_one()
    row = {"is_smart": is_smart, "name": name, "position": lowest - 1, "is_default": False, "version": 1}
    stamps = {"created_at": now, "created_by": by, "updated_at": now}
    return int(connection.execute(insert(tag_group).values(**row, **stamps).returning(tag_group.c.id)).scalar_one())


def update_group(connection: Connection, row: Row, values: Mapping[str, Any], *, now: datetime) -> int:
    """Change what was read, which becomes the next version; returns how many rows were met."""
    read = (tag_group.c.id == row["id"], tag_group.c.version == row["version"])
    stamps = {"version": row["version"] + 1, "updated_at": now}
    return connection.execute(update_(tag_group).where(*read).values({**values, **stamps})).rowcount


def set_positions(connection: Connection, places: Mapping[int, int]) -> None:
    """Put groups where they belong."""
    for one, position in places.items():
        connection.execute(update_(tag_group).where(tag_group.c.id == one).values(position=position))
