"""A filter document before it is read: plain JSON, finite, and small enough for everything after to recurse.

Nothing here knows the language; that is `parse.py`'s. The walk keeps a stack of its own: no document exhausts Python's.
"""

import math
import re
from dataclasses import dataclass
from typing import Any, Final

from segment_engine.problems import Problem, pointer
from segment_engine.tree import Place

INT64 = range(-(1 << 63), 1 << 63)
MAX_LEVELS = 64
"""Of objects and lists: more than any allowed nesting of groups needs."""

_MEMBERS: Final = 50

_BAD_CHARACTER = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class FilterLimits:
    """How much a filter may say.

    conditions: in all its groups, and in one `where`; nesting: groups inside each other, `where` included; list_items
    and text (characters): of one value; document: characters, members and items of all of it
    """

    conditions: int = 64
    nesting: int = 5
    list_items: int = 1_000
    text: int = 200
    document: int = 256 * 1024


CUSTOMER_LIST = FilterLimits(conditions=8)
"""The limits of a filter of the customer list (seed 003 §4)."""


def document_problems(document: Any, limits: FilterLimits) -> list[Problem]:
    """Everything that is no JSON of ours; a document that is too deep or too large is told alone, without a place."""
    size, problems = 0, []
    stack: list[tuple[Any, Place, int]] = [(document, (), 1)]
    while stack:
        value, place, level = stack.pop()
        if level > MAX_LEVELS:
            return [_too_deep()]
        size += len(value) if isinstance(value, str | dict | list) else 1
        if size > limits.document:
            return [_too_large(limits)]
        if (words := _fault(value) or _too_long(value, limits)) is not None:
            problems.append(Problem(words[0], pointer(place), *words[1:]))
        elif isinstance(value, dict):
            for key, item in reversed(value.items()):
                stack += [(item, (*place, str(key)), level + 1), (key, (*place, str(key)), level)]
        elif isinstance(value, list):
            stack += [(item, (*place, index), level + 1) for index, item in reversed([*enumerate(value)])]
    return problems


def _too_long(value: Any, limits: FilterLimits) -> tuple[str, str, str] | None:
    """Nothing of ours is longer; what is, is not looked into."""
    if isinstance(value, list) and len(value) > limits.list_items:
        most = limits.list_items
        return "list_too_long", f"最多 {most} 项", f"At most {most} items."
    if isinstance(value, dict) and len(value) > _MEMBERS:
        return "too_many_members", f"对象最多 {_MEMBERS} 个成员", f"An object has at most {_MEMBERS} members."
    return None


def _fault(value: Any) -> tuple[str, str, str] | None:
    match value:
        case dict() if not all(isinstance(key, str) for key in value):
            return "not_json", "对象的字段名应为文本", "The keys of an object are text."
        case str() if _BAD_CHARACTER.search(value):
            return "bad_character", "文本含有空字符或不成对的代理字符", "Text contains NUL or half a surrogate pair."
        case int() if value not in INT64:
            return "integer_out_of_range", "整数超出 64 位范围", "The integer does not fit 64 bits."
        case float() if not math.isfinite(value):
            return "not_a_finite_number", "不允许 NaN 或 Infinity", "NaN and Infinity are not JSON."
        case None | bool() | int() | float() | str() | dict() | list():
            return None
    return "not_json", "不是 JSON 的值", "This is no value of JSON."


def _too_deep() -> Problem:
    return Problem(
        "too_deep",
        "",
        f"嵌套过深,最多 {MAX_LEVELS} 层",
        f"Nested deeper than {MAX_LEVELS} levels of objects and lists.",
    )


def _too_large(limits: FilterLimits) -> Problem:
    return Problem(
        "document_too_large",
        "",
        f"筛选条件过大,最多 {limits.document} 个字符",
        f"The filter is larger than {limits.document} characters.",
    )
