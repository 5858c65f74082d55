"""Smart tags and segments as a clinic chain writes them: documents of the filter language, the same from the same seed.

What they ask is what the templates of the product ask: sleeping customers and leads, missed appointments, findings
that nobody was charged for, spending, campaigns, coupons that run out, check-in, satisfaction. Reading and measuring
them belongs to the modules beside this one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

Json = dict[str, Any]

SEED: Final = 20261120
REFERRING: Final = 0.1
"""The share of rules that refer to a rule before them."""

_WINDOWS: Final = (7, 14, 30, 60, 90, 180, 365)
_LONG_WINDOWS: Final = (90, 180, 365)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a leaf draws from: chance, and the clinics of the data."""

    random: Random
    clinics: Sequence[str]

    def one(self, values: Sequence[Any]) -> Any:
        return self.random.choice(values)

    def some(self, values: Sequence[Any], most: int) -> list[Any]:
        return sorted(self.random.sample(values, self.random.randint(1, most)))


def make_rules(count: int, clinics: Sequence[str], *, seed: int = SEED) -> dict[int, Json]:
    """Documents by the id under which others refer to them; the first ten of fifty are the ten of ten."""
    chosen = Chosen(Random(seed), clinics)
    return {number: _rule(number, chosen) for number in range(1, count + 1)}


def edited(document: Json, random: Random, clinics: Sequence[str]) -> Json:
    """The document with another first leaf."""
    first, *rest = document["rules"]
    leaf = _leaf(Chosen(random, clinics))
    while leaf == first:
        leaf = _leaf(Chosen(random, clinics))
    return {**document, "rules": [leaf, *rest]}


def _rule(number: int, chosen: Chosen) -> Json:
    rules = [_leaf(chosen) for _ in range(chosen.one((1, 2, 2, 3, 3)))]
    if number > 1 and chosen.random.random() < REFERRING:
        operator = chosen.one(("in", "not_in"))
        referred = chosen.random.randint(1, number - 1)
        rules.append({"kind": "segment", "operator": operator, "segment_ids": [referred]})
    if chosen.random.random() < 1 / 3:
        rules.append(_either(chosen))
    return {"combinator": chosen.one(("and", "and", "or")), "rules": rules}


def _either(chosen: Chosen) -> Json:
    group: Json = {"combinator": chosen.one(("and", "or")), "rules": [_leaf(chosen), _leaf(chosen)]}
    return {**group, "not": True} if chosen.random.random() < 1 / 5 else group


def _leaf(chosen: Chosen) -> Json:
    make, _ = chosen.random.choices(_LEAVES, [weight for _, weight in _LEAVES])[0]
    return make(chosen)


def _attribute(field: str, operator: str, value: Any = None) -> Json:
    return {"kind": "attribute", **_condition(field, operator, value)}


def _condition(field: str, operator: str, value: Any = None) -> Json:
    return {"field": field, "operator": operator} | ({} if value is None else {"value": value})


def _past(field: str, days: int) -> Json:
    return _condition(field, "within_past", {"n": days, "unit": "day"})


def _next(field: str, days: int) -> Json:
    return _condition(field, "within_next", {"n": days, "unit": "day"})


def _did(source: str, *conditions: Json, having: Sequence[Json] = ()) -> Json:
    where = {"combinator": "and", "rules": list(conditions)}
    activity: Json = {"kind": "activity", "source": source, "occurrence": "did", "where": where}
    return {**activity, "having": list(having)} if having else activity


def _did_or_not(chosen: Chosen, source: str, *conditions: Json) -> Json:
    return {**_did(source, *conditions), "occurrence": chosen.one(("did", "did", "did_not"))}


def _measure(metric: str, operator: str, value: Any, field: str | None = None) -> Json:
    return {"metric": metric, "operator": operator, "value": value} | ({"field": field} if field else {})


# Attributes of the customer.


def _gender(chosen: Chosen) -> Json:
    return _attribute("gender", "eq", chosen.one(("男", "女")))


def _age(chosen: Chosen) -> Json:
    return _attribute(
        "age", "between", chosen.one(([3, 12], [6, 14], [18, 25], [18, 35], [25, 45], [45, 60], [60, 90]))
    )


def _city(chosen: Chosen) -> Json:
    return _attribute("city", "in", chosen.some(("杭州市", "北京市", "深圳市", "上海市", "广州市"), 2))


def _clinic(chosen: Chosen) -> Json:
    return _attribute("clinic_id", "in", chosen.some(chosen.clinics, 3))


def _last_visit(chosen: Chosen) -> Json:
    window = {"n": chosen.one(_LONG_WINDOWS), "unit": "day"}
    return _attribute("last_visit_at", chosen.one(("before_past", "within_past")), window)


def _paid(chosen: Chosen) -> Json:
    yuan = chosen.one(([1000, 10000], [500, 3000], None))
    return _attribute("paid_fen", "gte", 10000) if yuan is None else _attribute("paid_fen", "between", yuan)


def _source(chosen: Chosen) -> Json:
    channels = ("网络平台", "市场活动", "自然到店", "微信", "朋友介绍", "企业合作")
    return _attribute("source_level_1", chosen.one(("eq", "neq")), chosen.one(channels))


def _kind_of_patient(chosen: Chosen) -> Json:
    return _attribute("patient_type", "in", chosen.some(("会员患者", "儿牙患者", "正畸患者", "种植患者"), 2))


def _birthday(chosen: Chosen) -> Json:
    return _attribute("birth_date", "anniversary_within", {"n": chosen.one((3, 7, 15, 30))})


def _points(chosen: Chosen) -> Json:
    return _attribute("points_balance", "gte", chosen.one((100, 500, 1000, 3000)))


def _identity(chosen: Chosen) -> Json:
    field = chosen.one(("is_wecom_contact", "is_fan", "is_mini_program_user", "has_patient_file"))
    return _attribute(field, chosen.one(("is_true", "is_false")))


def _visits_so_far(chosen: Chosen) -> Json:
    return _attribute("visit_count", "between", chosen.one(([1, 1], [2, 4], [5, 10], [3, 100])))


# What customers did.


def _visit(chosen: Chosen) -> Json:
    return _did_or_not(chosen, "visit", _past("visited_at", chosen.one(_WINDOWS)))


def _visit_of_a_type(chosen: Chosen) -> Json:
    kind = _condition("visit_type", "eq", chosen.one(("初诊", "复诊", "治疗", "洁牙", "复查")))
    return _did_or_not(chosen, "visit", _past("visited_at", chosen.one(_WINDOWS)), kind)


def _visits_often(chosen: Chosen) -> Json:
    metric = chosen.one(("count", "count", "days"))
    enough = _measure(metric, "gte", chosen.one((2, 3, 5)))
    return _did("visit", _past("visited_at", chosen.one(_LONG_WINDOWS)), having=[enough])


def _arrived_first_time(chosen: Chosen) -> Json:
    first = _condition("visit_type", "eq", "初诊")
    arrived = _past("arrived_at", chosen.one((7, 14, 30, 90)))
    return _did("appointment", arrived, first, having=[_measure("count", "gte", 1)])


def _did_not_come(chosen: Chosen) -> Json:
    missed = _condition("status", "in", chosen.one((["爽约"], ["已取消"], ["爽约", "已取消"])))
    return _did_or_not(chosen, "appointment", _past("scheduled_at", chosen.one(_WINDOWS)), missed)


def _is_coming(chosen: Chosen) -> Json:
    when = chosen.one((_condition("scheduled_at", "tomorrow"), _next("scheduled_at", 3), _next("scheduled_at", 7)))
    return _did_or_not(chosen, "appointment", when, _condition("status", "in", ["已预约", "已确认"]))


def _bills_often(chosen: Chosen) -> Json:
    enough = _measure("count", "gte", chosen.one((2, 3, 4)))
    return _did("bill", _past("billed_at", chosen.one((180, 365))), having=[enough])


def _billed(chosen: Chosen) -> Json:
    operator, yuan = chosen.one((("between", [1000, 10000]), ("gte", 10000), ("gte", 500), ("lt", 300)))
    paid = _measure("sum", operator, yuan, field="net_paid_fen")
    return _did("bill", _past("billed_at", chosen.one(_LONG_WINDOWS)), having=[paid])


def _bought(chosen: Chosen) -> Json:
    category = chosen.one(("儿牙", "牙体牙髓", "牙周", "正畸", "外科", "修复", "种植", "美白", "卡项"))
    return _did_or_not(
        chosen,
        "bill_item",
        _past("billed_at", chosen.one(_WINDOWS[2:])),
        _condition("item_category", "eq", category),
    )


def _payment(chosen: Chosen) -> Json:
    paid = _past("paid_at", chosen.one(_WINDOWS[2:]))
    return _did("payment", paid, having=[_measure("sum", "gte", chosen.one((300, 1000, 5000)), field="amount_fen")])


def _campaign(chosen: Chosen) -> Json:
    event = _condition("event", "eq", chosen.one(("浏览营销活动", "参与营销活动")))
    campaigns = ("双11洁牙节", "开学季涂氟", "暑期儿牙季", "会员日积分翻倍", "种植直播专场", "早矫打卡")
    about = _condition("campaign_name", "eq", chosen.one(campaigns))
    seen = _past("occurred_at", chosen.one(_WINDOWS))
    enough = _measure("count", "gte", chosen.one((1, 1, 2)))
    return _did("mini_program_event", event, about, seen, having=[enough])


def _mini_program(chosen: Chosen) -> Json:
    event = chosen.one(("浏览项目", "浏览商品", "浏览医生", "预约", "在线咨询", "查看检查报告", "领取优惠券", "打卡"))
    seen = _past("occurred_at", chosen.one(_WINDOWS))
    return _did_or_not(chosen, "mini_program_event", _condition("event", "eq", event), seen)


def _opened_often(chosen: Chosen) -> Json:
    opened = _condition("event", "eq", "打开小程序")
    enough = _measure("count", "gte", chosen.one((3, 5, 10)))
    return _did("mini_program_event", opened, _past("occurred_at", chosen.one((30, 90))), having=[enough])


def _official_account(chosen: Chosen) -> Json:
    event = _condition("event", "eq", chosen.one(("关注", "取消关注", "点击菜单", "阅读图文", "扫码")))
    return _did_or_not(chosen, "official_account_event", event, _past("occurred_at", chosen.one(_WINDOWS)))


def _follow_up(chosen: Chosen) -> Json:
    result = _condition("result", "in", chosen.some(("满意", "未接通", "一般", "已预约", "无意向", "不满意"), 2))
    return _did_or_not(chosen, "follow_up", _past("planned_at", chosen.one(_WINDOWS)), result)


def _lead(chosen: Chosen) -> Json:
    waiting = _condition("status", "in", chosen.some(("跟进中", "无效", "已回收", "待跟进", "已预约"), 3))
    return _did("lead", _past("created_at", chosen.one(_WINDOWS[2:])), waiting)


def _nobody_called(chosen: Chosen) -> Json:
    called = _condition("event", "eq", "跟进")
    return {**_did("lead_event", called, _past("occurred_at", chosen.one(_WINDOWS))), "occurrence": "did_not"}


def _coupon_runs_out(chosen: Chosen) -> Json:
    return _did("coupon", _next("valid_to", chosen.one((7, 15, 30))), _condition("state", "eq", "可使用"))


def _card_left(chosen: Chosen) -> Json:
    left = _condition("is_used_up", "is_false")
    return _did("card_asset", left, _next("valid_to", chosen.one((30, 90))))


def _check_in_missed(chosen: Chosen) -> Json:
    missed = _condition("status", "eq", chosen.one(("漏打卡", "已打卡", "延期打卡")))
    enough = _measure("count", "gte", chosen.one((1, 2, 3)))
    return _did("checkin_slot", _past("due_on", chosen.one((7, 14, 30, 90))), missed, having=[enough])


def _review(chosen: Chosen) -> Json:
    operator, score = chosen.one((("lt", 6), ("gte", 8), ("gte", 9.5)))
    average = _measure("avg", operator, score, field="score10")
    return _did("review", _past("submitted_at", chosen.one((90, 180, 365))), having=[average])


def _medical_record(chosen: Chosen) -> Json:
    found = chosen.one(("拥挤", "龋", "牙周炎", "缺损", "牙石"))
    recorded = _past("recorded_at", chosen.one(_WINDOWS[2:]))
    return _did("medical_record", recorded, _condition("diagnosis", "contains", found))


def _executed(chosen: Chosen) -> Json:
    times = _measure("count", "between", chosen.one(([3, 6], [1, 2], [2, 10])))
    return _did("execution", _past("created_at", chosen.one(_LONG_WINDOWS)), having=[times])


def _executed_item(chosen: Chosen) -> Json:
    items = chosen.some(("隐适美矫治", "早期矫治", "保持器", "显微根管治疗", "前磨牙根管治疗", "隐形矫治"), 2)
    done = _past("created_at", chosen.one(_LONG_WINDOWS))
    return _did_or_not(chosen, "execution", done, _condition("item_names", "has_any", items))


def _suggested(chosen: Chosen) -> Json:
    name = chosen.one(("树脂充填", "超声洁治", "牙周治疗", "拔除智齿", "隐形矫治", "种植修复", "根管治疗"))
    return _did(
        "treatment_suggestion",
        _past("suggested_at", chosen.one(_WINDOWS[2:])),
        _condition("suggestion_name", "eq", name),
        _condition("charge_status", "eq", chosen.one(("未收费", "未收费", "已收费"))),
    )


def _examined(chosen: Chosen) -> Json:
    status = _condition("follow_up_status", "in", chosen.some(("待跟进", "已成交", "跟进中", "已流失"), 2))
    return _did_or_not(chosen, "oral_examination", _past("examined_at", chosen.one(_WINDOWS[2:])), status)


def _tagged_in_wecom(chosen: Chosen) -> Json:
    tag = chosen.one(("初诊未成交", "价格敏感", "治疗中", "洁牙意向", "宝妈", "矫正意向", "高净值", "种植意向"))
    return _did_or_not(chosen, "wecom_tag", _condition("tag_name", "eq", tag))


# The few that look at single rows, or at their order.


def _last_review(chosen: Chosen) -> Json:
    last = _measure("last", "lte", chosen.one((4, 6)), field="score10")
    return _did("review", _past("submitted_at", chosen.one((180, 365))), having=[last])


def _several_campaigns(chosen: Chosen) -> Json:
    joined = _condition("event", "eq", "参与营销活动")
    different = _measure("distinct", "gte", chosen.one((2, 3)), field="campaign_name")
    return _did("mini_program_event", joined, _past("occurred_at", chosen.one((90, 180))), having=[different])


def _came_back(chosen: Chosen) -> Json:
    missed = {"combinator": "and", "rules": [_condition("status", "eq", "爽约")]}
    return {
        "kind": "sequence",
        "steps": [{"source": "appointment", "where": missed}, {"source": "visit"}],
        "within": {"n": chosen.one((14, 30)), "unit": "day"},
        "occurrence": chosen.one(("did", "did_not")),
    }


def _joined_after_looking(chosen: Chosen) -> Json:
    looked, joined = (
        {"combinator": "and", "rules": [_condition("event", "eq", event), _past("occurred_at", 90)]}
        for event in ("浏览营销活动", "参与营销活动")
    )
    return {
        "kind": "sequence",
        "steps": [{"source": "mini_program_event", "where": one} for one in (looked, joined)],
        "within": {"n": chosen.one((3, 7)), "unit": "day"},
        "same": "campaign_name",
        "occurrence": "did",
    }


_LEAVES: Final[tuple[tuple[Callable[[Chosen], Json], int], ...]] = (
    (_gender, 5),
    (_age, 6),
    (_city, 4),
    (_clinic, 6),
    (_last_visit, 6),
    (_paid, 4),
    (_source, 4),
    (_kind_of_patient, 3),
    (_birthday, 3),
    (_points, 3),
    (_identity, 4),
    (_visits_so_far, 3),
    (_visit, 6),
    (_visit_of_a_type, 6),
    (_visits_often, 4),
    (_arrived_first_time, 4),
    (_did_not_come, 6),
    (_is_coming, 4),
    (_bills_often, 4),
    (_billed, 6),
    (_bought, 6),
    (_payment, 4),
    (_campaign, 8),
    (_mini_program, 10),
    (_opened_often, 3),
    (_official_account, 5),
    (_follow_up, 6),
    (_lead, 5),
    (_nobody_called, 3),
    (_coupon_runs_out, 4),
    (_card_left, 2),
    (_check_in_missed, 5),
    (_review, 4),
    (_medical_record, 4),
    (_executed, 3),
    (_executed_item, 3),
    (_suggested, 5),
    (_examined, 4),
    (_tagged_in_wecom, 4),
    (_last_review, 1),
    (_several_campaigns, 1),
    (_came_back, 1),
    (_joined_after_looking, 1),
)
"""Each with how often it is asked, beside the others."""
