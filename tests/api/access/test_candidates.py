"""Candidate values: counted over the caller's own customers, and none of what it sees masked."""

from collections import Counter
from typing import Any

import duckdb
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from api.access.masking import MASKS, mask_name
from api.catalogue.candidates import LIST_FIELDS
from tests.api.access.people import Rows, give, once, other
from tests.api.conftest import MakeClient
from tests.api.probe import found

FIELDS = (
    "nickname", "name", "phone", "id_number", "gender", "city", "clinic_id", "medical_record_no", "patient_type",
    "source_level_1", "source_level_2", "source_level_3", *LIST_FIELDS,
)  # fmt: skip


def ask(client: TestClient, field: str, headers: dict[str, str] | None = None, **query: Any) -> Response:
    return client.get(f"/v1/catalogue/fields/{field}/values", params=query, headers=headers)


def told(answer: Response) -> list[tuple[Any, int]]:
    assert answer.status_code == 200, answer.text
    return [(one["value"], one["customers"]) for one in answer.json()["values"]]


def labels(answer: Response) -> dict[str, str | None]:
    assert answer.status_code == 200, answer.text
    return {one["value"]: one["label"] for one in answer.json()["values"]}


def counted(rows: Rows, field: str) -> list[tuple[str, int]]:
    """The oracle: values and how many have them, the most frequent first."""
    counts = Counter(row[field] for row in rows if row[field])
    return sorted(counts.items(), key=lambda item: (-item[1], item[0].encode()))


@pytest.mark.parametrize("field", FIELDS)
def test_values_come_with_their_customers_the_most_frequent_first(
    make_client: MakeClient, rows: Rows, field: str
) -> None:
    client = make_client(published=True)
    expected = counted(rows, field)

    assert expected
    assert told(ask(client, field, limit=200)) == expected[:200]
    assert ask(client, field, limit=200).json()["has_more"] is (len(expected) > 200)


def test_a_clinic_is_told_nothing_of_other_clinics_customers(make_client: MakeClient, rows: Rows, clinic: str) -> None:
    client = make_client(published=True)
    receptionist = other(client, permissions=())
    give(client, receptionist, "receptionist", clinic)
    here = [row for row in rows if clinic in row["clinic_ids"]]

    for field in ("city", "medical_record_no", "phone", "responsible_doctor_name"):
        assert told(ask(client, field, receptionist, limit=200)) == counted(here, field)[:200]
        assert counted(here, field) != counted(rows, field)


def test_values_are_open_where_the_permission_reaches_and_untold_elsewhere(
    make_client: MakeClient, rows: Rows, clinic: str
) -> None:
    client = make_client(published=True)
    both = other(client, permissions=("customer.view",))
    give(client, both, "receptionist", clinic)
    here = [row for row in rows if clinic in row["clinic_ids"]]

    assert told(ask(client, "phone", both, limit=200)) == counted(here, "phone")[:200]
    assert told(ask(client, "city", both, limit=200)) == counted(rows, "city")[:200]


@pytest.mark.parametrize("field", FIELDS)
def test_who_sees_a_field_masked_is_told_none_of_its_values(make_client: MakeClient, field: str) -> None:
    client = make_client(published=True, permissions=("customer.view",))

    answer = ask(client, field)

    if field in MASKS:
        assert answer.status_code == 403
        assert found(answer) == {("masked_field", "/path/field")}
    else:
        assert told(answer)


def test_a_search_finds_what_contains_it_and_takes_nothing_for_a_pattern(make_client: MakeClient, rows: Rows) -> None:
    client = make_client(published=True)
    name = counted(rows, "clinic_name")[0][0]
    part = name[1:3]

    assert told(ask(client, "clinic_name", search=part)) == [
        (value, customers) for value, customers in counted(rows, "clinic_name") if part in value
    ]
    assert told(ask(client, "clinic_id", search=counted(rows, "clinic_id")[0][0].lower()))
    assert told(ask(client, "city", search="%")) == told(ask(client, "city", search="' or true --")) == []


def test_fewer_values_than_there_are_say_so(make_client: MakeClient, rows: Rows) -> None:
    client = make_client(published=True)

    answer = ask(client, "clinic_name", limit=1)

    assert told(answer) == counted(rows, "clinic_name")[:1]
    assert answer.json()["has_more"] is True


def test_a_field_that_there_is_not_is_refused(make_client: MakeClient) -> None:
    client = make_client(published=True)

    for field in ("avatar_url", "customer_key", "city;drop", "clinic_ids[1]"):
        answer = ask(client, field)
        assert (answer.status_code, found(answer)) == (404, {("unknown_field", "/path/field")})


def test_values_come_as_a_filter_writes_them(make_client: MakeClient, rows: Rows) -> None:
    client = make_client(published=True)
    paid = Counter(row["paid_fen"] / 100 for row in rows)
    fans = Counter(row["is_fan"] for row in rows)

    amounts = told(ask(client, "paid_fen", limit=200))
    found_by_fen = told(ask(client, "paid_fen", search=".50", limit=200))

    assert amounts == sorted(paid.items(), key=lambda item: (-item[1], item[0]))[:200]
    assert all(amount % 1 == 0.5 for amount, _ in found_by_fen)
    assert dict(told(ask(client, "is_fan"))) == fans
    assert {type(value) for value, _ in told(ask(client, "is_fan"))} == {bool}
    assert {type(value) for value, _ in told(ask(client, "age"))} == {int}


def test_each_of_several_values_is_counted_for_itself_and_has_its_label(
    make_client: MakeClient, rows: Rows, version: duckdb.DuckDBPyConnection
) -> None:
    client = make_client(published=True)
    clinics = dict(version.execute("select clinic_id, clinic_name from marts.dim_clinic").fetchall())
    counts = Counter(clinic for row in rows for clinic in row["clinic_ids"])

    answer = ask(client, "clinic_ids")

    assert told(answer) == sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    assert labels(answer) == {clinic: clinics[clinic] for clinic in counts}


def test_a_label_is_found_by_as_the_value_is(make_client: MakeClient, rows: Rows, clinic: str) -> None:
    client = make_client(published=True)
    name = next(row["clinic_name"] for row in rows if row["clinic_id"] == clinic)

    assert labels(ask(client, "clinic_id", search=name)) == {clinic: name}
    assert labels(ask(client, "clinic_id", search=clinic.lower())) == {clinic: name}


def test_a_search_is_normalised_as_stored_texts_are(make_client: MakeClient, rows: Rows) -> None:
    client = make_client(published=True)
    wide = "".join(chr(ord(letter) + 0xFEE0) for letter in "C1")

    assert told(ask(client, "clinic_id", search=wide)) == told(ask(client, "clinic_id", search="C1")) != []


@pytest.mark.parametrize("field", ["birth_date", "created_at"])
def test_dates_have_no_values_and_say_why(make_client: MakeClient, field: str) -> None:
    answer = ask(make_client(published=True), field)

    assert (answer.status_code, found(answer)) == (422, {("no_candidate_values", "/path/field")})


def test_remarks_are_told_to_who_may_see_all_that_they_may_hold(make_client: MakeClient, rows: Rows) -> None:
    client = make_client(published=True)
    clerk = other(client, permissions=("customer.view", "customer.name.view", "customer.phone.view"))

    refused = ask(client, "patient_remark", clerk)

    assert told(ask(client, "patient_remark")) == counted(rows, "patient_remark")[:50]
    assert (refused.status_code, found(refused)) == (403, {("masked_field", "/path/field")})
    assert "customer.id_number.view" in refused.text


def test_staff_are_called_by_name_for_customers_whose_names_are_seen(
    make_client: MakeClient, rows: Rows, clinic: str
) -> None:
    client = make_client(published=True)
    viewer = other(client, permissions=("customer.view",))
    both = other(client, permissions=("customer.view",))
    give(client, both, "receptionist", clinic)
    names = {row["responsible_doctor_id"]: row["responsible_doctor_name"] for row in rows}
    here = {row["responsible_doctor_id"] for row in rows if clinic in row["clinic_ids"]}

    everyone = labels(ask(client, "responsible_doctor_id", limit=200))
    some = labels(ask(client, "responsible_doctor_id", both, limit=200))
    nobody = labels(ask(client, "responsible_doctor_id", viewer, limit=200))

    assert everyone.keys() == some.keys() == nobody.keys() > here - {None}
    assert everyone == {doctor: names[doctor] for doctor in everyone}
    assert nobody == {doctor: mask_name(names[doctor]) for doctor in everyone}
    assert some == {doctor: names[doctor] if doctor in here else mask_name(names[doctor]) for doctor in everyone}


def test_a_masked_label_is_not_found_by(make_client: MakeClient, rows: Rows) -> None:
    client = make_client(published=True)
    viewer = other(client, permissions=("customer.view",))
    name = next(row["responsible_doctor_name"] for row in rows if row["responsible_doctor_name"])

    assert labels(ask(client, "responsible_doctor_id", search=name))
    assert labels(ask(client, "responsible_doctor_id", viewer, search=name)) == {}


def test_customers_to_be_forgotten_have_no_values_any_more(make_client: MakeClient, rows: Rows) -> None:
    client = make_client(published=True)
    someone = next(row for row in rows if row["phone"] and dict(counted(rows, "phone"))[row["phone"]] == 1)
    others = [row for row in rows if row is not someone]

    forgotten = client.post(f"/v1/customers/{someone['one_id']}/erasure", headers=once(), json={"reason": "本人要求"})

    assert forgotten.status_code in (200, 202), forgotten.text
    assert told(ask(client, "phone", search=someone["phone"])) == []
    assert told(ask(client, "city", limit=200)) == counted(others, "city")[:200]
