"""Types of fields, and the operators that each has: names, words, and the shape of the value that belongs to them.

One table, read by every phase that needs it. Values themselves are read in `values.py`; what an operator means over
rows is the planner's business.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class FieldType(StrEnum):
    """What a field holds."""

    TEXT = "text"
    OPTION = "option"
    OPTIONS = "options"
    INTEGER = "integer"
    DECIMAL = "decimal"
    MONEY = "money"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"


class Shape(StrEnum):
    """What a value looks like.

    one: a value of the field's type, or another field of the row; whole: one, without another field; items: a list of
    values; pair: [a, b]; window: {n, unit, include_today}; span: {a, b, unit}; size: {operator, value};
    ahead: {n}; months, days: lists of numbers of a calendar
    """

    NONE = "none"
    ONE = "one"
    WHOLE = "whole"
    ITEMS = "items"
    PAIR = "pair"
    WINDOW = "window"
    SPAN = "span"
    SIZE = "size"
    AHEAD = "ahead"
    MONTHS = "months"
    DAYS = "days"


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator with its words; a negative one says no of what its positive says yes of, missing values apart."""

    name: str
    zh: str
    en: str
    shape: Shape
    is_negative: bool = False


def _named(*operators: Operator) -> dict[str, Operator]:
    return {operator.name: operator for operator in operators}


_PRESENCE = (
    Operator("is_set", "有值", "is set", Shape.NONE),
    Operator("not_set", "没值", "is not set", Shape.NONE),
)
_EQUALITY = (
    Operator("eq", "等于", "is", Shape.ONE),
    Operator("neq", "不等于", "is not", Shape.ONE, is_negative=True),
    Operator("in", "属于", "is one of", Shape.ITEMS),
    Operator("not_in", "不属于", "is none of", Shape.ITEMS, is_negative=True),
)
_TEXT = (
    *_EQUALITY,
    Operator("contains", "包含", "contains", Shape.WHOLE),
    Operator("not_contains", "不包含", "does not contain", Shape.WHOLE, is_negative=True),
    Operator("starts_with", "开头是", "starts with", Shape.WHOLE),
    Operator("ends_with", "结尾是", "ends with", Shape.WHOLE),
    Operator("regex", "正则匹配", "matches", Shape.WHOLE),
    Operator("not_regex", "正则不匹配", "does not match", Shape.WHOLE, is_negative=True),
    *_PRESENCE,
)
_NUMBERS = (
    *_EQUALITY,
    Operator("gt", "大于", "is more than", Shape.ONE),
    Operator("gte", "大于等于", "is at least", Shape.ONE),
    Operator("lt", "小于", "is less than", Shape.ONE),
    Operator("lte", "小于等于", "is at most", Shape.ONE),
    Operator("between", "范围", "is between", Shape.PAIR),
    Operator("not_between", "不在范围", "is not between", Shape.PAIR, is_negative=True),
    *_PRESENCE,
)
_OPTIONS = (
    Operator("has_any", "包含任一", "has any of", Shape.ITEMS),
    Operator("has_all", "包含全部", "has all of", Shape.ITEMS),
    Operator("has_none", "不包含任一", "has none of", Shape.ITEMS, is_negative=True),
    Operator("set_eq", "完全等于", "is exactly", Shape.ITEMS),
    Operator("size", "个数", "number of values", Shape.SIZE),
    *_PRESENCE,
)
_CALENDAR = tuple(
    Operator(f"{which}_{unit}", f"{which_zh}{unit_zh}", f"is in {which} {unit}", Shape.NONE)
    for unit, unit_zh in {"week": "周", "month": "月", "quarter": "季度", "year": "年"}.items()
    for which, which_zh in {
        "this": "今" if unit == "year" else "本",
        "last": "去" if unit == "year" else "上",
        "next": "明" if unit == "year" else "下",
    }.items()
)
_DATES = (
    Operator("on", "是", "is on", Shape.ONE),
    Operator("not_on", "不是", "is not on", Shape.ONE, is_negative=True),
    Operator("before", "早于", "is before", Shape.ONE),
    Operator("after", "晚于", "is after", Shape.ONE),
    Operator("between", "范围", "is between", Shape.PAIR),
    Operator("within_past", "在过去…之内", "is within the past", Shape.WINDOW),
    Operator("before_past", "在过去…之前", "is earlier than the past", Shape.WINDOW),
    Operator("past_range", "在过去的区间", "is in the past range", Shape.SPAN),
    Operator("within_next", "在未来…之内", "is within the next", Shape.WINDOW),
    Operator("next_range", "在未来的区间", "is in the next range", Shape.SPAN),
    Operator("today", "今天", "is today", Shape.NONE),
    Operator("yesterday", "昨天", "is yesterday", Shape.NONE),
    Operator("tomorrow", "明天", "is tomorrow", Shape.NONE),
    *_CALENDAR,
    Operator("anniversary_within", "周年在未来…天内", "has its anniversary within", Shape.AHEAD),
    Operator("month_in", "月份属于", "falls in a month of", Shape.MONTHS),
    Operator("day_in", "日期属于", "falls on a day of the month of", Shape.DAYS),
    *_PRESENCE,
)

OPERATORS: Final[Mapping[FieldType, Mapping[str, Operator]]] = {
    FieldType.TEXT: _named(*_TEXT),
    FieldType.OPTION: _named(*_EQUALITY, *_PRESENCE),
    FieldType.OPTIONS: _named(*_OPTIONS),
    FieldType.INTEGER: _named(*_NUMBERS),
    FieldType.DECIMAL: _named(*_NUMBERS),
    FieldType.MONEY: _named(*_NUMBERS),
    FieldType.BOOLEAN: _named(
        Operator("is_true", "为真", "is true", Shape.NONE),
        Operator("is_false", "为假", "is false", Shape.NONE),
        *_PRESENCE,
    ),
    FieldType.DATE: _named(*_DATES),
    FieldType.DATETIME: _named(*_DATES),
}
"""The operators of each type, by name, in the order in which they are offered."""

SIZE_OPERATORS: Final = tuple(name for name in OPERATORS[FieldType.INTEGER] if name not in ("is_set", "not_set"))
"""What `size` may compare a number of values with."""


def operator_of(field_type: FieldType, name: str) -> Operator | None:
    """The operator, None where the type has none of this name."""
    return OPERATORS[field_type].get(name)
