"""Who sees which customers: against a plain reading of the published rows."""

from itertools import product
from typing import Any

import duckdb
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from api.access.actors import EVERY_CLINIC, Actor, Grant, Level, Reach, ScopeChannel
from api.access.permissions import Permission
from api.access.scope import STAFF_COLUMNS, customer_scope
from api.clock import now
from api.main import create_app
from api.settings import ApiSettings
from api.storage.tables.customers import erasure_request
from pipelines.settings import PipelineSettings
from segment_engine.runtime.published import read_pointer
from tests.api.access.people import Rows, give, other, seen, store_of
from tests.api.conftest import MakeClient, bearer, make_actor

FLAG = {
    ScopeChannel.PATIENT: "has_patient_file",
    ScopeChannel.OFFICIAL_ACCOUNT: "is_fan",
    ScopeChannel.MINI_PROGRAM: "is_mini_program_user",
    ScopeChannel.WECOM: "is_wecom_contact",
    ScopeChannel.LEAD: "is_lead",
}


def reached(row: dict[str, Any], reach: Reach) -> bool:
    """The oracle: whether one reach shows one customer."""
    if not row[FLAG[reach.channel]]:
        return False
    match reach.level:
        case Level.ALL:
            return True
        case Level.CLINIC:
            return reach.clinic_id in row["clinic_ids"]
        case Level.OWN:
            looks_after = reach.staff_id is not None and reach.staff_id in [row[column] for column in STAFF_COLUMNS]
            return looks_after and (reach.clinic_id is None or reach.clinic_id in row["clinic_ids"])
    return False


@pytest.mark.parametrize(("level", "at"), [*product(Level, (EVERY_CLINIC, "clinic", "nowhere"))])
@pytest.mark.parametrize("channel", list(ScopeChannel))
def test_each_level_shows_exactly_its_customers(
    version: duckdb.DuckDBPyConnection,
    rows: Rows,
    clinic: str,
    doctor: str,
    channel: ScopeChannel,
    level: Level,
    at: str,
) -> None:
    clinic_id = {"clinic": clinic}.get(at, at)
    grant = Grant("r", clinic_id, frozenset({"customer.view"}), {channel: level})
    actor = Actor("staff", "a", "a", staff_id=doctor, grants=(grant,))

    predicate, values = customer_scope(actor.reaches(Permission.CUSTOMER_VIEW))
    shown = version.execute(f"select one_id from dim_customer where {predicate}", values).fetchall()

    everywhere = clinic_id == EVERY_CLINIC
    meant = {
        Level.NONE: lambda row: False,
        Level.OWN: lambda row: (
            doctor in [row[column] for column in STAFF_COLUMNS] and (everywhere or clinic_id in row["clinic_ids"])
        ),
        Level.CLINIC: lambda row: everywhere or clinic_id in row["clinic_ids"],
        Level.ALL: lambda row: True,
    }[level]
    assert {one_id for (one_id,) in shown} == {row["one_id"] for row in rows if row[FLAG[channel]] and meant(row)}


@given(picks=st.frozensets(st.tuples(st.sampled_from(ScopeChannel), st.sampled_from(Level), st.integers(0, 3))))
def test_any_mixture_of_reaches_is_the_union_of_its_parts(
    version: duckdb.DuckDBPyConnection, rows: Rows, picks: frozenset[tuple[ScopeChannel, Level, int]]
) -> None:
    clinics = sorted({clinic for row in rows for clinic in row["clinic_ids"]})
    staff = sorted({row[column] for row in rows for column in STAFF_COLUMNS if row[column]})
    reaches = {
        Reach(
            channel,
            level,
            clinic_id=clinics[pick % len(clinics)]
            if level is Level.CLINIC or (level is Level.OWN and pick > 1)
            else None,
            staff_id=staff[pick] if level is Level.OWN else None,
        )
        for channel, level, pick in picks
        if level is not Level.NONE
    }

    predicate, values = customer_scope(reaches)
    shown = version.execute(f"select one_id from dim_customer where {predicate}", values).fetchall()
    nulls = version.execute(f"select count(*) from dim_customer where ({predicate}) is null", values).fetchall()

    assert {one_id for (one_id,) in shown} == {
        row["one_id"] for row in rows if any(reached(row, reach) for reach in reaches)
    }
    assert nulls == [(0,)]
    assert customer_scope(reaches) == (predicate, values)


def test_ids_with_quotes_are_values_never_text() -> None:
    predicate, values = customer_scope(
        {
            Reach(ScopeChannel.LEAD, Level.CLINIC, clinic_id="x') or true --"),
            Reach(ScopeChannel.LEAD, Level.OWN, staff_id="y' or 1=1"),
        }
    )

    assert "or true" not in predicate
    assert "1=1" not in predicate
    assert values == {"scope_lead_clinics": ["x') or true --"], "scope_lead_staff_0": "y' or 1=1"}


def test_nobody_reached_is_false() -> None:
    assert customer_scope([]) == ("(false)", {})


def test_list_and_detail_show_the_same_customers(make_client: MakeClient, rows: Rows, clinic: str) -> None:
    scope = {ScopeChannel.PATIENT: Level.CLINIC}
    client = make_client(published=True, permissions=("customer.view",), clinic_id=clinic, data_scope=scope)
    ours = {row["one_id"] for row in rows if row["has_patient_file"] and clinic in row["clinic_ids"]}
    sample = [row["one_id"] for row in rows][:120]

    listed = {customer["one_id"] for customer in seen(client)}
    found_by_id = {one_id for one_id in sample if client.get(f"/v1/customers/{one_id}").status_code == 200}

    assert listed == ours
    assert found_by_id == ours & set(sample)
    assert 0 < len(found_by_id) < len(sample)


def test_a_foreign_customer_is_answered_like_one_that_is_not_there(
    make_client: MakeClient, rows: Rows, clinic: str
) -> None:
    client = make_client(
        published=True,
        permissions=("customer.view",),
        clinic_id=clinic,
        data_scope={ScopeChannel.PATIENT: Level.CLINIC},
    )
    foreign = next(row["one_id"] for row in rows if clinic not in row["clinic_ids"])

    theirs, nobodys = client.get(f"/v1/customers/{foreign}"), client.get("/v1/customers/C0000000")

    assert (theirs.status_code, nobodys.status_code) == (404, 404)
    assert {**theirs.json(), "request_id": ""} == {**nobodys.json(), "request_id": ""}


def test_a_role_at_each_of_two_clinics_shows_both(make_client: MakeClient, rows: Rows) -> None:
    first, second = sorted({clinic for row in rows for clinic in row["clinic_ids"]})[:2]
    client = make_client(published=True, permissions=(), clinic_id=first)
    headers = {"Authorization": client.headers["authorization"]}
    give(client, headers, "receptionist", first)
    give(client, headers, "receptionist", second)

    shown = {customer["one_id"] for customer in seen(client)}

    assert shown == {
        row["one_id"]
        for row in rows
        if {first, second} & set(row["clinic_ids"]) and any(row[flag] for flag in FLAG.values())
    }


def ask_to_forget(client: TestClient, one_id: str) -> None:
    request = {
        "id": "e1", "one_id": one_id, "status": "requested", "reason": "x", "requested_by": "x", "requested_at": now(),
    }  # fmt: skip
    store_of(client).write(lambda connection: connection.execute(insert(erasure_request).values(request)))


def test_somebody_who_must_be_forgotten_is_gone_at_once(make_client: MakeClient, rows: Rows) -> None:
    client = make_client(published=True)
    gone = rows[7]["one_id"]
    before = client.get(f"/v1/customers/{gone}").status_code
    ask_to_forget(client, gone)

    assert before == 200
    assert client.get(f"/v1/customers/{gone}").status_code == 404
    assert gone not in {customer["one_id"] for customer in seen(client)}
    assert len(seen(client)) == len(rows) - 1


def test_filters_find_what_they_say(make_client: MakeClient, rows: Rows) -> None:
    client = make_client(published=True)
    someone = next(row for row in rows if row["phone"] and len(row["phone"]) == 11 and row["name"])
    phone = someone["phone"]

    for written in (phone, f"+86{phone}", f"0086{phone}", f"+86 {phone[:3]}-{phone[3:7]}-{phone[7:]}"):
        shown = {customer["one_id"] for customer in seen(client, phone=written)}
        assert shown == {row["one_id"] for row in rows if row["phone"] == phone}
    first = someone["name"][0]
    assert {one["one_id"] for one in seen(client, name=first)} == {
        row["one_id"] for row in rows if (row["name"] or "").startswith(first)
    }
    nickname = next(row["nickname"] for row in rows if row["nickname"])[1:2]
    assert {one["one_id"] for one in seen(client, nickname=nickname)} == {
        row["one_id"] for row in rows if nickname in (row["nickname"] or "")
    }
    assert seen(client, nickname="%") == seen(client, name="_") == []


@pytest.mark.parametrize(("sort", "descending"), [("created_at", True), ("last_visit_at", True), ("name", False)])
def test_pages_of_each_sort_hold_everybody_once_in_order_without_values_last(
    make_client: MakeClient, rows: Rows, sort: str, descending: bool
) -> None:
    client = make_client(published=True)
    published = {row["one_id"]: row for row in rows}

    order = [customer["one_id"] for customer in seen(client, sort=sort, limit=37)]

    assert len(order) == len(set(order)) == len(rows)
    values = [published[one_id][sort] for one_id in order]
    with_value = [value for value in values if value is not None]
    assert values[len(with_value) :] == [None] * (len(values) - len(with_value))
    assert with_value == sorted(with_value, reverse=descending)
    assert sort == "created_at" or len(with_value) < len(values)


def test_an_id_that_was_merged_leads_to_the_customer_of_today(own_copy: PipelineSettings, rows: Rows) -> None:
    today, gone = rows[0]["one_id"], rows[1]["one_id"]
    with duckdb.connect(str(own_copy.folders.published / read_pointer(own_copy.folders).file)) as con:
        aliases = [
            ("C-old", 99998, today, rows[0]["customer_key"]),
            ("C-forgotten", 99999, gone, rows[1]["customer_key"]),
        ]
        con.executemany(
            "insert into marts.one_id_alias values ($1, $2, $3, $4)",
            aliases,
        )
    app = create_app(ApiSettings(data_dir=own_copy.data_dir))
    with TestClient(app) as client:
        client.headers.update(bearer(make_actor(app.state.database)))
        ask_to_forget(client, "C-forgotten")

        found_today = client.get("/v1/customers/C-old").json()["customer"]["one_id"]
        statuses = [client.get(f"/v1/customers/{one_id}").status_code for one_id in ("C-forgotten", gone, today)]
        listed = {customer["one_id"] for customer in seen(client)}

    assert found_today == today
    assert statuses == [404, 404, 200]
    assert gone not in listed


def test_an_employees_number_given_at_one_clinic_opens_no_other(make_client: MakeClient, rows: Rows) -> None:
    row = next(row for row in rows if row["responsible_doctor_id"] and row["has_patient_file"])
    doctor = row["responsible_doctor_id"]
    admin = make_client(published=True, clinic_id="elsewhere")
    roles = [{"role_id": "consultant", "clinic_id": "elsewhere"}]
    person = {"kind": "staff", "name": "x", "staff_id": doctor, "roles": roles}
    made = admin.post("/v1/access/actors", json=person, headers={"Idempotency-Key": "a"}).json()
    key = {"actor_id": made["id"], "name": "k", "scopes": None, "expires_at": None}
    headquarters = other(admin)
    text = admin.post("/v1/access/keys", json=key, headers={**headquarters, "Idempotency-Key": "k"}).json()["key"]

    assert seen(admin, headers=bearer(text)) == []
