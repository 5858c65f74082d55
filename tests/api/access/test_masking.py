"""Which personal fields a caller sees as they are, and what hides the others: in lists, filters, sorts, values."""

from pathlib import Path

import duckdb
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from api.access.masking import CLASSES, HIDDEN, MASKS, mask_id_number, mask_name, mask_phone, permissions_for
from api.customers.repository import COLUMNS
from tests.api.access.people import Rows, give, seen
from tests.api.conftest import MakeClient
from tests.api.probe import found

# What each builtin role sees of one customer of the clinic: masked are …
NAME_FIELDS = {
    "nickname", "name", "online_consultant_name", "consultant_name", "last_visit_doctor_name",
    "responsible_doctor_name", "customer_service_name",
}  # fmt: skip
SIGHT: dict[str, set[str]] = {
    "company_admin": set(),
    "clinic_admin": set(),
    "doctor": {"phone", "id_number"},
    "nurse": {"phone", "id_number"},
    "dental_assistant": {"phone", "id_number"},
    "consultant": {"id_number"},
    "online_consultant": {"id_number"},
    "customer_service": {"id_number"},
    "receptionist": {"id_number"},
    "marketer": {"phone", "id_number"} | NAME_FIELDS,
    "analyst": {"phone", "id_number"} | NAME_FIELDS,
}


@pytest.mark.parametrize("role_id", sorted(SIGHT))
def test_each_role_sees_its_personal_fields_and_the_others_masked(
    make_client: MakeClient, rows: Rows, clinic: str, doctor: str, role_id: str
) -> None:
    client = make_client(published=True, permissions=(), staff_id=doctor)
    headers = {"Authorization": client.headers["authorization"]}
    give(client, headers, role_id, clinic)
    published = {row["one_id"]: row for row in rows}

    customers = seen(client)

    assert customers
    assert set(MASKS) == NAME_FIELDS | {"phone", "id_number"}
    for customer in customers:
        raw = published[customer["one_id"]]
        for name in MASKS:
            shown = MASKS[name][1](raw[name]) if name in SIGHT[role_id] else raw[name]
            assert customer[name] == shown
        # No part of these could be shown masked.
        assert customer["avatar_url"] == (None if "name" in SIGHT[role_id] else raw["avatar_url"])
        assert customer["patient_remark"] == (None if SIGHT[role_id] else raw["patient_remark"])
    assert any(row["patient_remark"] for row in rows)
    assert {tuple(customer) for customer in customers} == {tuple(customers[0])}
    assert "customer_key" not in customers[0]


def test_phones_are_open_where_the_permission_reaches_and_masked_elsewhere(
    make_client: MakeClient, rows: Rows, clinic: str
) -> None:
    client = make_client(published=True, permissions=("customer.view",))
    headers = {"Authorization": client.headers["authorization"]}
    give(client, headers, "receptionist", clinic)
    published = {row["one_id"]: row for row in rows}

    open_phones = {
        customer["one_id"] for customer in seen(client) if customer["phone"] == published[customer["one_id"]]["phone"]
    }
    target = next(row for row in rows if row["phone"] and clinic not in row["clinic_ids"])
    known = next(row for row in rows if row["phone"] and clinic in row["clinic_ids"])

    here = {row["one_id"] for row in rows if clinic in row["clinic_ids"]}
    assert open_phones & {row["one_id"] for row in rows if row["phone"]} == here & {
        row["one_id"] for row in rows if row["phone"]
    }
    # A filter by phone or name tells nothing of those who are shown masked.
    assert target["one_id"] not in {one["one_id"] for one in seen(client, phone=target["phone"])}
    assert known["one_id"] in {one["one_id"] for one in seen(client, phone=known["phone"])}
    by_name = [one["one_id"] for one in seen(client, sort="name")]
    named = [one_id for one_id in by_name if one_id in here and published[one_id]["name"] is not None]
    assert by_name[: len(named)] == named
    assert [published[one_id]["name"] for one_id in named] == sorted(published[one_id]["name"] for one_id in named)


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("phone=13812340001", "phone"),
        ("id_number=440301199001011234", "id_number"),
        ("name=%E5%94%90", "name"),
        ("nickname=x", "nickname"),
        ("sort=name", "sort"),
        ("phone=not-a-phone", "phone"),
    ],
)
def test_who_sees_a_field_masked_cannot_ask_by_it(make_client: MakeClient, query: str, path: str) -> None:
    client = make_client(published=True, permissions=("customer.view",))

    answer = client.get(f"/v1/customers?{query}")

    assert answer.status_code == 403
    assert found(answer) == {("masked_field", f"/query/{path}")}


def test_all_masked_fields_of_a_query_are_told_at_once(make_client: MakeClient) -> None:
    client = make_client(published=True, permissions=("customer.view",))

    answer = client.get("/v1/customers?phone=1381234000&id_number=4403&name=x&sort=name")

    assert {path for _, path in found(answer)} == {"/query/phone", "/query/id_number", "/query/name", "/query/sort"}


@example("44030119900101123X")
@given(
    text=st.one_of(
        st.none(),
        st.text(max_size=20),
        st.from_regex(r"[+]?[0-9]{5,17}", fullmatch=True),
        st.from_regex(r"[0-9]{15,17}[0-9Xx]{1,2}", fullmatch=True),
        st.sampled_from(["", "唐", "唐三", "😀三", "é", "١٢٣٤٥٦٧٨٩٠١"]),
    )
)
def test_masks_in_python_are_those_of_the_analysts_views(text: str | None) -> None:
    if text is not None and ("\x00" in text or any(0xD800 <= ord(sign) < 0xE000 for sign in text)):
        return
    masks = Path("dbt_project/macros/masks.sql").read_text(encoding="utf-8")
    body = {
        name: masks.split(f"macro {name}(expression) -%}}")[1]
        .split("{%- endmacro")[0]
        .replace("{{ expression }}", "$1")
        for name in ("mask_phone", "mask_id_number", "mask_name")
    }
    with duckdb.connect() as con:
        phone, id_number, name = (
            con.execute(f"select {body[macro].replace('$1', '$1::varchar')}", [text]).fetchall()[0][0] for macro in body
        )

    assert mask_phone(text) == phone
    assert mask_id_number(text) == id_number
    assert mask_name(text) == name


def test_every_column_marked_personal_is_masked_or_not_shown() -> None:
    personal = marks_of("customer/_customer_marts.yml", "dim_customer")

    assert set(personal) <= set(COLUMNS)
    assert {name: permissions_for(name) for name in personal} == {name: CLASSES[one] for name, one in personal.items()}
    assert {name for name in COLUMNS if permissions_for(name)} == {*MASKS, *HIDDEN}


def test_every_class_of_personal_fields_is_known_and_takes_the_permission_of_its_mask() -> None:
    personal = marks_of("customer/_customer_marts.yml", "dim_customer")
    of_others = marks_of("engagement/fct_review.yml", "fct_review") | marks_of("leads/fct_lead.yml", "fct_lead")

    assert set(personal.values()) == set(CLASSES)
    assert {name: CLASSES[mark] for name, mark in personal.items() if name in MASKS} == {
        name: {MASKS[name][0]} for name in personal if name in MASKS
    }
    assert CLASSES["pii_free_text"] == {permission for permission, _ in MASKS.values()}
    assert of_others == {"doctor_name": "pii_name", "owner_staff_name": "pii_name", "comment": "pii_free_text"}


def marks_of(file: str, name: str) -> dict[str, str]:
    """The personal fields of a mart with their classes."""
    marts = yaml.safe_load(Path("dbt_project/models/marts", file).read_text(encoding="utf-8"))
    model = next(model for model in marts["models"] if model["name"] == name)
    filters = {
        column["name"]: column["config"]["meta"]["filter"]
        for column in model["columns"]
        if "filter" in column.get("config", {}).get("meta", {})
    }
    return {name: told["permission"] for name, told in filters.items() if "permission" in told}


def test_an_id_number_finds_its_customer_in_either_case(make_client: MakeClient, rows: Rows) -> None:
    client = make_client(published=True)
    someone = next(row for row in rows if row["id_number"] and row["id_number"].endswith("X"))

    for written in (someone["id_number"], someone["id_number"].lower()):
        shown = {customer["one_id"] for customer in seen(client, id_number=written)}
        assert shown == {row["one_id"] for row in rows if row["id_number"] == someone["id_number"]}
    assert seen(client, id_number=someone["id_number"][:-1]) == []
