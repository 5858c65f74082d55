"""A customer's identities and their history over HTTP: whole, explained, and only to who may see whom."""

from typing import Any

import duckdb
import pytest
from fastapi.testclient import TestClient

from api.access.actors import Level, ScopeChannel
from api.access.permissions import Permission
from pipelines.settings import PipelineSettings
from segment_engine.runtime.published import read_pointer
from tests.api.access.people import other
from tests.api.conftest import MakeClient
from tests.api.probe import found

CLINIC, OTHER = "CL-ONE", "CL-TWO"
PHONE = "13812345678"
SEES = (Permission.IDENTITY_VIEW, Permission.CUSTOMER_VIEW)


@pytest.fixture
def world(own_copy: PipelineSettings, make_client: MakeClient) -> tuple[TestClient, dict[str, Any]]:
    """A customer of one clinic whose lead is a phone, with a history that touches a customer of another clinic."""
    with duckdb.connect(str(own_copy.folders.published / read_pointer(own_copy.folders).file)) as con:
        con.execute("set search_path = 'marts'")
        (key, one_id, count), (foreign_key, foreign_id, _) = con.execute(
            """
            select customer_key, one_id, count(*) from dim_identity inner join dim_customer using (customer_key, one_id)
            where has_patient_file group by all order by count(*) desc, one_id limit 2
            """
        ).fetchall()
        con.execute("update dim_customer set clinic_ids = [$1] where customer_key = $2", [CLINIC, key])
        con.execute("update dim_customer set clinic_ids = [$1] where customer_key = $2", [OTHER, foreign_key])
        ((foreign,),) = con.execute(
            "select min(identity_key) from dim_identity where customer_key = $1", [foreign_key]
        ).fetchall()
        ((mine,),) = con.execute("select min(identity_key) from dim_identity where customer_key = $1", [key]).fetchall()
        con.execute(
            """
            insert into dim_identity by name
            select $1 as identity_key, 'lead' as kind, 'leads' as scope, $2 as source_id, $3 as customer_key,
                $4 as one_id, false as is_present, 'binding' as reason_value_type, $5 as reason_value_masked,
                $5 as reason_via_key
            """,
            [f"lead:leads:{PHONE}", PHONE, key, one_id, mine],
        )
        con.execute(
            "insert into one_id_alias values ('Cold', 99999, $1, $2)",
            [one_id, key],
        )
        con.execute(
            """
            insert into identity_event by name
            select date '2026-11-21' as night, *
            from (values
                (1, 'MOVED', $mine, $theirs, $ours, 'phone', '+86138****5678', $foreign, 'ov_1'),
                (2, 'MOVED', $foreign, 'Cold', $theirs, 'binding', $foreign, $lead, null),
                (3, 'ID_MERGED', null, 'Cold', $ours, null, null, null, null)
            ) as t (seq, event, identity_key, from_one_id, to_one_id, cause_value_type, cause_value_masked,
                via_identity_key, override_id)
            """,
            {"mine": mine, "foreign": foreign, "ours": one_id, "theirs": foreign_id, "lead": f"lead:leads:{PHONE}"},
        )
    client = make_client(settings={"job_workers": 0})
    return client, {"one_id": one_id, "count": count + 1, "mine": mine, "foreign": foreign, "foreign_id": foreign_id}


def read(client: TestClient, one_id: str, part: str, headers: dict[str, str] | None = None, **query: Any) -> Any:
    return client.get(f"/v1/customers/{one_id}/{part}", headers=headers, params=query)


def at(client: TestClient, clinic: str, *permissions: Permission) -> dict[str, str]:
    scope = dict.fromkeys(ScopeChannel, Level.CLINIC)
    return other(client, clinic_id=clinic, permissions=(*SEES, *permissions), data_scope=scope)


def test_every_identity_is_told_with_why_it_belongs_to_the_customer(world: tuple[TestClient, dict[str, Any]]) -> None:
    client, known = world

    answer = read(client, known["one_id"], "identities").json()

    identities = {one["key"]: one for one in answer["identities"]}
    assert (answer["one_id"], len(identities)) == (known["one_id"], known["count"])
    lead = identities.pop(f"lead:leads:{PHONE}")
    assert (lead["channel"], lead["source_id"], lead["is_present"]) == ("lead", PHONE, False)
    assert lead["reason"] == {"value_type": "binding", "value": known["mine"], "via_key": known["mine"]}
    assert {one["key"] for one in identities.values() if one["first_seen_at"] and one["is_present"]} == set(identities)
    reasons = [one["reason"] for one in identities.values()]
    assert all(reason["via_key"] in identities for reason in reasons)
    assert {reason["value_type"] for reason in reasons} <= {"phone", "unionid", "binding"}


def test_changes_are_told_newest_first_page_by_page(world: tuple[TestClient, dict[str, Any]]) -> None:
    client, known = world

    whole = read(client, known["one_id"], "identity-events").json()["events"]
    paged: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = read(client, known["one_id"], "identity-events", limit=2, **cursor).json()
        paged += page["events"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}

    assert paged == whole
    places = [(one["night"], one["seq"]) for one in whole]
    assert places == sorted(places, reverse=True)
    assert [one["event"] for one in whole[:3]] == ["ID_MERGED", "MOVED", "MOVED"]
    assert {one["event"] for one in whole[3:]} == {"LINKED"}
    assert whole[2]["override_id"] == "ov_1"
    assert whole[2]["cause"] == {"value_type": "phone", "value": "+86138****5678", "via_key": known["foreign"]}
    wrong = read(client, known["one_id"], "identity-events", cursor="WzEsMl0")
    assert (wrong.status_code, found(wrong)) == (422, {("invalid_cursor", "/query/cursor")})


def test_an_id_that_was_merged_leads_to_the_customer_of_today(world: tuple[TestClient, dict[str, Any]]) -> None:
    client, known = world

    for part in ("identities", "identity-events", "consents"):
        assert read(client, "Cold", part).json() == read(client, known["one_id"], part).json()
    erased = client.post("/v1/customers/Cold/erasure", json={"reason": "x"}, headers={"Idempotency-Key": "e"})
    assert erased.status_code == 202
    assert [read(client, known["one_id"], part).status_code for part in ("identities", "identity-events")] == [404, 404]


def test_a_clinic_sees_its_customers_and_in_their_history_nobody_elses_keys(
    world: tuple[TestClient, dict[str, Any]],
) -> None:
    client, known = world
    ours, theirs = at(client, CLINIC, Permission.CUSTOMER_PHONE_VIEW), at(client, OTHER)

    for part in ("identities", "identity-events"):
        assert read(client, known["one_id"], part, ours).status_code == 200
        foreign = read(client, known["one_id"], part, theirs)
        assert (foreign.status_code, found(foreign)) == (404, {("customer_unknown", "/path/one_id")})
        assert read(client, "nobody", part, ours).json()["problems"] == foreign.json()["problems"]
    answer = read(client, known["one_id"], "identity-events", ours)
    merged, away, came = answer.json()["events"][:3]
    assert known["foreign"] not in answer.text
    assert (merged["key"], away["key"], came["key"]) == (None, None, known["mine"])
    assert away["cause"] == {"value_type": "binding", "value": None, "via_key": f"lead:leads:{PHONE}"}
    assert came["cause"]["via_key"] is None
    assert known["foreign_id"] not in answer.text
    assert [(one["from_one_id"], one["to_one_id"]) for one in (merged, away, came)] == [
        ("Cold", known["one_id"]),
        ("Cold", None),
        (None, known["one_id"]),
    ]


def test_who_reaches_everybody_is_told_ids_that_nobody_holds_today(
    world: tuple[TestClient, dict[str, Any]], own_copy: PipelineSettings
) -> None:
    client, known = world
    with duckdb.connect(str(own_copy.folders.published / read_pointer(own_copy.folders).file)) as con:
        con.execute("delete from marts.dim_customer where one_id = $1", [known["foreign_id"]])

    moved = {
        who: read(client, known["one_id"], "identity-events", headers).json()["events"][2]["from_one_id"]
        for who, headers in (("everybody", None), ("clinic", at(client, CLINIC)))
    }

    assert moved == {"everybody": known["foreign_id"], "clinic": None}


def test_a_source_id_that_is_a_phone_is_masked_for_who_may_not_see_phones(
    world: tuple[TestClient, dict[str, Any]],
) -> None:
    client, known = world
    blind = at(client, CLINIC)

    told = read(client, known["one_id"], "identities", blind)
    events = read(client, known["one_id"], "identity-events", blind)

    assert PHONE not in told.text + events.text
    assert "lead:leads:138****5678" in {one["key"] for one in told.json()["identities"]}
    assert events.json()["events"][1]["cause"]["via_key"] == "lead:leads:138****5678"


def test_identities_need_their_own_permission(world: tuple[TestClient, dict[str, Any]]) -> None:
    client, known = world
    headers = other(client, permissions=(Permission.CUSTOMER_VIEW,))

    statuses = [read(client, known["one_id"], part, headers).status_code for part in ("identities", "identity-events")]

    assert statuses == [403, 403]
