"""Trend, assets, the newest appointments and bills, and the lists behind them, held against independent SQL."""

from datetime import date, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.access.masking import mask_name
from api.customer360.kinds import KINDS
from api.customer360.schemas import BillStatus, BillType
from tests.api.access.people import other
from tests.api.customer360.conftest import Sql, ask, walk
from tests.api.customer360.test_timeline import AS_OF
from tests.api.probe import found


@pytest.mark.parametrize("days", [30, 60, 90])
def test_the_trend_counts_each_day_by_who_acted(client: TestClient, busy: tuple[int, str], days: int) -> None:
    _, one_id = busy
    first = date.fromisoformat(AS_OF) - timedelta(days=days - 1)
    whole = walk(client, one_id, "timeline", "activities", limit=200, **{"from": first.isoformat()})

    trend = ask(client, one_id, "trend", days=days)

    assert [one["day"] for one in trend["series"]] == [(first + timedelta(days=n)).isoformat() for n in range(days)]
    for side in ("customer", "staff"):
        of_side = [one["at"][:10] for one in whole if one["side"] == side]
        assert {one["day"]: one[side] for one in trend["series"] if one[side]} == {
            day: of_side.count(day) for day in of_side
        }
        assert trend[f"{side}_total"] == len(of_side)
    counted = [one["kind"] for one in whole if one["side"] != "neither"]
    assert {one["kind"]: one["count"] for one in trend["kinds"]} == {kind: counted.count(kind) for kind in counted}
    assert all(sum(one["kinds"].values()) == one["customer"] + one["staff"] for one in trend["series"])


def test_the_trend_of_customers_agrees_with_the_marts(client: TestClient, sql: Sql) -> None:
    people = sql(
        """
        select
            one_id,
            (select count(*) from fct_visit v where v.customer_key = c.customer_key and visited_on > $1),
            (select count(*) from fct_mini_program_event e where e.customer_key = c.customer_key and occurred_on > $1),
            (select count(*) from fct_follow_up f where f.customer_key = c.customer_key and f.status = '已完成'
                and f.follow_up_kind = '回访' and f.done_at::date > $1 and f.done_at::date <= $2)
        from dim_customer c
        order by visit_count desc, customer_key
        limit 5
        """,
        date.fromisoformat(AS_OF) - timedelta(days=90), date.fromisoformat(AS_OF),
    )  # fmt: skip

    for one_id, visits, clicks, calls in people:
        counts = {one["kind"]: one["count"] for one in ask(client, one_id, "trend")["kinds"]}
        told = tuple(counts.get(kind, 0) for kind in ("visit", "mini_program", "return_visit"))
        assert told == (visits, clicks, calls), one_id
    assert any(calls for *_, calls in people)


@pytest.mark.parametrize("days", ["45", "0", "91", "x"])
def test_other_stretches_are_refused(client: TestClient, busy: tuple[int, str], days: str) -> None:
    answer = client.get(f"/v1/customers/{busy[1]}/trend?days={days}")

    assert answer.status_code == 422
    assert {path for _, path in found(answer)} == {"/query/days"}


def test_assets_are_what_the_seed_says(client: TestClient, sql: Sql) -> None:
    """S003 7.2.2: coupons not expired, used or voided; no cards, no 流量大使券."""
    people = sql(
        """
        with usable as (
            select customer_key, count(*) as coupons from fct_coupon
            where state not in ('已过期', '已使用', '已作废', '已注销', '转赠中', '锁定') and valid_to >= $1
                and coupon_kind is distinct from '流量大使券'
            group by all
        ),
        stored as (
            select customer_key, sum(principal_fen) as principal, sum(bonus_fen) as bonus
            from fct_stored_value_account where status <> '已注销' group by all
        )
        select one_id, coalesce(principal, 0)::bigint, coalesce(bonus, 0)::bigint, coalesce(coupons, 0)
        from dim_customer left join usable using (customer_key) left join stored using (customer_key)
        where
            customer_key in (select customer_key from fct_coupon where coupon_kind = '流量大使券' and state = '可使用')
            or customer_key in (select customer_key from fct_card_asset)
            or principal > 0
        order by principal desc nulls last, coupons desc nulls last, one_id
        limit 30
        """,
        date.fromisoformat(AS_OF),
    )

    for one_id, principal, bonus, coupons in people:
        assets = ask(client, one_id, "assets")
        assert assets["stored_value_principal_fen"] == principal
        assert assets["stored_value_bonus_fen"] == bonus
        assert assets["stored_value_total_fen"] == principal + bonus
        assert assets["usable_coupon_count"] == coupons
    assert {bool(coupons) for *_, coupons in people} == {True, False}
    assert any(principal for _, principal, *_ in people)


def test_recent_are_the_last_four_of_each(client: TestClient, sql: Sql, busy: tuple[int, str]) -> None:
    key, one_id = busy
    appointments = sql(
        "select appointment_id from fct_appointment where customer_key = $1 "
        "order by scheduled_at desc, appointment_id desc limit 4", key,
    )  # fmt: skip
    bills = sql(
        "select bill_id from fct_bill where customer_key = $1 order by billed_at desc, bill_id desc limit 4", key
    )

    recent = ask(client, one_id, "recent")

    assert [(one["appointment_id"],) for one in recent["appointments"]] == appointments
    assert [(one["bill_id"],) for one in recent["bills"]] == bills
    assert len(appointments) == 4


def test_appointments_are_listed_by_the_day_they_are_for(client: TestClient, sql: Sql, busy: tuple[int, str]) -> None:
    key, one_id = busy
    expected = sql(
        """
        select appointment_id, scheduled_on, dim_clinic.clinic_name, doctor.staff_name, creator.staff_name
        from fct_appointment
        inner join dim_clinic on fct_appointment.clinic_id = dim_clinic.clinic_id
        left join dim_staff as doctor on doctor_id = doctor.staff_id
        left join dim_staff as creator on created_by_staff_id = creator.staff_id
        where customer_key = $1
        order by scheduled_at desc, appointment_id desc
        """,
        key,
    )
    days = sorted(on for _, on, *_ in expected)
    first, last = days[1], days[-2]

    whole = walk(client, one_id, "appointments", "appointments", limit=2)
    some = walk(client, one_id, "appointments", "appointments", limit=1, **{"from": str(first), "to": str(last)})

    names = ("clinic_name", "doctor_name", "created_by_name")
    told = [(one["appointment_id"], *(one[name] for name in names)) for one in whole]
    assert told == [(one, *rest) for one, _, *rest in expected]
    kept = [one for one, on, *_ in expected if first <= on <= last]
    assert [one["appointment_id"] for one in some] == kept
    assert 0 < len(kept) < len(expected)


def test_bills_are_filtered_by_state_and_type(client: TestClient, sql: Sql) -> None:
    ((key, one_id),) = sql(
        """
        select customer_key, one_id from fct_bill inner join dim_customer using (customer_key)
        group by all having count(distinct status) > 2
        order by count(*) desc, one_id limit 1
        """
    )
    rows = sql(
        "select bill_id, status, bill_type, net_paid_fen from fct_bill where customer_key = $1 "
        "order by billed_at desc, bill_id desc", key,
    )  # fmt: skip
    states = sorted({status for _, status, *_ in rows})

    whole = walk(client, one_id, "bills", "bills", limit=2)
    paid = walk(client, one_id, "bills", "bills", status="已收费", type="项目", limit=1)
    several = walk(client, one_id, "bills", "bills", status=",".join(states[:2]))

    told = [tuple(one[name] for name in ("bill_id", "status", "bill_type", "net_paid_fen")) for one in whole]
    assert told == rows
    assert [one["bill_id"] for one in paid] == [row[0] for row in rows if row[1:3] == ("已收费", "项目")]
    assert 0 < len(paid) < len(rows)
    assert [one["bill_id"] for one in several] == [row[0] for row in rows if row[1] in states[:2]]
    wrong = client.get(f"/v1/customers/{one_id}/bills?status=paid&type=项目,项目")
    assert found(wrong) == {("not_several_of", "/query/status"), ("not_several_of", "/query/type")}


def test_a_bill_comes_with_its_lines(client: TestClient, sql: Sql, busy: tuple[int, str]) -> None:
    key, one_id = busy
    lines: dict[str, list[Any]] = {}
    for bill_id, name, paid in sql(
        "select bill_id, item_name, paid_fen from fct_bill_item where customer_key = $1 order by bill_item_id", key
    ):
        lines.setdefault(bill_id, []).append((name, paid))

    bills = walk(client, one_id, "bills", "bills", limit=3)

    told = {one["bill_id"]: [(item["item_name"], item["paid_fen"]) for item in one["items"]] for one in bills}
    assert {bill: items for bill, items in told.items() if items} == lines


def test_staff_are_masked_in_records(client: TestClient, busy: tuple[int, str]) -> None:
    plain = other(client, permissions=("customer.view",))
    whole, masked = ask(client, busy[1], "recent"), ask(client, busy[1], "recent", plain)

    for member, name in (("appointments", "doctor_name"), ("bills", "biller_name")):
        assert [one[name] for one in masked[member]] == [mask_name(one[name]) for one in whole[member]]
        assert any(one[name] for one in whole[member])


def test_states_and_types_are_those_of_the_mart(client: TestClient) -> None:
    sources = {one["name"]: one for one in client.get("/v1/catalogue").json()["sources"]}
    fields = {field["name"]: field for field in sources["bill"]["fields"]}

    assert [one["value"] for one in fields["status"]["options"]] == list(BillStatus)
    assert [one["value"] for one in fields["bill_type"]["options"]] == list(BillType)


def test_kinds_counted_in_trends_are_somebodys(client: TestClient, busy: tuple[int, str]) -> None:
    kinds = ask(client, busy[1], "trend")["kinds"]

    assert kinds
    assert {KINDS[one["kind"]].side for one in kinds} <= {"customer", "staff"}
