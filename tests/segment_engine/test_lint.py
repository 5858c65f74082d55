"""Warnings of filters that are right and odd: each code at its place, and none about a filter that means something."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings

from segment_engine.lint import lint
from segment_engine.parse import parse
from segment_engine.validate import validate
from tests.segment_engine.documents import ASKING, CATALOG, DOCUMENTS

Json = Any

NOW = datetime(2025, 6, 10, 12, 30, tzinfo=ZoneInfo("Asia/Shanghai"))
EVERYONE: Json = {"kind": "everyone"}
SET = {"kind": "attribute", "field": "points", "operator": "is_set"}
NOT_SET = {"kind": "attribute", "field": "points", "operator": "not_set"}
MAN = {"kind": "attribute", "field": "gender", "operator": "eq", "value": "男"}
NO_MAN = {"kind": "attribute", "field": "gender", "operator": "neq", "value": "男"}
WOMAN = {"kind": "attribute", "field": "gender", "operator": "eq", "value": "女"}


def points(operator: str, value: Json) -> Json:
    return {"kind": "attribute", "field": "points", "operator": operator, "value": value}


def seen(operator: str, days: int) -> Json:
    return {"kind": "attribute", "field": "last_visit_at", "operator": operator, "value": {"n": days, "unit": "day"}}


def share(first: int, end: int) -> Json:
    return {"kind": "bucket", "salt": "s", "from": first, "to": end}


def all_of(*rules: Json, **members: Json) -> Json:
    return {"combinator": "and", "rules": list(rules), **members}


def any_of(*rules: Json, **members: Json) -> Json:
    return {"combinator": "or", "rules": list(rules), **members}


def visits(*where: Json, **members: Json) -> Json:
    kept = {"where": all_of(*where)} if where else {}
    return {"kind": "activity", "source": "appointment", "occurrence": "did", **kept, **members}


def minutes(operator: str, value: Json) -> Json:
    return {"field": "minutes", "operator": operator, "value": value}


def arrived(days: int) -> Json:
    return {"field": "arrived_at", "operator": "within_past", "value": {"n": days, "unit": "day"}}


def count(operator: str, value: int) -> Json:
    return {"metric": "count", "operator": operator, "value": value}


def told(document: Json) -> list[tuple[str, str]]:
    tree = validate(parse(document), CATALOG, ASKING)
    return [(warning.code, warning.path) for warning in lint(tree, NOW)]


EMPTY, EVERY = ("always_empty", ""), ("always_everyone", "")


@pytest.mark.parametrize(
    ("document", "warnings"),
    [
        (all_of(points("gt", 5), points("lt", 3)), [EMPTY, ("contradiction", "/rules/1")]),
        (all_of(points("gt", 3), points("lt", 4)), [EMPTY, ("contradiction", "/rules/1")]),
        (all_of(SET, WOMAN, NOT_SET), [EMPTY, ("contradiction", "/rules/2")]),
        (all_of(points("eq", 1), NOT_SET), [EMPTY, ("contradiction", "/rules/1")]),
        (all_of(MAN, WOMAN), [EMPTY, ("contradiction", "/rules/1")]),
        (all_of(MAN, NO_MAN), [EMPTY, ("contradiction", "/rules/1")]),
        (all_of(seen("within_past", 7), seen("before_past", 30)), [EMPTY, ("contradiction", "/rules/1")]),
        (all_of(share(0, 10), share(10, 20)), [EMPTY, ("contradiction", "/rules/1")]),
        (all_of(visits(), visits(occurrence="did_not")), [EMPTY, ("contradiction", "/rules/1")]),
        (all_of(visits(arrived(7)), visits(arrived(30), occurrence="did_not")), [EMPTY, ("contradiction", "/rules/1")]),
        (any_of(SET, NOT_SET), [EVERY]),
        (all_of(EVERYONE), []),
        (any_of(MAN, EVERYONE), [EVERY, ("says_nothing", "/rules/0")]),
        (all_of(MAN, EVERYONE), [("says_nothing", "/rules/1")]),
        (all_of(MAN, any_of(WOMAN, SET)), [("unreachable", "/rules/1/rules/0")]),
        (any_of(MAN, all_of(SET, NOT_SET)), [("unreachable", "/rules/1"), ("contradiction", "/rules/1/rules/1")]),
        (all_of(MAN, SET, MAN), [("repeated", "/rules/2")]),
        (any_of(MAN, all_of(MAN)), [("repeated", "/rules/1")]),
        (all_of(points("gte", 3), points("gte", 5)), [("says_nothing", "/rules/0")]),
        (any_of(points("gte", 3), points("gte", 5)), [("says_nothing", "/rules/1")]),
        (any_of(MAN, all_of(MAN, SET)), [("says_nothing", "/rules/1")]),
        (all_of(MAN, any_of(MAN, SET)), [("says_nothing", "/rules/1")]),
        (all_of(visits(arrived(7)), visits(arrived(30))), [("says_nothing", "/rules/1")]),
        (all_of(share(0, 10), share(0, 50)), [("says_nothing", "/rules/1")]),
        (all_of(MAN, all_of(MAN, SET, **{"not": True})), [("unreachable", "/rules/1/rules/0")]),
        (all_of(SET, NOT_SET, **{"not": True}), [EVERY]),
        (all_of(visits(minutes("gt", 9), minutes("lt", 9))),
         [EMPTY, ("contradiction", "/rules/0"), ("contradiction", "/rules/0/where/rules/1")]),
        (all_of(visits(minutes("gt", 9), minutes("lt", 9), occurrence="did_not")),
         [EVERY, ("contradiction", "/rules/0/where/rules/1")]),
        (all_of(visits(having=[count("gt", 5), count("lt", 3)])),
         [EMPTY, ("contradiction", "/rules/0"), ("contradiction", "/rules/0/having/1")]),
        (all_of(visits(having=[count("lt", 3)])), [("zero_left_out", "/rules/0/include_zero")]),
        (all_of(visits(having=[count("neq", 3)])), [("zero_left_out", "/rules/0/include_zero")]),
        (all_of(visits(having=[count("lt", 3)], include_zero=True)), []),
        (all_of(visits(having=[count("gte", 1)])), []),
        (all_of(visits(having=[count("lte", 9), {"metric": "sum", "field": "fee", "operator": "gt", "value": 0}])), []),
        (all_of(WOMAN, seen("before_past", 180), visits(arrived(7))), []),
    ],
    ids=range(35),
)  # fmt: skip
def test_what_is_odd_is_told_at_its_place(document: Json, warnings: list[tuple[str, str]]) -> None:
    assert told(document) == warnings


def test_a_step_of_a_sequence_is_looked_into() -> None:
    steps = [{"source": "appointment"}, {"source": "appointment", "where": all_of(minutes("gt", 9), minutes("lt", 9))}]
    sequence = {"kind": "sequence", "steps": steps, "within": {"n": 7, "unit": "day"}, "occurrence": "did"}

    assert told(all_of(sequence)) == [("contradiction", "/rules/0/steps/1/where/rules/1")]


def test_a_warning_speaks_both_languages() -> None:
    tree = validate(parse(all_of(MAN, SET, MAN)), CATALOG, ASKING)

    (warning,) = lint(tree, NOW)

    assert (warning.message_zh, warning.message_en) == ("与 /rules/0 意思相同", "The same is said at /rules/0.")


@given(document=DOCUMENTS)
@settings(max_examples=150, deadline=None)
def test_every_valid_filter_can_be_looked_at(document: Json) -> None:
    tree = validate(parse(document), CATALOG, ASKING)

    first, again = lint(tree, NOW), lint(tree, NOW)

    assert first == again
    assert len({(warning.code, warning.path) for warning in first}) == len(first)
