"""Tags and segments looked up by id or by what they are called, deleted ones too: their history stays readable."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, select

from api.audiences.member_schemas import AudienceName
from api.audiences.repository import holds
from api.errors import NotFoundError
from api.storage.tables.access import actor
from api.storage.tables.audiences import audience, tag_group
from segment_engine.problems import Problem

NO_AUDIENCE: Final = Problem(
    "audience_unknown", "/path/audience_id", "标签或分群不存在", "There is no such tag or segment."
)
_OF_NIGHTS: Final = "系统(每晚计算)"


@dataclass(frozen=True, slots=True)
class Named:
    """A tag or segment as it is now."""

    id: int
    kind: str
    name: str
    group_id: int | None
    group_name: str | None
    color: str | None
    is_smart: bool
    is_enabled: bool
    is_deleted: bool
    definition: int | None

    def shown(self) -> AudienceName:
        return AudienceName(
            id=self.id,
            kind=self.kind,
            name=self.name,
            group_name=self.group_name,
            is_smart=self.is_smart,
            is_deleted=self.is_deleted,
        )


def named_audiences(connection: Connection, *conditions: ColumnElement[bool]) -> dict[int, Named]:
    """Those that fit, by id."""
    columns = audience.c
    query = (
        select(
            columns.id,
            columns.kind,
            columns.name,
            columns.group_id,
            tag_group.c.name.label("group_name"),
            columns.color,
            columns.is_smart,
            columns.is_enabled,
            columns.deleted_at,
            columns.definition,
        )
        .outerjoin(tag_group, columns.group_id == tag_group.c.id)
        .where(*conditions)
        .order_by(columns.id)
    )
    found = (dict(row) for row in connection.execute(query).mappings())
    return {row["id"]: Named(is_deleted=row.pop("deleted_at") is not None, **row) for row in found}


def by_ids(connection: Connection, ids: Collection[int]) -> dict[int, Named]:
    """These, as far as they are there."""
    return named_audiences(connection, audience.c.id.in_(ids))


def require_audience(connection: Connection, audience_id: int) -> Named:
    """One of them; raises NotFoundError."""
    found = by_ids(connection, [audience_id])
    if not found:
        raise NotFoundError(NO_AUDIENCE)
    return found[audience_id]


def matching(
    connection: Connection,
    *,
    audience_id: int | None = None,
    group_id: int | None = None,
    kind: str | None = None,
    name: str | None = None,
) -> dict[int, Named]:
    """Those that fit all that is told."""
    columns = audience.c
    told: Mapping[Any, Any] = {columns.id: audience_id, columns.group_id: group_id, columns.kind: kind}
    conditions = [column == value for column, value in told.items() if value is not None]
    if name is not None:
        conditions.append(holds(connection, columns.name, name))
    return named_audiences(connection, *conditions)


def operators_like(connection: Connection, text: str) -> frozenset[str]:
    """The keys of people whose id this is, or whose name holds it; nights as they are called."""
    query = select(actor.c.kind, actor.c.id).where((actor.c.id == text) | holds(connection, actor.c.name, text))
    found = {f"{row.kind}:{row.id}" for row in connection.execute(query)}
    if text in _OF_NIGHTS or text in ("nightly", "system"):
        found.add("system:nightly")
    return frozenset(found)


def operator_names(connection: Connection, keys: Collection[str]) -> dict[str, str]:
    """What people are called, by their keys; somebody who is gone by the key."""
    ids = {key.partition(":")[2] for key in keys}
    query = select(actor.c.kind, actor.c.id, actor.c.name).where(actor.c.id.in_(ids))
    names = {f"{row.kind}:{row.id}": str(row.name) for row in connection.execute(query)}
    return {key: _OF_NIGHTS if key == "system:nightly" else names.get(key, key) for key in keys}
