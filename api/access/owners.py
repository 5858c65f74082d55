"""From rows of the store to an actor: one row per role that somebody was given, or one without a role."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from api.access.actors import Actor, Grant, Level, ScopeChannel
from api.storage.tables.access import actor, actor_role, role

WITH_GRANTS = (
    select(
        actor.c.id,
        actor.c.kind,
        actor.c.name,
        actor.c.staff_id,
        actor.c.is_active,
        actor_role.c.role_id,
        actor_role.c.clinic_id,
        role.c.permissions,
        role.c.data_scope,
    )
    .select_from(actor)
    .outerjoin(actor_role, actor_role.c.actor_id == actor.c.id)
    .outerjoin(role, role.c.id == actor_role.c.role_id)
)


def actor_now(connection: Connection, kind: str, actor_id: str, *, scopes: Iterable[str] | None) -> Actor | None:
    """Somebody as they are now, narrowed as the key was that they came with; None when they left."""
    them = (actor.c.id == actor_id, actor.c.kind == kind, actor.c.is_active)
    rows = connection.execute(WITH_GRANTS.where(*them)).all()
    return owner(rows, scopes=scopes) if rows else None


def owner(rows: Sequence[Row[Any]], *, scopes: Iterable[str] | None = None, credential: str = "") -> Actor:
    """The one actor that all rows of WITH_GRANTS are about; at least one row."""
    first = rows[0]
    return Actor(
        kind=first.kind,
        id=first.id,
        name=first.name,
        staff_id=first.staff_id,
        scopes=None if scopes is None else frozenset(scopes),
        grants=tuple(
            grant_of(row.role_id, row.clinic_id, row.permissions, row.data_scope)
            for row in rows
            if row.role_id is not None
        ),
        credential=credential,
    )


def grant_of(role_id: str, clinic_id: str, permissions: Iterable[str], data_scope: dict[str, str]) -> Grant:
    """A role at a clinic, from how roles are stored."""
    reach = {ScopeChannel(channel): Level(level) for channel, level in data_scope.items()}
    return Grant(role_id, clinic_id, frozenset(permissions), reach)
