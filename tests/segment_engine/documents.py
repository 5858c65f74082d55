"""A catalogue with fields of every type, and valid documents over it, as they come from a front end."""

from typing import Any

from hypothesis import strategies as st

from segment_engine.catalog import Catalog, Dictionary, Field, OfferedMetric, Source
from segment_engine.operators import OPERATORS, SIZE_OPERATORS, FieldType, Operator, Shape
from segment_engine.tree import Metric
from segment_engine.validate import Asking

Json = Any

TAGS = frozenset({12, 15})
SEGMENTS = frozenset({7})
ASKING = Asking(tags=TAGS, segments=SEGMENTS)
OPTIONS = ("初诊", "复诊", "种植, 正畸")


def field(name: str, kind: str, zh: str, en: str, **more: Any) -> Field:
    return Field(name, FieldType(kind), zh, en, **more)


def source(name: str, first: str, zh: str, en: str, *fields: Field, metrics: tuple[OfferedMetric, ...] = ()) -> Source:
    at = field("at", "datetime", "发生时间", "Occurred at")
    known = {one.name: one for one in (at, *fields)}
    return Source(name, f"marts.fct_{name}", (first, zh, zh), zh, en, "at", "at", known, metrics, {})


PROFILE = ("客户资料", "基本资料", "资料")
CATALOG = Catalog(
    "marts.dim_customer",
    {
        one.name: one
        for one in (
            field("gender", "option", "性别", "Gender", options=("男", "女", "未知"), category=PROFILE),
            field("clinic_id", "option", "所属机构", "Clinic", category=PROFILE,
                  options_from=Dictionary("marts.dim_clinic", "clinic_id", "clinic_name")),
            field("city", "text", "城市", "City", category=PROFILE),
            field("home_city", "text", "常住城市", "Home city", category=PROFILE),
            field("items", "options", "意向项目", "Items", options=OPTIONS, category=PROFILE),
            field("wishes", "options", "愿望", "Wishes", category=PROFILE),
            field("balance", "money", "储值余额", "Balance", unit="fen", category=("客户资产", "储值", "余额")),
            field("points", "integer", "积分", "Points", unit="分", category=("客户资产", "积分", "积分")),
            field("rate", "decimal", "打卡率", "Rate", category=PROFILE),
            field("is_fan", "boolean", "是否粉丝", "Is a fan", category=PROFILE),
            field("birthday", "date", "生日", "Birthday", category=PROFILE),
            field("last_visit_at", "datetime", "上次就诊时间", "Last visit at", category=PROFILE),
            field("first_visit_at", "datetime", "初诊时间", "First visit at", category=PROFILE),
        )
    },
    {
        one.name: one
        for one in (
            source(
                "appointment", "就诊记录", "预约", "Appointment",
                field("clinic_id", "option", "预约门诊", "Clinic",
                      options_from=Dictionary("marts.dim_clinic", "clinic_id", "clinic_name")),
                field("visit_type", "option", "就诊类型", "Visit type", options=OPTIONS),
                field("arrived_at", "datetime", "实际到店时间", "Arrived at"),
                field("note", "text", "备注", "Note"),
                field("fee", "money", "费用", "Fee"),
                field("minutes", "integer", "时长", "Minutes", unit="分钟"),
                metrics=(
                    OfferedMetric(Metric.COUNT, None, "预约总次数", "Number of appointments"),
                    OfferedMetric(Metric.SUM, "fee", "费用总额", "Total fees"),
                ),
            ),
            source(
                "mini_program_event", "客户线上行为", "小程序事件", "Mini-program event",
                field("event", "option", "事件", "Event"),
                field("campaign_name", "text", "活动名称", "Campaign"),
                field("clinic_id", "option", "门诊", "Clinic"),
                field("pages", "integer", "页数", "Pages"),
                metrics=(OfferedMetric(Metric.COUNT, None, "总次数", "Number of events"),),
            ),
        )
    },
)  # fmt: skip

TEXTS = st.text(st.sampled_from("ab京0%_,\\ '\"“”;"), min_size=1, max_size=6).filter(lambda text: bool(text.strip()))
DAYS = st.dates().map(lambda day: day.isoformat())
HUNDREDTHS = st.integers(-(10**9), 10**9).map(lambda n: n / 100)


def scalars(one: Field) -> st.SearchStrategy[Json]:
    """Values of a field, as documents say them."""
    if one.options is not None:
        return st.sampled_from(one.options)
    kind = one.type
    if kind in (FieldType.DATE, FieldType.DATETIME):
        return DAYS
    return {
        FieldType.INTEGER: st.integers(-(10**9), 10**9),
        FieldType.MONEY: HUNDREDTHS,
        FieldType.DECIMAL: HUNDREDTHS,
    }.get(kind, TEXTS)


def numbers(first: int, last: int) -> st.SearchStrategy[Json]:
    return st.lists(st.integers(first, last), min_size=1, max_size=4, unique=True)


@st.composite
def windows(draw: st.DrawFn, *, hours: bool, today: bool = False) -> Json:
    unit = draw(st.sampled_from(["day", "week", "month", "year", *(["hour"] if hours else [])]))
    window: Json = {"n": draw(st.integers(1, 30)), "unit": unit}
    if today and unit != "hour" and draw(st.booleans()):
        window["include_today"] = draw(st.booleans())
    return window


@st.composite
def spans(draw: st.DrawFn, *, hours: bool) -> Json:
    window = draw(windows(hours=hours))
    return {"a": window["n"] + draw(st.integers(1, 9)), "b": window["n"], "unit": window["unit"]}


def pairs(values: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    return st.tuples(values, values).map(sorted)


@st.composite
def sizes(draw: st.DrawFn) -> Json:
    name = draw(st.sampled_from(SIZE_OPERATORS))
    shape = OPERATORS[FieldType.INTEGER][name].shape
    whole = st.integers(0, 9)
    value = {Shape.ITEMS: numbers(0, 9), Shape.PAIR: pairs(whole)}.get(shape, whole)
    return {"operator": name, "value": draw(value)}


def values(one: Field, operator: Operator) -> st.SearchStrategy[Json]:
    """What the operator takes, field references apart."""
    hours, scalar = one.type is FieldType.DATETIME, scalars(one)
    return {
        Shape.ITEMS: st.lists(scalar, min_size=1, max_size=4, unique=True),
        Shape.PAIR: pairs(scalar),
        Shape.WINDOW: windows(hours=hours, today=operator.name == "within_past"),
        Shape.SPAN: spans(hours=hours),
        Shape.SIZE: sizes(),
        Shape.AHEAD: st.fixed_dictionaries({"n": st.integers(1, 60)}),
        Shape.MONTHS: numbers(1, 12),
        Shape.DAYS: numbers(1, 31),
    }.get(operator.shape, scalar)


def operators(one: Field) -> st.SearchStrategy[Operator]:
    # A generated pattern need not be one.
    return st.sampled_from([*OPERATORS[one.type].values()]).filter(lambda operator: "regex" not in operator.name)


@st.composite
def comparisons(draw: st.DrawFn, one: Field, others: tuple[Field, ...] = ()) -> Json:
    """Operator, value and policy; `others` may stand on the right."""
    operator = draw(operators(one))
    told: Json = {"operator": operator.name}
    if operator.shape is Shape.ONE and others and draw(st.booleans()):
        told["value"] = {"field": draw(st.sampled_from(others)).name}
    elif operator.shape is not Shape.NONE:
        told["value"] = draw(values(one, operator))
    if draw(st.booleans()):
        told["null_policy"] = draw(st.sampled_from(["exclude", *(["match"] if operator.is_negative else [])]))
    return told


@st.composite
def conditions(draw: st.DrawFn, fields: tuple[Field, ...], *, of_rows: bool) -> Json:
    one = draw(st.sampled_from(fields))
    others = tuple(other for other in fields if other.type is one.type and other is not one)
    kind = {} if of_rows else {"kind": "attribute"}
    return {**kind, "field": one.name, **draw(comparisons(one, others))}


@st.composite
def groups(draw: st.DrawFn, rules: st.SearchStrategy[Json]) -> Json:
    group: Json = {
        "combinator": draw(st.sampled_from(["and", "or"])),
        "rules": draw(st.lists(rules, min_size=1, max_size=3)),
    }
    if draw(st.booleans()):
        group["not"] = draw(st.booleans())
    return group


@st.composite
def rows(draw: st.DrawFn) -> Json:
    """A source and, perhaps, what its rows must meet."""
    one = draw(st.sampled_from([*CATALOG.sources.values()]))
    told: Json = {"source": one.name}
    if draw(st.booleans()):
        told["where"] = draw(groups(conditions(tuple(one.fields.values()), of_rows=True)))
    return told


COUNTS = st.fixed_dictionaries(
    {
        "metric": st.sampled_from(["count", "days"]),
        "operator": st.sampled_from(["eq", "gte", "lte", "lt", "gt", "neq"]),
        "value": st.integers(2, 9),
    }
)


@st.composite
def measures(draw: st.DrawFn, of: Source) -> Json:
    if draw(st.booleans()):
        return draw(COUNTS)
    metric = draw(st.sampled_from(["sum", "min", "max", "first", "last"]))
    numeric = (FieldType.INTEGER, FieldType.MONEY)
    fields = [one for one in of.fields.values() if metric in ("first", "last") or one.type in numeric]
    one = draw(st.sampled_from(fields))
    return {"metric": metric, "field": one.name, **draw(comparisons(one))}


@st.composite
def activities(draw: st.DrawFn) -> Json:
    told: Json = {"kind": "activity", **draw(rows()), "occurrence": draw(st.sampled_from(["did", "did_not"]))}
    if told["occurrence"] == "did_not" and draw(st.booleans()):
        told["include_zero"] = False
    if told["occurrence"] == "did" and draw(st.booleans()):
        told["having"] = draw(st.lists(measures(CATALOG.sources[told["source"]]), min_size=1, max_size=3))
        if draw(st.booleans()):
            told["include_zero"] = draw(st.booleans())
            # Only where zero is included may it be all that is asked for.
            if told["include_zero"]:
                told["having"][0] = {"metric": "count", "operator": "lte", "value": draw(st.integers(0, 3))}
    return told


@st.composite
def sequences(draw: st.DrawFn) -> Json:
    told = {
        "kind": "sequence",
        "steps": draw(st.lists(rows(), min_size=2, max_size=3)),
        "within": draw(windows(hours=True)),
        "occurrence": draw(st.sampled_from(["did", "did_not"])),
    }
    further = {"max_gap": windows(hours=True), "without": rows(), "same": st.just("clinic_id")}
    return {**told, **{name: draw(value) for name, value in further.items() if draw(st.booleans())}}


def memberships(kind: str, ids: frozenset[int]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries(
        {
            "kind": st.just(kind),
            "operator": st.sampled_from(["in", "not_in"]),
            f"{kind}_ids": st.lists(st.sampled_from(sorted(ids)), min_size=1, max_size=3),
        }
    )


BUCKETS = st.tuples(TEXTS, st.integers(0, 99), st.integers(1, 100)).filter(lambda one: one[1] < one[2]).map(
    lambda one: {"kind": "bucket", "salt": one[0], "from": one[1], "to": one[2]}
)  # fmt: skip


@st.composite
def marked(draw: st.DrawFn, nodes: st.SearchStrategy[Json]) -> Json:
    """A node with or without what an editor tells nodes apart by."""
    marks = {"id": st.text("abc", max_size=3), "path": st.lists(st.integers(0, 3), max_size=2)}
    return {**draw(nodes), **{name: draw(value) for name, value in marks.items() if draw(st.booleans())}}


PLAIN_RULES = st.one_of(
    conditions(tuple(CATALOG.attributes.values()), of_rows=False),
    conditions(tuple(CATALOG.attributes.values()), of_rows=False),
    activities(),
    sequences(),
    memberships("tag", TAGS),
    memberships("segment", SEGMENTS),
    BUCKETS,
    st.just({"kind": "everyone"}),
)

RULES = marked(PLAIN_RULES)

DOCUMENTS = marked(groups(st.one_of(RULES, RULES, marked(groups(RULES)))))
"""Valid filters with every kind of rule; the nesting is at most four."""
