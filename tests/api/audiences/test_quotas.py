"""Quotas over HTTP, on both stores: what the page says, what is refused, what falls when a purchase ends."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from api.clock import now
from api.storage.audience_quotas import Included, disable_over_quota, quota_of, to_disable
from api.storage.tables.audiences import audience
from api.upkeep import keep_quotas
from segment_engine.tree import AudienceKind
from tests.api.access.people import audited, other, store_of
from tests.api.audiences.conftest import WOMEN, a_group, a_segment, match, naming, note_members, post
from tests.api.conftest import MakeClient
from tests.api.probe import found
from tests.at_once import at_once

ZONE = ZoneInfo("Asia/Shanghai")
FEW = Included(tags=2, segments=3)


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    """A chain that has two smart tags and three smart segments."""
    few = {"job_workers": 0, "smart_tag_quota": FEW.tags, "smart_segment_quota": FEW.segments}
    return make_client(published=True, settings=few)


def purchase(client: TestClient, headers: dict[str, str] | None = None, **told: Any) -> Any:
    on = (now().astimezone(ZONE).date() + timedelta(days=30)).isoformat()
    body = {"kind": "segment", "amount": 1, "expires_on": on, **told}
    return post(client, "/v1/audience-quota/purchases", body, headers)


def disable(client: TestClient, today: date) -> list[int]:
    """As upkeep and the night do."""
    noon = datetime(2026, 12, 2, 4, tzinfo=UTC)
    return store_of(client).write(lambda connection: disable_over_quota(connection, today, noon, included=FEW))


def test_the_prompts_are_those_of_the_product(make_client: MakeClient) -> None:
    client = make_client(published=True, settings={"job_workers": 0})
    plain = client.get("/v1/audience-quota").json()

    purchase(client, kind="tag", amount=20, expires_on="2199-12-01")
    purchase(client, kind="tag", amount=5, expires_on="2199-12-31")
    bought = client.get("/v1/audience-quota").json()

    told = [plain[name]["message_zh"] for name in ("tags", "segments")]
    assert told == [
        "当前可用智能标签总数为100个,已启用0个,还可创建启用100个。如数量不够用,可联系服务人员扩充。",
        "当前可用智能分群总数为50个,已启用0个,还可创建启用50个。如数量不够用,可联系服务人员扩充。",
    ]
    assert bought["tags"]["message_zh"] == (
        "当前可用智能标签总数为125个,已启用0个,还可创建启用125个。有20个智能标签将在2199-12-01到期。"
        "为保障功能正常使用,请及时续期。联系服务人员扩充。"
    )
    assert bought["tags"]["message_en"] == (
        "In all 125 smart tags can be enabled, 0 of them now in use; 125 more can be created and enabled. "
        "20 smart tags expire on 2199-12-01: please renew them in time so that everything keeps working. "
        "Contact our service staff for more."
    )
    assert bought["tags"]["expiring"] == {"amount": 20, "on": "2199-12-01"}
    assert bought["segments"] == plain["segments"]


def test_one_more_than_there_is_room_for_is_refused_whichever_way_it_comes(client: TestClient) -> None:
    group = a_group(client, tags=[{"name": "一", "filter": WOMEN}]).json()
    pair = [{"name": "二", "filter": WOMEN}, {"name": "三", "filter": WOMEN}]

    together = post(client, "/v1/tag-groups", {"is_smart": True, "name": "两个", "tags": pair})
    last = post(client, "/v1/tags", {"group_id": group["id"], **pair[0]})
    one_more = post(client, "/v1/tags", {"group_id": group["id"], **pair[1]})
    copied = post(client, f"{last.headers['location']}/copy", {"name": "四"})
    idle = post(client, "/v1/tags", {"group_id": group["id"], **pair[1], "is_enabled": False})
    enabled = post(client, f"{idle.headers['location']}/enable", headers=match(idle))
    body = {"name": "三", "description": "", "color": "red", "is_enabled": True}
    edited = client.put(idle.headers["location"], json=body, headers=match(idle))
    static = a_group(client, "静态", smart=False, tags=[{"name": f"静态{number}"} for number in range(3)])

    refused = [together, one_more, copied, enabled, edited]
    assert [(one.status_code, found(one)) for one in refused] == [(409, {("quota_exhausted", "")})] * 5
    assert (last.status_code, idle.status_code, static.json()["enabled_count"]) == (201, 201, 3)
    assert client.get("/v1/audience-quota").json()["tags"]["available"] == 0
    bought = purchase(client, kind="tag")
    assert bought.status_code == 201
    assert post(client, f"{idle.headers['location']}/enable", headers=match(idle)).status_code == 200


def test_of_two_who_enable_the_last_one_at_once_one_succeeds(client: TestClient) -> None:
    for number in range(FEW.segments - 1):
        a_segment(client, f"已启用{number}")
    waiting = [a_segment(client, name, is_enabled=False) for name in ("甲", "乙")]

    def enable(made: Any) -> Any:
        return post(client, f"{made.headers['location']}/enable", headers=match(made))

    answers = at_once(enable, waiting)

    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert client.get("/v1/audience-quota").json()["segments"]["enabled"] == FEW.segments


def test_a_purchase_counts_through_its_last_day_in_the_tenants_zone(client: TestClient) -> None:
    purchase(client, amount=4, expires_on="2199-12-01")
    last, after = date(2199, 12, 1), date(2199, 12, 2)

    with store_of(client).read() as connection:
        totals = [
            quota_of(connection, AudienceKind.SEGMENT, today=today, included=FEW).total for today in (last, after)
        ]

    assert totals == [7, 3]


def test_when_a_purchase_ends_the_smallest_are_disabled_and_rules_that_name_them_say_so(client: TestClient) -> None:
    purchase(client, amount=2, expires_on="2199-12-01")
    sizes = {"大": 900, "小": 5, "中": 40}
    made = {name: a_segment(client, name) for name in sizes}
    made["引用小"] = a_segment(client, "引用小", filter=naming(made["小"].json()["id"]))
    made["再引用"] = a_segment(client, "再引用", filter=naming(made["引用小"].json()["id"], operator="not_in"))
    for name, size in {**sizes, "引用小": 500, "再引用": 600}.items():
        note_members(client, made[name].json()["id"], size)

    in_time, gone = disable(client, date(2199, 12, 1)), disable(client, date(2199, 12, 2))
    again = disable(client, date(2199, 12, 2))

    assert in_time == again == []
    assert gone == [made["小"].json()["id"], made["中"].json()["id"]]
    now_is = {name: client.get(one.headers["location"]).json() for name, one in made.items()}
    assert {name: one["disabled_because"] for name, one in now_is.items()} == {
        "大": None, "小": "quota", "中": "quota", "引用小": None, "再引用": None,
    }  # fmt: skip
    assert [now_is[name]["problems"] for name in ("大", "小", "中")] == [[], [], []]
    (direct,), (through,) = now_is["引用小"]["problems"], now_is["再引用"]["problems"]
    assert (direct["code"], direct["path"]) == ("rule_invalid", "/rules/0/segment_ids")
    assert direct["message_zh"] == f"规则失效:引用的分群「小」(编号 {made['小'].json()['id']})已被禁用"
    assert through["message_zh"] == f"规则失效:引用的分群「引用小」(编号 {made['引用小'].json()['id']})的规则已失效"
    assert now_is["引用小"]["is_enabled"]
    row = audited(client)[-1]
    assert (row["actor_kind"], row["action"]) == ("system", "audience_quota.disable")
    assert row["after"] == {
        "disabled": gone, "invalid": [made["引用小"].json()["id"], made["再引用"].json()["id"]],
    }  # fmt: skip


def test_what_was_disabled_comes_back_only_by_hand_and_is_then_calculated_with_its_users(client: TestClient) -> None:
    bought = purchase(client)
    small, user = a_segment(client, "小"), None
    user = a_segment(client, "引用小", filter=naming(small.json()["id"]))
    note_members(client, user.json()["id"], 10)
    others = [a_segment(client, f"大{number}") for number in range(2)]
    for number, one in enumerate(others):
        note_members(client, one.json()["id"], 100 + number)

    revoked = post(client, f"/v1/audience-quota/purchases/{bought.json()['id']}/revoke")
    twice = post(client, f"/v1/audience-quota/purchases/{bought.json()['id']}/revoke")
    purchase(client)
    keep_quotas(store_of(client), FEW, today=now().astimezone(ZONE).date(), now=now())
    still_off = client.get(small.headers["location"])
    enabled = post(client, f"{small.headers['location']}/enable", headers=match(still_off))

    assert revoked.json()["disabled"] == [small.json()["id"]]
    assert (twice.status_code, found(twice)) == (409, {("purchase_revoked", "")})
    assert (still_off.json()["is_enabled"], still_off.json()["disabled_because"]) == (False, "quota")
    assert (enabled.json()["is_enabled"], enabled.json()["disabled_because"]) == (True, None)
    assert enabled.json()["calculation"] is not None


def test_upkeep_disables_what_is_over_quota_by_itself(client: TestClient) -> None:
    purchase(client)
    made = [a_segment(client, f"分群{number}") for number in range(4)]
    store = store_of(client)
    moment = datetime(2199, 12, 31, 16, tzinfo=UTC)  # midnight of the next day in Shanghai

    keep_quotas(store, FEW, today=moment.astimezone(ZONE).date(), now=moment)

    with store.read() as connection:
        off = connection.scalars(select(audience.c.id).where(audience.c.disabled_because == "quota")).all()
    # Nobody was counted yet: the newest goes.
    assert off == [made[-1].json()["id"]]


def test_presets_take_no_room_and_are_never_disabled(client: TestClient) -> None:
    presets = [a_segment(client, f"预设{number}") for number in range(3)]
    ids = [one.json()["id"] for one in presets]
    store_of(client).write(
        lambda connection: connection.execute(update(audience).where(audience.c.id.in_(ids)).values(is_preset=True))
    )
    own = a_segment(client, "自己的")

    quota = client.get("/v1/audience-quota").json()["segments"]
    none_left = Included(tags=0, segments=0)
    gone = store_of(client).write(
        lambda connection: disable_over_quota(connection, date(2199, 1, 1), now(), included=none_left)
    )

    assert quota["enabled"] == 1
    assert gone == [own.json()["id"]]


def test_purchases_are_headquarters_business(client: TestClient) -> None:
    clinic = other(client, permissions=("access.manage", "access.view"), clinic_id="C001")
    marketer = other(client, permissions=("customer.view", "tag.manage", "segment.manage"))
    made = purchase(client, note="合同 2026-11")

    denied = [purchase(client, who) for who in (clinic, marketer)]
    denied += [client.get("/v1/audience-quota/purchases", headers=who) for who in (clinic, marketer)]
    denied.append(post(client, f"/v1/audience-quota/purchases/{made.json()['id']}/revoke", headers=clinic))
    over = purchase(client, expires_on=(now().astimezone(ZONE).date() - timedelta(days=1)).isoformat())
    nothing = purchase(client, amount=0, kind="coupon")

    assert {one.status_code for one in denied} == {403}
    assert found(over) == {("already_expired", "/expires_on")}
    assert found(nothing) == {("greater_than_equal", "/amount"), ("enum", "/kind")}
    assert purchase(client, expires_on=now().astimezone(ZONE).date().isoformat()).status_code == 201
    assert post(client, "/v1/audience-quota/purchases/999/revoke").status_code == 404
    page = client.get("/v1/audience-quota/purchases", params={"limit": 1}).json()
    rest = client.get("/v1/audience-quota/purchases", params={"cursor": page["next_cursor"]}).json()
    assert [one["note"] for one in page["purchases"] + rest["purchases"]] == ["", "合同 2026-11"]
    assert client.get("/v1/audience-quota", headers=marketer).status_code == 200


@pytest.mark.parametrize(
    ("limit", "gone"),
    [(4, []), (3, [2]), (2, [2, 4]), (1, [2, 4, 3]), (0, [2, 4, 3, 1])],
)
def test_the_fewest_customers_go_first_and_of_equals_the_newest(limit: int, gone: list[int]) -> None:
    day = datetime(2026, 11, 20, tzinfo=UTC)
    enabled = [(1, 9, day), (2, 3, day), (3, 5, day), (4, 5, day + timedelta(days=1))]

    assert to_disable(enabled, limit) == gone
