"""The review queues over HTTP, on both stores: everything an operator needs to decide, and what is decided already."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import duckdb
import pytest
from fastapi.testclient import TestClient

from api.access.actors import Level, ScopeChannel
from api.access.permissions import Permission
from api.identity.refusal_words import reason_of
from pipelines.settings import PipelineSettings
from segment_engine.runtime.published import read_pointer
from tests.api.access.people import once, other
from tests.api.conftest import MakeClient
from tests.api.identity.conftest import People
from tests.api.identity.test_overrides import decide, revoke
from tests.api.probe import found

QUEUES = ("contested-values", "hubs", "conflicts", "near-limit", "changes")
TWO, THREE, HUB = "+8613800000002", "+8613800000003", "+8613800000009"
NIGHT, BEFORE = "2026-11-20", "2026-11-18"


@dataclass(frozen=True)
class World:
    """A version whose queues hold what a test knows of, its people, and what to change it by."""

    client: TestClient
    keys: list[str]
    one_ids: list[str]
    names: list[str]
    rewrite: Callable[[str], None]


@pytest.fixture
def world(own_copy: PipelineSettings, make_client: MakeClient, people: People) -> World:
    file = own_copy.folders.published / read_pointer(own_copy.folders).file
    keys = people.patients
    with duckdb.connect(str(file)) as con:
        con.execute("set search_path = 'marts'")
        known = con.execute(
            "select one_id, name, customer_key from dim_identity join dim_customer using (one_id, customer_key) "
            "where list_contains($1, identity_key) order by list_position($1, identity_key)",
            [keys],
        ).fetchall()
        one_ids, names, numbers = (list(column) for column in zip(*known, strict=True))
        a, b, c, *_ = keys
        for name in ("identity_value_state", "identity_conflict", "identity_near_limit", "identity_review"):
            con.execute(f"delete from {name}")
        con.execute(
            f"""
            insert into identity_value_state by name
            select 'phone' as value_type, value, '+86138****' || right(value, 4) as value_masked, state,
                since::date as since_night, 9 as persons, 8 as adults, 1 as unions, 11 as records, keys as claimant_keys
            from (values
                ('{TWO}', 'contested', '{NIGHT}', ['{a}', '{b}']),
                ('{THREE}', 'contested', '{BEFORE}', ['{a}', '{b}', '{c}']),
                ('{HUB}', 'hub', '{NIGHT}', []), ('+8613800000008', 'hub', '{BEFORE}', []),
                ('+8613800000007', 'family', '{NIGHT}', []), ('+8613800000006', 'blocked', '{NIGHT}', [])
            ) as t (value, state, since, keys)
            """
        )
        con.execute(
            f"""
            insert into identity_conflict by name
            select since::date as since_night, 'phone' as value_type, '+86138****5678' as value_masked, 4 as tier,
                left_key, left_one_id, right_key, right_one_id, reason
            from (values
                ('{NIGHT}', '{b}', '{one_ids[1]}', '{a}', '{one_ids[0]}', 'name'),
                ('{BEFORE}', '{c}', '{one_ids[2]}', null, null, 'unionids')
            ) as t (since, left_key, left_one_id, right_key, right_one_id, reason)
            """
        )
        con.execute(
            f"""
            insert into identity_near_limit by name
            select number as customer_key, one_id, records, unionids, 60 as records_limit, 3 as unionids_limit,
                near_limits, since::date as since_night
            from (values
                ({numbers[0]}, '{one_ids[0]}', 50, 0, ['customer_records'], '{NIGHT}'),
                ({numbers[1]}, '{one_ids[1]}', 48, 3, ['customer_records', 'customer_unions'], '{BEFORE}')
            ) as t (number, one_id, records, unionids, near_limits, since)
            """
        )
        con.execute(
            f"""
            insert into identity_review by name
            select
                *, 0 as from_stored_value_fen, 1200 as to_stored_value_fen, 0 as from_open_treatments,
                2 as to_open_treatments
            from (values
                ('{one_ids[1]}', '{one_ids[0]}', false, 1), ('Cmerged', '{one_ids[2]}', true, 1)
            ) as t (from_one_id, to_one_id, is_merged, moved_records)
            """
        )
        con.execute(
            f"""
            insert into identity_event by name
            select date '{NIGHT}' as night, *
            from (values
                (900001, 'MOVED', '{a}', '{one_ids[1]}', '{one_ids[0]}', 'phone', '+86138****5678', '{b}'),
                (900002, 'MOVED', '{c}', 'Cmerged', '{one_ids[2]}', 'binding', '{b}', '{b}'),
                (900003, 'ID_MERGED', null, 'Cmerged', '{one_ids[2]}', null, null, null)
            ) as t (seq, event, identity_key, from_one_id, to_one_id, cause_value_type, cause_value_masked,
                via_identity_key)
            """
        )

    def rewrite(statement: str) -> None:
        # DuckDB writes no file that is open; the reader opens it again at the next question.
        client.app.state.reader.close()  # type: ignore[attr-defined]
        with duckdb.connect(str(file)) as con:
            con.execute("set search_path = 'marts'")
            con.execute(statement)

    client = make_client(settings={"job_workers": 0})
    return World(client, keys, one_ids, names, rewrite)


def read(client: TestClient, queue: str, headers: dict[str, str] | None = None, **query: Any) -> list[dict[str, Any]]:
    """Every row of the queue, page after page."""
    answer = client.get(f"/v1/identity/reviews/{queue}", params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    page = answer.json()
    rows: list[dict[str, Any]] = page["reviews"]
    cursor = page["next_cursor"]
    return rows if cursor is None else rows + read(client, queue, headers, **{**query, "cursor": cursor})


def decided(client: TestClient, queue: str) -> list[str | None]:
    return [row["decided_by"] for row in read(client, queue)]


def made(answer: Any) -> str:
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_the_overview_counts_every_queue_and_what_is_new(world: World) -> None:
    answer = world.client.get("/v1/identity/reviews").json()

    told = {one["queue"]: (one["total"], one["open"], one["new"]) for one in answer["queues"]}
    assert (answer["as_of"], tuple(told)) == (NIGHT, QUEUES)
    assert told == {
        "contested-values": (2, 2, 1), "hubs": (2, 2, 1), "conflicts": (2, 2, 1), "near-limit": (2, 2, 1),
        "changes": (2, 2, 2),
    }  # fmt: skip


@pytest.mark.parametrize("queue", QUEUES)
def test_a_queue_is_newest_first_and_the_same_in_pages(world: World, queue: str) -> None:
    whole = read(world.client, queue)

    assert read(world.client, queue, limit=1) == whole
    assert len(whole) == 2
    nights = [row["since_night"] for row in whole]
    assert nights == sorted(nights, reverse=True)
    wrong = world.client.get(f"/v1/identity/reviews/{queue}", params={"cursor": "nonsense"})
    assert (wrong.status_code, found(wrong)) == (422, {("invalid_cursor", "/query/cursor")})


def test_a_contested_phone_names_the_files_that_claim_it(world: World) -> None:
    newest = read(world.client, "contested-values")[0]

    assert (newest["value"], newest["since_night"], newest["adults"]) == (TWO, NIGHT, 8)
    claimants = {one["key"]: (one["one_id"], one["name"]) for one in newest["claimants"]}
    assert claimants == {world.keys[i]: (world.one_ids[i], world.names[i]) for i in range(2)}


def test_an_owner_or_a_block_decides_a_contested_phone_and_its_revocation_reopens_it(world: World) -> None:
    client = world.client
    two, three = (row["value_ref"] for row in read(client, "contested-values"))
    owner = decide(client, "owner", key=world.keys[0], value_type="phone", value_ref=two)
    block = made(decide(client, "block", value_type="phone", value=THREE))

    assert owner.json()["value"] == TWO
    assert decided(client, "contested-values") == [owner.json()["id"], block]
    assert read(client, "contested-values", open="true") == []
    revoke(client, owner)
    assert [row["value_ref"] for row in read(client, "contested-values", open="true")] == [two]
    assert [row["value_ref"] for row in read(client, "contested-values", open="false")] == [three]
    counts = client.get("/v1/identity/reviews").json()["queues"][0]
    assert (counts["total"], counts["open"]) == (2, 1)


def test_detaching_decides_a_contested_phone_once_one_file_is_left(world: World) -> None:
    client = world.client
    detached = {
        value: made(decide(client, "detach", key=world.keys[1], value_type="phone", value=value))
        for value in (TWO, THREE)
    }

    assert decided(client, "contested-values") == [detached[TWO], None]
    three = read(client, "contested-values", open="true")[0]["claimants"]
    assert {one["key"]: one["detached_by"] for one in three} == {
        world.keys[0]: None, world.keys[1]: detached[THREE], world.keys[2]: None,
    }  # fmt: skip
    last = made(decide(client, "detach", key=world.keys[2], value_type="phone", value=THREE))
    assert decided(client, "contested-values") == [detached[TWO], last]


def test_to_let_a_hub_tie_or_to_block_it_decides_it(world: World) -> None:
    new, old = read(world.client, "hubs")
    assert (new["value"], new["persons"], new["records"], new["unions"]) == (HUB, 9, 11, 1)

    allow = made(decide(world.client, "allow", value_type="phone", value_ref=new["value_ref"]))
    block = made(decide(world.client, "block", value_type="phone", value_ref=old["value_ref"]))

    assert decided(world.client, "hubs") == [allow, block]


def test_who_sees_no_phones_and_names_decides_by_reference(world: World) -> None:
    points = (Permission.IDENTITY_VIEW, Permission.IDENTITY_MANAGE)
    blind = other(world.client, permissions=points)
    seeing = other(world.client, permissions=(*points, Permission.CUSTOMER_PHONE_VIEW))

    text = "".join(world.client.get(f"/v1/identity/reviews/{queue}", headers=blind).text for queue in QUEUES)
    row = read(world.client, "contested-values", blind)[0]
    answer = decide(world.client, "block", blind, value_type="phone", value_ref=row["value_ref"])

    assert [secret for secret in (TWO[3:], THREE[3:], HUB[3:], *world.names[:3]) if secret in text] == []
    assert row["value"] == "+86138****0002"
    assert row["claimants"][0]["name"] == world.names[0][0] + "*" * (len(world.names[0]) - 1)
    assert (answer.status_code, answer.json()["value"]) == (201, "+86138****0002")
    assert world.client.get(answer.headers["location"]).json()["value"] == TWO
    assert read(world.client, "contested-values", seeing)[0]["value"] == TWO


def test_a_reference_that_names_nothing_or_too_much_is_refused(world: World) -> None:
    ref = read(world.client, "hubs")[0]["value_ref"]
    refused: list[tuple[str, dict[str, Any], set[tuple[str, str]]]] = [
        ("block", {"value_type": "phone", "value_ref": "x"}, {("unknown_value", "/value_ref")}),
        ("block", {"value_type": "unionid", "value_ref": ref}, {("unknown_value", "/value_ref")}),
        ("block", {"value_ref": ref}, {("missing", "/value_type")}),
        ("allow", {"value_type": "phone", "value_ref": ref, "value": HUB}, {("value_given_twice", "/value_ref")}),
        ("owner", {"value_type": "phone", "value_ref": ref, "key": "lead:leads:1"}, {("not_a_patient", "/key")}),
        (
            "merge",
            {"key": "a", "other_key": "a", "value_ref": ref},
            {("not_for_this_kind", "/value_ref"), ("same_identity", "/other_key"), ("unknown_identity", "/key")},
        ),
    ]

    answers = [decide(world.client, kind, **members) for kind, members, _ in refused]

    assert [found(answer) for answer in answers] == [problems for *_, problems in refused]
    assert {answer.status_code for answer in answers} == {422}


def test_a_conflict_tells_both_sides_and_why(world: World) -> None:
    both, alone = read(world.client, "conflicts")

    assert both["left"] == {"key": world.keys[1], "one_id": world.one_ids[1], "name": world.names[1]}
    assert both["right"] == {"key": world.keys[0], "one_id": world.one_ids[0], "name": world.names[0]}
    assert (both["value"], both["tier"], both["since_night"]) == ("+86138****5678", 4, NIGHT)
    assert {name: both[name] for name in ("reason", "reason_zh", "reason_en")} == reason_of("name")
    assert (alone["right"], alone["reason"]) == (None, "unionids")


def test_a_conflict_is_decided_by_joining_parting_or_detaching_its_sides(world: World) -> None:
    client, (a, b, c, *_) = world.client, world.keys
    other_number = decide(client, "detach", key=b, value_type="phone", value="13800001234")
    others = decide(client, "merge", key=a, other_key=c)
    assert (made(other_number), made(others), decided(client, "conflicts")) == (
        other_number.json()["id"], others.json()["id"], [None, None],
    )  # fmt: skip
    revoke(client, others)

    for kind, members in (
        ("merge", {"key": a, "other_key": b}),
        ("split", {"key": b, "other_key": a}),
        ("detach", {"key": a, "value_type": "phone", "value": "13812345678"}),
        ("detach", {"key": b, "value_type": "phone", "value": "13812345678"}),
    ):
        answer = decide(client, kind, **members)
        assert decided(client, "conflicts") == [made(answer), None]
        revoke(client, answer)
    assert decided(client, "conflicts") == [None, None]


def test_a_customer_near_a_limit_tells_which_how_near_and_since_when(world: World) -> None:
    less, full = read(world.client, "near-limit")

    assert (less["since_night"], full["since_night"]) == (NIGHT, BEFORE)
    assert (full["one_id"], full["name"]) == (world.one_ids[1], world.names[1])
    assert full["limits"] == [
        {"limit": "customer_records", "count": 48, "most": 60}, {"limit": "customer_unions", "count": 3, "most": 3},
    ]  # fmt: skip
    assert less["limits"] == [{"limit": "customer_records", "count": 50, "most": 60}]
    split = made(decide(world.client, "split", key=world.keys[1], other_key=world.keys[2]))
    assert decided(world.client, "near-limit") == [None, split]


def test_of_those_near_a_limit_since_the_same_night_the_nearest_is_first(world: World) -> None:
    world.rewrite(f"update identity_near_limit set since_night = '{BEFORE}'")

    whole = read(world.client, "near-limit")

    assert [row["one_id"] for row in whole] == [world.one_ids[1], world.one_ids[0]]
    assert read(world.client, "near-limit", limit=1) == whole


def test_a_change_tells_what_is_at_stake_and_what_moved_and_a_new_decision_decides_it(world: World) -> None:
    changes = {row["from_customer"]["one_id"]: row for row in read(world.client, "changes")}

    moved, merged = changes[world.one_ids[1]], changes["Cmerged"]
    assert (moved["is_merged"], merged["is_merged"], merged["from_customer"]["name"]) == (False, True, None)
    assert moved["to_customer"] == {
        "one_id": world.one_ids[0], "name": world.names[0], "stored_value_fen": 1200, "next_appointment_at": None,
        "open_treatments": 2,
    }  # fmt: skip
    cause = {"value_type": "phone", "value": "+86138****5678", "via_key": world.keys[1]}
    assert moved["moved"] == [{"key": world.keys[0], "cause": cause, "override_id": None}]
    bound = {"value_type": "binding", "value": world.keys[1], "via_key": world.keys[1]}
    assert [one["cause"] for one in merged["moved"]] == [bound]
    split = made(decide(world.client, "split", key=world.keys[0], other_key=world.keys[1]))
    told = {row["from_customer"]["one_id"]: row["decided_by"] for row in read(world.client, "changes")}
    assert told == {world.one_ids[1]: split, "Cmerged": None}


def test_what_an_override_did_counts_as_decided_while_it_stands(world: World) -> None:
    client, (a, b, *_) = world.client, world.keys
    split = decide(client, "split", key=world.keys[4], other_key=world.keys[5])
    world.rewrite(f"update identity_event set override_id = '{made(split)}' where identity_key = '{a}'")
    world.rewrite(f"update identity_conflict set reason = 'split:{made(split)}' where left_key = '{b}'")

    assert set(decided(client, "changes")) == {made(split), None}
    assert decided(client, "conflicts") == [made(split), None]
    assert read(client, "conflicts")[0]["reason"] == "split"
    revoke(client, split)
    assert decided(client, "changes") == decided(client, "conflicts") == [None, None]


def test_nothing_is_told_of_a_customer_who_must_be_forgotten(world: World) -> None:
    asked = world.client.post(f"/v1/customers/{world.one_ids[1]}/erasure", json={"reason": "客户要求"}, headers=once())

    assert asked.status_code == 202
    text = "".join(world.client.get(f"/v1/identity/reviews/{queue}").text for queue in QUEUES)
    assert [told for told in (world.one_ids[1], world.keys[1]) if told in text] == []
    counts = {one["queue"]: one["total"] for one in world.client.get("/v1/identity/reviews").json()["queues"]}
    assert counts == {"contested-values": 2, "hubs": 2, "conflicts": 1, "near-limit": 1, "changes": 1}


def test_only_who_reaches_every_customer_reads_the_queues(world: World) -> None:
    clinic = other(world.client, clinic_id="A", data_scope=dict.fromkeys(ScopeChannel, Level.CLINIC))
    stranger = other(world.client, permissions=(Permission.CUSTOMER_VIEW,))
    paths = ["/v1/identity/reviews", *(f"/v1/identity/reviews/{queue}" for queue in QUEUES)]

    for path in paths:
        assert found(world.client.get(path, headers=clinic)) == {("every_customer_only", "")}
        assert found(world.client.get(path, headers=stranger)) == {("not_permitted", "")}
    assert world.client.get("/v1/identity/reviews/blocked").status_code == 404


def test_a_version_of_an_earlier_release_has_no_queues_yet(world: World) -> None:
    world.rewrite("drop table identity_conflict; alter table identity_near_limit drop column since_night")
    world.rewrite("drop view if exists analyst.identity_value_state; drop table identity_value_state")

    answers = [world.client.get(f"/v1/identity/reviews{path}") for path in ("", "/conflicts", "/near-limit")]

    assert [(answer.status_code, found(answer)) for answer in answers] == [(503, {("reviews_not_published", "")})] * 3
    refused = decide(world.client, "block", value_type="phone", value_ref="x")
    assert (refused.status_code, found(refused)) == (422, {("unknown_value", "/value_ref")})


def test_every_limit_is_told_in_words() -> None:
    reasons = ("name", "birth_date", "id_number", "unionids", "records", "split:ov_1")

    told = [reason_of(reason) for reason in reasons]

    assert [one["reason"] for one in told] == ["name", "birth_date", "id_number", "unionids", "records", "split"]
    assert len({one["reason_zh"] for one in told} | {one["reason_en"] for one in told}) == 12
    assert "ov_1" in told[-1]["reason_zh"]
    assert "ov_1" in told[-1]["reason_en"]
