"""Decisions by hand over HTTP, on both stores: what is taken, what is refused and why, who may."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from api.access.actors import Level, ScopeChannel
from api.access.builtin_roles import BUILTIN_ROLES
from api.access.permissions import ALL, Permission
from api.identity.repository import insert_override
from api.identity.rules import Draft
from api.storage.overrides import OverrideKind
from api.storage.tables.idempotency import idempotency
from api.storage.tables.identity import identity_override
from tests.api.access.people import audited, once, other, store_of
from tests.api.conftest import MakeClient
from tests.api.identity.conftest import People
from tests.api.probe import found
from tests.at_once import at_once

PHONE = {"value_type": "phone", "value": "138 1234-5678"}


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    """Somebody who may do everything, on a new store."""
    return make_client(published=True, settings={"job_workers": 0})


def decide(client: TestClient, kind: str, headers: dict[str, str] | None = None, **members: Any) -> Any:
    body = {"kind": kind, "reason": "患者来电确认", **members}
    return client.post("/v1/identity/overrides", json=body, headers={**once(), **(headers or {})})


def revoke(client: TestClient, made: Any, **headers: str) -> Any:
    location = made.headers["location"]
    told = {"If-Match": made.headers["etag"], **once(), **headers}
    return client.post(f"{location}/revocation", json={"reason": "误操作"}, headers=told)


def test_every_kind_is_kept_as_it_was_meant(client: TestClient, people: People) -> None:
    a, b, c, *_ = people.patients
    bodies: list[dict[str, Any]] = [
        {"kind": "merge", "key": b, "other_key": a},
        {"kind": "split", "key": a, "other_key": c},
        {"kind": "detach", "key": people.fan, "value_type": "binding", "value": a},
        {"kind": "owner", "key": a, **PHONE},
        {"kind": "block", "value_type": "unionid", "value": "oABC_1-2"},
        {"kind": "allow", "value_type": "phone", "value": "0755-2654 3210"},
    ]

    for body in bodies:
        made = decide(client, **body)

        assert made.status_code == 201, made.text
        kept = client.get(made.headers["location"])
        assert kept.json() == made.json()
        assert kept.headers["etag"] == made.headers["etag"] == '"1"'
        told = {**body, "value": {"138 1234-5678": "+8613812345678", "0755-2654 3210": "+8675526543210"}.get(
            body.get("value", ""), body.get("value"))}  # fmt: skip
        if body["kind"] == "merge":
            told |= {"key": a, "other_key": b}
        assert {name: kept.json()[name] for name in told} == told
        assert (kept.json()["in_force"], kept.json()["reason"]) == (True, "患者来电确认")
        assert kept.json()["operator"].startswith("staff:")


REFUSED: list[tuple[str, dict[str, Any], set[tuple[str, str]]]] = [
    ("marry", {}, {("enum", "/kind")}),
    ("merge", {}, {("missing", "/key"), ("missing", "/other_key")}),
    ("merge", {"key": "a", "other_key": "a"}, {("unknown_identity", "/key"), ("same_identity", "/other_key")}),
    ("split", {"key": "a", "other_key": "b", "value": "1"},
     {("not_for_this_kind", "/value"), ("unknown_identity", "/key"), ("unknown_identity", "/other_key")}),
    ("block", {"key": "a", **PHONE}, {("not_for_this_kind", "/key")}),
    ("block", {"value_type": "phone", "value": "abc"}, {("not_a_phone", "/value")}),
    ("block", {"value_type": "unionid", "value": "王芳"}, {("not_a_unionid", "/value")}),
    ("allow", {"value_type": "unionid", "value": "u"}, {("not_for_this_kind", "/value_type")}),
    ("owner", {"key": "lead:leads:1", **PHONE}, {("not_a_patient", "/key")}),
    ("owner", {"key": "lead:leads:1", "value_type": "unionid", "value": "王"},
     {("not_for_this_kind", "/value_type"), ("not_a_unionid", "/value"), ("not_a_patient", "/key")}),
    ("detach", {"key": "lead:leads:1", "value_type": "binding", "value": "lead:leads:2"},
     {("not_a_patient", "/value"), ("unknown_identity", "/key")}),
    ("detach", {"key": "patient:saas:1", "value_type": "binding", "value": "patient:saas:1"},
     {("same_identity", "/value"), ("unknown_identity", "/key")}),
    ("merge", {"key": "patient:saas:?", "other_key": "lead:leads:?"},
     {("unknown_identity", "/key"), ("unknown_identity", "/other_key")}),
    ("detach", {"key": "lead:leads:?", "value_type": "binding", "value": "patient:saas:?"},
     {("unknown_identity", "/key"), ("unknown_identity", "/value")}),
    ("owner", {"key": "patient:saas:?", "value_type": "phone", "value": "abc"},
     {("unknown_identity", "/key"), ("not_a_phone", "/value")}),
    ("owner", {"value_type": "phone", "value": "abc"}, {("missing", "/key"), ("not_a_phone", "/value")}),
    # Some members without their shape: the kind judges the others.
    ("marry", {"key": 5}, {("enum", "/kind"), ("string_type", "/key")}),
    ("merge", {"key": 5}, {("string_type", "/key"), ("missing", "/other_key")}),
    ("split", {"key": "a", "other_key": "a", "value": 5, "colour": "red"},
     {("same_identity", "/other_key"), ("string_type", "/value"), ("not_for_this_kind", "/value"),
      ("extra_forbidden", "/colour")}),
    ("owner", {"key": "lead:leads:1", "value_type": "email", "value": "abc"},
     {("not_a_patient", "/key"), ("enum", "/value_type")}),
    ("block", {"key": "a", "value_type": "phone", "value_ref": ["x"]},
     {("not_for_this_kind", "/key"), ("string_type", "/value_ref")}),
    ("allow", {"value_type": "phone", "value": "abc", "value_ref": 7},
     {("not_a_phone", "/value"), ("string_type", "/value_ref"), ("value_given_twice", "/value_ref")}),
]  # fmt: skip


def test_what_makes_no_sense_is_refused_with_every_problem(client: TestClient) -> None:
    answers = {place: decide(client, kind, **members) for place, (kind, members, _) in enumerate(REFUSED)}

    assert {answer.status_code for answer in answers.values()} == {422}
    assert {place: found(answer) for place, answer in answers.items()} == {
        place: problems for place, (*_, problems) in enumerate(REFUSED)
    }


def test_what_shape_and_kind_forbid_is_told_in_one_answer(client: TestClient) -> None:
    def answer(body: Any) -> set[tuple[str, str]]:
        return found(client.post("/v1/identity/overrides", json=body, headers=once()))

    assert answer({"kind": "merge", "key": "a"}) == {("missing", "/reason"), ("missing", "/other_key")}
    assert answer({"kind": "block", "key": "a", "value": 1, "reason": "", "revoke": "ov_1"}) == {
        ("string_too_short", "/reason"), ("extra_forbidden", "/revoke"), ("string_type", "/value"),
        ("missing", "/value_type"), ("not_for_this_kind", "/key"),
    }  # fmt: skip
    assert answer({"key": "a"}) == {("missing", "/kind"), ("missing", "/reason")}
    assert answer(["merge"]) == {("model_attributes_type", "")}


def test_a_decision_that_contradicts_standing_ones_is_refused_by_their_ids(client: TestClient, people: People) -> None:
    a, b, c, d, *_ = people.patients

    def make(kind: str, **members: Any) -> str:
        made = decide(client, kind, **members)
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    def refused(kind: str, **members: Any) -> tuple[str, str]:
        answer = decide(client, kind, **members)
        assert answer.status_code == 409, answer.text
        (problem,) = answer.json()["problems"]
        return problem["code"], problem["message_zh"] + problem["message_en"]

    merges = [make("merge", key=a, other_key=b), make("merge", key=b, other_key=c)]
    split = make("split", key=c, other_key=d)
    block = make("block", **PHONE)
    owner = make("owner", key=a, value_type="phone", value="13800000001")

    code, told = refused("split", key=c, other_key=a)
    assert (code, all(told.count(one) == 2 for one in merges)) == ("split_inside_merge", True)
    code, told = refused("merge", key=d, other_key=a)
    assert (code, told.count(split)) == ("merge_across_split", 2)
    code, told = refused("merge", key=b, other_key=a)
    assert (code, told.count(merges[0])) == ("override_exists", 2)
    for kind, members in (("allow", PHONE), ("owner", {"key": a, **PHONE})):
        code, told = refused(kind, **members)
        assert (code, told.count(block)) == ("value_decided_otherwise", 2)
    for kind, key in (("owner", b), ("detach", a)):
        code, told = refused(kind, key=key, value_type="phone", value="13800000001")
        assert (code, told.count(owner)) == ("value_decided_otherwise", 2)
    assert decide(client, "detach", key=b, value_type="phone", value="13800000001").status_code == 201


def test_of_two_operators_who_contradict_each_other_at_once_one_is_refused(client: TestClient, people: People) -> None:
    a, b, *_ = people.patients
    acts: list[Callable[[], Any]] = [
        lambda: decide(client, "merge", key=a, other_key=b),
        lambda: decide(client, "split", key=b, other_key=a),
        lambda: decide(client, "merge", key=b, other_key=a),
    ]

    answers = at_once(lambda act: act(), acts)

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]


def test_a_repeated_request_makes_one_decision(client: TestClient) -> None:
    key = once()

    first, second = decide(client, "block", key, **PHONE), decide(client, "block", key, **PHONE)

    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
    assert len(client.get("/v1/identity/overrides").json()["overrides"]) == 1


def test_a_revoked_decision_stays_readable_and_may_be_made_anew(client: TestClient) -> None:
    made = decide(client, "block", **PHONE)
    location = made.headers["location"]

    assert revoke(client, made, **{"If-Match": '"7"'}).status_code == 412
    without = client.post(f"{location}/revocation", json={"reason": "x"}, headers=once())
    assert without.status_code == 428
    revoked = revoke(client, made)
    assert (revoked.status_code, revoked.headers["etag"]) == (200, '"2"')
    assert client.get(location).json() == revoked.json()
    assert (revoked.json()["in_force"], revoked.json()["revoke_reason"]) == (False, "误操作")
    again = client.post(f"{location}/revocation", json={"reason": "x"}, headers={**once(), "If-Match": '"2"'})
    assert (again.status_code, found(again)) == (409, {("override_revoked", "")})
    assert decide(client, "block", **PHONE).status_code == 201
    nothing = client.post("/v1/identity/overrides/ov_x/revocation", json={"reason": "x"},
                          headers={**once(), "If-Match": '"1"'})  # fmt: skip
    assert nothing.status_code == 404


def test_the_list_is_newest_first_and_read_in_pages_and_by_filters(client: TestClient, people: People) -> None:
    a, b, *_ = people.patients
    block = decide(client, "block", **PHONE)
    merge = decide(client, "merge", key=a, other_key=b)
    owner = decide(client, "owner", key=b, value_type="phone", value="13800000001")
    revoke(client, block)

    def ids(**query: Any) -> list[str]:
        page = client.get("/v1/identity/overrides", params=query).json()
        names = {owner.json()["id"]: "owner", merge.json()["id"]: "merge", block.json()["id"]: "block"}
        told = [names[one["id"]] for one in page["overrides"]]
        cursor = page["next_cursor"]
        return told if cursor is None else told + ids(**{**query, "cursor": cursor})

    assert ids() == ids(limit=1) == ids(limit=2) == ["owner", "merge", "block"]
    assert ids(in_force="true") == ["owner", "merge"]
    assert ids(in_force="false") == ids(kind="block") == ["block"]
    assert (ids(key=a), ids(key=b)) == (["merge"], ["owner", "merge"])
    wrong = client.get("/v1/identity/overrides", params={"cursor": "nonsense"})
    assert (wrong.status_code, found(wrong)) == (422, {("invalid_cursor", "/query/cursor")})


def test_filter_by_identity_finds_no_value_that_the_reader_sees_masked(client: TestClient, people: People) -> None:
    file, fan = people.patients[0], people.fan
    made = {
        "block": decide(client, "block", **PHONE),
        "owner": decide(client, "owner", key=file, value_type="phone", value="13800000001"),
        "detach": decide(client, "detach", key=fan, value_type="phone", value="13800000002"),
        "binding": decide(client, "detach", key=fan, value_type="binding", value=file),
    }
    headers = other(client, permissions=(Permission.IDENTITY_VIEW,))

    def kinds(key: str) -> set[str]:
        page = client.get("/v1/identity/overrides", params={"key": key}, headers=headers).json()
        return {name for name, one in made.items() if one.json()["id"] in {row["id"] for row in page["overrides"]}}

    assert [kinds(f"+861{number}") for number in ("3812345678", "3800000001", "3800000002")] == [set(), set(), set()]
    assert (kinds(file), kinds(fan)) == ({"owner", "binding"}, {"detach", "binding"})


def test_filter_by_a_key_that_is_a_number_finds_nothing_for_who_sees_it_masked(client: TestClient) -> None:
    lead, fan = "lead:leads:13812345678", "official_account_fan:wx:o1"
    draft = Draft(OverrideKind.MERGE, lead, fan, None, {})
    at = datetime(2026, 11, 20, 9, tzinfo=UTC)
    made = store_of(client).write(partial(insert_override, draft=draft, reason="同一人", operator="op", now=at))
    reader = other(client, permissions=(Permission.IDENTITY_VIEW,))

    def ids(key: str, headers: dict[str, str] | None = None) -> list[str]:
        page = client.get("/v1/identity/overrides", params={"key": key}, headers=headers).json()
        return [row["id"] for row in page["overrides"]]

    assert (ids(lead), ids(lead, reader), ids(fan, reader)) == ([made["id"]], [], [made["id"]])
    assert ids("no key", reader) == []


def test_only_who_reaches_every_customer_decides_or_reads_decisions(client: TestClient) -> None:
    made = decide(client, "block", **PHONE)
    location = made.headers["location"]
    clinic_admin = other(client, clinic_id="A", data_scope=dict.fromkeys(ScopeChannel, Level.CLINIC))
    own = other(client, permissions=(ALL,), staff_id="S1", data_scope=dict.fromkeys(ScopeChannel, Level.OWN))
    reader = other(client, permissions=(Permission.IDENTITY_VIEW,))

    for headers in (clinic_admin, own):
        answers = [
            decide(client, "block", headers, value_type="phone", value="13800000009"),
            revoke(client, made, **headers),
            client.get("/v1/identity/overrides", headers=headers),
            client.get(location, headers=headers),
        ]
        assert [found(answer) for answer in answers] == [{("every_customer_only", "")}] * 4
    assert decide(client, "block", reader, value_type="phone", value="13800000009").status_code == 403
    assert revoke(client, made, **reader).status_code == 403
    assert client.get(location, headers=reader).status_code == 200


def test_of_the_builtin_roles_administrators_decide_and_who_talks_to_customers_sees_identities() -> None:
    given = {role.id: set(role.permissions) for role in BUILTIN_ROLES}

    assert [role for role, points in given.items() if Permission.IDENTITY_VIEW in points] == [
        "consultant", "online_consultant", "customer_service", "receptionist",
    ]  # fmt: skip
    assert not any(Permission.IDENTITY_MANAGE in points for points in given.values())


def test_a_number_is_masked_for_who_may_not_see_phones(client: TestClient, people: People) -> None:
    blocked = decide(client, "block", **PHONE).headers["location"]
    bound = decide(client, "detach", key=people.fan, value_type="binding", value=people.patients[0])
    reader = other(client, permissions=(Permission.IDENTITY_VIEW,))

    page = client.get("/v1/identity/overrides", headers=reader)
    assert "13812345678" not in page.text
    assert client.get(blocked, headers=reader).json()["value"] == "+86138****5678"
    assert client.get(blocked).json()["value"] == "+8613812345678"
    assert client.get(bound.headers["location"], headers=reader).json()["value"] == people.patients[0]


def test_the_audit_log_tells_who_decided_what_and_nobodys_key_number_or_name(
    client: TestClient, people: People
) -> None:
    merge = decide(client, "merge", key=people.patients[0], other_key=people.fan)
    detach = decide(client, "detach", key=people.fan, **PHONE)
    revoke(client, merge)

    rows = [row for row in audited(client) if row["target_kind"] == "identity_override"]

    assert [(row["action"], row["target_id"]) for row in rows] == [
        ("identity_override.create", merge.json()["id"]),
        ("identity_override.create", detach.json()["id"]),
        ("identity_override.revoke", merge.json()["id"]),
    ]
    assert [len(row["after"]["identities"]) for row in rows[:2]] == [2, 1]
    assert rows[1]["after"]["value"] == "+86138****5678"
    text = json.dumps([dict(row) for row in rows], default=str, ensure_ascii=False)
    secrets = [people.fan.split(":")[2], people.patients[0].split(":")[2], "13812345678", "患者来电确认", "误操作"]
    assert [secret for secret in secrets if secret in text] == []


def test_the_order_to_forget_a_customer_takes_the_decisions_about_them(client: TestClient, people: People) -> None:
    a, b, c, *_ = people.patients
    revoked = decide(client, "merge", key=a, other_key=b)
    revoke(client, revoked)
    decide(client, "owner", key=a, **PHONE)
    kept = decide(client, "split", key=b, other_key=c).json()["id"]
    one_id = next(
        customer["one_id"]
        for customer in client.get("/v1/customers", params={"limit": 200, "channel": "patient"}).json()["customers"]
        if a in {one["key"] for one in identities(client, customer["one_id"])}
    )

    asked = client.post(f"/v1/customers/{one_id}/erasure", json={"reason": "客户要求"}, headers=once())

    assert asked.status_code == 202
    with store_of(client).read() as connection:
        assert list(connection.scalars(select(identity_override.c.id))) == [kept]
        answers = list(connection.scalars(select(idempotency.c.body)))
    assert [answer for answer in answers if answer and a in answer] == []
    refused = decide(client, "merge", key=a, other_key=b)
    assert (refused.status_code, found(refused)) == (422, {("unknown_identity", "/key")})


def identities(client: TestClient, one_id: str) -> list[dict[str, Any]]:
    answer = client.get(f"/v1/customers/{one_id}/identities")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["identities"]
    return found
