"""Candidate values: counted over the caller's own customers, and none of what it sees masked."""

from collections import Counter
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from api.access.masking import MASKS
from api.customers.candidates import FIELDS
from tests.api.access.people import Rows, give, other
from tests.api.conftest import MakeClient
from tests.api.probe import found


def ask(client: TestClient, field: str, headers: dict[str, str] | None = None, **query: Any) -> Response:
    return client.get(f"/v1/catalogue/fields/{field}/values", params=query, headers=headers)


def told(answer: Response) -> list[tuple[str, int]]:
    assert answer.status_code == 200, answer.text
    return [(one["value"], one["customers"]) for one in answer.json()["values"]]


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

    for field in ("patient_remark", "customer_key", "city;drop"):
        answer = ask(client, field)
        assert (answer.status_code, found(answer)) == (422, {("enum", "/path/field")})
