"""A small chain of made-up actors for access tests."""

import secrets
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import select

from api.audit.verify import verify
from api.storage.database import Database
from api.storage.tables.access import actor_role, api_key
from api.storage.tables.audit import audit_log
from tests.api.conftest import bearer, make_actor

MANAGES = ("access.manage", "access.view", "customer.view")
Rows = list[dict[str, Any]]
SCOPE = {"patient": "all", "official_account": "none", "mini_program": "none", "wecom": "none", "lead": "clinic"}


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


def a_role(name: str, *permissions: str, **scope: str) -> dict[str, Any]:
    """The body of a role."""
    return {"name_zh": name, "name_en": f"{name} en", "permissions": list(permissions), "data_scope": scope or SCOPE}


def someone(name: str, *roles: tuple[str, str], **more: Any) -> dict[str, Any]:
    """The body of a new actor; a role is an id and the clinic it is given at."""
    given = [{"role_id": role_id, "clinic_id": clinic_id} for role_id, clinic_id in roles]
    return {"kind": "staff", "name": name, "roles": given, **more}


def as_edit(actor: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """The body that leaves an actor as it was read, but for what is changed."""
    return {name: actor[name] for name in ("name", "staff_id", "oidc_subject", "is_active", "roles")} | changed


def audited(client: TestClient) -> list[Any]:
    """The audit log's rows, oldest first; the chain is whole."""
    with store_of(client).read() as connection:
        assert verify(connection).ok
        return list(connection.execute(select(audit_log).order_by(audit_log.c.seq)).mappings())


def seen(client: TestClient, headers: dict[str, str] | None = None, **query: Any) -> Rows:
    """Every customer of the list, page after page."""
    customers: Rows = []
    cursor = None
    while True:
        page = client.get("/v1/customers", params={"limit": 200, **query, **({"cursor": cursor} if cursor else {})},
                          headers=headers).json()  # fmt: skip
        customers += page["customers"]
        cursor = page["next_cursor"]
        if cursor is None:
            return customers
