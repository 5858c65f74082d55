"""Candidate values of a source's fields: counted over rows of the caller's own customers, from the catalogue alone."""

from collections import Counter
from pathlib import Path

import duckdb
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from api.access.actors import EVERY_CLINIC, Actor, Grant, Level, ScopeChannel
from api.access.permissions import ALL, Permission
from api.customers.sight import Sight
from pipelines.settings import PipelineSettings
from segment_engine.runtime.published import read_pointer
from tests.api.access.people import give, once, other
from tests.api.conftest import MakeClient
from tests.api.probe import found

CANARY = "只有别家门诊才有的评价"


def ask(
    client: TestClient, source: str, field: str, headers: dict[str, str] | None = None, **query: object
) -> Response:
    return client.get(f"/v1/catalogue/sources/{source}/fields/{field}/values", params=query, headers=headers)


def told(answer: Response) -> list[tuple[object, int]]:
    assert answer.status_code == 200, answer.text
    return [(one["value"], one["rows"]) for one in answer.json()["values"]]


def counted(
    version: duckdb.DuckDBPyConnection, table: str, column: str, where: str = "true"
) -> list[tuple[object, int]]:
    """The oracle: values and in how many rows they stand, the most frequent first."""
    statement = f"""
        select {column} from marts.{table} join marts.dim_customer as customers using (customer_key)
        where {column} is not null and {where}
    """
    counts = Counter(row[0] for row in version.execute(statement).fetchall() if row[0] != "")
    return sorted(counts.items(), key=lambda item: (-item[1], str(item[0]).encode()))


@pytest.mark.parametrize(
    ("source", "field", "table", "column"),
    [
        ("mini_program_event", "event", "fct_mini_program_event", "event"),
        ("appointment", "doctor_id", "fct_appointment", "doctor_id"),
        ("appointment", "has_arrived", "fct_appointment", "has_arrived"),
        ("review", "score10", "fct_review", "score10"),
        ("review", "review_tags", "fct_review_tag", "review_tag"),
        ("review", "doctor_name", "fct_review", "doctor_name"),
    ],
)
def test_values_come_with_their_rows_the_most_frequent_first(
    make_client: MakeClient, version: duckdb.DuckDBPyConnection, source: str, field: str, table: str, column: str
) -> None:
    client = make_client(published=True)

    answer = ask(client, source, field, limit=200)

    assert told(answer)
    assert sorted(told(answer), key=str) == sorted(counted(version, table, column)[:200], key=str)
    assert [rows for _, rows in told(answer)] == sorted((rows for _, rows in told(answer)), reverse=True)
    assert answer.json()["has_more"] is False


@pytest.mark.parametrize(
    ("source", "field", "table", "column"),
    [
        ("mini_program_event", "event", "fct_mini_program_event", "event"),
        ("review", "review_tags", "fct_review_tag", "review_tag"),
    ],
)
def test_a_clinic_is_told_of_rows_of_its_own_customers_only(
    make_client: MakeClient,
    version: duckdb.DuckDBPyConnection,
    clinic: str,
    source: str,
    field: str,
    table: str,
    column: str,
) -> None:
    client = make_client(published=True)
    receptionist = other(client, permissions=())
    give(client, receptionist, "receptionist", clinic)
    here = counted(version, table, column, f"list_contains(clinic_ids, '{clinic}')")

    answer = ask(client, source, field, receptionist, limit=200)

    assert told(answer) == here
    assert here != counted(version, table, column)


def test_a_value_of_a_foreign_clinic_s_customer_is_never_told(
    own_copy: PipelineSettings, make_client: MakeClient, clinic: str
) -> None:
    plant_canary(own_copy, clinic)
    client = make_client()
    receptionist = other(client, permissions=())
    give(client, receptionist, "receptionist", clinic)

    everybody = ask(client, "visit", "department", search="别家门诊")
    here = ask(client, "visit", "department", receptionist, limit=200)
    searched = ask(client, "visit", "department", receptionist, search="别家门诊")

    assert told(everybody) == [(CANARY, 1)]
    assert told(here)
    assert CANARY not in here.text
    assert told(searched) == []


def plant_canary(settings: PipelineSettings, clinic: str) -> None:
    """One visit of a customer of other clinics gets a text of its own."""
    file: Path = settings.folders.published / read_pointer(settings.folders).file
    with duckdb.connect(str(file)) as con:
        found = con.execute(
            """
            update marts.fct_visit set department = $1 where visit_id = (
                select any_value(visit_id) from marts.fct_visit join marts.dim_customer using (customer_key)
                where not list_contains(clinic_ids, $2)
            ) returning visit_id
            """,
            [CANARY, clinic],
        ).fetchall()
    assert len(found) == 1


def test_who_sees_everybody_is_joined_with_nobody() -> None:
    everybody, some = dict.fromkeys(ScopeChannel, Level.ALL), dict.fromkeys(ScopeChannel, Level.CLINIC)
    headquarters = Grant("admin", EVERY_CLINIC, frozenset({ALL}), everybody)
    needed = [Permission.CUSTOMER_NAME_VIEW]

    def conditions(grant: Grant, *erased: str) -> list[str]:
        return Sight(Actor("staff", "1", "a", grants=(grant,)), erased).showing(needed, "").parts

    assert conditions(headquarters) == []
    assert len(conditions(headquarters, "C1")) == 1
    assert len(conditions(Grant("admin", "C1001", frozenset({ALL}), some))) == 2


def test_rows_of_customers_to_be_forgotten_are_not_counted_any_more(
    make_client: MakeClient, version: duckdb.DuckDBPyConnection
) -> None:
    client = make_client(published=True)
    statement = "select one_id from marts.fct_review join marts.dim_customer using (customer_key) limit 1"
    (one_id,) = version.execute(statement).fetchall()[0]

    forgotten = client.post(f"/v1/customers/{one_id}/erasure", headers=once(), json={"reason": "本人要求"})

    assert forgotten.status_code in (200, 202), forgotten.text
    assert told(ask(client, "review", "rating_level")) == counted(
        version, "fct_review", "rating_level", f"one_id <> '{one_id}'"
    )


@pytest.mark.parametrize(
    ("source", "field"), [("review", "doctor_name"), ("lead", "owner_staff_name"), ("review", "comment")]
)
def test_who_sees_persons_masked_is_told_neither_names_nor_free_text(
    make_client: MakeClient, source: str, field: str
) -> None:
    client = make_client(published=True, permissions=("customer.view",))

    answer = ask(client, source, field)

    assert (answer.status_code, found(answer)) == (403, {("masked_field", "/path/field")})


def test_labels_name_what_rows_refer_to_and_are_searched(
    make_client: MakeClient, version: duckdb.DuckDBPyConnection
) -> None:
    client = make_client(published=True)
    names = dict(version.execute("select staff_id, staff_name from marts.dim_staff").fetchall())
    doctor, _ = counted(version, "fct_appointment", "doctor_id")[0]

    answer = ask(client, "appointment", "doctor_id", search=names[doctor]).json()

    assert {one["value"]: one["label"] for one in answer["values"]}[doctor] == names[doctor]
    assert all(names[doctor] in one["label"] for one in answer["values"])


@pytest.mark.parametrize(
    ("source", "field", "status", "code", "path"),
    [
        ("nothing", "event", 404, "unknown_source", "/path/source"),
        ("dim_staff", "phone", 404, "unknown_source", "/path/source"),
        ("review", "nothing", 404, "unknown_field", "/path/field"),
        ("review", "customer_key", 404, "unknown_field", "/path/field"),
        ("review", "comment) from marts.fct_review --", 404, "unknown_field", "/path/field"),
        ("review", "submitted_at", 422, "no_candidate_values", "/path/field"),
        ("card_asset", "valid_to", 422, "no_candidate_values", "/path/field"),
    ],
    ids=str,
)
def test_what_has_no_values_is_refused_in_both_languages(
    make_client: MakeClient, source: str, field: str, status: int, code: str, path: str
) -> None:
    answer = ask(make_client(published=True), source, field)

    assert (answer.status_code, found(answer)) == (status, {(code, path)})
