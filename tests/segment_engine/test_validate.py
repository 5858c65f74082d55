"""Trees against a catalogue: what resolves, and everything that does not, with its place."""

from datetime import date
from typing import Any

import pytest

from segment_engine.catalog import Catalog, Field, Source
from segment_engine.checked import Activity, CheckedGroup, Comparison, Measure, Rows, Sequence
from segment_engine.operators import FieldType, operator_of
from segment_engine.parse import parse
from segment_engine.problems import InvalidFilterError
from segment_engine.tree import AudienceKind, Bucket, Combinator, Everyone, Membership, Metric
from segment_engine.validate import Asking, validate
from segment_engine.values import Unit, Window

Json = Any


def field(name: str, kind: str, **more: Any) -> Field:
    return Field(name, FieldType(kind), name, name, **more)


def source(name: str, *fields: Field) -> Source:
    return Source(
        name, f"marts.{name}", ("a", "b", "c"), name, name, "at", "at", {one.name: one for one in fields}, (), {}
    )


CATALOG = Catalog(
    "marts.people",
    {
        one.name: one
        for one in (
            field("gender", "option", options=("男", "女")),
            field("city", "text"),
            field("home_city", "text"),
            field("items", "options", options=("种植", "洁牙")),
            field("balance", "money"),
            field("points", "integer"),
            field("birthday", "date"),
            field("phone", "text", permission="pii_phone"),
            field("age", "integer", is_current_only=True),
        )
    },
    {
        one.name: one
        for one in (
            source("visit", field("at", "datetime"), field("kind", "option", options=("初诊", "复诊")),
                   field("paid", "money"), field("score", "integer"), field("clinic_id", "text")),
            source("lead", field("at", "datetime"), field("clinic_id", "text"), field("score", "decimal")),
        )
    },
)  # fmt: skip
ASKING = Asking(tags=frozenset({12}), segments=frozenset({7}))
WEEK = {"n": 7, "unit": "day"}


def attribute(name: str, operator: str, *value: Json, **more: Json) -> Json:
    given = {"value": value[0]} if value else {}
    return {"kind": "attribute", "field": name, "operator": operator, **given, **more}


def all_of(*rules: Json) -> Json:
    return {"combinator": "and", "rules": list(rules)}


def visits(**members: Json) -> Json:
    return {"kind": "activity", "source": "visit", "occurrence": "did", **members}


def measured(metric: str, operator: str, value: Json, **more: Json) -> Json:
    return visits(having=[{"metric": metric, "operator": operator, "value": value, **more}])


def sequence(**members: Json) -> Json:
    steps = [{"source": "lead"}, {"source": "visit"}]
    return {"kind": "sequence", "steps": steps, "within": WEEK, "occurrence": "did", **members}


def checked(*rules: Json, asking: Asking = ASKING) -> CheckedGroup:
    return validate(parse(all_of(*rules)), CATALOG, asking)


def problems(*rules: Json, asking: Asking = ASKING) -> list[tuple[str, str]]:
    with pytest.raises(InvalidFilterError) as refused:
        checked(*rules, asking=asking)
    assert all(problem.message_zh and problem.message_en for problem in refused.value.problems)
    return [(problem.code, problem.path) for problem in refused.value.problems]


def test_names_become_what_the_catalogue_says_and_values_what_they_are() -> None:
    people, seen = CATALOG.attributes, CATALOG.sources["visit"]
    text, option, money = (FieldType(name) for name in ("text", "option", "money"))
    integer = FieldType.INTEGER

    group = checked(
        attribute("gender", "neq", "男", null_policy="match"),
        attribute("city", "eq", {"field": "home_city"}),
        attribute("birthday", "on", "2000-02-29"),
        visits(
            where=all_of({"field": "kind", "operator": "in", "value": ["初诊"]}),
            having=[
                {"metric": "count", "operator": "lt", "value": 1},
                {"metric": "avg", "field": "score", "operator": "gte", "value": 7.5},
                {"metric": "sum", "field": "paid", "operator": "gt", "value": 12.5},
                {"metric": "last", "field": "kind", "operator": "eq", "value": "复诊"},
            ],
            include_zero=True,
        ),
        sequence(same="clinic_id", without={"source": "visit"}, max_gap=WEEK),
        {"kind": "tag", "operator": "in", "tag_ids": [12]},
        {"kind": "everyone"},
        {"kind": "bucket", "salt": "s", "from": 0, "to": 10},
    )

    gender, city, birthday, activity, sequel, *rest = group.rules
    neq, eq = operator_of(option, "neq"), operator_of(text, "eq")
    assert neq and eq
    assert gender == Comparison(people["gender"], neq, "男", None, True, ("rules", 0))
    assert city == Comparison(people["city"], eq, None, people["home_city"], False, ("rules", 1))
    assert isinstance(birthday, Comparison)
    assert birthday.value == date(2000, 2, 29)
    assert isinstance(activity, Activity)
    assert activity.rows.source is seen
    assert activity.rows.where is not None
    assert isinstance(activity.rows.where.rules[0], Comparison)
    assert [(one.type, one.value) for one in activity.having] == [
        (integer, 1), (FieldType.DECIMAL, 7.5), (money, 1250), (option, "复诊"),
    ]  # fmt: skip
    assert all(isinstance(one, Measure) for one in activity.having)
    window = Window(7, Unit.DAY)
    steps = (Rows(CATALOG.sources["lead"], None), Rows(seen, None))
    assert sequel == Sequence(steps, window, window, Rows(seen, None), "clinic_id", True, ("rules", 4))
    assert rest == [
        Membership(AudienceKind.TAG, (12,), False, ("rules", 5)), Everyone(("rules", 6)),
        Bucket("s", 0, 10, ("rules", 7)),
    ]  # fmt: skip
    assert group.combinator is Combinator.AND


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        (attribute("nope", "eq", 1), ("unknown_field", "/rules/0/field")),
        (attribute("city", "gt", "a"), ("unknown_operator", "/rules/0/operator")),
        (attribute("city", "eq", 1), ("wrong_type", "/rules/0/value")),
        (attribute("city", "eq", None), ("missing_value", "/rules/0/value")),
        (attribute("city", "eq"), ("missing_value", "/rules/0/value")),
        (attribute("city", "is_set", 1), ("unexpected_value", "/rules/0/value")),
        (attribute("city", "eq", "a", null_policy="match"), ("null_policy_not_allowed", "/rules/0/null_policy")),
        (attribute("city", "eq", {"field": "nope"}), ("unknown_field", "/rules/0/value/field")),
        (attribute("balance", "eq", {"field": "points"}), ("wrong_type", "/rules/0/value/field")),
        (attribute("city", "eq", {"field": "phone"}), ("field_not_permitted", "/rules/0/value/field")),
        (attribute("phone", "is_set"), ("field_not_permitted", "/rules/0/field")),
        (attribute("gender", "eq", "其他"), ("unknown_option", "/rules/0/value")),
        (attribute("items", "has_any", ["种植", "正畸"]), ("unknown_option", "/rules/0/value/1")),
        (visits(source="nope"), ("unknown_source", "/rules/0/source")),
        (
            visits(where=all_of({"field": "city", "operator": "eq", "value": "x"})),
            ("unknown_field", "/rules/0/where/rules/0/field"),
        ),
        (visits(include_zero=True), ("unexpected_member", "/rules/0/include_zero")),
        (
            visits(occurrence="did_not", having=[{"metric": "count", "operator": "gte", "value": 1}]),
            ("metric_with_did_not", "/rules/0/having"),
        ),
        (measured("count", "eq", 0), ("never_true", "/rules/0/having/0/value")),
        (measured("days", "lte", 0), ("never_true", "/rules/0/having/0/value")),
        (measured("count", "lt", 1), ("never_true", "/rules/0/having/0/value")),
        (measured("count", "between", [6, 3]), ("empty_range", "/rules/0/having/0/value")),
        (measured("count", "gte", 1.5), ("wrong_type", "/rules/0/having/0/value")),
        (measured("sum", "gte", 1, field="kind"), ("wrong_type", "/rules/0/having/0/field")),
        (measured("sum", "gte", 1, field="nope"), ("unknown_field", "/rules/0/having/0/field")),
        (measured("sum", "gte", {"field": "paid"}, field="paid"), ("wrong_type", "/rules/0/having/0/value")),
        (measured("first", "gte", "初诊", field="kind"), ("unknown_operator", "/rules/0/having/0/operator")),
        (sequence(within={"n": 0, "unit": "day"}), ("out_of_range", "/rules/0/within/n")),
        (sequence(within=None), ("missing_value", "/rules/0/within")),
        (sequence(max_gap=7), ("wrong_type", "/rules/0/max_gap")),
        (sequence(without={"source": "nope"}), ("unknown_source", "/rules/0/without/source")),
        (sequence(same="score"), ("wrong_type", "/rules/0/same")),
        ({"kind": "tag", "operator": "in", "tag_ids": [12, 13]}, ("unknown_tag", "/rules/0/tag_ids")),
        ({"kind": "segment", "operator": "not_in", "segment_ids": [12]}, ("unknown_segment", "/rules/0/segment_ids")),
    ],
)
def test_what_does_not_resolve_is_told_with_its_place(rule: Json, found: tuple[str, str]) -> None:
    assert problems(rule) == [found]


def test_what_is_out_of_use_is_called_by_its_name_and_not_said_to_be_gone() -> None:
    asking = Asking(
        tags=frozenset({12}), disabled={(AudienceKind.TAG, 13): "高价值", (AudienceKind.SEGMENT, 13): "老客户"}
    )

    with pytest.raises(InvalidFilterError) as refused:
        checked({"kind": "tag", "operator": "in", "tag_ids": [12, 13, 14]}, asking=asking)

    assert [(problem.code, problem.message_zh) for problem in refused.value.problems] == [
        ("tag_disabled", "标签「高价值」(编号 13)未启用,不能引用"),
        ("unknown_tag", "标签 14 不存在"),
    ]


def test_everything_that_is_wrong_is_told_at_once_in_order_of_the_document() -> None:
    found = problems(attribute("nope", "eq", 1), all_of(attribute("city", "gt", 1), measured("count", "gte", "x")))

    assert found == [
        ("unknown_field", "/rules/0/field"),
        ("unknown_operator", "/rules/1/rules/0/operator"),
        ("wrong_type", "/rules/1/rules/1/having/0/value"),
    ]


def test_a_masked_field_is_for_those_who_see_it_and_a_field_of_today_for_today() -> None:
    checked(attribute("phone", "is_set"), asking=Asking(permissions=frozenset({"pii_phone"})))
    checked(attribute("age", "gt", 30))
    assert problems(attribute("age", "gt", 30), asking=Asking(is_past=True)) == [("not_known_then", "/rules/0/field")]


def test_zero_rows_can_be_asked_for_where_the_rule_says_so() -> None:
    rule = measured("count", "eq", 0)

    checked({**rule, "include_zero": True})
    checked(measured("sum", "eq", 0, field="paid"))


@pytest.mark.parametrize(
    ("metric", "name", "operator", "value"),
    [("distinct", "kind", "gte", 2), ("min", "paid", "gte", 0.5), ("first", "at", "within_past", WEEK)],
)
def test_a_metric_has_the_operators_of_what_it_measures(metric: str, name: str, operator: str, value: Json) -> None:
    (rule,) = checked(measured(metric, operator, value, field=name)).rules

    assert isinstance(rule, Activity)
    assert rule.having[0].metric is Metric(metric)
