"""What the customer list does with a selection: members of static audiences, and message tasks through the outbox."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, select

from api.access.permissions import Permission
from api.clock import now
from api.storage.tables.customers import customer_consent
from api.storage.tables.jobs import job as jobs
from api.storage.tables.outbox import outbox
from tests.api.access.people import other, store_of
from tests.api.probe import found
from tests.api.static_members.conftest import Merged
from tests.api.static_members.static import EVERYBODY, OF_CLINIC, customers, job_of, make, members, post
from tests.api.static_members.test_static_routes import audited

BULK = "/v1/customers/bulk"
TASK = {"name": "国庆关怀", "text": "祝您节日快乐\n拒收请回复R"}


def consent(client: TestClient, *, granted: bool, minute: int = 0, **one_ids: str) -> None:
    """A word on marketing of each of these customers."""
    at = now().replace(minute=minute)
    rows = [
        {
            "one_id": one_id, "purpose": "marketing", "granted": granted, "source": "test", "changed_by": "x",
            "changed_at": at, "version": 1,
        }
        for one_id in one_ids.values()
    ]  # fmt: skip
    store_of(client).write(lambda connection: connection.execute(insert(customer_consent), rows))


def sent_to(client: TestClient) -> dict[str, Any]:
    """Payloads of the messages of tasks, by whom they are about."""
    query = select(outbox.c.subject, outbox.c.payload, outbox.c.delivery).where(
        outbox.c.kind == "customer.message_task"
    )
    with store_of(client).read() as connection:
        rows = list(connection.execute(query))
    assert len({row.subject for row in rows}) == len(rows)
    assert {row.delivery for row in rows} <= {"at_most_once"}
    return {row.subject: row.payload for row in rows}


def message(client: TestClient, selection: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
    return post(client, BULK, headers, action="message_task", target=TASK, selection=selection)


@pytest.mark.parametrize(
    ("kind", "add", "remove"),
    [("tag", "add_tag", "remove_tag"), ("segment", "add_to_segment", "remove_from_segment")],
)
def test_ticked_customers_are_put_in_and_taken_out(idle: TestClient, kind: str, add: str, remove: str) -> None:
    target, (a, b) = make(store_of(idle), kind), customers(idle, 2)

    put_in = post(idle, BULK, action=add, target=target, selection={"one_ids": [a, b]})
    taken_out = post(idle, BULK, action=remove, target=target, selection={"one_ids": [b]})

    assert (put_in.json(), taken_out.json()) == ({"added": 2, "already_in": 0}, {"removed": 1, "not_in": 0})
    assert members(store_of(idle), target) == [a]


def test_all_whom_the_list_shows_are_put_in_by_a_job(client: TestClient) -> None:
    segment = make(store_of(client), "segment")

    job = job_of(client, post(client, BULK, action="add_to_segment", target=segment, selection={"filter": EVERYBODY}))

    assert job["result"]["added"] == len(members(store_of(client), segment)) > 1_000


def test_an_action_that_there_is_none_of_is_told_which_there_are(idle: TestClient) -> None:
    answer = post(idle, BULK, action="delete", target=1, selection={"one_ids": ["a"]})

    told = answer.json()["problems"][0]["message_zh"]
    assert told.startswith("'action' 应为以下之一:'add_tag', 'remove_tag'")


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({"action": "delete", "target": 1, "selection": {"one_ids": ["a"]}}, {("union_tag_invalid", "")}),
        ({"action": "add_tag", "target": TASK, "selection": {"one_ids": ["a"]}}, {("int_type", "/target")}),
        ({"action": "message_task", "target": 1, "selection": {"one_ids": ["a"]}}, {("model_type", "/target")}),
        ({"action": "add_tag", "target": 1, "selection": {"one_ids": ["a"]}}, {("", "/selection/one_ids/0")}),
        ({"action": "add_tag", "target": 999, "selection": {}}, {("one_of", "/selection")}),
        (
            {"action": "message_task", "target": {"name": "", "text": "x" * 501}, "selection": {"one_ids": ["a"]}},
            {("string_too_short", "/target/name"), ("string_too_long", "/target/text")},
        ),
        (
            {"action": "add_tag", "target": 1, "selection": {"filter": {"combinator": "and", "rules": [{}]}}},
            {("missing_member", "/selection/filter/rules/0/kind")},
        ),
    ],
    ids=["action", "tag", "message", "customer", "selection", "texts", "filter"],
)  # fmt: skip
def test_what_is_wrong_is_told_at_its_place(idle: TestClient, body: dict[str, Any], problems: set[Any]) -> None:
    answer = post(idle, BULK, **body)

    assert answer.status_code == 422
    assert {path for _, path in found(answer)} == {path for _, path in problems}


@pytest.mark.parametrize(
    ("permission", "allowed"),
    [
        (Permission.CUSTOMER_TAG, {"add_tag", "remove_tag"}),
        (Permission.SEGMENT_MANAGE, {"add_to_segment", "remove_from_segment"}),
        (Permission.CUSTOMER_MESSAGE, {"message_task"}),
        (Permission.CUSTOMER_VIEW, set()),
    ],
)
def test_each_action_takes_its_own_permission(idle: TestClient, permission: str, allowed: set[str]) -> None:
    tag, segment, (a,) = make(store_of(idle)), make(store_of(idle), "segment"), customers(idle, 1)
    headers = other(idle, permissions=(Permission.CUSTOMER_VIEW, permission))
    targets = {
        "add_tag": tag, "remove_tag": tag, "add_to_segment": segment, "remove_from_segment": segment,
        "message_task": TASK,
    }  # fmt: skip

    statuses = {
        action: post(idle, BULK, headers, action=action, target=target, selection={"one_ids": [a]}).status_code
        for action, target in targets.items()
    }

    assert {action for action, status in statuses.items() if status in (200, 202)} == allowed
    assert set(statuses.values()) <= {200, 202, 403}


def test_who_allows_marketing_gets_one_message_and_nobody_else(client: TestClient) -> None:
    yes, no, never, also = customers(client, 4)
    consent(client, granted=True, yes=yes, also=also)
    consent(client, granted=False, no=no)

    job = job_of(client, message(client, {"one_ids": [yes, no, never, also, yes]}))

    payload = {"task_id": job["id"], **TASK}
    assert sent_to(client) == {yes: {**payload, "one_id": yes}, also: {**payload, "one_id": also}}
    assert job["result"] == {"task_id": job["id"], "messages": 2, "no_consent": 2, "not_seen": 0}
    assert [row.after for row in audited(client, "customer.message_task")] == [job["result"]]


def test_a_message_task_reaches_customers_in_reach_only(client: TestClient, clinic_pair: Any) -> None:
    clinic, own, foreign = clinic_pair
    consent(client, granted=True, own=own, foreign=foreign)
    permissions = (Permission.CUSTOMER_VIEW, Permission.CUSTOMER_MESSAGE)
    headers = other(client, permissions=permissions, clinic_id=clinic, data_scope=OF_CLINIC)

    refused = message(client, {"one_ids": [foreign]}, headers)
    job = job_of(client, message(client, {"filter": EVERYBODY}, headers), headers)

    assert found(refused) == {("customer_unknown", "/selection/one_ids/0")}
    assert set(sent_to(client)) == {own}
    assert job["result"]["messages"] == 1


def test_of_a_merged_customer_the_latest_word_counts_under_whichever_id(merged: Merged, client: TestClient) -> None:
    consent(client, granted=True, minute=1, kept=merged.kept)
    consent(client, granted=False, minute=2, lost=merged.lost)
    merged.merge()

    job = job_of(client, message(client, {"one_ids": [merged.lost, merged.kept]}))

    assert (job["result"]["messages"], job["result"]["no_consent"]) == (0, 1)
    assert sent_to(client) == {}


def test_a_message_of_somebody_who_is_erased_never_leaves(idle: TestClient) -> None:
    (a,) = customers(idle, 1)
    consent(idle, granted=True, a=a)
    message(idle, {"one_ids": [a]})

    post(idle, f"/v1/customers/{a}/erasure", reason="客户要求")

    with store_of(idle).read() as connection:
        params = connection.execute(select(jobs.c.params).where(jobs.c.kind == "customers.messages")).scalar_one()
    assert params["one_ids"] == []
