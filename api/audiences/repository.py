"""Rows of tags and segments, their definitions and who names whom. Groups of tags are `group_repository`'s."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, collate, delete, func, insert, literal, select, tuple_
from sqlalchemy import update as update_

from api.audiences.cursor import decode_cursor, moment_of, number_of
from api.audiences.schemas import SegmentQuery, TagQuery
from api.storage.tables.audiences import (
    audience,
    audience_definition,
    audience_reference,
    tag_group,
)
from api.storage.types import Flag, Moment, Whole
from segment_engine.tree import AudienceKind

Row = Mapping[str, Any]
_IS_THERE = audience.c.deleted_at.is_(None)
_COUNTS = and_(
    audience_definition.c.audience_id == audience.c.id, audience_definition.c.number == audience.c.definition
)
_SHOWN = (
    select(audience, audience_definition.c.filter, tag_group.c.name.label("group_name"))
    .join_from(audience, audience_definition, _COUNTS, isouter=True)
    .join(tag_group, tag_group.c.id == audience.c.group_id, isouter=True)
    .where(_IS_THERE)
)


def holds(connection: Connection, column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    """Whether a name holds the text; A and a are the same on both engines, other letters only themselves."""
    as_is = collate(column, "C") if connection.dialect.name == "postgresql" else column
    folded = "".join(letter.lower() if letter.isascii() else letter for letter in text)
    return func.lower(as_is).contains(folded, autoescape=True)


def one_audience(connection: Connection, kind: AudienceKind, audience_id: int) -> Row | None:
    """A tag or segment with the filter that counts and the name of its group; None for one that is not there."""
    found = connection.execute(_SHOWN.where(audience.c.id == audience_id, audience.c.kind == kind.value))
    row = found.mappings().one_or_none()
    return None if row is None else dict(row)


def page_of_tags(connection: Connection, query: TagQuery, *, limit: int) -> list[Row]:
    """Tags in the order of their groups and in their own; raises InvalidError for a foreign cursor."""
    order = (tag_group.c.position, tag_group.c.id, audience.c.position, audience.c.id)
    rows = _SHOWN.add_columns(tag_group.c.position.label("group_position")).where(audience.c.kind == "tag")
    rows = _filtered(connection, rows, query).order_by(*order).limit(limit)
    if query.group_id is not None:
        rows = rows.where(audience.c.group_id == query.group_id)
    if query.cursor is not None:
        place = decode_cursor(query.cursor, int, int, int, int)
        rows = rows.where(tuple_(*order) > tuple_(*(literal(one, Whole) for one in place)))
    return [dict(row) for row in connection.execute(rows).mappings()]


def tag_place(row: Row) -> tuple[int, int, int, int]:
    """By what `page_of_tags` orders."""
    return row["group_position"], row["group_id"], row["position"], row["id"]


def page_of_segments(connection: Connection, query: SegmentQuery, *, limit: int) -> list[Row]:
    """Segments, the enabled ones first, the newest first; raises InvalidError for a foreign cursor."""
    order = (audience.c.is_enabled, audience.c.created_at, audience.c.id)
    rows = _filtered(connection, _SHOWN.where(audience.c.kind == "segment"), query)
    rows = rows.order_by(*(one.desc() for one in order)).limit(limit)
    if query.cursor is not None:
        enabled, moment, last_id = decode_cursor(query.cursor, int, int, int)
        place = (literal(bool(enabled), Flag()), literal(moment_of(moment), Moment()), literal(last_id, Whole))
        rows = rows.where(tuple_(*order) < tuple_(*place))
    return [dict(row) for row in connection.execute(rows).mappings()]


def segment_place(row: Row) -> tuple[int, int, int]:
    """By what `page_of_segments` orders."""
    return int(row["is_enabled"]), number_of(row["created_at"]), row["id"]


def all_tags(connection: Connection, group_id: int) -> list[Row]:
    """The tags of a group in their order."""
    rows = _SHOWN.where(audience.c.group_id == group_id).order_by(audience.c.position, audience.c.id)
    return [dict(row) for row in connection.execute(rows).mappings()]


def names_in(connection: Connection, kind: AudienceKind, group_id: int | None) -> dict[str, int]:
    """The ids by name among which a name must be unique: of a group's tags, or of all segments."""
    among = audience.c.kind == kind.value if group_id is None else audience.c.group_id == group_id
    rows = connection.execute(select(audience.c.name, audience.c.id).where(among, _IS_THERE))
    return {row.name: row.id for row in rows}


def first_position(connection: Connection, group_id: int) -> int:
    """A place above all tags of a group."""
    return _end(connection, func.min, group_id, 1) - 1


def last_position(connection: Connection, group_id: int) -> int:
    """A place below all tags of a group."""
    return _end(connection, func.max, group_id, -1) + 1


def insert_audience(connection: Connection, values: Row) -> int:
    """A new row; returns its id."""
    return int(connection.execute(insert(audience).values(values).returning(audience.c.id)).scalar_one())


def update_audience(connection: Connection, row: Row, values: Row, *, by: str, now: datetime) -> int:
    """Change what was read, which becomes the next version; returns how many rows were met."""
    read = (audience.c.id == row["id"], audience.c.version == row["version"])
    stamps = {"version": row["version"] + 1, "updated_at": now, "updated_by": by}
    return connection.execute(update_(audience).where(*read).values({**values, **stamps})).rowcount


def delete_audiences(connection: Connection, ids: Collection[int], *, by: str, now: datetime) -> None:
    """They are there no more; what they were stays readable under their ids."""
    gone = {"deleted_at": now, "is_enabled": False, "updated_at": now, "updated_by": by}
    of_them = audience.c.id.in_(ids)
    connection.execute(update_(audience).where(of_them).values(**gone, version=audience.c.version + 1))
    connection.execute(delete(audience_reference).where(audience_reference.c.audience_id.in_(ids)))


def set_positions(connection: Connection, positions: Mapping[int, int]) -> None:
    """Put tags where they belong."""
    for one, position in positions.items():
        connection.execute(update_(audience).where(audience.c.id == one).values(position=position))


def insert_definition(
    connection: Connection,
    audience_id: int,
    document: Any,
    references: Iterable[int],
    *,
    note: str,
    by: str,
    now: datetime,
) -> int:
    """The next version of a rule, and whom it names from now on; returns its number."""
    ours = audience_definition.c.audience_id == audience_id
    number = (
        connection.execute(select(func.coalesce(func.max(audience_definition.c.number), 0)).where(ours)).scalar_one()
        + 1
    )
    row = {"audience_id": audience_id, "number": number, "filter": document, "note": note}
    connection.execute(insert(audience_definition).values(**row, created_at=now, created_by=by))
    connection.execute(delete(audience_reference).where(audience_reference.c.audience_id == audience_id))
    named = [{"audience_id": audience_id, "refers_to": one} for one in references]
    if named:
        connection.execute(insert(audience_reference), named)
    return int(number)


def one_definition(connection: Connection, audience_id: int, number: int) -> Row | None:
    """One version of a rule."""
    wanted = (audience_definition.c.audience_id == audience_id, audience_definition.c.number == number)
    row = connection.execute(select(audience_definition).where(*wanted)).mappings().one_or_none()
    return None if row is None else dict(row)


def page_of_definitions(connection: Connection, audience_id: int, cursor: str | None, *, limit: int) -> list[Row]:
    """Versions of a rule, newest first; raises InvalidError for a foreign cursor."""
    rows = select(audience_definition).where(audience_definition.c.audience_id == audience_id)
    rows = rows.order_by(audience_definition.c.number.desc()).limit(limit)
    if cursor is not None:
        (number,) = decode_cursor(cursor, int)
        rows = rows.where(audience_definition.c.number < number)
    return [dict(row) for row in connection.execute(rows).mappings()]


def _filtered(connection: Connection, rows: Select[Any], query: SegmentQuery) -> Select[Any]:
    if query.search is not None:
        rows = rows.where(holds(connection, audience.c.name, query.search))
    if query.smart is not None:
        rows = rows.where(audience.c.is_smart == query.smart)
    if query.enabled is not None:
        rows = rows.where(audience.c.is_enabled == query.enabled)
    return rows


def _end(connection: Connection, end: Any, group_id: int, empty: int) -> int:
    there = select(func.coalesce(end(audience.c.position), empty)).where(audience.c.group_id == group_id, _IS_THERE)
    return int(connection.execute(there).scalar_one())
