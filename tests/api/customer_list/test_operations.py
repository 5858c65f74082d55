"""`/v1/customers/operations`: who did what with many customers, as far as the viewer answers for them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.audit.log import Entry, append
from api.caller import Caller
from tests.api.access.people import actor_of, once, other, store_of
from tests.api.conftest import MakeClient

OPERATIONS = "/v1/customers/operations"


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    return make_client(published=True)


def export(client: TestClient, headers: dict[str, str] | None = None, **body: Any) -> str:
    told = {"kind": "customers", "format": "csv", "columns": ["one_id"], **body}
    answer = client.post("/v1/exports", json=told, headers={**once(), **(headers or {})})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def operations(client: TestClient, headers: dict[str, str] | None = None, **query: Any) -> list[dict[str, Any]]:
    answer = client.get(OPERATIONS, params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["operations"]
    return found


def test_an_export_stands_in_the_log_with_its_size_and_job(client: TestClient) -> None:
    leads = client.post("/v1/customers/search", json={"filter": {"channel": "lead"}}).json()["total"]

    job_id = export(client, filter={"channel": "lead"})

    (row,) = operations(client)
    assert (row["kind"], row["label_zh"], row["customers"], row["job_id"]) == ("export", "导出客户", leads, job_id)
    assert row["operator_id"]


def test_pages_hold_every_operation_once_newest_first(client: TestClient) -> None:
    jobs = [export(client) for _ in range(5)]

    first = client.get(OPERATIONS, params={"limit": 3}).json()
    second = client.get(OPERATIONS, params={"limit": 3, "before": first["next_before"]}).json()

    assert [row["job_id"] for row in first["operations"] + second["operations"]] == jobs[::-1]
    assert second["next_before"] is None


def test_operators_times_and_kinds_narrow_it(client: TestClient) -> None:
    headers = other(client)
    mine, theirs = export(client), export(client, headers)
    operator = actor_of(client, headers)
    at = datetime.fromisoformat(operations(client)[0]["at"])

    def jobs(**query: Any) -> list[str]:
        return [row["job_id"] for row in operations(client, **query)]

    assert jobs(operator=operator) == [theirs]
    assert jobs(operator=operations(client)[1]["operator_name"][:-1].upper())[-1] == mine
    assert jobs(kind="export") == [theirs, mine]
    assert jobs(since=at.isoformat(), operator=operator) == [theirs]
    assert jobs(until=at.isoformat()) == [mine]


def test_a_clinic_sees_what_its_own_people_did(client: TestClient) -> None:
    here, also_here, there = (other(client, clinic_id=clinic) for clinic in ("C1", "C1", "C2"))
    jobs = [export(client, headers) for headers in (here, also_here, there)]

    assert [row["job_id"] for row in operations(client, here)] == jobs[1::-1]
    assert [row["job_id"] for row in operations(client, there)] == jobs[2:]
    assert len(operations(client)) == 3


def test_what_is_no_operation_on_customers_stays_in_the_audit_log(client: TestClient) -> None:
    entry = Entry("role.create", "role", "role_1", after={"rows": 7})
    store_of(client).write(
        lambda connection: append(connection, Caller("staff", "a", "A"), entry, now=datetime(2026, 11, 20, tzinfo=UTC))
    )

    assert operations(client) == []
    assert client.get(OPERATIONS, params={"kind": "role"}).status_code == 422
