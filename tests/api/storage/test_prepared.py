"""Statements handed to the driver as they are: the same meaning as SQLAlchemy's own way, on both stores."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from api.storage.database import Database
from api.storage.prepared import Prepared
from api.storage.tables.access import actor, api_key

NOON = datetime(2026, 11, 20, 12, 0, 0, 5, tzinfo=timezone(timedelta(hours=8)))
PERSON = {
    "id": "a1",
    "kind": "staff",
    "name": "安娜",
    "is_active": True,
    "version": 1,
    "created_at": NOON,
    "updated_at": NOON,
}
KEY = {"id": "k1", "actor_id": "a1", "name": "k", "secret_hash": "x", "created_at": NOON, "created_by": "a1"}
MADE = Prepared(insert(actor).values({name: bindparam(name) for name in PERSON}))
NARROWED = Prepared(
    insert(api_key).values({name: bindparam(name) for name in (*KEY, "scopes", "expires_at")}).returning(api_key.c.id)
)
FOUND = Prepared(
    select(actor.c.name, actor.c.is_active, api_key.c.scopes, api_key.c.expires_at, api_key.c.revoked_at)
    .join(api_key, api_key.c.actor_id == actor.c.id)
    .where(api_key.c.id == bindparam("key_id"), actor.c.kind == "staff")
)
RENAMED = Prepared(update(actor).where(actor.c.id == "a1").values(name=bindparam("new_name")))


def found_in(database: Database, values: dict[str, str]) -> list[Any]:
    return list(asyncio.run(database.look_up(FOUND, values)))


def test_values_are_stored_and_read_as_their_columns_types_mean_them(database: Database) -> None:
    def work(connection: Connection) -> None:
        MADE.run(connection, PERSON)
        given = NARROWED.run(connection, {**KEY, "scopes": ["b", "甲"], "expires_at": NOON})
        assert [tuple(row) for row in given] == [("k1",)]
        assert list(RENAMED.run(connection, {"new_name": "安"})) == []

    database.write(work)

    (row,) = found_in(database, {"key_id": "k1"})
    found = FOUND.decoded(row)
    assert (found.name, found.is_active, found.scopes, found.revoked_at) == ("安", True, ["b", "甲"], None)
    assert found.expires_at == NOON
    assert found.expires_at.tzinfo is UTC
    assert (found_in(database, {"key_id": "k2"})) == []
    with database.read() as connection:  # SQLAlchemy reads what the driver wrote
        assert connection.execute(select(api_key.c.expires_at, api_key.c.scopes)).one() == (NOON, ["b", "甲"])


def test_a_forgotten_value_is_an_error_and_not_a_null(database: Database) -> None:
    with pytest.raises(KeyError, match="expires_at"):
        database.write(lambda connection: NARROWED.run(connection, {**KEY, "scopes": None}))


def test_errors_of_the_driver_are_told_as_everywhere(database: Database) -> None:
    database.write(lambda connection: MADE.run(connection, PERSON))

    with pytest.raises(IntegrityError):
        database.write(lambda connection: MADE.run(connection, PERSON))


def test_what_was_written_a_moment_ago_is_found(database: Database) -> None:
    database.write(lambda connection: MADE.run(connection, PERSON))
    for round_ in range(3):
        key = {**KEY, "id": f"k{round_}", "scopes": None, "expires_at": None}
        assert (found_in(database, {"key_id": key["id"]})) == []
        database.write(partial(NARROWED.run, values=key))
        assert len(found_in(database, {"key_id": key["id"]})) == 1
