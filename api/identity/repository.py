"""Rows of operators' decisions, and which identities the published version knows."""

import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import duckdb
from sqlalchemy import ColumnElement, Connection, and_, insert, or_, select, text, update

from api.identity.rules import Draft
from api.identity.schemas import OverrideQuery, ValueType
from api.keyset import Place, behind
from api.storage.overrides import OF_TWO_KEYS, OverrideKind
from api.storage.tables.customers import erasure_tombstone
from api.storage.tables.identity import identity_override as table
from segment_engine.runtime.secret import person_digest

Row = Mapping[str, Any]


def lock_overrides(connection: Connection) -> None:
    """Let one decision happen at a time: that none contradicts another must hold when it commits.

    SQLite has one writer anyway; PostgreSQL queues here until the one before has committed.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("lock table identity_override in share row exclusive mode"))


def insert_override(connection: Connection, draft: Draft, *, reason: str, operator: str, now: datetime) -> Row:
    """The new row."""
    row = {
        "id": f"ov_{secrets.token_hex(8)}",
        "kind": draft.kind.value,
        "a": draft.a,
        "b": draft.b,
        "value_type": draft.value_type and draft.value_type.value,
        "reason": reason,
        "operator": operator,
        "valid_from": now,
        "revoked_at": None,
        "revoked_by": None,
        "revoke_reason": None,
        "version": 1,
        "created_at": now,
    }
    connection.execute(insert(table).values(row))
    return row


def one_override(connection: Connection, override_id: str) -> Row | None:
    """The row of this id."""
    row = connection.execute(select(table).where(table.c.id == override_id)).mappings().one_or_none()
    return None if row is None else dict(row)


def page_of_overrides(connection: Connection, query: OverrideQuery, *, limit: int) -> list[Row]:
    """Up to `limit` rows, newest first; raises InvalidError for a cursor that was never given out."""
    newest = select(table).order_by(table.c.created_at.desc(), table.c.id.desc()).limit(limit)
    if query.kind is not None:
        newest = newest.where(table.c.kind == query.kind.value)
    if query.in_force is not None:
        newest = newest.where(table.c.revoked_at.is_(None) == query.in_force)
    if query.key is not None:
        newest = newest.where(_names(query.key))
    if query.cursor is not None:
        newest = newest.where(behind(Place.decode(query.cursor), table.c.created_at, table.c.id))
    return [dict(row) for row in connection.execute(newest).mappings()]


def _names(key: str) -> ColumnElement[bool]:
    """Whether a row is about the identity: only cells that hold keys count, or guesses would confirm masked numbers."""
    of_two = table.c.kind.in_(OF_TWO_KEYS)
    is_key_in_b = or_(of_two, table.c.kind == OverrideKind.OWNER, table.c.value_type == ValueType.BINDING)
    return or_(
        and_(table.c.a == key, or_(of_two, table.c.kind == OverrideKind.DETACH)), and_(table.c.b == key, is_key_in_b)
    )


def revoke_override(connection: Connection, row: Row, *, reason: str, by: str, now: datetime) -> tuple[Row, int]:
    """The row as it is from now on, and how many rows were met: none when somebody else was faster."""
    read = (table.c.id == row["id"], table.c.version == row["version"])
    values = {"revoked_at": now, "revoked_by": by, "revoke_reason": reason, "version": row["version"] + 1}
    return {**row, **values}, connection.execute(update(table).where(*read).values(values)).rowcount


def known_keys(
    cursor: duckdb.DuckDBPyConnection, connection: Connection, keys: Iterable[str], *, secret: bytes
) -> set[str]:
    """Those of the keys that a published identity has whose person nobody asked to forget."""
    found = cursor.execute(
        "select identity_key from marts.dim_identity where list_contains($keys::varchar[], identity_key)",
        {"keys": list(keys)},
    ).fetchall()
    published = {key for (key,) in found}
    return published - buried_keys(connection, published, secret=secret)


def buried_keys(connection: Connection, keys: Iterable[str], *, secret: bytes) -> set[str]:
    """Those of the keys whose person somebody asked to forget."""
    digests = {person_digest(secret, key): key for key in keys}
    buried: Iterable[str] = connection.scalars(
        select(erasure_tombstone.c.digest).where(erasure_tombstone.c.digest.in_(digests))
    )
    return {digests[digest] for digest in buried}
