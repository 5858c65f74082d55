"""react-querybuilder's JSON: what comes back as it went, what is read as the editor means it, what is refused where."""

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from segment_engine.document import FilterLimits
from segment_engine.interchange import fields_of, from_react_querybuilder, to_react_querybuilder
from segment_engine.interchange.lists import joined, split
from segment_engine.operators import OPERATORS, FieldType, Shape
from segment_engine.parse import parse
from segment_engine.problems import InvalidFilterError
from segment_engine.tree import AudienceKind
from segment_engine.validate import validate
from tests.segment_engine.documents import ASKING, CATALOG, DOCUMENTS

Json = Any


def all_of(*rules: Json, **members: Json) -> Json:
    return {"combinator": "and", "rules": list(rules), **members}


def any_of(*rules: Json, **members: Json) -> Json:
    return {"combinator": "or", "rules": list(rules), **members}


def theirs(field: str, operator: str, value: Json = None, **members: Json) -> Json:
    return {"field": field, "operator": operator, "value": value, **members}


def ours(field: str, operator: str, *value: Json, **members: Json) -> Json:
    given_value = {"value": value[0]} if value else {}
    return {"kind": "attribute", "field": field, "operator": operator, **given_value, **members}


def row(field: str, operator: str, *value: Json) -> Json:
    return {"field": field, "operator": operator, **({"value": value[0]} if value else {})}


def visits(**members: Json) -> Json:
    return {"kind": "activity", "source": "appointment", "occurrence": "did", **members}


def counted(operator: str, value: int) -> Json:
    return {"metric": "count", "operator": operator, "value": value}


def matching(mode: str, threshold: Json = None, *rules: Json, **members: Json) -> Json:
    match = {"mode": mode, **({} if threshold is None else {"threshold": threshold})}
    return {"field": "source:appointment", "operator": "=", "value": all_of(*rules), "match": match, **members}


def read(*rules: Json) -> Json:
    """Our rules for those of the editor; one that means something else than a filter is none."""
    document = from_react_querybuilder(all_of(*rules), CATALOG)
    validate(parse(document), CATALOG, ASKING)
    return document["rules"]


def problems(query: Json) -> list[tuple[str, str]]:
    with pytest.raises(InvalidFilterError) as refused:
        from_react_querybuilder(query, CATALOG)
    assert all(problem.message_zh and problem.message_en for problem in refused.value.problems)
    return [(problem.code, problem.path) for problem in refused.value.problems]


@given(document=DOCUMENTS)
@settings(max_examples=400, deadline=None)
def test_every_valid_filter_comes_back_as_it_went(document: Json) -> None:
    validate(parse(document), CATALOG, ASKING)

    query = to_react_querybuilder(document, CATALOG)

    assert from_react_querybuilder(query, CATALOG) == document


def is_editable(node: Json) -> bool:
    """Whether a stock editor knows a node by its types and leaves its value alone."""
    if "rules" in node:
        return node["combinator"] in ("and", "or") and all(map(is_editable, node["rules"]))
    named = isinstance(node["field"], str) and isinstance(node["operator"], str) and "value" in node
    keeps_value = not isinstance(node["value"], list) or node["operator"] in ("in", "notIn", "between", "notBetween")
    return named and keeps_value and ("match" not in node or is_editable(node["value"]) or not node["value"]["rules"])


@given(document=DOCUMENTS)
@settings(max_examples=200, deadline=None)
def test_a_stock_editor_knows_what_is_written_and_keeps_it(document: Json) -> None:
    # A text with space around it, or a backslash at its end, does not survive the editor's own lists.
    assume(all(text == text.strip() and "\\" not in text for text in texts(document)))

    query = to_react_querybuilder(document, CATALOG)

    assert is_editable(query)


def texts(value: Json) -> list[str]:
    """Every text in a document."""
    if isinstance(value, dict | list):
        return [text for one in (value.values() if isinstance(value, dict) else value) for text in texts(one)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (theirs("gender", "=", "男"), ours("gender", "eq", "男")),
        (theirs("city", "contains", "海"), ours("city", "contains", "海")),
        (theirs("city", "beginsWith", "上"), ours("city", "starts_with", "上")),
        (theirs("city", "null"), ours("city", "not_set")),
        (theirs("city", "notNull", "left over"), ours("city", "is_set")),
        (theirs("city", "in", "上海, 北\\,京,,"), ours("city", "in", ["上海", "北,京"])),
        (theirs("city", "notIn", ["a", "b"]), ours("city", "not_in", ["a", "b"])),
        (theirs("city", "=", "home_city", valueSource="field"), ours("city", "eq", {"field": "home_city"})),
        (theirs("points", ">=", "30"), ours("points", "gte", 30)),
        (theirs("points", "in", "1,2"), ours("points", "in", [1, 2])),
        (theirs("points", "in", 7), ours("points", "in", [7])),
        (theirs("points", "between", "3,6"), ours("points", "between", [3, 6])),
        (theirs("points", "notBetween", ["3", 6]), ours("points", "not_between", [3, 6])),
        (theirs("balance", ">", "12.50"), ours("balance", "gt", 12.5)),
        (theirs("rate", "<", "-0.25"), ours("rate", "lt", -0.25)),
        (theirs("is_fan", "=", True), ours("is_fan", "is_true")),
        (theirs("is_fan", "=", "false"), ours("is_fan", "is_false")),
        (theirs("is_fan", "!=", True), ours("is_fan", "is_false")),
        (theirs("birthday", "=", "2025-06-10"), ours("birthday", "on", "2025-06-10")),
        (theirs("birthday", "<", "2025-06-10"), ours("birthday", "before", "2025-06-10")),
        (theirs("birthday", "<=", "2025-06-30"), ours("birthday", "before", "2025-07-01")),
        (theirs("birthday", ">=", "2025-03-01"), ours("birthday", "after", "2025-02-28")),
        (theirs("birthday", "today"), ours("birthday", "today")),
        (theirs("birthday", "month_in", "2,12"), ours("birthday", "month_in", [2, 12])),
        (
            theirs("birthday", "within_past", {"n": 7, "unit": "day"}),
            ours("birthday", "within_past", {"n": 7, "unit": "day"}),
        ),
        (theirs("wishes", "in", "a,b"), ours("wishes", "has_any", ["a", "b"])),
        (theirs("wishes", "doesNotContain", "a"), ours("wishes", "has_none", ["a"])),
        (theirs("wishes", "has_all", "a,b"), ours("wishes", "has_all", ["a", "b"])),
        (theirs("rule:tag", "in", "12,15"), {"kind": "tag", "operator": "in", "tag_ids": [12, 15]}),
        (theirs("rule:segment", "notIn", [7]), {"kind": "segment", "operator": "not_in", "segment_ids": [7]}),
        (theirs("rule:everyone", "all"), {"kind": "everyone"}),
        (
            theirs("city", "!=", "a", meta={"null_policy": "match"}),
            ours("city", "neq", "a", null_policy="match"),
        ),
        # The policy of an operator that was changed since says nothing.
        (theirs("city", "=", "a", meta={"null_policy": "match"}), ours("city", "eq", "a")),
        # A locked rule counts.
        (theirs("city", "=", "a", disabled=True), ours("city", "eq", "a")),
    ],
)
def test_a_rule_is_read_as_the_editor_means_it(rule: Json, expected: Json) -> None:
    assert read(rule) == [expected]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (
            theirs("city", "doesNotBeginWith", "上"),
            any_of(ours("city", "not_set"), ours("city", "starts_with", "上"), **{"not": True}),
        ),
        (
            theirs("city", "doesNotEndWith", "市", meta={"null_policy": "match"}),
            any_of(ours("city", "ends_with", "市"), **{"not": True}),
        ),
        (
            theirs("birthday", "notBetween", "2025-01-01,2025-01-31"),
            any_of(ours("birthday", "before", "2025-01-01"), ours("birthday", "after", "2025-01-31")),
        ),
        (
            theirs("birthday", "notBetween", ["2025-01-01", "2025-01-31"], meta={"null_policy": "match"}),
            any_of(
                ours("birthday", "before", "2025-01-01"), ours("birthday", "after", "2025-01-31"),
                ours("birthday", "not_set"),
            ),
        ),
    ],
)  # fmt: skip
def test_what_is_no_operator_of_ours_is_said_with_others(rule: Json, expected: Json) -> None:
    assert read({**rule, "id": "r1"}) == [{**expected, "id": "r1"}]


FIRST, FIRST_THERE = row("visit_type", "eq", "初诊"), theirs("visit_type", "=", "初诊")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (matching("some", None, FIRST_THERE), visits(where=all_of(FIRST))),
        (matching("some"), visits()),
        (matching("some", 3, muted=False), visits()),
        (matching("none", None, FIRST_THERE), visits(occurrence="did_not", where=all_of(FIRST))),
        (matching("atLeast", 2), visits(having=[counted("gte", 2)])),
        (matching("ATLEAST", "2"), visits(having=[counted("gte", 2)])),
        (matching("atMost", 2), visits(having=[counted("lte", 2)], include_zero=True)),
        (matching("atMost", 0), visits(occurrence="did_not")),
        (matching("exactly", 3), visits(having=[counted("eq", 3)])),
        (matching("exactly", 0, FIRST_THERE), visits(occurrence="did_not", where=all_of(FIRST))),
        (
            matching("all", None, FIRST_THERE),
            visits(occurrence="did_not", where={**all_of(FIRST), "not": True}),
        ),
        (
            matching("exactly", 3, meta={"having": [{"metric": "days", "operator": "gte", "value": 2}]}),
            visits(having=[counted("eq", 3), {"metric": "days", "operator": "gte", "value": 2}]),
        ),
        (matching("some", None, {**FIRST_THERE, "muted": True}), visits()),
    ],
)
def test_a_match_is_about_the_rows_of_a_source(rule: Json, expected: Json) -> None:
    assert read(rule) == [expected]


@pytest.mark.parametrize(
    ("rule", "match", "meta"),
    [
        (visits(having=[counted("gte", 1)]), {"mode": "atLeast", "threshold": 1}, None),
        (visits(having=[counted("lte", 2)], include_zero=True), {"mode": "atMost", "threshold": 2}, None),
        (visits(having=[counted("lte", 2)]), {"mode": "some"}, {"having": [counted("lte", 2)]}),
        (
            visits(having=[counted("eq", 2)], include_zero=True),
            {"mode": "some"},
            {"having": [counted("eq", 2)], "include_zero": True},
        ),
        (
            visits(having=[counted("lte", 0)], include_zero=True),
            {"mode": "some"},
            {"having": [counted("lte", 0)], "include_zero": True},
        ),
    ],
)
def test_a_count_is_written_as_a_match_where_the_editor_means_the_same(rule: Json, match: Json, meta: Json) -> None:
    (written,) = to_react_querybuilder(all_of(rule), CATALOG)["rules"]

    assert (written["match"], written.get("meta")) == (match, meta)


A, B, C, D = (theirs("points", "=", number) for number in range(1, 5))
OUR_A, OUR_B, OUR_C, OUR_D = (ours("points", "eq", number) for number in range(1, 5))
MUTED = {**B, "muted": True}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([A], all_of(OUR_A)),
        ([A, "or", B], any_of(OUR_A, OUR_B)),
        ([A, "AND", B], all_of(OUR_A, OUR_B)),
        ([A, "and", B, "or", C], any_of(all_of(OUR_A, OUR_B), OUR_C)),
        ([A, "or", B, "and", C, "and", D], any_of(OUR_A, all_of(OUR_B, OUR_C, OUR_D))),
        ([A, "and", B, "or", C, "and", D], any_of(all_of(OUR_A, OUR_B), all_of(OUR_C, OUR_D))),
        ([A, "and", {"rules": [B, "or", C]}], all_of(OUR_A, any_of(OUR_B, OUR_C))),
        # A muted rule goes with the combinator before it.
        ([A, "or", MUTED, "and", C], all_of(OUR_A, OUR_C)),
        ([MUTED, "or", A, "and", C], all_of(OUR_A, OUR_C)),
    ],
    ids=["one", "or", "and", "and or", "or and", "and or and", "nested", "muted between", "muted first"],
)
def test_combinators_between_rules_read_and_before_or(rules: list[Json], expected: Json) -> None:
    assert from_react_querybuilder({"rules": rules}, CATALOG) == expected


def test_what_is_muted_is_left_out_with_groups_of_which_all_is() -> None:
    query = all_of(A, MUTED, any_of(MUTED, MUTED), {**any_of(C), "muted": True})

    assert from_react_querybuilder(query, CATALOG) == all_of(OUR_A)
    assert problems(all_of(MUTED)) == [("empty_list", "/rules")]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ([], ("wrong_type", "")),
        ({"combinator": "and"}, ("wrong_type", "/rules")),
        (all_of(), ("empty_list", "/rules")),
        (all_of(any_of()), ("empty_list", "/rules/0/rules")),
        (all_of(A, combinator="xor"), ("unknown_combinator", "/combinator")),
        (all_of(A, **{"not": "yes"}), ("wrong_type", "/not")),
        (all_of(A, nope=1), ("unknown_member", "/nope")),
        ({"rules": [A, "or"]}, ("wrong_type", "/rules/2")),
        ({"rules": [A, B, C]}, ("unknown_combinator", "/rules/1")),
        ({"rules": ["and", "and", A]}, ("wrong_type", "/rules/0")),
        (all_of(7), ("wrong_type", "/rules/0")),
        (all_of({"operator": "="}), ("wrong_type", "/rules/0/field")),
        (all_of(theirs("~", "=")), ("unknown_field", "/rules/0/field")),
        (all_of(theirs("points", "~", 1)), ("unknown_operator", "/rules/0/operator")),
        (all_of(theirs("points", "contains", 1)), ("unknown_operator", "/rules/0/operator")),
        (all_of({**A, "operator": ["="]}), ("unknown_operator", "/rules/0/operator")),
        (all_of({**A, "extra": 1}), ("unknown_member", "/rules/0/extra")),
        (all_of({**A, "meta": 1}), ("wrong_type", "/rules/0/meta")),
        (all_of({**A, "meta": {"policy": 1}}), ("unknown_member", "/rules/0/meta/policy")),
        (all_of({**A, "match": {"mode": "some"}}), ("unexpected_member", "/rules/0/match")),
        (all_of({**A, "valueSource": "parameter"}), ("unknown_value_source", "/rules/0/valueSource")),
        (all_of(theirs("points", "in", "rate", valueSource="field")), ("unknown_value_source", "/rules/0/valueSource")),
        (all_of(theirs("points", "=", "many")), ("wrong_type", "/rules/0/value")),
        (all_of(theirs("rate", "=", "0.12345678901234567890123")), ("wrong_type", "/rules/0/value")),
        (all_of(theirs("points", "in", ["1", "x"])), ("wrong_type", "/rules/0/value/1")),
        (all_of(theirs("points", "in", "1,x")), ("wrong_type", "/rules/0/value")),
        (all_of(theirs("is_fan", "=", "yes")), ("wrong_type", "/rules/0/value")),
        (all_of(theirs("birthday", "<=", "20250610")), ("wrong_type", "/rules/0/value")),
        (all_of(theirs("birthday", "<=", "9999-12-31")), ("wrong_type", "/rules/0/value")),
        (all_of(theirs("birthday", "notBetween", "2025-01-01")), ("wrong_type", "/rules/0/value")),
        (all_of(theirs("source:nope", "=", all_of())), ("unknown_source", "/rules/0/field")),
        (all_of(theirs("source:appointment", "=", all_of())), ("unknown_match_mode", "/rules/0/match")),
        (all_of(matching("most")), ("unknown_match_mode", "/rules/0/match/mode")),
        (all_of(matching("atLeast")), ("wrong_type", "/rules/0/match/threshold")),
        (all_of(matching("atLeast", 0)), ("wrong_type", "/rules/0/match/threshold")),
        (all_of(matching("atLeast", 0.5)), ("wrong_type", "/rules/0/match/threshold")),
        (all_of(matching("exactly", -1)), ("wrong_type", "/rules/0/match/threshold")),
        (all_of(matching("all")), ("empty_list", "/rules/0/value/rules")),
        (all_of({**matching("some"), "value": "x"}), ("wrong_type", "/rules/0/value")),
        (all_of(matching("some", None, theirs("city", "=", "a"))), ("unknown_field", "/rules/0/value/rules/0/field")),
        (all_of(matching("some", None, matching("some"))), ("unknown_field", "/rules/0/value/rules/0/field")),
        (all_of(theirs("rule:tag", "=", [12])), ("unknown_operator", "/rules/0/operator")),
        (all_of(theirs("rule:tag", "in", "x")), ("wrong_type", "/rules/0/value")),
        (all_of(theirs("rule:nope", "in")), ("unknown_field", "/rules/0/field")),
        (all_of(theirs("rule:bucket", "share", 7)), ("wrong_type", "/rules/0/value")),
        (all_of(theirs("rule:bucket", "share", {"salt": "a", "share": 1})), ("unknown_member", "/rules/0/value/share")),
        (all_of(theirs("rule:sequence", "maybe", {})), ("unknown_operator", "/rules/0/operator")),
        (all_of(theirs("points", "=", float("nan"))), ("not_a_finite_number", "/rules/0/value")),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place_in_the_editors_json(query: Json, found: tuple[str, str]) -> None:
    assert problems(query) == [found]


def test_everything_is_told_at_once() -> None:
    found = problems(all_of(theirs("nope", "="), any_of(theirs("points", "=", "x"), matching("most"))))

    assert [path for _, path in found] == ["/rules/0/field", "/rules/1/rules/0/value", "/rules/1/rules/1/match/mode"]


def test_no_depth_exhausts_the_reader() -> None:
    query: Json = A
    for _ in range(100_000):
        query = all_of(query)

    assert problems(query) == [("too_deep", "")]
    while "rules" in query:
        (query,) = query["rules"]


@pytest.mark.parametrize(
    ("document", "found"),
    [
        (all_of(ours("nope", "eq", 1)), ("unknown_field", "/rules/0/field")),
        (all_of(ours("points", "contains", 1)), ("unknown_operator", "/rules/0/operator")),
        (all_of(visits(source="nope")), ("unknown_source", "/rules/0/source")),
        (all_of(visits(where=all_of(row("nope", "is_set")))), ("unknown_field", "/rules/0/where/rules/0/field")),
        ({"combinator": "and"}, ("missing_member", "/rules")),
    ],
)
def test_a_document_that_names_nothing_known_is_refused_at_its_place(document: Json, found: tuple[str, str]) -> None:
    with pytest.raises(InvalidFilterError) as refused:
        to_react_querybuilder(document, CATALOG)

    assert [(problem.code, problem.path) for problem in refused.value.problems] == [found]


def test_the_limits_of_the_caller_hold() -> None:
    wide = all_of(*[ours("points", "eq", 1)] * 3)

    with pytest.raises(InvalidFilterError, match="at most 2 conditions"):
        to_react_querybuilder(wide, CATALOG, FilterLimits(conditions=2))
    with pytest.raises(InvalidFilterError, match="larger than 10"):
        from_react_querybuilder(all_of(A), CATALOG, FilterLimits(document=10))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
    | st.sampled_from(["and", "or", "=", "in", "some", "atLeast", "points", "city", "source:appointment", "rule:tag"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["combinator", "rules", "not", "field", "operator", "value", "valueSource", "match", "mode",
                             "threshold", "meta", "muted", "id", "having"]),
            inner,
            max_size=6,
        )
    ),
    max_leaves=30,
)  # fmt: skip


@given(value=ANYTHING, member=st.sampled_from(["value", "operator", "field", "match", "meta", "valueSource", "muted"]))
@settings(max_examples=500, deadline=None)
def test_anything_is_read_or_refused_with_codes_and_places(value: Json, member: str) -> None:
    sound = matching("atLeast", 2, FIRST_THERE, meta={"include_zero": False})
    for query in (value, all_of({**A, member: value}), all_of({**sound, member: value})):
        try:
            from_react_querybuilder(query, CATALOG)
        except InvalidFilterError as refused:
            assert all(problem.code for problem in refused.problems)


@given(items=st.lists(st.text("a,\\ b", min_size=1, max_size=5), max_size=4))
def test_a_list_that_is_written_as_text_reads_as_that_list(items: list[str]) -> None:
    text = joined(items)

    assert text is None or split(text) == items


def options(groups: Json) -> dict[str, Json]:
    return {one["name"]: one for group in groups for one in group["options"]}


def test_the_catalogue_is_offered_as_groups_of_fields() -> None:
    names = {(AudienceKind.TAG, 12): "高价值", (AudienceKind.SEGMENT, 7): "流失风险"}

    groups = fields_of(CATALOG, names, {("marts.dim_clinic", "C001"): "中关村门诊"})

    known = options(groups)
    assert [group["label"] for group in groups] == ["客户资料", "客户资产", "就诊记录", "客户线上行为", "标签与分群"]
    assert known["gender"] == {
        "name": "gender",
        "label": "性别",
        "label_en": "Gender",
        "category": ["客户资料", "基本资料", "资料"],
        "datatype": "option",
        "inputType": "text",
        "valueEditorType": "select",
        "operators": [
            {"name": "=", "label": "等于", "label_en": "is", "shape": "one"},
            {"name": "!=", "label": "不等于", "label_en": "is not", "shape": "one"},
            {"name": "in", "label": "属于", "label_en": "is one of", "shape": "items"},
            {"name": "notIn", "label": "不属于", "label_en": "is none of", "shape": "items"},
            {"name": "notNull", "label": "有值", "label_en": "is set", "shape": "none", "arity": "unary"},
            {"name": "null", "label": "没值", "label_en": "is not set", "shape": "none", "arity": "unary"},
        ],
        "valueSources": ["value", "field"],
        "comparator": "datatype",
        "values": [{"name": name, "label": name} for name in ("男", "女", "未知")],
    }
    assert known["clinic_id"]["values"] == [{"name": "C001", "label": "中关村门诊"}]
    assert [one["name"] for one in known["is_fan"]["operators"]] == ["=", "notNull", "null"]
    assert (known["points"]["inputType"], known["points"]["unit"]) == ("number", "分")
    assert known["rule:tag"]["values"] == [{"name": "12", "label": "高价值", "label_en": "高价值"}]


def test_a_source_is_offered_with_its_own_fields_and_the_words_of_its_kind() -> None:
    known = options(fields_of(CATALOG))

    visit, event = known["source:appointment"], known["source:mini_program_event"]
    assert [one["name"] for one in visit["subproperties"]] == [*CATALOG.sources["appointment"].fields]
    assert [one["label"] for one in visit["matchModes"][:2]] == ["有过", "没有"]
    assert [one["label"] for one in event["matchModes"][:2]] == ["做过", "未做过"]
    assert {one["name"] for one in visit["matchModes"]} == {"some", "none", "atLeast", "atMost", "exactly", "all"}
    assert visit["metrics"][1] == {"metric": "sum", "field": "fee", "label": "费用总额", "label_en": "Total fees"}


@pytest.mark.parametrize("kind", [*FieldType])
def test_every_operator_that_is_offered_is_read(kind: FieldType) -> None:
    one = next(one for one in CATALOG.attributes.values() if one.type is kind)

    offered = options(fields_of(CATALOG))[one.name]["operators"]

    assert len(offered) == len(OPERATORS[kind]) - (kind is FieldType.BOOLEAN)
    for operator in offered:
        value = True if kind is FieldType.BOOLEAN else {Shape.PAIR: "1,2"}.get(operator["shape"], "1")
        document = from_react_querybuilder(all_of(theirs(one.name, operator["name"], value)), CATALOG)
        assert document["rules"][0]["operator"] in OPERATORS[kind]
