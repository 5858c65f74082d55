"""Who a customer is and what they came as, held against independent SQL; masked by role."""

from fastapi.testclient import TestClient

from api.access.masking import mask_name, mask_phone
from tests.api.access.people import other
from tests.api.customer360.conftest import ROUTES, Sql, ask


def test_the_summary_tells_channels_and_attributes(client: TestClient, sql: Sql, busy: tuple[int, str]) -> None:
    key, one_id = busy
    ((age, visits, net_paid),) = sql("select age, visit_count, paid_fen from dim_customer where customer_key = $1", key)
    identities = dict(sql("select kind, count(*) from dim_identity where customer_key = $1 group by all", key))

    summary = ask(client, one_id, "summary")

    assert summary["customer"] == client.get(f"/v1/customers/{one_id}").json()["customer"]
    assert (summary["age"], summary["visit_count"], summary["net_paid_fen"]) == (age, visits, net_paid)
    told = {one["channel"]: len(one["identities"]) for one in summary["channels"]}
    assert {channel: count for channel, count in told.items() if count} == identities
    assert [one["channel"] for one in summary["channels"] if one["is_known"]] == summary["customer"]["channels"]
    assert len(told) == 5


def test_the_summary_names_whose_wecom_contact_the_customer_is(client: TestClient, sql: Sql) -> None:
    people = sql(
        """
        select one_id, list(staff_name order by staff_name) filter (removed is null or removed < added)
        from (
            select customer_key, wecom_user_id, max(occurred_at) filter (event = '添加') as added,
                max(occurred_at) filter (event = '删除') as removed
            from fct_wecom_event group by all
        )
        inner join dim_customer using (customer_key)
        inner join dim_staff using (wecom_user_id)
        group by one_id
        order by count(removed) desc, count(*) desc, one_id
        limit 12
        """
    )

    for one_id, current in people:
        friends = ask(client, one_id, "summary")["wecom_friends"]
        assert sorted(one["staff_name"] for one in friends if one["is_current"] and one["staff_name"]) == (
            current or []
        )
        assert all(one["is_current"] == (one["removed_at"] is None) for one in friends)
    assert any(current is None for _, current in people)


def test_leads_come_with_their_track_and_follow_ups(client: TestClient, sql: Sql, busy: tuple[int, str]) -> None:
    key, one_id = busy
    events = sql(
        """
        select lead_id, event_source, event, content, staff_name
        from fct_lead_event left join dim_staff using (staff_id)
        where customer_key = $1 order by occurred_at desc, lead_event_id desc
        """,
        key,
    )
    leads = sql("select lead_id from fct_lead where customer_key = $1 order by created_at desc, lead_id desc", key)

    told = ask(client, one_id, "lead")["leads"]

    assert [(one["lead"]["lead_id"],) for one in told] == leads
    for one in told:
        of_lead = [event for event in events if event[0] == one["lead"]["lead_id"]]
        track = [(step["event"], step["staff_name"]) for step in one["track"]]
        assert track == [(event, name) for _, source, event, _, name in of_lead if source == "track"]
        notes = [(note["content"], note["staff_name"]) for note in one["follow_ups"]]
        assert notes == [(content, name) for _, source, _, content, name in of_lead if source == "follow_up"]
    assert [step["label_zh"] for one in told for step in one["track"]][-1] == "线索进入线索池"
    assert [one["lead"] for one in told] == ask(client, one_id, "summary")["leads"]


def test_every_step_of_a_lead_has_its_label(client: TestClient, sql: Sql) -> None:
    people = sql(
        """
        select one_id from fct_lead_event inner join dim_customer using (customer_key)
        where event_source = 'track'
        group by all order by count(distinct event) desc, one_id limit 8
        """
    )

    steps = {
        (step["event"], step["label_en"])
        for (one_id,) in people
        for one in ask(client, one_id, "lead")["leads"]
        for step in one["track"]
    }

    assert {event for event, _ in steps} == {"创建", "分配", "领取", "回收", "转化"}
    assert len(steps) == 5


def test_whoever_sees_a_customer_masked_sees_the_profile_masked(client: TestClient, busy: tuple[int, str]) -> None:
    _, one_id = busy
    plain = other(client, permissions=("customer.view",))
    whole, lead = ask(client, one_id, "summary"), ask(client, one_id, "lead")["leads"][0]

    told, told_lead = ask(client, one_id, "summary", plain), ask(client, one_id, "lead", plain)["leads"][0]

    assert told["customer"]["name"] == mask_name(whole["customer"]["name"])
    friends = [one["staff_name"] for one in told["wecom_friends"]]
    assert friends == [mask_name(one["staff_name"]) for one in whole["wecom_friends"]]
    assert told["leads"][0] == told_lead["lead"]
    assert told_lead["lead"]["phone"] == mask_phone(lead["lead"]["phone"])
    assert told_lead["lead"]["name"] == mask_name(lead["lead"]["name"])
    assert told_lead["lead"]["owner_staff_name"] == mask_name(lead["lead"]["owner_staff_name"])
    assert {one["content"] for one in told_lead["follow_ups"]} <= {None}
    assert any(one["content"] for one in lead["follow_ups"])


def test_pictures_and_remarks_are_for_who_may_see_them(client: TestClient, sql: Sql) -> None:
    ((one_id, avatar, remark),) = sql(
        """
        select one_id, avatar_url, patient_remark from dim_customer
        where avatar_url is not null and patient_remark is not null order by one_id limit 1
        """
    )
    names = other(client, permissions=("customer.view", "customer.name.view"))
    plain = other(client, permissions=("customer.view",))

    told = [ask(client, one_id, "summary", headers) for headers in (None, names, plain)]

    shown = [(one["avatar_url"], one["patient_remark"]) for one in told]
    assert shown == [(avatar, remark), (avatar, None), (None, None)]


def test_a_fan_without_a_file_has_an_empty_profile(client: TestClient, sql: Sql) -> None:
    ((one_id,),) = sql(
        """
        select one_id from dim_customer
        where is_fan and not (has_patient_file or is_lead or is_wecom_contact or is_mini_program_user)
        order by one_id limit 1
        """
    )

    told = {route: ask(client, one_id, route) for route in ROUTES}

    assert [one["channel"] for one in told["summary"]["channels"] if one["is_known"]] == ["official_account_fan"]
    assert told["summary"]["leads"] == told["summary"]["wecom_friends"] == told["lead"]["leads"] == []
    assert told["recent"]["appointments"] == told["recent"]["bills"] == []
    assert told["appointments"]["appointments"] == told["bills"]["bills"] == []
    assert (told["appointments"]["next_cursor"], told["bills"]["next_cursor"]) == (None, None)
    assert {told["assets"][name] for name in ("stored_value_total_fen", "points_balance", "usable_coupon_count")} == {0}
    assert len(told["trend"]["series"]) == 90
    assert {one["kind"] for one in told["timeline"]["activities"]} == {"official_account"}
