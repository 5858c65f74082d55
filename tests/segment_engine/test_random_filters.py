"""The random filters themselves: valid, varied, seldom empty, the same for the same seed; hostile ones are told."""

import json
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from segment_engine.cases.interpreter import everybody, selected
from segment_engine.cases.run import read_filter, reversed_rules
from segment_engine.operators import OPERATORS
from segment_engine.problems import InvalidFilterError
from segment_engine.tree import Metric
from tests.segment_engine.random_filters import random_filter
from tests.segment_engine.random_hostile import random_hostile
from tests.segment_engine.random_worlds import PRESENTS, poisoned_world

SEEDS = range(4)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_random_filter_is_valid_and_means_the_same_in_any_order(seed: int) -> None:
    random, world = Random(seed), poisoned_world(seed)
    sizes = []

    for _ in range(150):
        document, as_of = random_filter(random, world), random.choice(PRESENTS)
        read_filter(json.loads(json.dumps(document)), world)
        answer = selected(document, world, as_of)
        assert answer == selected(reversed_rules(document), world, as_of), document
        sizes.append(len(answer))

    between = sum(0 < size < len(world.customers) for size in sizes)
    assert between > len(sizes) / 2


@pytest.mark.parametrize("seed", SEEDS)
def test_not_and_reordering_keep_the_laws_of_logic(seed: int) -> None:
    random, world = Random(seed), poisoned_world(seed)
    there = frozenset(everybody(world))

    for _ in range(60):
        one, other = random_filter(random, world), random_filter(random, world)
        as_of = random.choice(PRESENTS)
        left, right = selected(one, world, as_of), selected(other, world, as_of)
        both, either = ({"combinator": name, "rules": [one, other]} for name in ("and", "or"))
        assert selected(both, world, as_of) == left & right
        assert selected(either, world, as_of) == left | right
        assert selected({**both, "not": True}, world, as_of) == there - (left & right)


def test_random_filters_say_everything_there_is_to_say() -> None:
    world = poisoned_world(0)
    random = Random(0)

    said = Counter(word for _ in range(1500) for word in _words(random_filter(random, world)))

    operators = {name for named in OPERATORS.values() for name in named}
    kinds = {"attribute", "activity", "tag", "segment", "everyone", "bucket", "sequence"}
    members = {"max_gap", "without", "same", "include_zero", "null_policy", "where", "include_today", "field"}
    assert operators | kinds | set(Metric) | members <= said.keys()


def _words(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        for name, value in document.items():
            yield name
            if name in ("operator", "kind", "metric"):
                yield value
            yield from _words(value)
    elif isinstance(document, list):
        for item in document:
            yield from _words(item)


def test_a_seed_makes_the_same_world_and_the_same_filters() -> None:
    once, again = poisoned_world(3), poisoned_world(3)

    assert once.rows == again.rows
    assert [random_filter(Random(5), once)] == [random_filter(Random(5), again)]
    assert once.customers != poisoned_world(4).customers


def test_a_world_is_poisoned() -> None:
    world = poisoned_world(0)

    values = {str(value) for row in world.customers.values() for value in row.values()}
    values |= {str(value) for rows in world.rows.values() for row in rows for value in row.values.values()}
    assert {"%", "_", "\\", "'", str(2**63 - 1), str(-(2**63)), "2024-02-29"} <= values
    assert any(value.endswith("23:59:59.999999+08:00") for value in values)
    assert {len(rows) > 60 for rows in world.rows.values()} == {True}


@pytest.mark.parametrize("seed", SEEDS)
def test_hostile_documents_are_refused_with_problems_or_are_valid(seed: int) -> None:
    random, world = Random(seed), poisoned_world(seed)
    refused = 0

    for _ in range(200):
        document = random_hostile(random, world)
        try:
            read_filter(document, world)
        except InvalidFilterError as wrong:
            refused += 1
            json.dumps([problem.path for problem in wrong.problems]).encode("utf-8")
            assert all(problem.code and problem.message_zh and problem.message_en for problem in wrong.problems)

    assert refused > 100
