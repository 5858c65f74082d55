"""Rows of saved filters; who may change them is said in `saved.py`."""

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from api.caller import Caller
from api.storage.tables.customer_list import saved_filter

Row = dict[str, Any]
_LOCK: Final = 0x73_61_76_65


def hold_owner(connection: Connection, owner: str) -> None:
    """Let nobody else change the owner's filters until the transaction ends; SQLite has one writer anyway.

    How many they are and what they are called is about all of them. Not where writes go in groups.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(owner, _LOCK))))


def visible(connection: Connection, owner: str) -> list[Row]:
    """The owner's and the shared ones, by name."""
    columns = saved_filter.c
    found = select(saved_filter).where(or_(columns.owner == owner, columns.is_shared == True))  # noqa: E712
    return [dict(row) for row in connection.execute(found.order_by(columns.name, columns.id)).mappings()]


def one(connection: Connection, filter_id: str) -> Row | None:
    """A saved filter, or None."""
    found = connection.execute(select(saved_filter).where(saved_filter.c.id == filter_id)).mappings().one_or_none()
    return None if found is None else dict(found)


def count(connection: Connection, owner: str) -> int:
    """How many somebody keeps."""
    found = select(func.count()).select_from(saved_filter).where(saved_filter.c.owner == owner)
    return int(connection.execute(found).scalar_one())


def is_taken(connection: Connection, owner: str, name: str, *, besides: str) -> bool:
    """Whether another one of the owner's has this name."""
    columns = saved_filter.c
    same = select(columns.id).where(columns.owner == owner, columns.name == name, columns.id != besides)
    return connection.execute(same).first() is not None


def insert_filter(connection: Connection, caller: Caller, values: Mapping[str, Any], *, now: datetime) -> Row | None:
    """A new one; None where its owner has the name already."""
    row: Row = {
        "id": f"sf_{secrets.token_hex(8)}",
        "owner": caller.key,
        "owner_name": caller.name,
        "version": 1,
        "created_at": now,
        "updated_at": now,
        **values,
    }
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    made = dialect.insert(saved_filter).values(row).on_conflict_do_nothing(index_elements=["owner", "name"])
    return row if connection.execute(made.returning(saved_filter.c.id)).first() else None


def update_filter(
    connection: Connection, filter_id: str, version: int, values: Mapping[str, Any], *, now: datetime
) -> int:
    """Change one that still has this version; the number of rows changed."""
    read = (saved_filter.c.id == filter_id, saved_filter.c.version == version)
    changed = update(saved_filter).where(*read).values(**values, version=version + 1, updated_at=now)
    return connection.execute(changed).rowcount


def delete_filter(connection: Connection, filter_id: str, version: int) -> int:
    """Delete one that still has this version; the number of rows deleted."""
    read = (saved_filter.c.id == filter_id, saved_filter.c.version == version)
    return connection.execute(delete(saved_filter).where(*read)).rowcount
