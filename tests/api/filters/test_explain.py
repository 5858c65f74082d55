"""`/v1/filters/explain`: true exactly for whom the filter counts, with reasons that the caller may see."""

from typing import Any

import duckdb
import pytest
from fastapi.testclient import TestClient

from api.access.actors import Level, ScopeChannel
from segment_engine.tree import AudienceKind
from tests.api.conftest import MakeClient
from tests.api.filters.conftest import Rows
from tests.api.filters.documents import Json, Tags, all_of, first_visits, is_, tagged

CLINIC = dict.fromkeys(ScopeChannel, Level.CLINIC)


def explain(client: TestClient, document: Json, one_id: str, **more: Any) -> Any:
    return client.post("/v1/filters/explain", json={"filter": document, "one_id": one_id, **more})


def codes(answer: Any) -> list[tuple[str, str]]:
    return [(one["code"], one["path"]) for one in answer.json()["problems"]]


@pytest.fixture(scope="module")
def first_visitors(version: duckdb.DuckDBPyConnection) -> set[str]:
    found = version.execute("""
        select distinct one_id
        from marts.fct_appointment
        join marts.dim_customer using (customer_key)
        where
            visit_type = '初诊'
            and (arrived_at at time zone 'Asia/Shanghai')::date between '2026-11-14' and '2026-11-20'
    """).fetchall()
    return {str(one_id) for (one_id,) in found}


def test_one_who_is_in_and_one_who_is_out_are_told_why(
    client: TestClient, rows: Rows, first_visitors: set[str]
) -> None:
    outside = next(row["one_id"] for row in rows if row["one_id"] not in first_visitors)

    inside_answer = explain(client, first_visits(), min(first_visitors)).json()
    outside_answer = explain(client, first_visits(), outside).json()

    activity = inside_answer["root"]["parts"][0]
    assert inside_answer["holds"] is True
    assert activity["path"] == "/filter/rules/0"
    assert activity["measures"][0]["value"] >= 1
    assert {
        field["value"] for row in activity["evidence"] for field in row["fields"] if field["name"] == "visit_type"
    } == {"初诊"}
    assert outside_answer["holds"] is False
    assert outside_answer["root"]["parts"][0]["evidence"] == []


def test_names_of_colleagues_are_masked_for_whoever_does_not_see_names(
    make_client: MakeClient, first_visitors: set[str]
) -> None:
    client = make_client(published=True, permissions=("customer.view",))

    evidence = explain(client, first_visits(), min(first_visitors)).json()["root"]["parts"][0]["evidence"]

    doctors = [field["text"] for row in evidence for field in row["fields"] if field["name"] == "doctor_id"]
    assert doctors
    assert all(name is None or "*" in name for name in doctors)


def test_fields_that_are_hidden_of_this_customer_cannot_be_named(
    make_client: MakeClient, rows: Rows, clinic: str
) -> None:
    """A rule's truth would tell the name: it is not even evaluated."""
    scope = CLINIC | {ScopeChannel.LEAD: Level.NONE}
    client = make_client(
        published=True, permissions=("customer.view", "customer.name.view"), clinic_id=clinic, data_scope=scope
    )
    mine = next(row for row in rows if clinic in row["clinic_ids"] and row["has_patient_file"] and row["name"])
    foreign = next(row for row in rows if clinic not in row["clinic_ids"])
    named = all_of(is_("name", "eq", mine["name"]))

    seen = explain(client, named, mine["one_id"])
    phone = explain(client, all_of(is_("phone", "is_set")), mine["one_id"])
    unseen = explain(client, named, foreign["one_id"])

    assert seen.json()["root"]["parts"][0]["observed"][0]["value"] == mine["name"]
    assert (phone.status_code, codes(phone)) == (403, [("masked_field", "/filter/rules/0/field")])
    assert (unseen.status_code, codes(unseen)) == (404, [("customer_unknown", "/one_id")])


def test_a_customer_who_was_none_then_is_not_found(client: TestClient, rows: Rows) -> None:
    newest = max(rows, key=lambda row: row["created_at"])

    answer = explain(client, first_visits(), newest["one_id"], as_of="2026-08-01")

    assert (answer.status_code, codes(answer)) == (404, [("not_a_customer_then", "/as_of")])


def test_tags_are_told_by_name_with_their_truth(client: TestClient, rows: Rows) -> None:
    one, other = rows[0], rows[1]
    tag = (AudienceKind.TAG, 4)
    client.app.state.filters.audiences = Tags({tag: [one["customer_key"]]}, {tag: "老客户"})  # type: ignore[attr-defined]

    has, lacks = (explain(client, all_of(tagged(4)), row["one_id"]).json()["root"]["parts"][0] for row in (one, other))

    assert has["audiences"] == [{"kind": "tag", "id": 4, "name": "老客户", "holds": True}]
    assert lacks["audiences"][0]["holds"] is False
    assert "老客户" in has["sentence"]["zh"]
