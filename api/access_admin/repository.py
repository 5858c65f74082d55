"""Rows of roles, actors and keys; who may change them is said in `api.access_admin.rules`."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, func, insert, select, true, update

from api.access.actors import EVERY_CLINIC, Grant
from api.access.builtin_roles import COMPANY_ADMIN
from api.access.owners import grant_of
from api.access.permissions import ALL
from api.storage.tables.access import actor, actor_role, api_key, role

Record = dict[str, Any]
GIVEN = tuple[str, str]  # role id, clinic id

KEY_COLUMNS = (
    api_key.c.id, api_key.c.actor_id, api_key.c.name, api_key.c.scopes, api_key.c.created_at, api_key.c.created_by,
    api_key.c.expires_at, api_key.c.revoked_at, api_key.c.last_used_at,
)  # fmt: skip


def lock_access(connection: Connection) -> None:
    """Let one change of roles or people happen at a time: rules about all of them must hold when it commits.

    SQLite has one writer anyway; PostgreSQL queues here until the change before has committed.
    """
    connection.execute(select(role.c.id).where(role.c.id == COMPANY_ADMIN).with_for_update())


def company_admins(connection: Connection) -> int:
    """How many active people may do everything everywhere."""
    rows = connection.execute(
        select(actor.c.id, actor.c.is_active, role.c.permissions)
        .join(actor_role, actor_role.c.actor_id == actor.c.id)
        .join(role, role.c.id == actor_role.c.role_id)
        .where(actor_role.c.clinic_id == EVERY_CLINIC)
    ).all()
    return len({row.id for row in rows if row.is_active and ALL in row.permissions})


# Roles


def all_roles(connection: Connection) -> list[Record]:
    """Every role, the builtin ones first."""
    return _records(connection, select(role).order_by(role.c.is_builtin.desc(), role.c.created_at, role.c.id))


def one_role(connection: Connection, role_id: str) -> Record | None:
    """A role, or None."""
    return _first(_records(connection, select(role).where(role.c.id == role_id)))


def role_names(connection: Connection, *, besides: str | None) -> set[str]:
    """Names in both languages that other roles have."""
    rows = connection.execute(select(role.c.name_zh, role.c.name_en).where(role.c.id != (besides or ""))).all()
    return {name for row in rows for name in row}


def insert_role(connection: Connection, values: Mapping[str, Any], *, now: datetime) -> Record:
    """A new role of the chain's own."""
    row = {
        "id": f"role_{secrets.token_hex(8)}",
        "is_builtin": False,
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }
    connection.execute(insert(role).values(**row, **values))
    return {**row, **values}


def update_role(connection: Connection, role_id: str, version: int, values: Mapping[str, Any], *, now: datetime) -> int:
    """Change a role that still has this version; the number of rows changed."""
    read = (role.c.id == role_id, role.c.version == version)
    return connection.execute(update(role).where(*read).values(**values, version=version + 1, updated_at=now)).rowcount


def delete_role(connection: Connection, role_id: str, version: int) -> int:
    """Delete a role that still has this version; the number of rows deleted."""
    return connection.execute(delete(role).where(role.c.id == role_id, role.c.version == version)).rowcount


def holders(connection: Connection, role_id: str) -> int:
    """How many times the role is given."""
    given = select(func.count()).select_from(actor_role).where(actor_role.c.role_id == role_id)
    return int(connection.execute(given).scalar_one())


# People and clients


def page_of_actors(connection: Connection, *, after: str | None, limit: int, clinics: frozenset[str]) -> list[Record]:
    """Up to `limit` actors in the order of ids, with their roles: those with a role at one of these clinics."""
    conditions = [actor.c.id > after] if after is not None else []
    query = select(actor).where(*conditions, _visible(clinics)).order_by(actor.c.id).limit(limit)
    return _with_roles(connection, _records(connection, query))


def one_actor(connection: Connection, actor_id: str, *, clinics: frozenset[str]) -> Record | None:
    """An actor with a role at one of these clinics, with all roles."""
    query = select(actor).where(actor.c.id == actor_id, _visible(clinics))
    return _first(_with_roles(connection, _records(connection, query)))


def taken(connection: Connection, column: str, value: str, *, besides: str | None) -> bool:
    """Whether another actor has this staff id or subject."""
    query = select(actor.c.id).where(actor.c[column] == value, actor.c.id != (besides or ""))
    return connection.execute(query).first() is not None


def insert_actor(connection: Connection, values: Mapping[str, Any], roles: Iterable[GIVEN], *, now: datetime) -> Record:
    """Somebody new, with roles."""
    row = {"id": f"actor_{secrets.token_hex(8)}", "version": 1, "created_at": now, "updated_at": now, **values}
    connection.execute(insert(actor).values(row))
    give_roles(connection, row["id"], roles)
    return {**row, "roles": as_records(roles)}


def update_actor(
    connection: Connection, actor_id: str, version: int, values: Mapping[str, Any], *, now: datetime
) -> int:
    """Change an actor that still has this version; the number of rows changed."""
    read = (actor.c.id == actor_id, actor.c.version == version)
    return connection.execute(update(actor).where(*read).values(**values, version=version + 1, updated_at=now)).rowcount


def give_roles(connection: Connection, actor_id: str, roles: Iterable[GIVEN]) -> None:
    """The actor has these roles and no others."""
    connection.execute(delete(actor_role).where(actor_role.c.actor_id == actor_id))
    rows = [{"actor_id": actor_id, "role_id": role_id, "clinic_id": clinic_id} for role_id, clinic_id in set(roles)]
    if rows:
        connection.execute(insert(actor_role), rows)


def grants_of(connection: Connection, roles: Iterable[GIVEN]) -> dict[GIVEN, Grant]:
    """What roles at clinics give; a role that does not exist is left out."""
    given = set(roles)
    stored = {
        row["id"]: row for row in _records(connection, select(role).where(role.c.id.in_({of for of, _ in given})))
    }
    return {
        (role_id, clinic_id): grant_of(
            role_id, clinic_id, stored[role_id]["permissions"], stored[role_id]["data_scope"]
        )
        for role_id, clinic_id in given
        if role_id in stored
    }


# Keys


def page_of_keys(
    connection: Connection, *, actor_id: str | None, after: str | None, limit: int, clinics: frozenset[str]
) -> list[Record]:
    """Up to `limit` keys in the order of ids, of actors with a role at one of these clinics."""
    conditions = [api_key.c.id > after] if after is not None else []
    conditions += [api_key.c.actor_id == actor_id] if actor_id is not None else []
    query = select(*KEY_COLUMNS).join(actor, actor.c.id == api_key.c.actor_id).where(*conditions, _visible(clinics))
    return _records(connection, query.order_by(api_key.c.id).limit(limit))


def one_key(connection: Connection, key_id: str, *, clinics: frozenset[str]) -> Record | None:
    """A key of an actor with a role at one of these clinics."""
    query = select(*KEY_COLUMNS).join(actor, actor.c.id == api_key.c.actor_id)
    return _first(_records(connection, query.where(api_key.c.id == key_id, _visible(clinics))))


def revoke_key(connection: Connection, key_id: str, *, now: datetime) -> int:
    """Revoke a key that is not revoked yet; the number of rows changed."""
    open_key = (api_key.c.id == key_id, api_key.c.revoked_at.is_(None))
    return connection.execute(update(api_key).where(*open_key).values(revoked_at=now)).rowcount


def _visible(clinics: frozenset[str]) -> Any:
    """Actors that somebody with a permission at these clinics knows of; headquarters knows everybody."""
    if EVERY_CLINIC in clinics:
        return true()
    there = and_(actor_role.c.actor_id == actor.c.id, actor_role.c.clinic_id.in_(clinics))
    return select(actor_role.c.actor_id).where(there).exists()


def _with_roles(connection: Connection, rows: Sequence[Record]) -> list[Record]:
    query = select(actor_role).where(actor_role.c.actor_id.in_([row["id"] for row in rows]))
    given: dict[str, list[GIVEN]] = {}
    for record in connection.execute(query):
        given.setdefault(record.actor_id, []).append((record.role_id, record.clinic_id))
    return [{**row, "roles": as_records(given.get(row["id"], []))} for row in rows]


def as_records(roles: Iterable[GIVEN]) -> list[dict[str, str]]:
    """Roles at clinics as they are shown, each once."""
    return [{"role_id": role_id, "clinic_id": clinic_id} for role_id, clinic_id in sorted(set(roles))]


def _records(connection: Connection, query: Any) -> list[Record]:
    return [dict(row) for row in connection.execute(query).mappings()]


def _first(rows: Sequence[Record]) -> Record | None:
    return rows[0] if rows else None
