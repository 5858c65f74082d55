"""Static tags and segments over HTTP, on both stores: who may change what, whom a change meets, what is told of it."""

from datetime import timedelta
from typing import Any

import duckdb
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, select, update

from api.access.actors import Level, ScopeChannel
from api.access.permissions import Permission
from api.audiences.log_events import Asked, Trigger, events
from api.audiences.log_service import sources_of
from api.clock import now
from api.storage.tables.access import actor_role
from api.storage.tables.audiences import audience, audience_member
from api.storage.tables.audit import audit_log
from pipelines.settings import PipelineSettings
from tests.api.access.people import actor_of, give, other, store_of
from tests.api.probe import found
from tests.api.static_members.conftest import Merged
from tests.api.static_members.static import (
    OF_CLINIC,
    TAGS,
    calculated,
    customers,
    job_of,
    make,
    make_smart,
    members,
    post,
    rows_of,
)
from tests.at_once import at_once

KINDS = pytest.mark.parametrize("kind", ["tag", "segment"])
MALE = {"combinator": "and", "rules": [{"kind": "attribute", "field": "gender", "operator": "eq", "value": "男"}]}

WITH_PHONE = {"combinator": "and", "rules": [{"kind": "attribute", "field": "phone", "operator": "is_set"}]}


def place(kind: str, audience_id: int, act: str = "") -> str:
    return f"/v1/{kind}s/{audience_id}/members{act}"


def audited(client: TestClient, action: str) -> list[Any]:
    with store_of(client).read() as connection:
        query = select(audit_log).where(audit_log.c.action.like(action)).order_by(audit_log.c.seq)
        return list(connection.execute(query))


def told(client: TestClient, one_id: str, headers: dict[str, str] | None = None) -> list[int]:
    return [tag["id"] for tag in client.get(f"/v1/customers/{one_id}/tags", headers=headers).json()["tags"]]


@KINDS
def test_customers_who_are_named_are_put_in_and_taken_out_at_once(idle: TestClient, kind: str) -> None:
    target, (a, b, c) = make(store_of(idle), kind), customers(idle, 3)

    answers = [
        post(idle, place(kind, target), one_ids=[a, b]),
        post(idle, place(kind, target), one_ids=[b, c, c]),
        post(idle, place(kind, target, "/remove"), one_ids=[a]),
        post(idle, place(kind, target, "/remove"), one_ids=[a, b]),
    ]

    assert [answer.json() for answer in answers] == [
        {"added": 2, "already_in": 0},
        {"added": 1, "already_in": 1},
        {"removed": 1, "not_in": 0},
        {"removed": 1, "not_in": 1},
    ]
    assert members(store_of(idle), target) == [c]


@KINDS
def test_every_change_leaves_one_audit_row_with_counts_and_nobodys_id(idle: TestClient, kind: str) -> None:
    target, (a, b) = make(store_of(idle), kind), customers(idle, 2)

    post(idle, place(kind, target), one_ids=[a, b])
    post(idle, place(kind, target, "/remove"), one_ids=[a])

    rows = audited(idle, f"{kind}.members.%")
    assert [(row.action, row.target_id, row.after) for row in rows] == [
        (f"{kind}.members.add", str(target), {"how": "bulk", "added": 2, "already_in": 0}),
        (f"{kind}.members.remove", str(target), {"how": "bulk", "removed": 1, "not_in": 0}),
    ]
    assert not any(one in str(row._mapping) for row in rows for one in (a, b))


def test_a_repeated_request_with_its_key_changes_nothing_more(idle: TestClient) -> None:
    tag, (a, b) = make(store_of(idle)), customers(idle, 2)
    key = {"Idempotency-Key": "twice"}

    first = idle.post(place("tag", tag), json={"one_ids": [a, b]}, headers=key)
    post(idle, place("tag", tag, "/remove"), one_ids=[a])
    second = idle.post(place("tag", tag), json={"one_ids": [a, b]}, headers=key)

    assert second.json() == first.json()
    assert members(store_of(idle), tag) == [b]


@KINDS
@pytest.mark.parametrize("act", ["", "/remove"])
def test_smart_disabled_unknown_and_deleted_ones_are_not_changed(idle: TestClient, kind: str, act: str) -> None:
    database, (a,) = store_of(idle), customers(idle, 1)
    smart, disabled = make(database, kind, is_smart=True), make(database, kind, is_enabled=False)
    gone = make(database, kind)
    of_other_kind = make(database, "segment" if kind == "tag" else "tag")
    gone_now = update(audience).where(audience.c.id == gone).values(deleted_at=audience.c.created_at)
    database.write(lambda connection: connection.execute(gone_now))

    told = {one: post(idle, place(kind, one, act), one_ids=[a]) for one in (smart, disabled, gone, of_other_kind, 999)}

    path = f"/path/{kind}_id"
    assert found(told[smart]) == {("audience_is_smart", path)}
    assert found(told[disabled]) == {("audience_is_disabled", path)}
    assert [answer.status_code for answer in told.values()] == [409, 409, 404, 404, 404]
    assert rows_of(database, smart) == rows_of(database, disabled) == []


def test_ids_that_mean_nobody_are_told_all_at_once_and_nothing_is_done(idle: TestClient) -> None:
    tag, (a,) = make(store_of(idle)), customers(idle, 1)

    answer = post(idle, place("tag", tag), one_ids=["nobody", a, "noone"])

    assert answer.status_code == 422
    assert found(answer) == {("customer_unknown", "/one_ids/0"), ("customer_unknown", "/one_ids/2")}
    assert rows_of(store_of(idle), tag) == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, ("one_of", "")),
        ({"one_ids": ["a"], "filter": MALE}, ("one_of", "")),
        ({"one_ids": []}, ("too_short", "/one_ids")),
        ({"one_ids": ["a"] * 1_001}, ("too_long", "/one_ids")),
        ({"filter": {"combinator": "and", "rules": []}}, ("too_short", "/filter/rules")),
        ({"filter": {"combinator": "and", "rules": [{"kind": "tag", "operator": "in", "tag_ids": [424242]}]}}, None),
    ],
)
def test_what_is_no_selection_is_refused_at_its_place(
    idle: TestClient, body: dict[str, Any], problem: tuple[str, str] | None
) -> None:
    answer = post(idle, place("tag", make(store_of(idle))), **body)

    assert answer.status_code == 422
    assert problem is None or {path for _, path in found(answer)} == {problem[1]}


def test_a_clinic_changes_its_own_customers_only(idle: TestClient, night: PipelineSettings, clinic_pair: Any) -> None:
    clinic, own, foreign = clinic_pair
    tag = make(store_of(idle))
    headers = other(idle, permissions=TAGS, clinic_id=clinic, data_scope=OF_CLINIC)
    post(idle, place("tag", tag), one_ids=[foreign])

    answers = [
        post(idle, place("tag", tag), headers, one_ids=[own, foreign]),
        post(idle, place("tag", tag, "/remove"), headers, one_ids=[foreign]),
        post(idle, place("tag", tag), headers, one_ids=[own]),
    ]

    assert [found(answer) for answer in answers[:2]] == [
        {("customer_unknown", "/one_ids/1")},
        {("customer_unknown", "/one_ids/0")},
    ]
    assert answers[2].json() == {"added": 1, "already_in": 0}
    assert members(store_of(idle), tag) == sorted([own, foreign])
    assert idle.get(f"/v1/customers/{foreign}/tags", headers=headers).status_code == 404
    assert post(idle, f"/v1/customers/{foreign}/tags", headers, tag_ids=[tag]).status_code == 404


def test_who_may_tag_at_one_clinic_only_tags_nobody_else_whom_they_see(idle: TestClient, clinic_pair: Any) -> None:
    clinic, own, foreign = clinic_pair
    tag, headers = make(store_of(idle)), other(idle, permissions=(Permission.CUSTOMER_VIEW,))
    also_at(idle, headers, clinic, Permission.CUSTOMER_TAG)

    assert idle.get(f"/v1/customers/{foreign}", headers=headers).status_code == 200
    assert post(idle, place("tag", tag), headers, one_ids=[foreign]).status_code == 422
    assert post(idle, place("tag", tag), headers, one_ids=[own]).json()["added"] == 1


@pytest.mark.parametrize(
    ("permissions", "statuses"),
    [
        (TAGS, (200, 403, 200)),
        ((Permission.CUSTOMER_VIEW, Permission.SEGMENT_MANAGE), (403, 200, 403)),
        ((Permission.CUSTOMER_VIEW, Permission.TAG_MANAGE), (403, 403, 403)),
    ],
    ids=["who tags", "who manages segments", "who manages tags"],
)
def test_tags_and_segments_take_permissions_of_their_own(
    idle: TestClient, permissions: tuple[str, ...], statuses: tuple[int, ...]
) -> None:
    database, (a,) = store_of(idle), customers(idle, 1)
    tag, segment = make(database), make(database, "segment")
    headers = other(idle, permissions=permissions)

    answers = [
        post(idle, place("tag", tag), headers, one_ids=[a]),
        post(idle, place("segment", segment), headers, one_ids=[a]),
        post(idle, f"/v1/customers/{a}/tags", headers, tag_ids=[tag]),
    ]

    assert tuple(answer.status_code for answer in answers) == statuses


def test_the_tags_of_a_customer_are_shown_with_group_colour_since_when_and_by_whom(idle: TestClient) -> None:
    database, (a,) = store_of(idle), customers(idle, 1)
    tag, disabled, segment = make(database, name="怕疼"), make(database), make(database, "segment")
    for one, kind in ((tag, "tag"), (disabled, "tag"), (segment, "segment")):
        post(idle, place(kind, one), one_ids=[a])
    database.write(lambda con: con.execute(update(audience).where(audience.c.id == disabled).values(is_enabled=False)))

    (shown,) = idle.get(f"/v1/customers/{a}/tags").json()["tags"]

    (row,) = rows_of(database, tag)
    assert (shown["id"], shown["name"], shown["color"], shown["is_smart"]) == (tag, "怕疼", "#FF8800", False)
    assert shown["group"]["name"].startswith("组")
    assert shown["by"]["key"] == row.added_by
    assert shown["by"]["name"] is not None
    assert shown["how"] == "bulk"


def test_staff_tag_one_customer_with_all_that_is_wrong_told_at_once(idle: TestClient) -> None:
    database, (a,) = store_of(idle), customers(idle, 1)
    one, two = make(database), make(database)
    smart, disabled = make(database, is_smart=True), make(database, is_enabled=False)
    tags = f"/v1/customers/{a}/tags"

    refused = post(idle, tags, tag_ids=[one, smart, 999, disabled])
    unusable = post(idle, tags, tag_ids=[smart, disabled])
    done = post(idle, tags, tag_ids=[one, two, one])
    again = post(idle, tags, tag_ids=[one])
    off = [idle.delete(f"{tags}/{one}").status_code for _ in range(2)]

    assert found(refused) == {
        ("audience_is_smart", "/tag_ids/1"), ("tag_unknown", "/tag_ids/2"), ("audience_is_disabled", "/tag_ids/3")
    }  # fmt: skip
    assert (refused.status_code, unusable.status_code) == (422, 409)
    assert [tag["id"] for tag in done.json()["tags"]] == [one, two] == [tag["id"] for tag in again.json()["tags"]]
    assert off == [204, 204]
    assert told(idle, a) == [two]
    rows = audited(idle, "customer.tags.%")
    assert [(row.action, row.after) for row in rows] == [
        ("customer.tags.add", {"tags": [one, two]}), ("customer.tags.remove", {"tags": [one]})
    ]  # fmt: skip
    assert all(a not in str(row._mapping) for row in rows)


def test_a_tag_follows_its_customer_through_a_merge_and_back(merged: Merged, idle: TestClient) -> None:
    database = store_of(idle)
    of_lost, of_kept, both = make(database), make(database), make(database)
    post(idle, f"/v1/customers/{merged.lost}/tags", tag_ids=[of_lost, both])
    post(idle, f"/v1/customers/{merged.kept}/tags", tag_ids=[of_kept, both])

    merged.merge()
    together = told(idle, merged.lost), told(idle, merged.kept)
    again = post(idle, place("tag", of_lost), one_ids=[merged.kept]).json()
    off = post(idle, place("tag", both, "/remove"), one_ids=[merged.lost]).json()
    merged.undo()

    assert together == ([of_lost, of_kept, both],) * 2
    assert again == {"added": 0, "already_in": 1}
    assert off == {"removed": 1, "not_in": 0}
    assert (told(idle, merged.lost), told(idle, merged.kept)) == ([of_lost], [of_kept])


def test_the_log_tells_nothing_twice_while_somebody_goes_on_tagging(idle: TestClient) -> None:
    database, (someone, another) = store_of(idle), customers(idle, 2)
    tag, moment = make(database), now()
    ended = {"removed_at": moment, "removed_by": "staff:a", "removed_how": "staff"}
    row = {"audience_id": tag, "one_id": someone, "added_by": "staff:a", "added_how": "staff", **ended}
    rows = [{**row, "added_at": moment - timedelta(minutes=number)} for number in range(600)]
    database.write(lambda connection: connection.execute(insert(audience_member), rows))
    everything = Asked([tag], since=moment - timedelta(days=1), triggers=frozenset({Trigger.STAFF}))
    state: Any = idle.app.state  # type: ignore[attr-defined]

    with state.filters.session() as session, database.read() as connection:
        told = events(everything, sources_of(session, connection))
        first = next(told)
        post(idle, f"/v1/customers/{another}/tags", tag_ids=[tag])
        places = [first.place, *(event.place for event in told)]

    assert len(places) == len(set(places)) == 1200


def test_sizes_count_whoever_was_merged_away_as_who_they_are_now(merged: Merged, idle: TestClient) -> None:
    smart = make_smart(store_of(idle))
    calculated(idle, smart, [merged.lost])
    scope = {**dict.fromkeys(ScopeChannel, Level.ALL), ScopeChannel.LEAD: Level.NONE}
    headers = other(idle, permissions=(Permission.CUSTOMER_VIEW,), data_scope=scope)

    merged.merge()
    (told,) = idle.get(f"/v1/audiences/{smart}/calculations", headers=headers).json()["calculations"]

    assert (told["member_count"], told["entered"], told["left"]) == (1, 1, 0)


def test_everybody_whom_a_filter_means_is_put_in_and_taken_out_by_a_job(
    client: TestClient, version: duckdb.DuckDBPyConnection
) -> None:
    tag = make(store_of(client))
    men = version.execute("select one_id from dim_customer where gender = '男' order by 1").fetchall()
    post(client, place("tag", tag), one_ids=[men[0][0]])

    job = job_of(client, post(client, place("tag", tag), filter=MALE))
    put_in = members(store_of(client), tag)
    undone = job_of(client, post(client, place("tag", tag, "/remove"), filter=MALE))

    assert job["result"] == {"added": len(men) - 1, "already_in": 1, "not_seen": 0}
    assert (job["status"], job["done"], job["total"]) == ("succeeded", len(men), len(men))
    assert put_in == [one for (one,) in men]
    assert undone["result"] == {"removed": len(men), "not_in": 0, "not_seen": 0}
    assert members(store_of(client), tag) == []
    actions = [(row.action, (row.after or {}).get("added")) for row in audited(client, "tag.members.%")]
    assert actions[1:3] == [("tag.members.requested", None), ("tag.members.add", len(men) - 1)]


def test_a_filter_that_means_nobody_is_done_too(client: TestClient) -> None:
    tag = make(store_of(client))
    nobody = {"combinator": "and", "rules": [{"kind": "everyone"}], "not": True}

    job = job_of(client, post(client, place("tag", tag), filter=nobody))

    assert job["result"] == {"added": 0, "already_in": 0, "not_seen": 0}


def test_a_filter_may_name_static_tags_and_meets_the_customers_in_reach(
    client: TestClient, clinic_pair: Any, version: duckdb.DuckDBPyConnection
) -> None:
    clinic, own, foreign = clinic_pair
    marked, tag = make(store_of(client)), make(store_of(client))
    post(client, place("tag", marked), one_ids=[own, foreign])
    headers = other(client, permissions=TAGS, clinic_id=clinic, data_scope=OF_CLINIC)
    body = {"combinator": "and", "rules": [{"kind": "tag", "operator": "in", "tag_ids": [marked]}]}

    job = job_of(client, post(client, place("tag", tag), headers, filter=body), headers)

    assert job["result"]["added"] == 1
    assert members(store_of(client), tag) == [own]


def test_a_filter_may_name_a_smart_tag_and_means_its_last_members(client: TestClient) -> None:
    database, (a, b) = store_of(client), customers(client, 2)
    smart, never, tag = make_smart(database), make_smart(database), make(database)
    calculated(client, smart, [a, b])

    body = {"combinator": "and", "rules": [{"kind": "tag", "operator": "in", "tag_ids": [smart, never]}]}
    job = job_of(client, post(client, place("tag", tag), filter=body))

    assert job["result"]["added"] == 2
    assert members(database, tag) == sorted([a, b])


def test_a_smart_tag_whose_members_are_lost_stops_jobs_and_searches_with_a_reason(client: TestClient) -> None:
    smart, tag = make_smart(store_of(client)), make(store_of(client))
    calculated(client, smart, customers(client, 1))
    for file in client.app.state.settings.folders.audiences.rglob("*.parquet"):  # type: ignore[attr-defined]
        file.unlink()

    body = {"combinator": "and", "rules": [{"kind": "tag", "operator": "in", "tag_ids": [smart]}]}
    job = job_of(client, post(client, place("tag", tag), filter=body))
    listed = [client.post("/v1/customers/search", json=asked) for asked in ({"advanced": body}, {"tag_ids": [smart]})]

    assert (job["status"], [one["code"] for one in job["problems"]]) == ("failed", ["members_lost"])
    assert [one.status_code for one in listed] == [503, 503]
    assert [found(one) for one in listed] == [{("members_lost", "/advanced")}, {("members_lost", "/tag_ids")}]


def also_at(client: TestClient, headers: dict[str, str], clinic: str, *permissions: str) -> None:
    """Give the owner of these headers the permissions at one clinic."""
    helper = other(client, permissions=permissions, clinic_id=clinic, data_scope=OF_CLINIC)
    theirs = select(actor_role.c.role_id).where(actor_role.c.actor_id == actor_of(client, helper))
    with store_of(client).read() as connection:
        role_id = connection.execute(theirs).scalar_one()
    give(client, headers, role_id, clinic)


def test_a_filter_by_what_is_seen_masked_is_refused(idle: TestClient) -> None:
    tag = make(store_of(idle))

    answer = post(idle, place("tag", tag), other(idle, permissions=TAGS), filter=WITH_PHONE)

    assert answer.status_code == 403
    assert found(answer) == {("masked_field", "/filter/rules/0/field")}


def test_a_filter_by_what_is_seen_of_some_finds_nobody_else(
    client: TestClient, clinic_pair: Any, version: duckdb.DuckDBPyConnection
) -> None:
    clinic, _, _ = clinic_pair
    tag, headers = make(store_of(client)), other(client, permissions=TAGS)
    also_at(client, headers, clinic, Permission.CUSTOMER_PHONE_VIEW)

    job_of(client, post(client, place("tag", tag), headers, filter=WITH_PHONE), headers)

    query = "select one_id from dim_customer where phone is not null and list_contains(clinic_ids, ?) order by 1"
    expected = [one for (one,) in version.execute(query, [clinic]).fetchall()]
    assert members(store_of(client), tag) == expected != []


def test_two_who_change_overlapping_customers_at_once_count_each_once(idle: TestClient) -> None:
    tag, everybody = make(store_of(idle)), customers(idle, 60)
    parts = [everybody[:40], everybody[:19:-1]]

    answers = at_once(lambda part: post(idle, place("tag", tag), one_ids=part).json(), parts)

    assert sum(answer["added"] for answer in answers) == 60
    assert sum(answer["already_in"] for answer in answers) == 20
    assert members(store_of(idle), tag) == sorted(everybody)


def test_whoever_is_being_erased_is_no_longer_tagged_and_the_answer_that_named_them_is_gone(idle: TestClient) -> None:
    tag, (a, b) = make(store_of(idle)), customers(idle, 2)
    post(idle, place("tag", tag), one_ids=[a, b])
    body, key = {"tag_ids": [tag]}, {"Idempotency-Key": "tagging"}
    idle.post(f"/v1/customers/{a}/tags", json=body, headers=key)

    post(idle, f"/v1/customers/{a}/erasure", reason="客户要求")

    assert members(store_of(idle), tag) == [b]
    assert rows_of(store_of(idle), tag)[0].one_id == b
    assert idle.post(f"/v1/customers/{a}/tags", json=body, headers=key).status_code == 404
    assert post(idle, place("tag", tag), one_ids=[a]).status_code == 422


def test_a_repeated_request_is_answered_as_before_whoever_is_gone_since(idle: TestClient) -> None:
    tag, (gone,) = make(store_of(idle)), customers(idle, 1)
    segment = make(store_of(idle), "segment")
    named = {"kind": "segment", "operator": "in", "segment_ids": [segment]}
    requests: list[tuple[str, dict[str, Any]]] = [
        (place("tag", tag), {"one_ids": [gone]}),
        (place("tag", tag), {"filter": {"combinator": "and", "rules": [named]}}),
        ("/v1/customers/bulk", {"action": "message_task", "target": {"name": "问候", "text": "您好"},
                                "selection": {"search": {"segment_ids": [segment]}}}),
        ("/v1/exports", {"kind": "customers", "format": "csv", "segment_ids": [segment]}),
    ]  # fmt: skip

    def sent() -> list[Any]:
        keys = ({"Idempotency-Key": f"again-{number}"} for number in range(len(requests)))
        return [idle.post(path, json=body, headers=key) for (path, body), key in zip(requests, keys, strict=True)]

    first = sent()
    post(idle, f"/v1/customers/{gone}/erasure", reason="客户要求")
    off = update(audience).where(audience.c.id == segment).values(is_enabled=False)
    store_of(idle).write(lambda connection: connection.execute(off))
    again = sent()

    assert [answer.status_code for answer in first] == [200, 202, 202, 202]
    assert [answer.content for answer in again] == [answer.content for answer in first]
    assert {answer.headers["Idempotency-Replayed"] for answer in again} == {"true"}
