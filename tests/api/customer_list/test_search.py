"""`/v1/customers/search`: every customer once, in order, exactly those who are meant and seen."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.access.actors import Level, ScopeChannel
from api.customer_list.columns import COLUMNS, SortName
from segment_engine.tree import AudienceKind
from tests.api.access.people import other
from tests.api.conftest import MakeClient
from tests.api.customer_list.conftest import Rows
from tests.api.filters.documents import Json, Tags, all_of, any_of, first_visits, is_
from tests.stores import SqliteStores

CLINIC = dict.fromkeys(ScopeChannel, Level.CLINIC)
WOMEN = all_of(is_("gender", "eq", "女"))


@pytest.fixture
def stores(sqlite_stores: SqliteStores) -> SqliteStores:
    """One engine: what is asked here is published, whatever the operational store is."""
    return sqlite_stores


def search(client: TestClient, **body: Any) -> Any:
    return client.post("/v1/customers/search", json=body)


def pages(client: TestClient, **body: Any) -> Iterator[dict[str, Any]]:
    cursor: dict[str, str] = {}
    while True:
        answer = search(client, **body, **cursor)
        assert answer.status_code == 200, answer.text
        yield answer.json()
        if answer.json()["next_cursor"] is None:
            return
        cursor = {"cursor": answer.json()["next_cursor"]}


def found(client: TestClient, **body: Any) -> list[dict[str, Any]]:
    """Every customer of a search; each page counts as many as there are on all of them."""
    all_pages = [*pages(client, **{"limit": 200, **body})]
    customers = [customer for page in all_pages for customer in page["customers"]]
    assert {page["total"] for page in all_pages} == {len(customers)}
    return customers


def refused(answer: Any) -> list[tuple[str, str]]:
    return [(one["code"], one["path"]) for one in answer.json()["problems"]]


def ids(customers: list[dict[str, Any]]) -> list[str]:
    return [customer["one_id"] for customer in customers]


def in_order(rows: Rows, column: str, direction: str) -> list[str]:
    """As the list is promised: by the column, then by the customer's age; without a value last either way."""
    is_descending = direction == "desc"
    there = [row for row in rows if row[column] is not None]
    missing = [row for row in rows if row[column] is None]
    there.sort(key=lambda row: (row[column], row["customer_key"]), reverse=is_descending)
    missing.sort(key=lambda row: row["customer_key"], reverse=is_descending)
    return [row["one_id"] for row in there + missing]


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("column", [one.value for one in SortName])
def test_pages_hold_every_customer_once_in_order(client: TestClient, rows: Rows, column: str, direction: str) -> None:
    customers = found(client, sort=column, direction=direction, columns=["gender"], limit=197)

    assert ids(customers) == in_order(rows, column, direction)


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_names_that_are_masked_are_sorted_as_missing(
    make_client: MakeClient, rows: Rows, clinic: str, direction: str
) -> None:
    client = make_client(published=True, permissions=("customer.view",))
    headers = other(client, permissions=("customer.view", "customer.name.view"), clinic_id=clinic, data_scope=CLINIC)
    client.headers.update(headers)
    mine = [row for row in rows if clinic in row["clinic_ids"]]

    customers = found(client, sort="name", direction=direction, columns=["name"])

    assert ids(customers) == in_order(mine, "name", direction)
    assert [one["name"] for one in customers if one["name"]] == sorted(
        (row["name"] for row in mine if row["name"]), reverse=direction == "desc"
    )


@pytest.mark.parametrize("column", ["name", "phone", "id_number", "patient_remark", "consultant_name"])
def test_what_the_caller_sees_masked_sorts_nothing(make_client: MakeClient, column: str) -> None:
    client = make_client(published=True, permissions=("customer.view",))

    answer = search(client, sort=column)

    assert answer.status_code == 403
    assert set(refused(answer)) == {("masked_field", "/sort")}


def test_the_columns_that_are_asked_for_are_shown_and_no_others(client: TestClient, rows: Rows) -> None:
    by_id = {row["one_id"]: row for row in rows}
    names = [name for name in COLUMNS if name != "channels"]

    narrow = search(client, columns=["city", "nickname"], limit=1).json()["customers"][0]
    wide = search(client, columns=names, limit=200).json()["customers"]

    assert narrow.keys() == {"one_id", "city", "nickname", "avatar_url"}
    fields = {*names, "avatar_url", "clinic_id"}
    assert {frozenset(one) for one in wide} == {frozenset({"one_id", *fields})}
    texts = fields - {"birth_date", "first_visit_at", "last_visit_at", "created_at"}
    assert [{name: one[name] for name in texts} for one in wide] == [
        {name: by_id[one["one_id"]][name] for name in texts} for one in wide
    ]


def test_personal_fields_are_masked_or_left_out_by_role(make_client: MakeClient, rows: Rows) -> None:
    client = make_client(published=True, permissions=("customer.view",))

    customers = found(client, columns=["nickname", "name", "phone", "id_number", "patient_remark"])

    assert any(row["patient_remark"] for row in rows)
    assert {one["patient_remark"] for one in customers} == {one["avatar_url"] for one in customers} == {None}
    assert [one for one in customers if one["name"] and "*" not in one["name"]] == []
    assert [one for one in customers if one["phone"] and "****" not in one["phone"]] == []


def test_an_advanced_filter_keeps_exactly_its_customers(client: TestClient, rows: Rows) -> None:
    women = [row for row in rows if row["gender"] == "女"]

    customers = found(client, advanced=WOMEN)

    assert ids(customers) == in_order(women, "created_at", "desc")


def test_quick_and_advanced_filters_hold_together(client: TestClient, rows: Rows) -> None:
    leads = [row for row in rows if row["gender"] == "女" and row["is_lead"]]

    customers = found(client, advanced=WOMEN, filter={"channel": "lead"})

    assert leads
    assert ids(customers) == in_order(leads, "created_at", "desc")


def test_the_quick_filters_are_those_of_the_plain_list(client: TestClient, rows: Rows) -> None:
    somebody = next(row for row in rows if row["phone"] and row["nickname"] and row["name"] and row["clinic_id"])
    asked = {
        "phone": somebody["phone"], "nickname": somebody["nickname"][:1], "name": somebody["name"][:1],
        "clinic_id": somebody["clinic_id"],
    }  # fmt: skip

    for name, value in asked.items():
        listed = client.get("/v1/customers", params={name: value, "limit": 200}).json()["customers"]
        searched = search(client, filter={name: value}, limit=200).json()

        assert ids(searched["customers"]) == ids(listed)
        assert somebody["one_id"] in ids(found(client, filter={name: value}))


def test_a_landline_is_found_however_it_is_written(client: TestClient, rows: Rows) -> None:
    landlines = sorted({row["phone"] for row in rows if re.fullmatch("0[0-9]{2,3}-[0-9]{8}", row["phone"] or "")})
    assert landlines

    for landline in landlines:
        area, number = landline.split("-")
        theirs = {row["one_id"] for row in rows if row["phone"] == landline}
        ways = [
            landline, f"{area}{number}", f"({area}) {number[:4]} {number[4:]}", f"{area[1:]}{number}",
            f"+86 {area[1:]} {number}", f"86-{area[1:]}-{number}", f"0086{area[1:]}{number}",
        ]  # fmt: skip

        assert [set(ids(found(client, filter={"phone": way}))) for way in ways] == [theirs] * len(ways)
        listed = client.get("/v1/customers", params={"phone": f"{area}{number}", "limit": 200}).json()["customers"]
        assert set(ids(listed)) == theirs


@pytest.mark.parametrize("advanced", [None, WOMEN, {**WOMEN, "not": True}, first_visits()])
def test_a_clinic_finds_its_own_customers_only(
    make_client: MakeClient, rows: Rows, clinic: str, advanced: Json | None
) -> None:
    everybody = make_client(published=True)
    headers = other(everybody, permissions=("customer.view",), clinic_id=clinic, data_scope=CLINIC)
    mine = {row["one_id"] for row in rows if clinic in row["clinic_ids"]}
    asked = {} if advanced is None else {"advanced": advanced}
    all_of_them = ids(found(everybody, **asked))

    everybody.headers.update(headers)

    assert ids(found(everybody, **asked)) == [one for one in all_of_them if one in mine]


def test_eight_conditions_are_taken_and_nine_are_not(client: TestClient) -> None:
    eight = [is_("city", "neq", f"城市{number}") for number in range(8)]

    taken = search(client, advanced=all_of(*eight[:4], any_of(*eight[4:])))
    refusal = search(client, advanced=all_of(*eight[:4], any_of(*eight[4:], is_("gender", "eq", "女"))))

    assert taken.status_code == 200
    assert refusal.status_code == 422
    assert refused(refusal) == [("too_many_conditions", "/advanced")]


def test_everything_that_is_wrong_is_told_at_once(client: TestClient) -> None:
    answer = search(
        client, filter={"phone": "abc"}, advanced=all_of(is_("shoe", "eq", 43)), segment_ids=[4], cursor="nonsense"
    )

    assert answer.status_code == 422
    assert set(refused(answer)) == {
        ("not_a_phone", "/filter/phone"),
        ("unknown_segment", "/segment_ids/0"),
        ("unknown_field", "/advanced/rules/0/field"),
        ("invalid_cursor", "/cursor"),
    }


def test_a_masked_field_filters_nothing_quick_or_advanced(make_client: MakeClient) -> None:
    client = make_client(published=True, permissions=("customer.view",))

    answer = search(client, filter={"name": "王"}, advanced=all_of(is_("phone", "is_set")), sort="name")

    assert answer.status_code == 403
    assert refused(answer) == [
        ("masked_field", "/filter/name"),
        ("masked_field", "/advanced/rules/0/field"),
        ("masked_field", "/sort"),
    ]


def test_tags_and_segments_keep_their_members_of_the_last_run(client: TestClient, rows: Rows) -> None:
    keys = [row["customer_key"] for row in rows]
    women = {row["one_id"] for row in rows if row["gender"] == "女"}
    ran_at = datetime(2026, 11, 21, 1, tzinfo=UTC)
    tags = Tags(
        {
            (AudienceKind.TAG, 4): keys[:20],
            (AudienceKind.TAG, 5): keys[10:30],
            (AudienceKind.SEGMENT, 6): [*keys[25:40], max(keys) + 1000],
        },
        {(AudienceKind.SEGMENT, 6): "老客户"},
        {(AudienceKind.SEGMENT, 6): ran_at},
    )
    client.app.state.filters.audiences = tags  # type: ignore[attr-defined]

    either = found(client, tag_ids=[4, 5])
    both = search(client, tag_ids=[5], segment_ids=[6]).json()
    with_filter = found(client, tag_ids=[4, 5], advanced=WOMEN)

    assert set(ids(either)) == {row["one_id"] for row in rows[:30]}
    assert set(ids(both["customers"])) == {row["one_id"] for row in rows[25:30]}
    assert both["total"] == 5
    assert both["audiences"] == [
        {"kind": "tag", "id": 5, "name": None, "computed_at": None},
        {"kind": "segment", "id": 6, "name": "老客户", "computed_at": "2026-11-21T01:00:00Z"},
    ]
    assert set(ids(with_filter)) == women & set(ids(either))


@pytest.mark.parametrize(
    ("body", "path", "code"),
    [
        ({"limit": 0}, "/limit", "greater_than_equal"),
        ({"limit": 201}, "/limit", "less_than_equal"),
        ({"limit": True}, "/limit", "int_type"),
        ({"sort": "channels"}, "/sort", "enum"),
        ({"direction": "up"}, "/direction", "literal_error"),
        ({"columns": []}, "/columns", "too_short"),
        ({"columns": ["name", "name"]}, "/columns", "repeated_item"),
        ({"tag_ids": [0]}, "/tag_ids/0", "greater_than_equal"),
        ({"advanced": []}, "/advanced", "dict_type"),
        ({"query": {}}, "/query", "extra_forbidden"),
    ],
)
def test_a_wrong_body_is_refused_with_its_place(client: TestClient, body: Json, path: str, code: str) -> None:
    answer = search(client, **body)

    assert answer.status_code == 422
    assert refused(answer) == [(code, path)]


def test_a_cursor_of_another_order_is_refused(client: TestClient) -> None:
    cursor = search(client, limit=1, sort="city").json()["next_cursor"]

    answers = [
        search(client, sort="gender", cursor=cursor),
        search(client, sort="city", direction="asc", cursor=cursor),
    ]

    assert [refused(answer) for answer in answers] == [[("invalid_cursor", "/cursor")]] * 2
