"""Documents into trees: what may stand where, and how everything that may not is told."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segment_engine.document import CUSTOMER_LIST, FilterLimits
from segment_engine.parse import parse
from segment_engine.problems import InvalidFilterError
from segment_engine.tree import (
    MISSING,
    Activity,
    AudienceKind,
    Bucket,
    Combinator,
    Condition,
    Everyone,
    Group,
    Having,
    Membership,
    Metric,
    NullPolicy,
    Occurrence,
    Sequence,
    Step,
    rules_of,
)

Json = Any

GENDER = {"kind": "attribute", "field": "gender", "operator": "eq", "value": "女"}
ARRIVED = {"field": "arrived_at", "operator": "within_past", "value": {"n": 7, "unit": "day"}}
VISITS = {
    "kind": "activity",
    "source": "appointment",
    "occurrence": "did",
    "where": {"combinator": "and", "rules": [ARRIVED]},
    "having": [{"metric": "sum", "field": "paid", "operator": "gte", "value": 1}],
    "include_zero": True,
}
SEQUENCE = {
    "kind": "sequence",
    "steps": [{"source": "lead", "where": {"combinator": "or", "rules": [ARRIVED]}}, {"source": "visit"}],
    "within": {"n": 30, "unit": "day"},
    "max_gap": {"n": 7, "unit": "day"},
    "without": {"source": "review"},
    "same": "clinic_id",
    "occurrence": "did_not",
}
EVERYTHING = {
    "id": "root",
    "combinator": "and",
    "rules": [
        GENDER,
        VISITS,
        SEQUENCE,
        {"kind": "tag", "operator": "in", "tag_ids": [15, 12, 15], "path": [3]},
        {
            "combinator": "or",
            "not": True,
            "rules": [
                {"kind": "segment", "operator": "not_in", "segment_ids": [7]},
                {"kind": "everyone"},
                {"kind": "bucket", "salt": "spring", "from": 0, "to": 10},
                {"kind": "attribute", "field": "city", "operator": "not_set", "null_policy": "match"},
            ],
        },
    ],
}


def all_of(*rules: Json, **members: Json) -> Json:
    return {"combinator": "and", "rules": list(rules), **members}


def problems(document: Json, limits: FilterLimits | None = None) -> set[tuple[str, str]]:
    """Code and path of everything that is told."""
    with pytest.raises(InvalidFilterError) as refused:
        parse(document, limits)
    assert all(problem.message_zh and problem.message_en for problem in refused.value.problems)
    return {(problem.code, problem.path) for problem in refused.value.problems}


def test_every_kind_of_rule_is_read_as_it_was_written() -> None:
    exclude = NullPolicy.EXCLUDE

    def arrived(*place: str | int) -> Condition:
        return Condition("arrived_at", "within_past", {"n": 7, "unit": "day"}, exclude, (*place, "rules", 0))

    where, having = ("rules", 1, "where"), ("rules", 1, "having", 0)
    step, without = ("rules", 2, "steps", 0), ("rules", 2, "without")
    inner = ("rules", 4)

    assert parse(EVERYTHING) == Group(
        Combinator.AND,
        (
            Condition("gender", "eq", "女", exclude, ("rules", 0)),
            Activity(
                "appointment",
                Occurrence.DID,
                Group(Combinator.AND, (arrived(*where),), False, where),
                (Having(Metric.SUM, "paid", "gte", 1, exclude, having),),
                True,
                ("rules", 1),
            ),
            Sequence(
                (
                    Step("lead", Group(Combinator.OR, (arrived(*step, "where"),), False, (*step, "where")), step),
                    Step("visit", None, ("rules", 2, "steps", 1)),
                ),
                {"n": 30, "unit": "day"},
                {"n": 7, "unit": "day"},
                Step("review", None, without),
                "clinic_id",
                Occurrence.DID_NOT,
                ("rules", 2),
            ),
            Membership(AudienceKind.TAG, (12, 15), False, ("rules", 3)),
            Group(
                Combinator.OR,
                (
                    Membership(AudienceKind.SEGMENT, (7,), True, (*inner, "rules", 0)),
                    Everyone((*inner, "rules", 1)),
                    Bucket("spring", 0, 10, (*inner, "rules", 2)),
                    Condition("city", "not_set", MISSING, NullPolicy.MATCH, (*inner, "rules", 3)),
                ),
                True,
                inner,
            ),
        ),
        False,
        (),
    )


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ([], {("wrong_type", "")}),
        ({}, {("missing_member", "/combinator"), ("missing_member", "/rules")}),
        (all_of(), {("empty_list", "/rules")}),
        (all_of(GENDER, combinator="xor"), {("unknown_combinator", "/combinator")}),
        (all_of(GENDER, **{"not": 1}), {("wrong_type", "/not")}),
        (all_of(GENDER, nope=1), {("unknown_member", "/nope")}),
        (all_of({**GENDER, "null_policy": "maybe"}), {("unknown_null_policy", "/rules/0/null_policy")}),
        (all_of({"field": "gender"}), {("missing_member", "/rules/0/kind")}),
        (all_of({"kind": "person"}), {("unknown_kind", "/rules/0/kind")}),
        (all_of(7), {("wrong_type", "/rules/0")}),
        (all_of({**GENDER, "field": " "}), {("wrong_type", "/rules/0/field")}),
        (all_of({**VISITS, "where": {"combinator": "and", "rules": []}}), {("empty_list", "/rules/0/where/rules")}),
        (all_of({**VISITS, "where": all_of(GENDER)}), {("unknown_member", "/rules/0/where/rules/0/kind")}),
        (all_of({**VISITS, "having": []}), {("empty_list", "/rules/0/having")}),
        (
            all_of({**VISITS, "having": [{"metric": "count", "field": "x", "operator": "eq", "value": 1}]}),
            {("unexpected_member", "/rules/0/having/0/field")},
        ),
        (
            all_of({**VISITS, "having": [{"metric": "sum", "operator": "eq", "value": 1}]}),
            {("missing_member", "/rules/0/having/0/field")},
        ),
        (
            all_of({**VISITS, "having": [{"metric": "median", "operator": "eq", "value": 1}]}),
            {("unknown_metric", "/rules/0/having/0/metric")},
        ),
        (
            all_of({"kind": "tag", "operator": "in", "tag_ids": [1, True, "2", 0]}),
            {("wrong_type", f"/rules/0/tag_ids/{place}") for place in (1, 2, 3)},
        ),
        (all_of({"kind": "tag", "operator": "eq", "tag_ids": [1]}), {("unknown_operator", "/rules/0/operator")}),
        (all_of({"kind": "bucket", "salt": "s", "from": 10, "to": 10}), {("out_of_range", "/rules/0/to")}),
        (all_of({"kind": "bucket", "salt": "s", "from": 0, "to": 101}), {("out_of_range", "/rules/0/to")}),
        (all_of({"kind": "bucket", "salt": "s", "from": 0.5, "to": 9}), {("wrong_type", "/rules/0/from")}),
        (all_of({**SEQUENCE, "steps": [{"source": "lead"}]}), {("too_few_steps", "/rules/0/steps")}),
        (
            all_of({**GENDER, "field": 1, "extra~/": 2}, {"kind": "everyone", "x": 1}),
            {
                ("wrong_type", "/rules/0/field"),
                ("unknown_member", "/rules/0/extra~0~1"),
                ("unknown_member", "/rules/1/x"),
            },
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(document: Json, found: set[tuple[str, str]]) -> None:
    assert problems(document) == found


def places(document: Json, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The places of all members that the language knows, but not what is inside values."""
    pairs = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, item in pairs:
        if key not in ("id", "path"):
            yield (*path, key)
            if key not in ("value", "within", "max_gap"):
                yield from places(item, (*path, key))


def changed(path: tuple[str | int, ...], *value: Json) -> Json:
    """The document with everything in it, with another value at one place, or without it."""
    document = copy.deepcopy(EVERYTHING)
    holder: Json = document
    for part in path[:-1]:
        holder = holder[part]
    if value:
        holder[path[-1]] = value[0]
    else:
        del holder[path[-1]]
    return document


@pytest.mark.parametrize(
    "path", [p for p in places(EVERYTHING) if p[-1] not in ("value", "within", "max_gap")], ids=str
)
def test_a_member_with_a_value_of_another_kind_is_refused_at_its_place(path: tuple[str | int, ...]) -> None:
    pointer = "".join(f"/{part}" for part in path)

    for value in (None, -1, 0.5, [], {}, "", "\x00"):
        found = problems(changed(path, value))
        assert any(place == pointer or place.startswith(f"{pointer}/") for _, place in found), value


@pytest.mark.parametrize("path", list(places(EVERYTHING)), ids=str)
def test_a_member_that_is_missing_is_told_where_it_should_stand_unless_it_may_be_left_out(
    path: tuple[str | int, ...],
) -> None:
    optional = {"not", "value", "null_policy", "where", "having", "include_zero", "max_gap", "without", "same"}
    document = changed(path)

    if path[-1] in optional or (
        isinstance(path[-1], int) and path[:-1] in (("rules",), ("rules", 4, "rules"), ("rules", 3, "tag_ids"))
    ):
        parse(document)
        return
    pointer = "".join(f"/{part}" for part in (path if isinstance(path[-1], str) else path[:-1]))
    assert any(place == pointer for _, place in problems(document))


def nested(levels: int) -> Json:
    document: Json = GENDER
    for _ in range(levels):
        document = all_of(document)
    return document


def test_groups_nest_as_deep_as_allowed_where_included() -> None:
    parse(nested(5))
    assert {code for code, _ in problems(nested(6))} == {"nested_too_deep"}
    fields: Json = ARRIVED
    for _ in range(3):
        fields = all_of(fields)
    parse(all_of(all_of({**VISITS, "where": fields})))
    deep = problems(all_of(all_of({**VISITS, "where": all_of(fields)})))
    assert deep == {("nested_too_deep", "/rules/0/rules/0/where" + "/rules/0" * 3)}


def test_a_filter_of_the_customer_list_has_at_most_eight_conditions_in_all_its_groups() -> None:
    eight = all_of(*[GENDER] * 4, all_of(*[VISITS] * 4))

    assert len(list(rules_of(parse(eight, CUSTOMER_LIST)))) == 8
    assert problems(all_of(eight, GENDER), CUSTOMER_LIST) == {("too_many_conditions", "")}
    parse(all_of(eight, GENDER))
    wide = {**VISITS, "where": all_of(*[ARRIVED] * 9)}
    assert problems(all_of(wide), CUSTOMER_LIST) == {("too_many_conditions", "/rules/0/where")}


@pytest.mark.parametrize("levels", [100, 10_000, 1_000_000])
def test_no_depth_exhausts_the_reader(levels: int) -> None:
    for document in (nested(levels), all_of({**GENDER, "value": "x"})):
        if document["rules"][0].get("value"):
            deep: Json = []
            for _ in range(levels):
                deep = [deep]
            document["rules"][0]["value"] = deep
        assert problems(document) == {("too_deep", "")}
        take_apart(document)


def take_apart(document: Json) -> None:
    """Python frees what is nested this deep by recursion, which may end badly."""
    stack = [document]
    while stack:
        item = stack.pop()
        stack += [*item.values()] if isinstance(item, dict) else item if isinstance(item, list) else []
        if isinstance(item, dict | list):
            item.clear()


def test_a_document_larger_than_allowed_is_refused_before_it_is_read() -> None:
    assert problems(all_of({**GENDER, "value": "x" * 300_000})) == {("document_too_large", "")}
    assert problems(all_of({**GENDER, "value": [0] * 300_000})) == {("document_too_large", "")}
    assert problems(all_of(*[GENDER] * 300_000)) == {("document_too_large", "")}


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (float("nan"), "not_a_finite_number"),
        (float("-inf"), "not_a_finite_number"),
        (2**63, "integer_out_of_range"),
        ("a\0b", "bad_character"),
        ("\ud800", "bad_character"),
        ({1: 2}, "not_json"),
        (object(), "not_json"),
        (b"x", "not_json"),
    ],
    ids=["nan", "infinity", "too large", "nul", "surrogate", "key", "object", "bytes"],
)
def test_what_is_no_json_of_ours_is_refused_at_its_place(value: Json, code: str) -> None:
    found = problems(all_of({**GENDER, "value": [1, value]}))

    assert (code, "/rules/0/value/1") in found


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["and", "or", "did", "in", "attribute", "activity", "sequence", "bucket", "count", "sum"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [*"abc", "id", "kind", "rules", "combinator", "where", "having", "steps", "field", "operator", "value",
                 "source", "occurrence", "metric", "from", "to", "salt", "within", "without", "same", "not"]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=30,
)  # fmt: skip


@given(document=ANYTHING, at=st.sampled_from(list(places(EVERYTHING))))
@settings(max_examples=500, deadline=None)
def test_any_document_is_read_or_refused_with_codes_and_places(document: Json, at: tuple[str | int, ...]) -> None:
    for candidate in (document, changed(at, document)):
        try:
            parse(candidate)
        except InvalidFilterError as refused:
            assert refused.problems
            assert all(problem.code and isinstance(problem.path, str) for problem in refused.problems)


def test_an_activity_measures_no_more_than_a_filter_may_ask() -> None:
    having = [{"metric": "count", "operator": "gte", "value": 1}] * 9
    activity = {"kind": "activity", "source": "visit", "occurrence": "did", "having": having}

    with pytest.raises(InvalidFilterError) as refused:
        parse({"combinator": "and", "rules": [activity]}, CUSTOMER_LIST)

    assert [(one.code, one.path) for one in refused.value.problems] == [("too_many_conditions", "/rules/0/having")]
