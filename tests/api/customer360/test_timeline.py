"""The timeline over HTTP: whole, in order, filtered, and telling each caller what they may read."""

import base64
import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.access.masking import mask_name
from api.customer360.kinds import ALL, KINDS
from tests.api.access.people import other
from tests.api.conftest import MakeClient
from tests.api.customer360.conftest import Sql, ask, walk
from tests.api.probe import found

AS_OF = "2026-11-20"
# Table and moment of what the customer 360 must tell, written down independently of the table of kinds.
EXPECTED = """
    select created_at as moment from fct_appointment where customer_key = $1
    union all select cancelled_at from fct_appointment where customer_key = $1
    union all select scheduled_at from fct_appointment where customer_key = $1 and status = '爽约'
    union all select visited_at from fct_visit where customer_key = $1 and status <> '已取消'
    union all select recorded_at from fct_medical_record where customer_key = $1
    union all select examined_at from fct_oral_examination where customer_key = $1
    union all select taken_at from fct_image where customer_key = $1
    union all select suggested_at from fct_treatment_suggestion where customer_key = $1
    union all select created_at from fct_execution where customer_key = $1
    union all select done_at from fct_follow_up where customer_key = $1 and status = '已完成'
    union all select billed_at from fct_bill where customer_key = $1
    union all select paid_at from fct_payment where customer_key = $1
    union all select acquired_at from fct_card_asset where customer_key = $1
    union all select opened_at from fct_stored_value_account where customer_key = $1
    union all select occurred_at from fct_mini_program_event where customer_key = $1
    union all select occurred_at from fct_official_account_event where customer_key = $1
    union all select occurred_at from fct_wecom_event where customer_key = $1
    union all select tagged_at from fct_wecom_tag where customer_key = $1
    union all select started_at from fct_checkin_round where customer_key = $1
    union all select checked_in_at from fct_checkin_slot where customer_key = $1 and is_done
    union all select evaluated_at from fct_checkin_slot where customer_key = $1
    union all select submitted_at from fct_review where customer_key = $1
    union all select booked_at from fct_points_entry where customer_key = $1
    union all select issued_at from fct_coupon where customer_key = $1
    union all select used_at from fct_coupon where customer_key = $1
    union all select created_at from fct_coupon_transfer where customer_key = $1
    union all select claimed_at from fct_coupon_transfer where to_customer_key = $1
    union all select occurred_at from fct_lead_event where customer_key = $1
"""


def moments(sql: Sql, key: int) -> list[str]:
    """Of everything until the business day, newest first, as the API writes moments."""
    rows = sql(f"select moment from ({EXPECTED}) where moment::date <= date '{AS_OF}' order by moment desc", key)
    return [moment.isoformat() for (moment,) in rows]


def facts(activity: dict[str, Any]) -> dict[str, Any]:
    return {fact["name"]: fact["value"] for fact in activity["facts"]}


@pytest.mark.parametrize("limit", [1, 7, 200])
def test_pages_visit_each_entry_once_newest_first(
    client: TestClient, sql: Sql, busy: tuple[int, str], limit: int
) -> None:
    key, one_id = busy

    activities = walk(client, one_id, "timeline", "activities", limit=limit)

    assert [one["at"] for one in activities] == moments(sql, key)
    sources = [(one["kind"], one["source"]["table"], one["source"]["key"]) for one in activities]
    assert len(set(sources)) == len(sources)
    assert len({one["kind"] for one in activities}) > 10


def test_entries_of_many_customers_are_those_of_the_marts(client: TestClient, sql: Sql) -> None:
    people = sql("select customer_key, one_id from dim_customer order by hash(customer_key) limit 12")

    for key, one_id in people:
        told = [one["at"] for one in walk(client, one_id, "timeline", "activities", limit=200)]
        assert told == moments(sql, key), one_id


def test_filters_keep_what_they_name(client: TestClient, busy: tuple[int, str]) -> None:
    _, one_id = busy
    whole = walk(client, one_id, "timeline", "activities", limit=200)
    first, last = sorted(one["at"][:10] for one in whole)[len(whole) // 3 :: len(whole) // 3][:2]

    of_kinds = walk(client, one_id, "timeline", "activities", limit=3, kind="visit,payment")
    of_staff = walk(client, one_id, "timeline", "activities", limit=50, side="staff")
    of_days = walk(client, one_id, "timeline", "activities", limit=5, **{"from": first, "to": last})
    of_none = walk(client, one_id, "timeline", "activities", kind="visit", side="staff")

    assert of_kinds == [one for one in whole if one["kind"] in ("visit", "payment")] != []
    assert of_staff == [one for one in whole if one["side"] == "staff"] != []
    assert of_days == [one for one in whole if first <= one["at"][:10] <= last] != []
    assert of_none == []


def test_an_entry_tells_what_its_row_says(client: TestClient, sql: Sql, busy: tuple[int, str]) -> None:
    key, one_id = busy
    ((review_id, stars, tags, comment, clinic, doctor),) = sql(
        """
        select review_id, stars, review_tags, comment, clinic_name, doctor_name
        from fct_review inner join dim_clinic using (clinic_id)
        where customer_key = $1 and comment is not null order by submitted_at desc limit 1
        """,
        key,
    )
    ((payment_id, amount, cashier),) = sql(
        """
        select payment_id, amount_fen, staff_name from fct_payment left join dim_staff on cashier_id = staff_id
        where customer_key = $1 and payment_kind = '收款' order by paid_at desc, payment_id limit 1
        """,
        key,
    )

    told = walk(client, one_id, "timeline", "activities", limit=200, kind="review,payment")

    review = next(one for one in told if one["source"] == {"table": "fct_review", "key": review_id})
    assert (review["clinic_name"], review["staff_name"], review["side"]) == (clinic, doctor, "customer")
    assert facts(review) | {"stars": float(facts(review)["stars"])} == {
        "stars": float(stars), "rating_level": review["title"], "review_tags": tags, "comment": comment,
        "is_on_wall": facts(review)["is_on_wall"],
    }  # fmt: skip
    payment = next(one for one in told if one["source"]["key"] == payment_id)
    assert (facts(payment)["amount_fen"], payment["staff_name"]) == (amount, cashier)
    assert (payment["label_zh"], payment["label_en"]) == ("收款", "Payment")


def test_whoever_sees_a_customer_masked_reads_no_names_no_free_text_and_no_channel_ids(
    client: TestClient, busy: tuple[int, str]
) -> None:
    _, one_id = busy
    plain = other(client, permissions=("customer.view",))
    names = other(client, permissions=("customer.view", "customer.name.view", "customer.phone.view"))
    whole = walk(client, one_id, "timeline", "activities", limit=200)

    told = ask(client, one_id, "timeline", plain, limit=200)["activities"]
    half = ask(client, one_id, "timeline", names, limit=200)["activities"]

    assert [one["staff_name"] for one in told] == [mask_name(one["staff_name"]) for one in whole[:200]]
    assert {fact["value"] for one in told + half for fact in one["facts"] if fact["is_hidden"]} == {None}
    hidden = {(one["kind"], fact["name"]) for one in told for fact in one["facts"] if fact["is_hidden"]}
    assert {("review", "comment"), ("lead_follow_up", "content"), ("medical_record", "treatment")} <= hidden
    wecom = [one["source"]["key"] for one in told if one["kind"].startswith("wecom")]
    assert set(wecom) == {None}
    assert [one["staff_name"] for one in half] == [one["staff_name"] for one in whole[:200]]
    assert all(one["source"]["key"] for one in half)


def test_a_cursor_names_nobody(client: TestClient, sql: Sql) -> None:
    ((one_id, external),) = sql(
        "select one_id, external_user_id from fct_wecom_event inner join dim_customer using (customer_key) "
        "order by occurred_at, one_id limit 1"
    )

    cursors = []
    cursor: dict[str, str] = {}
    while True:
        page = ask(client, one_id, "timeline", limit=1, kind="wecom_added,wecom_added_by_staff,wecom_tagged", **cursor)
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
        cursors.append(base64.urlsafe_b64decode(page["next_cursor"] + "=="))

    assert cursors
    assert not any(external.encode() in text for text in cursors)
    assert all(len(json.loads(text)) == 2 for text in cursors)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("kind=visit,nothing", ("not_several_of", "/query/kind")),
        ("kind=visit,visit", ("not_several_of", "/query/kind")),
        ("kind=", ("not_several_of", "/query/kind")),
        ("side=me", ("not_several_of", "/query/side")),
        ("from=2026-02-30", ("date_parsing", "/query/from")),
        ("from=2026-02-02&to=2026-02-01", ("days_out_of_order", "/query/to")),
        ("first_day=2026-02-02", ("extra_forbidden", "/query/first_day")),
        ("cursor=WzEsMl0", ("invalid_cursor", "/query/cursor")),
        ("limit=201", ("less_than_equal", "/query/limit")),
    ],
)
def test_a_wrong_query_is_refused_with_its_place(
    client: TestClient, busy: tuple[int, str], query: str, problem: tuple[str, str]
) -> None:
    answer = client.get(f"/v1/customers/{busy[1]}/timeline?{query}")

    assert (answer.status_code, found(answer)) == (422, {problem})


def test_kinds_are_listed_for_choosing(make_client: MakeClient) -> None:
    client = make_client(published=True, permissions=("customer.view",))

    kinds = client.get("/v1/activity-kinds").json()["kinds"]

    assert [one["kind"] for one in kinds] == [kind.name for kind in ALL]
    assert all(
        (one["label_zh"], one["side"]) == (KINDS[one["kind"]].label_zh, KINDS[one["kind"]].side) for one in kinds
    )
