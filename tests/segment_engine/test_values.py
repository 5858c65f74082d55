"""Values of conditions: what each operator takes, and what it does not."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segment_engine.document import FilterLimits
from segment_engine.operators import OPERATORS, SIZE_OPERATORS, FieldType, Operator, Shape, operator_of
from segment_engine.problems import InvalidFilterError
from segment_engine.tree import MISSING
from segment_engine.values import FieldRef, Size, Span, Unit, Value, Window, read_value

EVERY = [(field_type, operator) for field_type, named in OPERATORS.items() for operator in named.values()]
GOOD: dict[Shape, Any] = {
    Shape.WINDOW: {"n": 7, "unit": "day"},
    Shape.SPAN: {"a": 30, "b": 7, "unit": "day"},
    Shape.SIZE: {"operator": "gte", "value": 2},
    Shape.AHEAD: {"n": 7},
    Shape.MONTHS: [2, 12],
    Shape.DAYS: [1, 31],
}
SCALARS: dict[FieldType, Any] = {
    FieldType.TEXT: "上海",
    FieldType.OPTION: "女",
    FieldType.OPTIONS: "种植",
    FieldType.INTEGER: 3,
    FieldType.DECIMAL: 3.25,
    FieldType.MONEY: 12.5,
    FieldType.DATE: "2026-02-28",
    FieldType.DATETIME: "2026-02-28",
}


def good(field_type: FieldType, operator: Operator) -> Any:
    """A value that the operator takes."""
    if operator.shape is Shape.NONE:
        return MISSING
    scalar = SCALARS.get(field_type)
    return GOOD.get(operator.shape, {Shape.ITEMS: [scalar], Shape.PAIR: [scalar, scalar]}.get(operator.shape, scalar))


def read(field_type: str, name: str, raw: Any, limits: FilterLimits | None = None) -> Value:
    operator = operator_of(FieldType(field_type), name)
    assert operator is not None
    return read_value(raw, operator, FieldType(field_type), ("value",), limits)


def wrong(field_type: str, name: str, raw: Any, limits: FilterLimits | None = None) -> set[tuple[str, str]]:
    """Code and path of everything that is told."""
    with pytest.raises(InvalidFilterError) as refused:
        read(field_type, name, raw, limits)
    return {(problem.code, problem.path) for problem in refused.value.problems}


@pytest.mark.parametrize(
    ("field_type", "name", "raw", "value"),
    [
        ("text", "eq", "  ＡＢ１ ", "AB1"),
        ("text", "contains", "100%_", "100%_"),
        ("text", "regex", " ^Ａ", " ^Ａ"),
        ("text", "in", ["a", "b", " a"], ("a", "b")),
        ("text", "eq", {"field": "city"}, FieldRef("city")),
        ("integer", "eq", -(2**63), -(2**63)),
        ("decimal", "gt", 0.1, Decimal("0.1")),
        ("decimal", "gt", 7, Decimal(7)),
        ("money", "gte", 12.5, 1250),
        ("money", "gte", 12, 1200),
        ("money", "gte", 0.07, 7),
        ("money", "between", [0.1, 0.3], (10, 30)),
        ("integer", "between", [3, 3], (3, 3)),
        ("date", "on", "2024-02-29", date(2024, 2, 29)),
        ("datetime", "between", ["2026-01-01", "2026-01-31"], (date(2026, 1, 1), date(2026, 1, 31))),
        ("datetime", "within_past", {"n": 36, "unit": "hour"}, Window(36, Unit.HOUR)),
        ("date", "within_past", {"n": 1, "unit": "week", "include_today": False}, Window(1, Unit.WEEK, False)),
        ("date", "past_range", {"a": 30, "b": 7, "unit": "day"}, Span(30, 7, Unit.DAY)),
        ("options", "size", {"operator": "between", "value": [1, 2]}, Size("between", (1, 2))),
        ("date", "anniversary_within", {"n": 366}, 366),
        ("date", "month_in", [12, 1, 12], (12, 1)),
        ("boolean", "is_true", MISSING, None),
    ],
)
def test_a_value_is_read_as_what_it_is(field_type: str, name: str, raw: Any, value: Value) -> None:
    found = read(field_type, name, raw)

    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("field_type", "name", "raw", "found"),
    [
        ("text", "eq", 1, {("wrong_type", "/value")}),
        ("text", "eq", " ", {("wrong_type", "/value")}),
        ("text", "eq", "x" * 201, {("wrong_type", "/value")}),
        ("text", "regex", "x" * 101, {("wrong_type", "/value")}),
        ("text", "contains", {"field": "city"}, {("wrong_type", "/value")}),
        ("text", "eq", {"field": ""}, {("wrong_type", "/value/field")}),
        ("text", "eq", {"$gt": 1}, {("unknown_member", "/value/$gt"), ("missing_member", "/value/field")}),
        ("text", "in", [], {("empty_list", "/value")}),
        ("text", "in", "a", {("wrong_type", "/value")}),
        ("text", "in", ["a", 1, None], {("wrong_type", "/value/1"), ("wrong_type", "/value/2")}),
        ("text", "in", ["a"] * 1_001, {("list_too_long", "/value")}),
        ("integer", "eq", 1.0, {("wrong_type", "/value")}),
        ("integer", "eq", True, {("wrong_type", "/value")}),
        ("integer", "eq", "1", {("wrong_type", "/value")}),
        ("integer", "between", [6, 3], {("empty_range", "/value")}),
        ("integer", "between", [3], {("wrong_type", "/value")}),
        ("integer", "between", [1.5, None], {("wrong_type", "/value/0"), ("wrong_type", "/value/1")}),
        ("money", "gte", 0.005, {("too_many_decimals", "/value")}),
        ("money", "gte", 0.1 + 0.2, {("too_many_decimals", "/value")}),
        ("money", "gte", 1e16, {("out_of_range", "/value")}),
        ("money", "gte", 1e308, {("out_of_range", "/value")}),
        ("decimal", "gte", 5e-324, {("too_many_decimals", "/value")}),
        ("date", "on", "2025-02-29", {("wrong_type", "/value")}),
        ("date", "on", "20250228", {("wrong_type", "/value")}),
        ("date", "on", "0000-01-01", {("wrong_type", "/value")}),
        ("datetime", "on", "2025-02-28T10:00:00+08:00", {("wrong_type", "/value")}),
        ("date", "within_past", 7, {("wrong_type", "/value")}),
        ("date", "within_past", {"n": 0, "unit": "day"}, {("out_of_range", "/value/n")}),
        ("date", "within_past", {"n": 101, "unit": "year"}, {("out_of_range", "/value/n")}),
        ("date", "within_past", {"n": 7, "unit": "hour"}, {("unknown_unit", "/value/unit")}),
        ("date", "within_past", {"n": 7}, {("missing_member", "/value/unit")}),
        ("date", "within_past", {"n": 7, "unit": "day", "include_today": 1}, {("wrong_type", "/value/include_today")}),
        (
            "datetime", "within_past", {"n": 7, "unit": "hour", "include_today": True},
            {("unexpected_member", "/value/include_today")},
        ),
        (
            "date", "within_next", {"n": 7, "unit": "day", "include_today": True},
            {("unknown_member", "/value/include_today")},
        ),
        ("date", "past_range", {"a": 7, "b": 7, "unit": "day"}, {("empty_range", "/value")}),
        ("date", "month_in", [0, 13], {("out_of_range", "/value/0"), ("out_of_range", "/value/1")}),
        ("date", "day_in", [32], {("out_of_range", "/value/0")}),
        ("date", "anniversary_within", {"n": 367}, {("out_of_range", "/value/n")}),
        ("options", "size", {"operator": "contains", "value": 1}, {("unknown_operator", "/value/operator")}),
        ("options", "size", {"operator": "eq", "value": {"field": "x"}}, {("wrong_type", "/value/value")}),
        ("options", "size", {"operator": "in", "value": [1, "2"]}, {("wrong_type", "/value/value/1")}),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_value_is_told_with_its_place(
    field_type: str, name: str, raw: Any, found: set[tuple[str, str]]
) -> None:
    assert wrong(field_type, name, raw) == found


@pytest.mark.parametrize(("field_type", "operator"), EVERY, ids=lambda part: getattr(part, "name", part))
def test_every_operator_takes_its_value_and_refuses_none_or_a_foreign_one(
    field_type: FieldType, operator: Operator
) -> None:
    read_value(good(field_type, operator), operator, field_type, ("value",))
    assert operator.zh and operator.en

    if operator.shape is Shape.NONE:
        assert wrong(field_type, operator.name, 1) == {("unexpected_value", "/value")}
        return
    for nothing in (MISSING, None):
        assert wrong(field_type, operator.name, nothing) == {("missing_value", "/value")}
    for foreign in (True, {}, [], [[]], {"n": None}, float("inf"), float("nan"), object()):
        assert all(path.startswith("/value") for _, path in wrong(field_type, operator.name, foreign))


def test_a_size_is_compared_as_a_whole_number_is() -> None:
    assert set(SIZE_OPERATORS) == OPERATORS[FieldType.INTEGER].keys() - {"is_set", "not_set"}


@given(fen=st.integers(-(10**15), 10**15))
def test_money_of_two_decimals_is_read_to_the_fen(fen: int) -> None:
    assert read("money", "eq", float(Decimal(fen) / 100)) == fen
