"""Filters in words: golden sentences, every operator of every type, and laws that hold for every filter."""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings

from segment_engine.checked import Activity, CheckedGroup, CheckedNode, Comparison, Measure, Rows, Sequence
from segment_engine.describe import describe, describe_measure, describe_rule
from segment_engine.operators import OPERATORS, FieldType, Operator, Shape
from segment_engine.parse import parse
from segment_engine.sentences import AudienceNames, Sentence
from segment_engine.tree import AudienceKind, Bucket, Membership
from segment_engine.validate import validate
from segment_engine.values import Size, Value
from tests.segment_engine.documents import ASKING, CATALOG, DOCUMENTS

Json = Any

NOW = datetime(2025, 6, 10, 12, 30, tzinfo=ZoneInfo("Asia/Shanghai"))
NAMES: AudienceNames = {(AudienceKind.TAG, 12): "高价值", (AudienceKind.SEGMENT, 7): "流失风险"}
WEEK = {"n": 7, "unit": "day"}


def all_of(*rules: Json, **members: Json) -> Json:
    return {"combinator": "and", "rules": list(rules), **members}


def any_of(*rules: Json, **members: Json) -> Json:
    return {"combinator": "or", "rules": list(rules), **members}


def row(name: str, operator: str, *value: Json, **more: Json) -> Json:
    return {"field": name, "operator": operator, **({"value": value[0]} if value else {}), **more}


def is_(name: str, operator: str, *value: Json, **more: Json) -> Json:
    return {"kind": "attribute", **row(name, operator, *value, **more)}


def activity(source: str, **members: Json) -> Json:
    return {"kind": "activity", "source": source, "occurrence": "did", **members}


def measured(metric: str, operator: str, value: Json, **more: Json) -> Json:
    return {"metric": metric, "operator": operator, "value": value, **more}


def checked(document: Json) -> CheckedGroup:
    return validate(parse(document), CATALOG, ASKING)


def told(document: Json, as_of: datetime | None = NOW) -> tuple[str, str]:
    sentence = describe(checked(document), NAMES, as_of)
    return sentence.zh, sentence.en


ARRIVED = row("arrived_at", "within_past", WEEK)
FIRST = row("visit_type", "eq", "初诊")


@pytest.mark.parametrize(
    ("document", "zh", "en"),
    [
        (all_of(is_("gender", "eq", "男")), "性别 等于 男", "Gender is 男"),
        (
            all_of(
                activity(
                    "appointment", where=all_of(ARRIVED, FIRST), having=[measured("count", "gte", 1)]
                )
            ),
            "有过 预约(满足:实际到店时间 在过去7天之内(2025-06-04 至 2025-06-10) 且 就诊类型 等于 初诊;"
            "预约总次数 大于等于 1)",
            "has at least one Appointment (where Arrived at is within the past 7 days (2025-06-04 to 2025-06-10)"
            " and Visit type is 初诊; Number of appointments is at least 1)",
        ),
        (
            all_of(
                activity(
                    "mini_program_event",
                    where=all_of(row("event", "eq", "浏览营销活动"), row("campaign_name", "eq", "早矫打卡")),
                    having=[measured("count", "gte", 1)],
                )
            ),
            "做过 小程序事件(满足:事件 等于 “浏览营销活动” 且 活动名称 等于 “早矫打卡”;总次数 大于等于 1)",
            "did at least one Mini-program event (where Event is “浏览营销活动” and Campaign is “早矫打卡”;"
            " Number of events is at least 1)",
        ),
        (
            any_of(
                is_("balance", "between", [1000, 9999.99]),
                all_of(is_("points", "gt", 5), is_("is_fan", "is_true")),
            ),
            "储值余额 范围 1000.00元 至 9999.99元(含两端) 或 (积分 大于 5分 且 是否粉丝 为真)",
            "Balance is between ¥1000.00 and ¥9999.99 (both included) or (Points is more than 5 and Is a fan is true)",
        ),
        (
            all_of(any_of(is_("city", "eq", "上海"), is_("city", "not_set"), **{"not": True}), is_("rate", "lt", 0.5)),
            "不满足:(城市 等于 “上海” 或 城市 没值) 且 打卡率 小于 0.5",
            "not (City is “上海” or City is not set) and Rate is less than 0.5",
        ),
        (
            all_of(is_("gender", "neq", "男"), is_("city", "not_in", ["a", "b"], null_policy="match")),
            "性别 不等于 男(没有值的客户不算) 且 城市 不属于 “a”、“b”(没有值的客户也算)",
            "Gender is not 男 (those without a value do not count)"
            " and City is none of “a”, “b” (those without a value count too)",
        ),
        (
            all_of(activity("appointment", occurrence="did_not", where=all_of(row("note", "not_contains", "取消")))),
            "没有 预约(满足:备注 不包含 “取消”(没有值的记录不算))",
            "has no Appointment (where Note does not contain “取消” (rows without a value do not count))",
        ),
        (
            all_of(activity("appointment", having=[measured("count", "lt", 2)], include_zero=True)),
            "有过或没有 预约(预约总次数 小于 2;含 0 次)",
            "has any number of Appointment (Number of appointments is less than 2; zero included)",
        ),
        (
            all_of(activity("mini_program_event", occurrence="did_not")),
            "未做过 小程序事件",
            "did no Mini-program event",
        ),
        (
            all_of(
                activity(
                    "appointment",
                    having=[
                        measured("sum", "gte", 100, field="fee"),
                        measured("avg", "gt", 30, field="minutes"),
                        measured("last", "neq", "初诊", field="visit_type"),
                    ],
                )
            ),
            "有过 预约(费用总额 大于等于 100.00元 且 时长平均值 大于 30分钟 且"
            " 末次的就诊类型 不等于 初诊(没有值的客户不算))",
            "has at least one Appointment (Total fees is at least ¥100.00 and average of Minutes is more than 30"
            " and last Visit type is not 初诊 (those without a value do not count))",
        ),
        (
            all_of(
                {"kind": "tag", "operator": "in", "tag_ids": [12, 15]},
                {"kind": "segment", "operator": "not_in", "segment_ids": [7]},
                {"kind": "everyone"},
                {"kind": "bucket", "salt": "spring", "from": 0, "to": 10},
            ),
            "带有 标签 “高价值”、标签 15 中的至少一个 且 不属于 分群 “流失风险” 且 全部客户"
            " 且 按“spring”随机分成的 100 份中第 0 至 10 份(含 0,不含 10)",
            "has any of tag “高价值”, tag 15 and is in none of segment “流失风险” and all customers"
            " and the random share from 0 up to, not including, 10 of 100 by “spring”",
        ),
        (
            all_of(
                {
                    "kind": "sequence",
                    "steps": [{"source": "mini_program_event"}, {"source": "appointment", "where": all_of(FIRST)}],
                    "within": {"n": 1, "unit": "month"},
                    "max_gap": {"n": 36, "unit": "hour"},
                    "without": {"source": "appointment"},
                    "same": "clinic_id",
                    "occurrence": "did_not",
                }
            ),
            "没有依次有过 (小程序事件 → 预约(满足:就诊类型 等于 初诊);首尾相隔不超过1个月;相邻两步相隔不超过36小时;"
            "相邻两步之间没有 预约;各步的门诊相同)",
            "does not have in this order (Mini-program event → Appointment (where Visit type is 初诊);"
            " at most 1 month from first to last; at most 36 hours between neighbours;"
            " between neighbours no Appointment; the same Clinic in all)",
        ),
        (
            all_of(is_("city", "eq", {"field": "home_city"}), is_("items", "size", {"operator": "gte", "value": 2})),
            "城市 等于 字段常住城市 且 意向项目 个数 大于等于 2",
            "City is the field Home city and Items number of values is at least 2",
        ),
    ],
)  # fmt: skip
def test_a_filter_is_said_in_both_languages(document: Json, zh: str, en: str) -> None:
    assert told(document) == (zh, en)


@pytest.mark.parametrize(
    ("operator", "value", "zh", "en"),
    [
        ("within_past", {**WEEK, "include_today": False}, "在过去7天(不含今天)之内(2025-06-03 至 2025-06-09)",
         "is within the past 7 days (today not included) (2025-06-03 to 2025-06-09)"),
        ("before_past", WEEK, "在过去7天之前(2025-06-03 及以前)",
         "is earlier than the past 7 days (2025-06-03 or earlier)"),
        ("past_range", {"a": 30, "b": 7, "unit": "day"}, "在过去的区间(30天之内,7天之前)(2025-05-12 至 2025-06-03)",
         "is in the past range (within 30 days, earlier than 7 days) (2025-05-12 to 2025-06-03)"),
        ("next_range", {"a": 2, "b": 1, "unit": "week"}, "在未来的区间(2周之内,1周之后)(2025-06-17 至 2025-06-23)",
         "is in the next range (within 2 weeks, later than 1 week) (2025-06-17 to 2025-06-23)"),
        ("within_past", {"n": 1, "unit": "hour"}, "在过去1小时之内(2025-06-10 11:30:00 至 2025-06-10 12:30:00)",
         "is within the past 1 hour (2025-06-10 11:30:00 to 2025-06-10 12:30:00)"),
        ("before_past", {"n": 1, "unit": "hour"}, "在过去1小时之前(2025-06-10 11:30:00 之前)",
         "is earlier than the past 1 hour (before 2025-06-10 11:30:00)"),
        ("past_range", {"a": 2, "b": 1, "unit": "hour"},
         "在过去的区间(2小时之内,1小时之前)(2025-06-10 10:30:00 至 2025-06-10 11:30:00(不含))",
         "is in the past range (within 2 hours, earlier than 1 hour)"
         " (2025-06-10 10:30:00 to 2025-06-10 11:30:00 (not included))"),
        ("next_range", {"a": 2, "b": 1, "unit": "hour"},
         "在未来的区间(2小时之内,1小时之后)(2025-06-10 13:30:00(不含) 至 2025-06-10 14:30:00)",
         "is in the next range (within 2 hours, later than 1 hour)"
         " (2025-06-10 13:30:00 (not included) to 2025-06-10 14:30:00)"),
        ("anniversary_within", {"n": 7}, "周年在未来7天内(含今天)(2025-06-10 至 2025-06-16)",
         "has its anniversary within 7 days (today included) (2025-06-10 to 2025-06-16)"),
        ("month_in", [2, 12], "月份属于 2月、12月", "falls in a month of February, December"),
        ("day_in", [1, 31], "日期属于 1日、31日", "falls on a day of the month of 1, 31"),
        ("on", "2025-02-28", "是 2025-02-28", "is on 2025-02-28"),
    ],
)  # fmt: skip
def test_days_are_said_as_they_are_counted(operator: str, value: Json, zh: str, en: str) -> None:
    found = told(all_of(is_("last_visit_at", operator, value)))

    assert found == (f"上次就诊时间 {zh}", f"Last visit at {en}")


@pytest.mark.parametrize(
    ("operator", "zh", "en"),
    [
        ("today", "为今天(2025-06-10)", "is today (2025-06-10)"),
        ("last_week", "为上周(2025-06-02 至 2025-06-08)", "is in last week (2025-06-02 to 2025-06-08)"),
        ("is_set", "有值", "is set"),
    ],
)
def test_a_calendars_days_are_said_where_now_is_known(operator: str, zh: str, en: str) -> None:
    assert told(all_of(is_("birthday", operator))) == (f"生日 {zh}", f"Birthday {en}")
    assert told(all_of(is_("birthday", operator)), None) == (
        f"生日 {zh.partition('(')[0]}",
        f"Birthday {en.partition(' (')[0]}",
    )


def test_long_lists_are_counted() -> None:
    cities = [f"c{number}" for number in range(22)]

    zh, en = told(all_of(is_("city", "in", cities)))

    assert zh.endswith("、“c9” 等 22 项")
    assert en.endswith(", “c9” and 12 more")


def test_options_of_another_table_are_called_by_their_labels() -> None:
    tree = checked(all_of(is_("clinic_id", "in", ["C001", "C002"])))

    sentence = describe(tree, {}, None, labels={("marts.dim_clinic", "C001"): "中关村门诊"})

    assert sentence == Sentence("所属机构 属于 中关村门诊、“C002”", "Clinic is one of 中关村门诊, “C002”")


def test_what_somebody_typed_cannot_be_read_as_words_of_the_filter() -> None:
    one_text = told(all_of(is_("city", "eq", "a” 且 城市 等于 “b")))
    two_rules = told(all_of(is_("city", "eq", "a"), is_("city", "eq", "b")))

    assert one_text[0] == "城市 等于 “a”” 且 城市 等于 “b”"
    assert one_text != two_rules
    assert told(all_of(is_("wishes", "has_any", ["a、b"]))) != told(all_of(is_("wishes", "has_any", ["a", "b"])))


def test_one_node_is_said_alone() -> None:
    tree = checked(
        all_of(activity("appointment", where=all_of(row("note", "neq", "x")), having=[measured("days", "gt", 1)]))
    )
    (rule,) = tree.rules
    assert isinstance(rule, Activity) and rule.rows.where is not None

    policy = describe_rule(rule.rows.where.rules[0], {}, None, of_rows=True)
    measure = describe_measure(rule.having[0], rule.rows.source, None)

    assert policy.zh == "备注 不等于 “x”(没有值的记录不算)"
    assert measure == Sentence("天数 大于 1", "number of different days is more than 1")
    assert describe_rule(rule, {}, None) == describe(tree, {}, None)


STEPS = [{"source": "mini_program_event"}, {"source": "appointment"}]
SEQUENCE = {"kind": "sequence", "steps": STEPS, "within": WEEK, "occurrence": "did"}
TWO = (is_("points", "gt", 1), is_("points", "lt", 9))
LATER = measured("count", "lt", 2)
EQUAL = measured("sum", "neq", 2, field="fee")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (all_of(*TWO), any_of(*TWO)),
        (all_of(*TWO), all_of(*TWO, **{"not": True})),
        (all_of(*TWO, TWO[0]), all_of(any_of(*TWO), TWO[0])),
        (all_of(any_of(*TWO), TWO[0]), any_of(TWO[0], all_of(*TWO))),
        (all_of(is_("city", "neq", "a")), all_of(is_("city", "neq", "a", null_policy="match"))),
        (all_of(is_("city", "eq", "字段常住城市")), all_of(is_("city", "eq", {"field": "home_city"}))),
        (all_of(is_("birthday", "within_past", WEEK)),
         all_of(is_("birthday", "within_past", {**WEEK, "include_today": False}))),
        (all_of(activity("appointment")), all_of(activity("appointment", occurrence="did_not"))),
        (all_of(activity("appointment", having=[LATER])),
         all_of(activity("appointment", having=[LATER], include_zero=True))),
        (all_of(activity("appointment", having=[EQUAL])),
         all_of(activity("appointment", having=[{**EQUAL, "null_policy": "match"}]))),
        (all_of(activity("appointment", where=all_of(FIRST, ARRIVED))),
         all_of(activity("appointment", where=any_of(FIRST, ARRIVED)))),
        (all_of(activity("appointment", where=all_of(FIRST)), activity("appointment", where=all_of(ARRIVED))),
         all_of(activity("appointment", where=all_of(FIRST, ARRIVED)))),
        (all_of({"kind": "tag", "operator": "in", "tag_ids": [12]}),
         all_of({"kind": "tag", "operator": "not_in", "tag_ids": [12]})),
        (all_of(SEQUENCE), all_of({**SEQUENCE, "occurrence": "did_not"})),
        (all_of(SEQUENCE), all_of({**SEQUENCE, "steps": STEPS[::-1]})),
        (all_of(SEQUENCE), all_of({**SEQUENCE, "max_gap": WEEK})),
        (all_of(SEQUENCE), all_of({**SEQUENCE, "without": STEPS[0]})),
        (all_of(SEQUENCE), all_of({**SEQUENCE, "same": "clinic_id"})),
    ],
)  # fmt: skip
def test_what_means_something_else_is_said_otherwise(one: Json, other: Json) -> None:
    assert all(first != second for first, second in zip(told(one), told(other), strict=True))


FIELDS = {one.type: one for one in CATALOG.attributes.values()}
GOOD: dict[Shape, Json] = {
    Shape.WINDOW: WEEK,
    Shape.SPAN: {"a": 30, "b": 7, "unit": "day"},
    Shape.SIZE: {"operator": "gte", "value": 2},
    Shape.AHEAD: {"n": 7},
    Shape.MONTHS: [2],
    Shape.DAYS: [2],
}
SCALARS: dict[FieldType, Json] = {FieldType.DATE: "2025-06-10", FieldType.DATETIME: "2025-06-10"}


def compared(kind: FieldType, operator: Operator) -> Json:
    numeric = kind in (FieldType.INTEGER, FieldType.DECIMAL, FieldType.MONEY)
    scalar = SCALARS.get(kind, 2 if numeric else "2")
    value = GOOD.get(operator.shape, {Shape.ITEMS: [scalar], Shape.PAIR: [scalar, scalar]}.get(operator.shape, scalar))
    given_value = () if operator.shape is Shape.NONE else (value,)
    return is_(FIELDS[kind].name, operator.name, *given_value)


@pytest.mark.parametrize("kind", [*FieldType])
@pytest.mark.parametrize("as_of", [NOW, None], ids=["counted", "not counted"])
def test_no_two_operators_of_a_type_are_said_alike(kind: FieldType, as_of: datetime | None) -> None:
    sentences = [told(all_of(compared(kind, operator)), as_of) for operator in OPERATORS[kind].values()]

    assert len({zh for zh, _ in sentences}) == len({en for _, en in sentences}) == len(OPERATORS[kind])
    assert all("…" not in zh + en for zh, en in sentences)


def literals(node: CheckedNode | Measure | Rows) -> Iterator[Value]:
    """Every value that stands in a tree."""
    match node:
        case CheckedGroup():
            for rule in node.rules:
                yield from literals(rule)
        case Comparison() | Measure():
            yield from node.value if isinstance(node.value, tuple) else [node.value]
        case Rows():
            yield from literals(node.where) if node.where else ()
        case Activity():
            for one in (node.rows, *node.having):
                yield from literals(one)
        case Sequence():
            for one in (*node.steps, *([node.without] if node.without else ())):
                yield from literals(one)
        case Bucket():
            yield from (node.salt, node.first, node.end)
        case Membership():
            yield from (NAMES.get((node.kind, one), one) for one in node.ids)


def text_of(value: Value) -> str:
    """The least that must be read of a value."""
    match value:
        case date():
            return value.isoformat()
        case Decimal():
            return f"{value:f}"
        case Size() | None:
            return ""
        case int():
            return str(value)
        case str():
            return value.replace("”", "””")
    return str(getattr(value, "n", None) or getattr(value, "a", ""))


def yuan_of(text: str) -> str:
    """Fen as they are read; what is no number stays."""
    return f"{Decimal(text) / 100:.2f}" if text.lstrip("-").isdigit() else text


@given(document=DOCUMENTS)
@settings(max_examples=300, deadline=None)
def test_every_value_is_in_the_sentence_and_brackets_are_in_pairs(document: Json) -> None:
    tree = checked(document)

    sentence = describe(tree, NAMES, NOW)

    assert sentence.zh.count("(") == sentence.zh.count(")") and sentence.en.count("(") == sentence.en.count(")")
    for text in map(text_of, literals(tree)):
        assert any(said in sentence.zh for said in (text, yuan_of(text)))
    assert ("不算" in sentence.zh or "也算" in sentence.zh) == ("without a value" in sentence.en)
