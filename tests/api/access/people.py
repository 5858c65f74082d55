"""A small chain of made-up actors for access tests."""

import secrets
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import select

from api.storage.database import Database
from api.storage.tables.access import actor_role, api_key
from tests.api.conftest import bearer, make_actor


def store_of(client: TestClient) -> Database:
    """The operational store of the application behind a client."""
    database: Database = client.app.state.database  # type: ignore[attr-defined]
    return database


def other(client: TestClient, **who: Any) -> dict[str, str]:
    """Headers of somebody else."""
    return bearer(make_actor(store_of(client), **who))


def key_id(headers: dict[str, str]) -> str:
    """Which key the headers carry."""
    return headers["Authorization"].split("_")[1]


def actor_of(client: TestClient, headers: dict[str, str]) -> str:
    """Whose key the headers carry."""
    with store_of(client).read() as connection:
        found = connection.execute(select(api_key.c.actor_id).where(api_key.c.id == key_id(headers)))
        return str(found.scalar_one())


def give(client: TestClient, headers: dict[str, str], role_id: str, clinic_id: str) -> None:
    """One role more for the owner of a key."""
    given = {"actor_id": actor_of(client, headers), "role_id": role_id, "clinic_id": clinic_id}
    store_of(client).write(lambda connection: connection.execute(actor_role.insert().values(given)))


def once(key: str | None = None) -> dict[str, str]:
    """The header of an effect; without a key, one that nobody used."""
    return {"Idempotency-Key": key or secrets.token_hex(8)}
