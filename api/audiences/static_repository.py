"""Rows of static tags and segments: the one that is changed, and those on one customer."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, select

from api.audiences.static_rules import Kind
from api.storage.audience_members import members_of_customer
from api.storage.tables.access import actor
from api.storage.tables.audiences import audience, tag_group

Row = dict[str, Any]


def rows_to_change(connection: Connection, kind: Kind, ids: Collection[int]) -> dict[int, Row]:
    """The tags or segments of these ids that are there, held until the transaction ends, in the order of their ids."""
    there = (audience.c.id.in_(ids), audience.c.kind == kind.name, audience.c.deleted_at.is_(None))
    rows = connection.execute(select(audience).where(*there).order_by(audience.c.id).with_for_update()).mappings()
    return {row["id"]: dict(row) for row in rows}


def tags_on(connection: Connection, one_ids: Sequence[str]) -> list[Row]:
    """The enabled static tags on the customer of these ids: tag, group, and how each came there."""
    members = {one.audience_id: one for one in members_of_customer(connection, one_ids)}
    shown = (
        audience.c.id.in_(members),
        audience.c.kind == "tag",
        audience.c.is_enabled,
        audience.c.deleted_at.is_(None),
    )
    query = (
        select(audience.c.id, audience.c.name, audience.c.color, tag_group.c.id, tag_group.c.name)
        .join(tag_group, tag_group.c.id == audience.c.group_id)
        .where(*shown)
        .order_by(tag_group.c.position, tag_group.c.id, audience.c.position, audience.c.id)
    )
    rows: list[tuple[Any, ...]] = [tuple(row) for row in connection.execute(query)]
    names = _names(connection, {members[row[0]].added_by for row in rows})
    return [
        {
            "id": tag_id,
            "name": name,
            "color": color,
            "group": {"id": group_id, "name": group},
            "since": members[tag_id].added_at,
            "by": {"key": members[tag_id].added_by, "name": names.get(members[tag_id].added_by)},
            "how": members[tag_id].added_how,
        }
        for tag_id, name, color, group_id, group in rows
    ]


def _names(connection: Connection, keys: Collection[str]) -> dict[str, str]:
    """Names of those whom rows know as `kind:id`."""
    ids = {key.partition(":")[2] for key in keys}
    rows = connection.execute(select(actor.c.kind, actor.c.id, actor.c.name).where(actor.c.id.in_(ids)))
    return {f"{row.kind}:{row.id}": row.name for row in rows}
