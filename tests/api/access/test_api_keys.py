"""API keys over the API, on both stores: shown once, revoked at once, and never above their maker."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from api.storage.tables.access import role
from api.storage.tables.idempotency import idempotency
from tests.api.access.people import MANAGES, actor_of, audited, key_id, once, other, store_of
from tests.api.conftest import bearer
from tests.api.probe import found


def test_a_keys_secret_is_shown_once_and_kept_nowhere(client: TestClient) -> None:
    me = actor_of(client, {"Authorization": client.headers["authorization"]})
    body = {"actor_id": me, "name": "导出", "scopes": ["customer.view"], "expires_at": "2199-01-01T00:00:00Z"}

    made = client.post("/v1/access/keys", json=body, headers=once("k1"))
    again = client.post("/v1/access/keys", json=body, headers=once("k1"))

    secret = made.json()["key"].split("_")[2]
    assert (made.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == {**made.json(), "key": None}
    assert client.get("/v1/me", headers=bearer(made.json()["key"])).json()["permissions"] == ["customer.view"]
    with store_of(client).read() as connection:
        stored = str(connection.execute(select(idempotency)).all())
    assert secret not in stored
    assert secret not in str([dict(row) for row in audited(client)])
    assert "key" not in client.get("/v1/access/keys").json()["keys"][0]


def test_a_key_is_revoked_once_and_at_once(client: TestClient) -> None:
    theirs = other(client, permissions=("customer.view",))

    revoked = client.post(f"/v1/access/keys/{key_id(theirs)}/revoke", headers=once("k1"))
    again = client.post(f"/v1/access/keys/{key_id(theirs)}/revoke", headers=once("k2"))

    assert revoked.status_code == 200
    assert revoked.json()["revoked_at"] is not None
    assert client.get("/v1/me", headers=theirs).status_code == 401
    assert (again.status_code, found(again)) == (409, {("key_revoked", "")})


def test_nobody_makes_a_key_that_may_more_than_they(client: TestClient) -> None:
    me = actor_of(client, {"Authorization": client.headers["authorization"]})
    weak = other(client, permissions=MANAGES)
    narrow = other(client, scopes=frozenset({"access.manage", "access.view"}))

    def make(headers: dict[str, str], owner: str, scopes: list[str] | None) -> Any:
        body = {"actor_id": owner, "name": "x", "scopes": scopes}
        return client.post("/v1/access/keys", json=body, headers={**headers, **once()})

    assert make(weak, me, None).status_code == 403
    assert make(weak, me, ["customer.export"]).status_code == 403
    assert make(weak, me, ["customer.view"]).status_code == 201
    assert make(narrow, actor_of(client, narrow), None).status_code == 403
    assert make(narrow, actor_of(client, narrow), ["access.view"]).status_code == 201
    # Not even what the owner has not got either: they may be given it later.
    junior = other(client, permissions=("dashboard.view",))
    assert make(weak, actor_of(client, junior), ["customer.export"]).status_code == 403


def test_a_key_made_for_a_colleague_does_not_grow_with_them(client: TestClient) -> None:
    junior = actor_of(client, other(client, permissions=("customer.view",)))
    body = {"actor_id": junior, "name": "x", "scopes": None}
    theirs = client.post("/v1/access/keys", json=body, headers=once()).json()["key"]
    me = client.get("/v1/me").json()["id"]
    mine = {**body, "actor_id": me}
    own = client.post("/v1/access/keys", json=mine, headers=once()).json()

    store_of(client).write(
        lambda connection: connection.execute(
            update(role).where(role.c.id == junior.replace("actor-", "role-")).values(permissions=["*"])
        )
    )

    assert client.get("/v1/me", headers=bearer(theirs)).json()["permissions"] == ["customer.view"]
    assert own["scopes"] is None


def test_a_clinics_administrator_makes_keys_for_themselves_and_for_programs_but_for_no_colleague(
    client: TestClient,
) -> None:
    admin = other(client, permissions=MANAGES, clinic_id="C1")
    colleague = other(client, permissions=("customer.view",), clinic_id="C1")
    program = other(client, permissions=("customer.view",), clinic_id="C1", kind="client")

    answers = [
        client.post(
            "/v1/access/keys",
            json={"actor_id": actor_of(client, owner), "name": "x", "scopes": None},
            headers={**admin, **once()},
        )
        for owner in (admin, program, colleague)
    ]

    assert [answer.status_code for answer in answers] == [201, 201, 403]
    assert found(answers[2]) == {("headquarters_only", "")}


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"expires_at": "2020-01-01T00:00:00Z"}, ("expiry_in_the_past", "/expires_at")),
        ({"actor_id": "nobody"}, ("unknown_actor", "/actor_id")),
        ({"scopes": []}, ("too_short", "/scopes")),
        ({"scopes": ["*"]}, ("enum", "/scopes/0")),
        ({"key": "cdp_1_1"}, ("extra_forbidden", "/key")),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(
    client: TestClient, changed: dict[str, Any], problem: tuple[str, str]
) -> None:
    me = actor_of(client, {"Authorization": client.headers["authorization"]})

    answer = client.post("/v1/access/keys", json={"actor_id": me, "name": "x", **changed}, headers=once("k"))

    assert answer.status_code == 422
    assert found(answer) == {problem}
