"""Members of static tags and segments (静态标签, 静态分群): rows by the id that a customer had when put in."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, or_, select

from api.storage.tables.audiences import audience_member


def static_members(
    connection: Connection, audience_ids: Collection[int], *, at: datetime | None = None
) -> dict[int, list[str]]:
    """The ids that were put in and not taken out by now, or by a moment, of each audience."""
    columns = audience_member.c
    is_in: ColumnElement[bool] = columns.removed_at.is_(None)
    if at is not None:
        is_in = and_(columns.added_at <= at, or_(is_in, columns.removed_at > at))
    found: dict[int, list[str]] = {one: [] for one in audience_ids}
    query = select(columns.audience_id, columns.one_id).where(columns.audience_id.in_(audience_ids), is_in)
    for row in connection.execute(query):
        found[row.audience_id].append(row.one_id)
    return found
