"""`/v1/customers/operations`: who did what with many customers, as far as the viewer answers for them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.audiences.static_customer_router import MEMBER_ACTIONS
from api.audit.log import Entry, append
from api.caller import Caller
from api.customer_list.operations import OPERATIONS, OperationKind
from tests.api.access.people import actor_of, audited, once, other, store_of
from tests.api.conftest import MakeClient
from tests.api.static_members.static import customers, job_of, make, make_smart, post

PLACE = "/v1/customers/operations"


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    return make_client(published=True)


def export(client: TestClient, headers: dict[str, str] | None = None, **body: Any) -> str:
    told = {"kind": "customers", "format": "csv", "columns": ["one_id"], **body}
    answer = client.post("/v1/exports", json=told, headers={**once(), **(headers or {})})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def operations(client: TestClient, headers: dict[str, str] | None = None, **query: Any) -> list[dict[str, Any]]:
    answer = client.get(PLACE, params=query, headers=headers)
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

    first = client.get(PLACE, params={"limit": 3}).json()
    second = client.get(PLACE, params={"limit": 3, "before": first["next_before"]}).json()

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


def test_bulk_actions_stand_beside_exports_with_how_many_they_changed(client: TestClient) -> None:
    tag, some = make(store_of(client)), customers(client, 3)
    post(client, f"/v1/tags/{tag}/members", one_ids=some)
    post(client, f"/v1/tags/{tag}/members/remove", one_ids=some[:2])

    found = [(row["kind"], row["customers"], row["audience_id"]) for row in operations(client)]

    assert found == [("remove_tag", 2, tag), ("add_tag", 3, tag)]
    assert [row["customers"] for row in operations(client, kind="add_tag")] == [3]
    assert operations(client, kind="message_task") == []


def test_a_message_task_is_told_once_it_is_done(client: TestClient) -> None:
    task = {"name": "国庆关怀", "text": "祝您节日快乐"}
    selection = {"one_ids": customers(client, 3)}

    job_of(client, post(client, "/v1/customers/bulk", action="message_task", target=task, selection=selection))

    (row,) = operations(client)
    # Nobody was asked for consent.
    assert (row["kind"], row["customers"], row["audience_id"]) == ("message_task", 0, None)
    assert row["job_id"]


def test_what_is_no_operation_on_customers_stays_in_the_audit_log(client: TestClient) -> None:
    entry = Entry("role.create", "role", "role_1", after={"rows": 7})
    store_of(client).write(
        lambda connection: append(connection, Caller("staff", "a", "A"), entry, now=datetime(2026, 11, 20, tzinfo=UTC))
    )

    assert operations(client) == []
    assert client.get(PLACE, params={"kind": "role"}).status_code == 422


def test_whatever_is_done_with_many_customers_stands_in_it(client: TestClient) -> None:
    database, (a, b) = store_of(client), customers(client, 2)
    targets = {"tag": make(database), "segment": make(database, "segment")}
    for action, (kind, _) in MEMBER_ACTIONS.items():
        selection = {"one_ids": [a, b]}
        done = post(client, "/v1/customers/bulk", action=action, target=targets[kind.name], selection=selection)
        assert done.status_code == 200, done.text
    for kind_name, target in targets.items():
        content, headers = f"客户编号\n{a}\n".encode(), {**once(), "Content-Type": "text/csv"}
        place = f"/v1/{kind_name}s/{target}/members/import"
        job_of(client, client.post(place, content=content, headers=headers))
    message = {"action": "message_task", "target": {"name": "关怀", "text": "您好"}, "selection": {"one_ids": [a]}}
    task = job_of(client, post(client, "/v1/customers/bulk", **message))
    job_of(client, post(client, "/v1/audiences/recalculation", ids=[make_smart(database)]))
    export(client)

    rows = {row["kind"]: row for row in operations(client)}

    assert rows.keys() == set(OperationKind)
    assert {kind: rows[kind]["customers"] for kind in ("add_tag", "remove_tag", "import_into_segment")} == {
        "add_tag": 2, "remove_tag": 2, "import_into_segment": 1
    }  # fmt: skip
    assert (rows["import_into_tag"]["audience_id"], rows["export"]["audience_id"]) == (targets["tag"], None)
    assert (rows["message_task"]["job_id"], rows["recalculate"]["customers"]) == (task["id"], None)
    # What is asked of a job that tells what it did when it has done it.
    requests = {"tag.members.requested", "segment.members.requested", "customer.message_task.requested"}
    assert {row["action"] for row in audited(client)} == requests | {one.action for one in OPERATIONS.values()}


@pytest.mark.parametrize("kind", list(OperationKind))
def test_each_kind_is_found_alone_and_named_in_both_languages(client: TestClient, kind: OperationKind) -> None:
    caller, at = Caller("staff", "a", "A"), datetime(2026, 11, 20, tzinfo=UTC)
    for number, one in enumerate(OPERATIONS.values()):
        after = {"how": "import" if one.is_import else "bulk", "note": 'so "how":"import"', str(one.counted): number}
        entry = Entry(one.action, "tag", "7", after=after)
        store_of(client).write(lambda connection, entry=entry: append(connection, caller, entry, now=at))  # type: ignore[misc]

    (row,) = operations(client, kind=kind.value)

    assert row["kind"] == kind
    assert row["label_zh"] and row["label_en"]
    assert len({(one.label_zh, one.label_en) for one in OPERATIONS.values()}) == len(OPERATIONS)
