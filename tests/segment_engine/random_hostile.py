"""Hostile documents: filters changed by somebody who means ill, and what never was a filter.

The vectors are those of the design's table of hostile filters. Everything comes from a `random.Random`.
"""

import copy
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, Final

from segment_engine.cases.world import World
from tests.segment_engine.random_filters import random_filter

CANARY: Final = "zq9_"
"""Begins every text of a hostile document that must not be found in any SQL."""

_IDENTIFIERS: Final = (
    'name" OR 1=1 --', "world.customer", "__proto__", "ROWID", "rowid", "customer_key", "one_id", "ｃｉｔｙ",
    "сity", "city ",
    "city\u200b", "CITY", "", "*", "city; drop table customer", "constructor", '"city"', "`city`", "[city]", "city\0",
    7, None, True,
)  # fmt: skip
_CONNECTORS: Final = (
    "and) OR (1=1",
    "AND",
    "xor",
    "",
    None,
    True,
    ["and"],
    {"and": 1},
    "= 1 OR 1=",
    "like",
    "IS NOT DISTINCT FROM",
)
_WRONG: Final = (
    None, True, False, [], {}, "", " ", "1", 1.0, 1.5, -0.0, 0.1 + 0.2, float("nan"), float("inf"), -float("inf"),
    1e308, 5e-324,
    2**63, -(2**63) - 1, 2**70, 10**400, 0.125, 0.1234567, "\ud800", "a\0b", "\udfff" * 3, "2025-02-29", "2025-13-01",
    "2025-06-01T23:59:59.999999+14:00", "24:00", "0000-01-01", "10000-01-01", "+2025-01-01",
    "２０２５-01-01", {"$gt": 1},
    {"field": None}, {"field": {"field": "city"}}, {"field": "city", "or": 1}, {"n": 10**9, "unit": "day"},
    {"n": 1, "unit": "eon"},
    {"n": True, "unit": "day"}, {"n": 1, "unit": "day", "include_today": None}, {"a": 1, "b": 2, "unit": "day"},
    {"operator": "eq", "value": {"operator": "eq", "value": 1}}, [None], [[]], [1, "1"], ["a"] * 1001, "x" * 100_000,
    "((((", "a{1000}",
    "((a{1,100}){1,100}){1,100}", "(?P<n", "\\",
)  # fmt: skip
_KINDS: Final = (
    "attribute",
    "activity",
    "sequence",
    "tag",
    "segment",
    "bucket",
    "everyone",
    "sql",
    "__class__",
    None,
    1,
)


def random_hostile(random: Random, world: World) -> Any:
    """A document that somebody means ill with; a few are valid by chance."""
    make = random.choice([_mutated, _mutated, _mutated, _injected, _injected, _deep, _wide, _no_filter])
    return make(random, world)


def _mutated(random: Random, world: World) -> Any:
    """A valid filter with one to three of its members changed, left out, doubled or added to."""
    document = copy.deepcopy(random_filter(random, world))
    for _ in range(random.randint(1, 3)):
        places = list(_places(document))
        if not places:
            break
        holder, key = random.choice(places)
        random.choice([_replace, _replace, _leave_out, _add, _exchange])(random, holder, key, places)
    return document


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    stack = [document]
    while stack:
        holder = stack.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            yield holder, key
            if isinstance(holder[key], dict | list) and len(holder[key]) < 1000:
                stack.append(holder[key])


Places = Sequence[tuple[Any, Any]]


def _replace(random: Random, holder: Any, key: Any, places: Places) -> None:
    hostile = {
        "field": _IDENTIFIERS, "source": _IDENTIFIERS, "same": _IDENTIFIERS, "combinator": _CONNECTORS,
        "operator": _CONNECTORS, "occurrence": _CONNECTORS, "kind": _KINDS, "metric": _CONNECTORS,
    }  # fmt: skip
    holder[key] = copy.deepcopy(random.choice(hostile.get(key, _WRONG) if isinstance(key, str) else _WRONG))


def _leave_out(random: Random, holder: Any, key: Any, places: Places) -> None:
    del holder[key]


def _add(random: Random, holder: Any, key: Any, places: Places) -> None:
    if isinstance(holder, dict):
        name = random.choice(
            [
                "value",
                "not",
                "rules",
                "where",
                "having",
                "kind",
                "include_zero",
                "null_policy",
                "sql",
                "__proto__",
                "\ud800",
            ]
        )
        holder[name] = copy.deepcopy(random.choice(_WRONG))
    else:
        holder.insert(0, copy.deepcopy(random.choice(_WRONG)))


def _exchange(random: Random, holder: Any, key: Any, places: Places) -> None:
    """A part of the document stands somewhere else too; never inside itself, for JSON cannot."""
    other, place = random.choice(places)
    holder[key] = copy.deepcopy(other[place])


def _injected(random: Random, world: World) -> Any:
    """Texts everywhere that would be SQL, a format or a placeholder; most are valid values of a filter."""
    document = random_filter(random, world)
    texts = [
        f"{CANARY}{random.randrange(10**6)}{one}"
        for one in (
            "'",
            '"',
            "\\'",
            "; drop table x; --",
            "${x}",
            "{{ x }}",
            "%(a)s",
            "?",
            "$1",
            ":n",
            "*/",
            "\n",
            "%",
            "_",
        )
    ]
    operators = ["eq", "neq", "contains", "starts_with", "ends_with", "not_contains", "in", "has_any"]
    rules = []
    for text in random.sample(texts, 3):
        field = random.choice(["city", "gender", "items", f"{CANARY}field"])
        operator = random.choice(operators)
        value = [text] if operator in ("in", "has_any") else text
        rules.append({"kind": "attribute", "field": field, "operator": operator, "value": value})
    salt = {"kind": "bucket", "salt": random.choice(texts), "from": 0, "to": 50}
    return {"combinator": "or", "rules": [*rules, salt, document]}


def _deep(random: Random, world: World) -> Any:
    document: Any = random_filter(random, world)
    name = random.choice(["rules", "where", "value"])
    for _ in range(random.choice([5, 6, 60, 70, 1000, 20_000])):
        inner = {"combinator": "and", "rules": [document]}
        document = {
            "rules": inner,
            "where": {"kind": "activity", "source": "purchase", "occurrence": "did", "where": inner},
            "value": [document],
        }[name]
    return document if name == "rules" else {"combinator": "and", "rules": [document]}


def _wide(random: Random, world: World) -> Any:
    size = random.choice([64, 65, 1000, 1001, 50_000])
    rule = {
        "kind": "attribute",
        "field": "city",
        "operator": "in",
        "value": [f"{CANARY}{index}" for index in range(size)],
    }
    ids = {"kind": "tag", "operator": "in", "tag_ids": [12] * size}
    key = {"combinator": "and", "rules": [{"kind": "everyone"}], "x" * size: 1}
    return random.choice(
        [
            {"combinator": "or", "rules": [{"kind": "everyone"}] * size},
            {"combinator": "or", "rules": [rule]},
            {"combinator": "or", "rules": [ids]},
            key,
        ]
    )


def _no_filter(random: Random, world: World) -> Any:
    return copy.deepcopy(
        random.choice(
            [
                *_WRONG,
                "select 1",
                [random_filter(random, world)],
                {"rules": []},
                {"combinator": "and"},
                {1: 2},
                (1, 2),
                b"x",
                {"a"},
                object(),
            ]
        )
    )
