"""Leaves in one line: every kind of thing has one, and different things of a filter have different ones."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings

from segment_engine.formula import things_of
from segment_engine.leaf_text import leaf_text
from segment_engine.normalize import normalize
from segment_engine.parse import parse
from segment_engine.resolve import resolve
from segment_engine.validate import validate
from tests.segment_engine.documents import ASKING, CATALOG, DOCUMENTS

NOW = datetime(2025, 6, 10, 12, 30, tzinfo=ZoneInfo("Asia/Shanghai"))
FIRST = {"combinator": "or", "rules": [{"field": "visit_type", "operator": "eq", "value": "初诊"}]}
FIRST_OR_LONG = {**FIRST, "rules": [*FIRST["rules"], {"field": "minutes", "operator": "gt", "value": 30}]}
WEEK = {"n": 7, "unit": "day"}


def texts(rule: Any) -> list[str]:
    checked = validate(parse({"combinator": "and", "rules": [rule]}), CATALOG, ASKING)
    return [leaf_text(thing) for thing in things_of(resolve(normalize(checked), NOW))]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"kind": "attribute", "field": "city", "operator": "in", "value": list("abcde")}, "city = a, b, c … (5)"),
        ({"kind": "attribute", "field": "points", "operator": "gt", "value": 3}, "points in 4…"),
        ({"kind": "attribute", "field": "rate", "operator": "lt", "value": 0.5}, "rate in …< 0.5"),
        ({"kind": "attribute", "field": "birthday", "operator": "month_in", "value": [2]}, "month(birthday) = 2"),
        ({"kind": "attribute", "field": "last_visit_at", "operator": "within_past", "value": WEEK},
         "last_visit_at in 2025-06-04…2025-06-10"),
        ({"kind": "attribute", "field": "items", "operator": "size", "value": {"operator": "gte", "value": 2}},
         "size(items) in 2…"),
        ({"kind": "tag", "operator": "in", "tag_ids": [12]}, "tag 12"),
        ({"kind": "bucket", "salt": "s", "from": 0, "to": 9}, "bucket s 0…9"),
    ],
    ids=range(8),
)  # fmt: skip
def test_a_leaf_says_what_is_found_out(rule: Any, text: str) -> None:
    assert texts(rule) == [text]


def test_rows_say_what_keeps_them_and_sequences_their_steps() -> None:
    steps = [{"source": "appointment", "where": FIRST}, {"source": "mini_program_event"}]

    rows = texts({"kind": "activity", "source": "appointment", "occurrence": "did", "where": FIRST_OR_LONG})
    sequence = texts(
        {"kind": "sequence", "steps": steps, "within": WEEK, "max_gap": WEEK, "same": "clinic_id", "occurrence": "did"}
    )

    assert rows == ["appointment[visit_type = 初诊 | minutes in 31…]"]
    assert sequence == ["appointment[visit_type = 初诊] → mini_program_event within 7 day gap 7 day same clinic_id"]


@given(document=DOCUMENTS)
@settings(max_examples=150, deadline=None)
def test_different_leaves_of_a_filter_are_told_differently(document: Any) -> None:
    formula = resolve(normalize(validate(parse(document), CATALOG, ASKING)), NOW)
    # Long lists are cut, and types are not told; neither occurs twice in these documents.
    things = set(things_of(formula))

    assert len({leaf_text(thing) for thing in things}) == len(things)
