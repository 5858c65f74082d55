"""Every route of the application: it says whom it lets in, and lets nobody else in."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import update

from api.access.guard import Access, access_of
from api.access.permissions import LABELS, Permission
from api.access.sessions import make_session
from api.clock import now
from api.contract import declared
from api.main import create_app
from api.patients.repository import keep_account
from api.settings import ApiSettings
from api.storage.tables.access import actor, api_key
from tests.api.access.people import actor_of, key_id, other, store_of
from tests.api.conftest import MakeClient, bearer
from tests.api.probe import found

OPEN = {"/healthz", "/readyz", "/metrics", "/v1/patient/sessions", "/v1/files/{token}"}


def operations(app: FastAPI) -> Iterator[tuple[str, str, Access]]:
    for path, method, access in declared(app):
        assert access is not None
        yield path.translate({ord("{"): None, ord("}"): None}), method, access


def ask(client: TestClient, method: str, path: str, headers: dict[str, str]) -> Any:
    """The route's first answer; a body and a key so that nothing but access stands in the way."""
    body = {} if method in {"POST", "PUT", "PATCH"} else None
    return client.request(method, path, headers={"Idempotency-Key": "k", "If-Match": '"1"', **headers}, json=body)


def session_of(client: TestClient, openid: str = "o1") -> dict[str, str]:
    def work(connection: Any) -> str:
        account = keep_account(connection, "wx1", openid, None, now=now())
        return make_session(connection, account, None, now=now()).text

    return bearer(store_of(client).write(work))


def test_every_route_declares_whom_it_lets_in(tmp_path: Any) -> None:
    app = create_app(ApiSettings(data_dir=tmp_path))

    assert [(method, path) for path, method, access in declared(app) if access is None] == []
    assert {path for path, _, access in declared(app) if access is not None and access.public} == OPEN


def test_a_route_that_forgot_to_is_closed_to_everybody(make_client: MakeClient) -> None:
    client = make_client()

    @client.app.get("/v1/forgotten")  # type: ignore[attr-defined]
    def forgotten() -> str:
        return "secret"

    assert access_of(forgotten) is None
    assert client.get("/v1/forgotten").status_code == 403
    assert "secret" not in client.get("/v1/forgotten").text


def test_nobody_gets_in_without_a_credential(make_client: MakeClient) -> None:
    client = make_client()
    del client.headers["Authorization"]

    answers = {
        (method, path): ask(client, method, path, {})
        for path, method, access in operations(client.app)  # type: ignore[arg-type]
        if not access.public
    }

    assert len(answers) > 15
    assert {answer.status_code for answer in answers.values()} == {401}
    assert {answer.headers["www-authenticate"] for answer in answers.values()} == {"Bearer"}
    assert all(found(answer) == {("not_authenticated", "/header/Authorization")} for answer in answers.values())


def test_a_patient_gets_into_no_staff_route_and_staff_into_no_patients_route(make_client: MakeClient) -> None:
    client = make_client(settings={"rate_limit_per_patient": 0})
    patient = session_of(client)

    wrong = []
    for path, method, access in operations(client.app):  # type: ignore[arg-type]
        if access.public:
            continue
        refused = ask(client, method, path, {} if access.patients else patient)
        code = "patients_only" if access.patients else "staff_only"
        if refused.status_code != 403 or found(refused) != {(code, "")}:
            wrong.append((method, path, refused.status_code))

    assert wrong == []


def test_each_route_takes_its_own_permission_and_all_others_do_not_do(make_client: MakeClient) -> None:
    client = make_client()
    holders = {permission: other(client, permissions=(permission,)) for permission in Permission}
    everything_else = {
        permission: other(client, permissions=tuple(set(Permission) - {permission})) for permission in Permission
    }

    wrong = []
    for path, method, access in operations(client.app):  # type: ignore[arg-type]
        if access.permission is None:
            continue
        refused = ask(client, method, path, everything_else[access.permission])
        let_in = ask(client, method, path, holders[access.permission])
        told = refused.json()["problems"][0]
        if (refused.status_code, told["code"]) != (403, "not_permitted") or "没有权限:" not in told["message_zh"]:
            wrong.append((method, path, refused.status_code))
        if let_in.status_code == 401 or "没有权限:" in let_in.text:
            wrong.append((method, path, let_in.status_code))

    assert wrong == []


def test_somebody_without_a_role_may_only_ask_who_they_are(make_client: MakeClient) -> None:
    client = make_client(permissions=())

    assert client.get("/v1/me").json()["permissions"] == []
    assert client.get("/v1/customers").status_code == 403


@pytest.mark.parametrize(
    "text",
    ["", "x", "cdp_", "cdp_0_0", f"cdp_{'0' * 16}_{'0' * 64}", f"cdps_{'0' * 16}_{'0' * 64}", "eyJ.eyJ.x", "中", "a b"],
)
def test_what_is_no_credential_of_ours_is_401(make_client: MakeClient, text: str) -> None:
    client = make_client()

    answer = client.get("/v1/me", headers={"Authorization": f"Bearer {text}".encode()})

    assert answer.status_code == 401


def test_a_key_with_another_keys_secret_is_401(make_client: MakeClient) -> None:
    client = make_client()
    mine, theirs = dict(client.headers)["authorization"], other(client)["Authorization"]

    crossed = f"Bearer cdp_{mine.split('_')[1]}_{theirs.split('_')[2]}"

    assert client.get("/v1/me", headers={"Authorization": crossed}).status_code == 401


def test_a_key_ends_with_its_time_its_revocation_and_its_owner(make_client: MakeClient) -> None:
    client = make_client()
    expired = other(client, lifetime=timedelta(0))
    alive, revoked, left = other(client, lifetime=timedelta(minutes=5)), other(client), other(client)
    before = [client.get("/v1/me", headers=headers).status_code for headers in (expired, alive, revoked, left)]

    def work(connection: Any) -> None:
        connection.execute(update(api_key).where(api_key.c.id == key_id(revoked)).values(revoked_at=now()))
        connection.execute(update(actor).where(actor.c.id == actor_of(client, left)).values(is_active=False))

    store_of(client).write(work)
    after = [client.get("/v1/me", headers=headers).status_code for headers in (expired, alive, revoked, left)]

    assert before == [401, 200, 200, 200]
    assert after == [401, 200, 401, 401]


def test_scopes_take_away_and_never_add(make_client: MakeClient) -> None:
    client = make_client(published=True)
    narrow = other(client, permissions=("customer.view", "customer.phone.view"), scopes=frozenset({"customer.view"}))
    wide = other(client, permissions=("customer.view",), scopes=frozenset({"customer.view", "access.view"}))
    none = other(client, scopes=frozenset({"dashboard.view"}))

    assert client.get("/v1/me", headers=narrow).json()["permissions"] == ["customer.view"]
    assert client.get("/v1/customers?phone=13812340001", headers=narrow).status_code == 403
    assert client.get("/v1/me", headers=wide).json()["permissions"] == ["customer.view"]
    assert client.get("/v1/customers", headers=none).status_code == 403


def test_every_permission_is_named_in_both_languages() -> None:
    assert set(LABELS) == set(Permission)
    assert all(zh and en for zh, en in LABELS.values())


def test_the_contract_tells_who_must_sign_in_and_every_refusal(make_client: MakeClient) -> None:
    client = make_client()
    document = client.get("/openapi.json").json()

    for path, method, access in declared(client.app):  # type: ignore[arg-type]
        operation = document["paths"][path][method.lower()]
        assert access is not None
        assert ("security" in operation) is not access.public
        assert access.public or {"401", "403"} <= operation["responses"].keys()
        assert {"422", "429", "500", "503"} <= operation["responses"].keys()
        if method in {"PUT", "DELETE"} and path.startswith("/v1/access/"):
            assert {"404", "409", "412", "428"} <= operation["responses"].keys()
