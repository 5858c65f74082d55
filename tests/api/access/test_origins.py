"""Where a value of a customer is from: told as the mart has it, within the caller's scope and masked by role."""

from typing import Any

import duckdb
import pytest
from fastapi.testclient import TestClient

from api.access.masking import mask_name, mask_phone
from pipelines.settings import PipelineSettings
from segment_engine.runtime.published import read_pointer
from tests.api.access.people import Rows, give, other
from tests.api.conftest import MakeClient
from tests.api.probe import found


def ask(client: TestClient, one_id: str, headers: dict[str, str] | None = None) -> dict[str, dict[str, Any]]:
    answer = client.get(f"/v1/customers/{one_id}/origins", headers=headers)
    assert answer.status_code == 200, answer.text
    return {origin["attribute"]: origin for origin in answer.json()["origins"]}


@pytest.fixture(scope="module")
def known(rows: Rows) -> dict[str, Any]:
    """A customer of whom much is known."""
    told = ("phone", "is_lead", "consultant_name", "source_level_1", "birth_date")
    return next(row for row in rows if all(row[name] for name in told))


def test_every_value_comes_with_the_record_it_is_from(
    make_client: MakeClient, version: duckdb.DuckDBPyConnection, known: dict[str, Any]
) -> None:
    client = make_client(published=True)
    query = "select attribute, source, identity_key from customer_attribute_origin where customer_key = $1"
    expected = {name: (source, key) for name, source, key in version.execute(query, [known["customer_key"]]).fetchall()}

    origins = ask(client, known["one_id"])

    assert {name: (one["source"], one["identity_key"]) for name, one in origins.items()} == expected
    assert list(origins) == sorted(expected)
    assert origins["phone"]["value"] == known["phone"]
    assert origins["birth_date"]["value"] == known["birth_date"].isoformat()
    assert origins["consultant_id"]["value"] == known["consultant_name"]
    assert origins["source_levels"]["value"].split("/")[0] == known["source_level_1"]
    assert origins["phone"]["known_at"].startswith("20")


def test_who_sees_a_customer_masked_sees_origins_masked_and_no_record(
    make_client: MakeClient, known: dict[str, Any]
) -> None:
    client = make_client(published=True, permissions=("customer.view",))

    origins = ask(client, known["one_id"])

    assert origins["phone"]["value"] == mask_phone(known["phone"])
    assert origins["name"]["value"] == mask_name(known["name"])
    assert origins["consultant_id"]["value"] == mask_name(known["consultant_name"])
    assert {one["identity_key"] for one in origins.values()} == {None}
    assert {one["source"] for one in origins.values()} >= {"patient"}


def test_a_remark_is_shown_to_whoever_may_see_all_that_it_may_hold(make_client: MakeClient, rows: Rows) -> None:
    client = make_client(published=True)
    clerk = other(client, permissions=("customer.view", "customer.name.view", "customer.phone.view"))
    remarked = next(row for row in rows if row["patient_remark"])

    assert ask(client, remarked["one_id"])["patient_remark"]["value"] == remarked["patient_remark"]
    assert ask(client, remarked["one_id"], clerk)["patient_remark"]["value"] is None


def test_a_foreign_customer_is_the_same_404_as_none(make_client: MakeClient, rows: Rows, clinic: str) -> None:
    client = make_client(published=True)
    receptionist = other(client, permissions=())
    give(client, receptionist, "receptionist", clinic)
    here = next(row for row in rows if clinic in row["clinic_ids"])
    foreign = next(row for row in rows if row["clinic_ids"] and clinic not in row["clinic_ids"])

    assert ask(client, here["one_id"], receptionist)
    answers = [
        client.get(f"/v1/customers/{one_id}/origins", headers=receptionist) for one_id in (foreign["one_id"], "C0")
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert found(answers[0]) == found(answers[1]) == {("customer_unknown", "/path/one_id")}


def test_a_version_of_an_earlier_release_says_that_it_tells_no_origins(
    own_copy: PipelineSettings, make_client: MakeClient, known: dict[str, Any]
) -> None:
    file = own_copy.folders.published / read_pointer(own_copy.folders).file
    with duckdb.connect(str(file)) as con:
        con.execute("drop view analyst.customer_attribute_origin")
        con.execute("drop table marts.customer_attribute_origin")
    client = make_client()

    answer = client.get(f"/v1/customers/{known['one_id']}/origins")

    assert answer.status_code == 503
    assert {code for code, _ in found(answer)} == {"origins_not_published"}
