"""The audit log over HTTP."""

import json
from typing import Any

from sqlalchemy import insert, select

from api.access.permissions import Permission
from api.storage.tables.access import actor_role
from api.storage.tables.audit import audit_log
from tests.api.conftest import MakeClient, bearer, make_actor
from tests.api.privacy.test_consents import GIVEN, put, somebody
from tests.api.privacy.test_erasure_route import erase


def make_roles(client: Any, count: int) -> None:
    for number in range(count):
        role = {"name_zh": f"角色{number}", "name_en": f"Role {number}", "permissions": [], "data_scope": {}}
        answer = client.post("/v1/access/roles", json=role, headers={"Idempotency-Key": f"r{number}"})
        assert answer.status_code == 201, answer.json()


def test_pages_together_hold_every_row_newest_first(make_client: MakeClient) -> None:
    client = make_client()
    make_roles(client, 5)

    seen: list[int] = []
    query = {"limit": 2}
    while True:
        page = client.get("/v1/audit", params=query).json()
        seen += [row["seq"] for row in page["rows"]]
        if page["next_before"] is None:
            break
        query["before"] = page["next_before"]

    assert seen == sorted(seen, reverse=True)
    assert len(seen) == len(set(seen)) >= 5


def test_a_row_says_who_did_what_to_what_in_which_request(make_client: MakeClient) -> None:
    client = make_client()
    make_roles(client, 1)

    (row,) = client.get("/v1/audit?target_kind=role&limit=1").json()["rows"]

    me = client.get("/v1/me").json()
    assert row["actor_id"] == me["id"]
    assert row["request_id"]
    assert row["after"]
    assert client.get("/v1/audit", params={"actor_id": "nobody"}).json()["rows"] == []
    assert client.get("/v1/audit", params={"until": row["at"], "target_kind": "role"}).json()["rows"] == []
    assert client.get("/v1/audit", params={"since": row["at"], "target_kind": "role"}).json()["rows"] == [row]


def test_a_customers_rows_are_found_by_their_number_and_never_tell_it(make_client: MakeClient) -> None:
    client = make_client(published=True, settings={"job_workers": 0})
    one_id = somebody(client)
    assert put(client, one_id, GIVEN, '"1"').status_code == 200
    assert erase(client, one_id).status_code == 202

    def found(**query: str) -> list[str]:
        return [row["action"] for row in client.get("/v1/audit", params=query).json()["rows"]]

    assert found(target_id=one_id) == ["customer.erase", "consent.marketing"]
    assert found(target_id=one_id, target_kind="customer") == ["consent.marketing"]
    assert found(target_id=one_id, target_kind="patient") == []
    assert found(target_id="C-nobody") == []
    with client.app.state.database.read() as connection:  # type: ignore[attr-defined]
        rows = [dict(row) for row in connection.execute(select(audit_log)).mappings()]
    assert len(rows) == 2
    assert one_id not in json.dumps(rows, default=str)


def test_only_who_may_see_the_log_sees_it(make_client: MakeClient) -> None:
    assert make_client(permissions=(Permission.CUSTOMER_VIEW,)).get("/v1/audit").status_code == 403


def test_a_clinic_sees_what_its_own_people_did_and_headquarters_everything(make_client: MakeClient) -> None:
    headquarters = make_client()
    store = headquarters.app.state.database  # type: ignore[attr-defined]
    here, there = (bearer(make_actor(store, clinic_id=clinic)) for clinic in ("A", "B"))
    for number, who in enumerate((here, there)):
        named = headquarters.get("/v1/me", headers=who).json()["id"]
        key = {"actor_id": named, "name": "k", "scopes": ["customer.view"], "expires_at": None}
        made = headquarters.post("/v1/access/keys", json=key, headers={"Idempotency-Key": f"k{number}", **who})
        assert made.status_code == 201, made.json()

    def seen(who: dict[str, str]) -> set[str]:
        return {row["actor_id"] for row in headquarters.get("/v1/audit?limit=200", headers=who).json()["rows"]}

    mine, theirs = (headquarters.get("/v1/me", headers=who).json()["id"] for who in (here, there))
    assert seen(here) == {mine}
    assert seen(there) == {theirs}
    assert seen({}) >= {mine, theirs}


def test_somebody_who_also_works_elsewhere_is_not_shown_to_one_clinic(make_client: MakeClient) -> None:
    headquarters = make_client()
    store = headquarters.app.state.database  # type: ignore[attr-defined]
    viewer, both = (bearer(make_actor(store, clinic_id="A")) for _ in range(2))
    worker = headquarters.get("/v1/me", headers=both).json()["id"]
    key = {"actor_id": worker, "name": "k", "scopes": ["customer.view"], "expires_at": None}
    headquarters.post("/v1/access/keys", json=key, headers={"Idempotency-Key": "k", **both})
    assert headquarters.get(f"/v1/audit?actor_id={worker}", headers=viewer).json()["rows"]

    given = {"actor_id": worker, "role_id": "doctor", "clinic_id": "B"}
    store.write(lambda connection: connection.execute(insert(actor_role).values(given)))

    assert headquarters.get(f"/v1/audit?actor_id={worker}", headers=viewer).json()["rows"] == []
