"""Forgetting a customer: what is true the moment it is asked for. What the night does is tested in tests/erasure."""

import json
from typing import Any

import duckdb
from fastapi.testclient import TestClient
from sqlalchemy import select

from api.access.actors import Level, ScopeChannel
from api.access.permissions import Permission
from api.audit.verify import verify
from api.storage.tables.audit import audit_log
from api.storage.tables.customers import customer_consent, erasure_tombstone
from api.storage.tables.outbox import outbox
from pipelines.settings import PipelineSettings
from segment_engine.runtime.published import read_pointer
from segment_engine.runtime.secret import person_digest, tenant_secret
from tests.api.conftest import MakeClient, bearer, make_actor
from tests.api.privacy.test_consents import GIVEN, put, somebody


def erase(client: TestClient, one_id: str, key: str = "e1", **body: Any) -> Any:
    told = {"reason": "客户要求删除", **body}
    return client.post(f"/v1/customers/{one_id}/erasure", json=told, headers={"Idempotency-Key": key})


def all_ids(client: TestClient) -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        page = client.get("/v1/customers", params={"limit": 200} | ({"cursor": cursor} if cursor else {})).json()
        found += [customer["one_id"] for customer in page["customers"]]
        if (cursor := page["next_cursor"]) is None:
            return found


def test_from_that_moment_nobody_sees_the_customer(make_client: MakeClient) -> None:
    client = make_client(published=True)
    before = all_ids(client)
    one_id = before[3]

    answer = erase(client, one_id)

    assert (answer.status_code, answer.json()["status"]) == (202, "requested")
    assert all_ids(client) == [other for other in before if other != one_id]
    assert client.get(f"/v1/customers/{one_id}").status_code == 404
    assert client.get(f"/v1/customers/{one_id}/consents").status_code == 404
    assert put(client, one_id, GIVEN, '"1"').status_code == 404
    assert erase(client, one_id, key="another").status_code == 404
    assert client.get(answer.headers["location"]).json() == answer.json()
    assert client.get("/v1/erasures").json()["erasures"] == [answer.json()]


def test_asked_again_with_the_same_key_it_answers_the_same(make_client: MakeClient) -> None:
    client = make_client(published=True)
    one_id = somebody(client)

    first, second = erase(client, one_id), erase(client, one_id)

    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"


def test_every_identity_gets_a_tombstone_that_names_nobody(make_client: MakeClient, night: PipelineSettings) -> None:
    client = make_client(published=True)
    with duckdb.connect(str(night.folders.published / read_pointer(night.folders).file), read_only=True) as con:
        one_id, keys = con.execute(
            "select one_id, list(identity_key) from marts.dim_identity group by all having count(*) > 2 limit 1"
        ).fetchall()[0]

    assert erase(client, one_id).status_code == 202

    app: Any = client.app
    secret = tenant_secret(app.state.settings)
    with app.state.database.read() as connection:
        digests = set(connection.scalars(select(erasure_tombstone.c.digest)))
    assert digests == {person_digest(secret, key) for key in keys}


def test_the_audit_log_names_the_customer_by_digest_only(make_client: MakeClient) -> None:
    client = make_client(published=True)
    one_id = somebody(client)

    erase(client, one_id)

    app: Any = client.app
    with app.state.database.read() as connection:
        assert verify(connection).ok
        row = connection.execute(select(audit_log).where(audit_log.c.action == "customer.erase")).mappings().one()
    assert row["target_id"] == person_digest(tenant_secret(app.state.settings), f"customer::{one_id}")
    assert one_id not in json.dumps(dict(row), default=str)


def test_consents_and_exports_that_hold_the_customer_are_gone(make_client: MakeClient) -> None:
    client = make_client(published=True)
    one_id = somebody(client)
    put(client, one_id, GIVEN, '"1"')
    exported = client.post("/v1/exports", json={"kind": "customers", "format": "csv"}, headers={"Idempotency-Key": "x"})
    url = finished(client, exported.headers["location"])["result"]["url"]
    app: Any = client.app
    folder = app.state.settings.folders.exports
    assert client.get(url).status_code == 200
    assert list(folder.iterdir())

    erase(client, one_id)

    assert client.get(url).status_code == 404
    assert list(folder.iterdir()) == []
    with app.state.database.read() as connection:
        assert connection.execute(select(customer_consent)).all() == []


def test_an_export_after_it_does_not_hold_the_customer(make_client: MakeClient) -> None:
    client = make_client(published=True)
    one_id = somebody(client)
    erase(client, one_id)

    exported = client.post("/v1/exports", json={"kind": "customers", "format": "csv"}, headers={"Idempotency-Key": "y"})
    text = client.get(finished(client, exported.headers["location"])["result"]["url"]).text

    assert one_id not in text
    assert len(text.splitlines()) == len(all_ids(client)) + 1


def test_other_systems_are_told_once(make_client: MakeClient) -> None:
    client = make_client(published=True, settings={"job_workers": 0})
    one_id = somebody(client)

    request_id = erase(client, one_id).json()["id"]
    erase(client, one_id)

    app: Any = client.app
    with app.state.database.read() as connection:
        told = connection.execute(select(outbox).where(outbox.c.kind == "customer.erased")).mappings().all()
    assert [row["payload"] for row in told] == [{"one_id": one_id, "request_id": request_id}]


def test_only_who_may_erase_does(make_client: MakeClient) -> None:
    client = make_client(published=True, permissions=(Permission.CUSTOMER_VIEW,))
    one_id = somebody(client)

    assert erase(client, one_id).status_code == 403
    assert client.get("/v1/erasures").status_code == 403
    assert one_id in all_ids(client)


def finished(client: TestClient, location: str) -> Any:
    for line in client.get(f"{location}/events").text.splitlines():
        if line.startswith("event: failed"):
            raise AssertionError(client.get(location).json())
    return client.get(location).json()


def test_a_clinic_sees_its_own_requests_only(make_client: MakeClient) -> None:
    client = make_client(published=True, settings={"job_workers": 0})
    request_id = erase(client, somebody(client)).json()["id"]
    of_a_clinic = bearer(make_actor(client.app.state.database, clinic_id="A"))  # type: ignore[attr-defined]

    assert client.get("/v1/erasures", headers=of_a_clinic).json()["erasures"] == []
    assert client.get(f"/v1/erasures/{request_id}", headers=of_a_clinic).status_code == 404
    assert client.get(f"/v1/erasures/{request_id}").status_code == 200


def test_somebody_whose_records_the_sources_have_deleted_is_erased_by_headquarters(
    own_copy: PipelineSettings, make_client: MakeClient
) -> None:
    with duckdb.connect(str(own_copy.folders.published / read_pointer(own_copy.folders).file)) as con:
        ((one_id,),) = con.execute("select min(one_id) from marts.dim_customer").fetchall()
        con.execute("delete from marts.dim_customer where one_id = $id", {"id": one_id})
        con.execute("update marts.dim_identity set is_present = false where one_id = $id", {"id": one_id})
    client = make_client(settings={"job_workers": 0})
    of_a_clinic = make_client(settings={"job_workers": 0}, clinic_id="A", data_scope={ScopeChannel.PATIENT: Level.ALL})

    assert client.get(f"/v1/customers/{one_id}").status_code == 404
    assert erase(of_a_clinic, one_id).status_code == 404
    assert erase(client, "nobody").status_code == 404
    assert erase(client, one_id, key="e2").status_code == 202
    assert erase(client, one_id, key="e3").status_code == 404
