"""The catalogue: all that filters may speak of, what the caller may not use is marked, and what changed is told."""

import json
from typing import Any

import duckdb
import pytest
from fastapi.testclient import TestClient

from api.access.masking import mask_name
from api.catalogue.options import MAX_OPTIONS
from pipelines.settings import PipelineSettings
from segment_engine.catalog import Catalog, read_catalog
from segment_engine.operators import OPERATORS
from segment_engine.runtime.published import read_pointer
from tests.api.access.people import give, other
from tests.api.conftest import MakeClient
from tests.api.probe import found

PERSONAL = {
    "nickname": "pii_name",
    "name": "pii_name",
    "phone": "pii_phone",
    "id_number": "pii_id_number",
    "patient_remark": "pii_free_text",
}


@pytest.fixture(scope="module")
def catalog(night: PipelineSettings) -> Catalog:
    pointer = read_pointer(night.folders)
    return read_catalog(json.loads((night.folders.published / pointer.catalog_file).read_text(encoding="utf-8")))


def catalogue(client: TestClient, headers: dict[str, str] | None = None) -> dict[str, Any]:
    answer = client.get("/v1/catalogue", headers=headers)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def attributes(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Fields of the customer by name, each with its category."""
    return {
        field["name"]: field | {"category": (first["label"], second["label"], third["label"])}
        for first in document["attributes"]
        for second in first["categories"]
        for third in second["categories"]
        for field in third["fields"]
    }


def test_every_field_and_source_of_the_catalogue_is_told(make_client: MakeClient, catalog: Catalog) -> None:
    document = catalogue(make_client(published=True))
    told = attributes(document)

    assert {name: (field["type"], field["category"]) for name, field in told.items()} == {
        name: (field.type, field.category) for name, field in catalog.attributes.items()
    }
    assert {
        source["name"]: (tuple(source["category"]), source["time"], source["known_at"], len(source["metrics"]))
        for source in document["sources"]
    } == {
        source.name: (source.category, source.time, source.known_at, len(source.metrics))
        for source in catalog.sources.values()
    }
    assert {source["name"]: [field["name"] for field in source["fields"]] for source in document["sources"]} == {
        source.name: list(source.fields) for source in catalog.sources.values()
    }
    assert [first["label"] for first in document["attributes"]] == ["客户资料", "客户资产"]


def test_fields_say_what_a_form_for_them_needs(make_client: MakeClient) -> None:
    told = attributes(catalogue(make_client(published=True)))

    assert told["gender"]["options"] == [{"value": one, "label": one} for one in ("男", "女", "未知")]
    assert (told["age"]["unit"], told["age"]["current_only"], told["city"]["current_only"]) == ("岁", True, False)
    assert told["paid_fen"]["unit"] == "元"
    assert (told["birth_date"]["has_values"], told["city"]["has_values"]) == (False, True)
    assert (told["city"]["options"], told["city"]["has_more_options"]) == (None, False)
    assert (told["city"]["label_zh"], told["city"]["label_en"]) == ("城市", "City")


def test_operators_limits_and_groups_are_told(make_client: MakeClient, catalog: Catalog) -> None:
    document = catalogue(make_client(published=True))
    events = next(source for source in document["sources"] if source["name"] == "mini_program_event")

    assert {kind: [one["name"] for one in told] for kind, told in document["operators"].items()} == {
        kind: list(known) for kind, known in OPERATORS.items()
    }
    assert document["operators"]["text"][1] == {
        "name": "neq", "label_zh": "不等于", "label_en": "is not", "value": "one", "negative": True,
    }  # fmt: skip
    assert (document["limits"]["filter"]["conditions"], document["limits"]["customer_list"]["conditions"]) == (64, 8)
    assert {group["label"]: tuple(group["values"]) for group in events["groups"]} == catalog.sources[
        "mini_program_event"
    ].groups


def test_options_from_other_tables_come_with_their_labels_in_their_order(
    make_client: MakeClient, version: duckdb.DuckDBPyConnection
) -> None:
    told = attributes(catalogue(make_client(published=True)))
    clinics = version.execute("select clinic_id, clinic_name from marts.dim_clinic").fetchall()

    listed = [(option["value"], option["label"]) for option in told["clinic_id"]["options"]]

    assert listed == sorted(clinics, key=lambda row: (row[1], row[0]))[:MAX_OPTIONS]
    assert told["clinic_id"]["has_more_options"] is False
    assert told["clinic_ids"]["options"] == told["clinic_id"]["options"]


def test_more_options_than_are_shown_are_said_to_be_there(own_copy: PipelineSettings, make_client: MakeClient) -> None:
    file = own_copy.folders.published / read_pointer(own_copy.folders).file
    with duckdb.connect(str(file)) as con:
        numbered = "marts.dim_clinic as clinics, range(99) as numbers(n)"
        copies = f"select clinics.* replace (clinic_id || n as clinic_id) from {numbered}"
        con.execute(f"insert into marts.dim_clinic {copies}")

    told = attributes(catalogue(make_client()))["clinic_id"]

    assert (len(told["options"]), told["has_more_options"]) == (MAX_OPTIONS, True)


def test_fields_that_the_caller_sees_masked_are_marked_and_not_hidden(make_client: MakeClient) -> None:
    client = make_client(published=True)
    viewer = other(client, permissions=("customer.view",))
    caller = other(client, permissions=("customer.view", "customer.phone.view"))

    document = catalogue(client, viewer)
    everything, masked = attributes(catalogue(client)), attributes(document)
    phones = attributes(catalogue(client, caller))
    reviews = next(source for source in document["sources"] if source["name"] == "review")

    assert {name: field["permission"] for name, field in masked.items() if field["permission"]} == PERSONAL
    assert [name for name, field in everything.items() if not field["permitted"]] == []
    assert {name for name, field in masked.items() if not field["permitted"]} == set(PERSONAL)
    assert {name for name, field in phones.items() if not field["permitted"]} == set(PERSONAL) - {"phone"}
    assert [field["name"] for field in reviews["fields"] if not field["permitted"]] == ["doctor_name", "comment"]


def test_a_clinic_is_told_its_own_staff_and_their_names_only_with_the_permission(
    make_client: MakeClient, version: duckdb.DuckDBPyConnection, clinic: str
) -> None:
    client = make_client(published=True)
    receptionist, marketer = other(client, permissions=()), other(client, permissions=())
    give(client, receptionist, "receptionist", clinic)
    give(client, marketer, "marketer", clinic)
    staff = version.execute("select staff_id, staff_name, clinic_id, role_clinic_ids from marts.dim_staff").fetchall()
    here = {staff_id: name for staff_id, name, home, at in staff if clinic in (home, *(at or ()))}

    named, masked = (
        {option["value"]: option["label"] for option in attributes(document)["consultant_id"]["options"]}
        for document in (catalogue(client, receptionist), catalogue(client, marketer))
    )

    assert 0 < len(here) < min(MAX_OPTIONS, len(staff))
    assert named == here
    assert masked == {staff_id: mask_name(name) for staff_id, name in here.items()}


def test_what_did_not_change_is_not_sent_again(make_client: MakeClient) -> None:
    client = make_client(published=True)
    first = client.get("/v1/catalogue")
    tag = first.headers["etag"]

    again = client.get("/v1/catalogue", headers={"If-None-Match": tag})
    through_a_proxy = client.get("/v1/catalogue", headers={"If-None-Match": f'"other", W/{tag}'})
    other_tag = client.get("/v1/catalogue", headers={"If-None-Match": '"other"'})

    assert tag.startswith('"20261120-01-')
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert through_a_proxy.status_code == 304
    assert (other_tag.status_code, other_tag.headers["etag"]) == (200, tag)


def test_another_version_another_role_and_another_format_have_other_tags(
    own_copy: PipelineSettings, make_client: MakeClient
) -> None:
    client = make_client()
    viewer = other(client, permissions=("customer.view",))
    tags = [
        client.get("/v1/catalogue").headers["etag"],
        client.get("/v1/catalogue", headers=viewer).headers["etag"],
        client.get("/v1/catalogue?format=react-querybuilder").headers["etag"],
    ]
    pointer = own_copy.folders.published / "CURRENT"
    pointer.write_text(json.dumps(json.loads(pointer.read_text()) | {"version": "20261120-02"}))

    answer = client.get("/v1/catalogue", headers={"If-None-Match": tags[0]})

    assert answer.status_code == 200
    assert len({*tags, answer.headers["etag"]}) == 4


def test_react_querybuilder_is_told_fields_that_the_caller_may_use(make_client: MakeClient, catalog: Catalog) -> None:
    client = make_client(published=True)
    viewer = other(client, permissions=("customer.view",))

    everything, usable = (
        {
            field["name"]: field
            for group in client.get("/v1/catalogue?format=react-querybuilder", headers=who).json()
            for field in group["options"]
        }
        for who in (None, viewer)
    )

    assert everything.keys() >= catalog.attributes.keys()
    assert everything.keys() - usable.keys() == set(PERSONAL)
    assert len(usable["city"]["operators"]) == len(OPERATORS[catalog.attributes["city"].type])


def test_an_unknown_format_is_refused(make_client: MakeClient) -> None:
    answer = make_client(published=True).get("/v1/catalogue?format=xml")

    assert (answer.status_code, found(answer)) == (422, {("literal_error", "/query/format")})


def test_without_a_published_version_there_is_no_catalogue_yet(make_client: MakeClient) -> None:
    client = make_client()

    answers = [client.get(f"/v1/catalogue{path}") for path in ("", "/fields/city/values")]

    assert [(answer.status_code, found(answer)) for answer in answers] == [(503, {("nothing_published", "")})] * 2


@pytest.mark.parametrize("text", [None, '{"format": 1, "tab'], ids=["missing", "torn"])
def test_a_catalogue_that_cannot_be_read_is_503_and_says_what_to_do(
    own_copy: PipelineSettings, make_client: MakeClient, text: str | None
) -> None:
    file = own_copy.folders.published / read_pointer(own_copy.folders).catalog_file
    file.unlink()
    if text is not None:
        file.write_text(text, encoding="utf-8")
    client = make_client()

    paths = ("", "/fields/city/values", "/sources/review/fields/comment/values")
    answers = [client.get(f"/v1/catalogue{path}") for path in paths]

    assert [(answer.status_code, found(answer)) for answer in answers] == [(503, {("damaged_catalogue", "")})] * 3
    assert client.get("/v1/customers?limit=1").status_code == 200
