"""Many smart audiences at once are what each is alone; what is wrong with one is no other's business."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import duckdb
import numpy as np
import pytest

from segment_engine.cases.compiled import opened as opened_world
from segment_engine.cases.compiled import relations_in
from segment_engine.cases.tables import MEMBERS
from segment_engine.cases.world import World
from segment_engine.compile import check, compile_one
from segment_engine.predicates import InAudience
from segment_engine.runtime.bitmaps import Bitmap, of_keys
from segment_engine.runtime.leaves import Version
from segment_engine.runtime.recalculate import Calculated, Rule, recalculate
from segment_engine.runtime.version import Opened, customers_in
from segment_engine.tree import AudienceKind
from segment_engine.validate import Asking
from tests.segment_engine.random_filters import random_filter
from tests.segment_engine.random_worlds import PRESENTS, SEGMENTS, TAGS, poisoned_world

Json = Any

TAG, SEGMENT = AudienceKind.TAG, AudienceKind.SEGMENT
RULED = (InAudience(TAG, 12), InAudience(TAG, 15), InAudience(SEGMENT, 7), InAudience(SEGMENT, 12))
ASKING = Asking(tags=frozenset(TAGS), segments=frozenset(SEGMENTS))
EVERYONE = {"combinator": "and", "rules": [{"kind": "everyone"}]}
WEIGHS = {"kind": "activity", "source": "purchase", "occurrence": "did", "having": [
    {"metric": "sum", "field": "weight", "operator": "gte", "value": 1}
]}  # fmt: skip
ARRIVES = {"kind": "activity", "source": "appointment", "occurrence": "did"}
NAMELESS = {"kind": "attribute", "field": "no_such_field", "operator": "is_set"}


def tag(*ids: int) -> Json:
    return {"kind": "tag", "operator": "in", "tag_ids": list(ids)}


def segment(*ids: int) -> Json:
    return {"kind": "segment", "operator": "in", "segment_ids": list(ids)}


def both(*rules: Json) -> Json:
    return {"combinator": "and", "rules": list(rules)}


class Asked:
    """A world with an open database, asked at one moment."""

    def __init__(self, world: World, connection: duckdb.DuckDBPyConnection) -> None:
        self.world, self.connection = world, connection
        keys = max(world.customers) + 1
        version = Version(relations_in(world), None, keys, of_keys(np.array(sorted(world.customers)), keys))
        there = customers_in(connection, version)
        self.opened = Opened(world.catalog, replace(version, everyone=there), PRESENTS[0])

    def members(self, one: InAudience) -> Bitmap:
        """Those that the world itself tells."""
        of_kind = self.world.tags if one.kind is TAG else self.world.segments
        return of_keys(np.array(sorted(of_kind[one.id]), np.int64), self.opened.version.keys)

    def calculate(
        self, rules: Mapping[InAudience, Json], others: Callable[[InAudience], Bitmap] | None = None, workers: int = 2
    ) -> Calculated:
        given = [Rule(audience, document) for audience, document in rules.items()]
        return recalculate(
            given, self.opened, self.connection, asking=ASKING, others=others or self.members, workers=workers
        )

    def alone(self, document: Json) -> set[int]:
        """The customers of a filter by its own SQL, where tags and segments are rows of a table."""
        tree = check(document, self.opened.catalog, ASKING)
        statement = compile_one(tree, self.opened.as_of, self.opened.version.marts)
        return {key for (key,) in self.connection.execute(statement.text, dict(statement.values)).fetchall()}

    def replace_members(self, one: InAudience, members: set[int]) -> None:
        of_one = {"kind": str(one.kind), "id": one.id}
        self.connection.execute(f"delete from {MEMBERS} where audience_kind = $kind and audience_id = $id", of_one)
        for key in sorted(members):
            values = {**of_one, "key": key}
            named = "$kind as audience_kind, $id as audience_id, $key as customer_key"
            self.connection.execute(f"insert into {MEMBERS} by name select {named}", values)


def keys(bitmap: Bitmap) -> set[int]:
    return set(bitmap.keys().tolist())


def codes(found: Calculated) -> dict[InAudience, list[str]]:
    return {one: [problem.code for problem in problems] for one, problems in found.refused.items()}


@pytest.fixture
def asked() -> Iterator[Asked]:
    world = poisoned_world(0)
    with opened_world(world) as connection:
        yield Asked(world, connection)


def named_in(document: Json) -> set[InAudience]:
    """By walking through the document, as somebody who knows nothing of the engine would."""
    if isinstance(document, list):
        return set().union(*map(named_in, document))
    if not isinstance(document, dict):
        return set()
    own = {InAudience(kind, one) for kind in (TAG, SEGMENT) for one in document.get(f"{kind}_ids", [])}
    return own.union(*map(named_in, document.values()))


def reached(start: InAudience, rules: Mapping[InAudience, Json]) -> set[InAudience]:
    """Those with a rule that somebody refers to, however far."""
    found: set[InAudience] = set()
    waiting = [start]
    while waiting:
        new = {one for one in named_in(rules[waiting.pop()]) if one in rules} - found
        found |= new
        waiting += new
    return found


def in_turn(rules: Mapping[InAudience, Json]) -> list[InAudience]:
    """Each after all that it reaches, where nobody reaches himself."""
    return sorted(rules, key=lambda one: len(reached(one, rules)))


@pytest.mark.parametrize("seed", range(8))
def test_audiences_that_refer_to_each_other_are_what_each_is_by_its_own_sql(seed: int) -> None:
    random, world = Random(seed), poisoned_world(seed)
    rules = {one: random_filter(random, world) for one in random.sample(RULED, len(RULED))}
    # Nobody is calculated who is in a circle, or refers to one, however far.
    in_circle = {one for one in rules if one in reached(one, rules)}
    sound = {one: rules[one] for one in rules if one not in in_circle and not reached(one, rules) & in_circle}

    with opened_world(world) as connection:
        asked = Asked(world, connection)
        found = asked.calculate(rules, workers=random.choice([1, 2, 3]))
        expected: dict[InAudience, set[int]] = {}
        for one in in_turn(sound):
            expected[one] = asked.alone(rules[one])
            asked.replace_members(one, expected[one])

    assert {one: keys(bitmap) for one, bitmap in found.members.items()} == expected
    assert found.refused.keys() == rules.keys() - expected.keys()
    assert {one for one, told in codes(found).items() if told == ["reference_cycle"]} <= in_circle


def test_a_rule_that_means_nothing_refuses_itself_and_those_who_need_it(asked: Asked) -> None:
    wrong, needs, needs_that, other = RULED
    found = asked.calculate(
        {
            needs_that: both(tag(needs.id)),
            wrong: both(NAMELESS, NAMELESS),
            needs: {"combinator": "or", "rules": [EVERYONE["rules"][0], tag(1), tag(wrong.id)]},
            other: EVERYONE,
        }
    )

    assert codes(found) == {wrong: ["unknown_field"] * 2, needs: ["reference_failed"], needs_that: ["reference_failed"]}
    assert [problem.path for problem in found.refused[needs]] == ["/rules/2"]
    assert keys(found.members[other]) == set(asked.world.customers)
    assert found.members.keys() == {other}


def test_all_in_a_circle_are_refused_and_told_the_way_round(asked: Asked) -> None:
    (*circle, outside) = RULED
    first, second, third = circle
    found = asked.calculate(
        {
            first: both(tag(second.id)),
            second: both(segment(third.id)),
            third: both(tag(first.id, 1)),
            outside: both(tag(1)),
        }
    )

    assert codes(found) == {one: ["reference_cycle"] for one in circle}
    for one in circle:
        (problem,) = found.refused[one]
        assert all(f"{other.kind}:{other.id}" in problem.message_en for other in circle)
        assert all(f"{other.kind}:{other.id}" in problem.message_zh for other in circle)
    assert keys(found.members[outside]) == asked.world.tags[1]


def test_who_refers_to_himself_is_a_circle_of_one(asked: Asked) -> None:
    one = RULED[0]

    assert codes(asked.calculate({one: both(tag(one.id))})) == {one: ["reference_cycle"]}


def test_circles_apart_and_joined_are_all_refused_and_nobody_else(asked: Asked) -> None:
    first, second, third, fourth = RULED
    found = asked.calculate(
        {
            first: both(tag(second.id)),
            second: both(tag(first.id)),
            third: both(segment(fourth.id)),
            fourth: both(segment(third.id), tag(first.id)),
        }
    )

    assert found.members == {}
    assert found.refused.keys() == set(RULED)


def test_a_diamond_is_no_circle(asked: Asked) -> None:
    top, left, right, bottom = RULED
    found = asked.calculate(
        {
            top: {"combinator": "or", "rules": [tag(left.id), segment(right.id)]},
            left: both(segment(bottom.id), tag(1)),
            right: both(segment(bottom.id), tag(2**40)),
            bottom: both({"kind": "bucket", "salt": "x", "from": 0, "to": 50}),
        }
    )

    tags = asked.world.tags
    assert found.refused == {}
    assert keys(found.members[top]) == keys(found.members[bottom]) & (tags[1] | tags[2**40])


def test_those_without_a_rule_are_asked_of_the_caller_and_the_others_are_not(asked: Asked) -> None:
    calculated, asks = RULED[:2]
    wanted: list[InAudience] = []

    def others(one: InAudience) -> Bitmap:
        wanted.append(one)
        return asked.members(one)

    found = asked.calculate({asks: both(tag(1), segment(7)), calculated: both(tag(asks.id))}, others)

    assert keys(found.members[asks]) == asked.world.tags[1] & asked.world.segments[7]
    assert found.members[calculated] == found.members[asks]
    assert sorted(wanted, key=lambda one: one.id) == [InAudience(TAG, 1), InAudience(SEGMENT, 7)]


def test_members_that_the_caller_knows_over_other_keys_are_cut_to_the_customers(asked: Asked) -> None:
    one = RULED[0]
    more = of_keys(np.arange(5_000), 5_000)

    found = asked.calculate({one: both(tag(1))}, lambda _: more)

    assert keys(found.members[one]) == set(asked.world.customers)


def test_a_tag_that_does_not_exist_is_told_at_its_place(asked: Asked) -> None:
    one = RULED[0]
    found = asked.calculate({one: both(tag(1, 999))})

    ((problem,),) = found.refused.values()
    assert (problem.code, problem.path) == ("unknown_tag", "/rules/0/tag_ids")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_rule_that_cannot_be_answered_refuses_itself_and_those_who_need_it(asked: Asked, workers: int) -> None:
    fails, needs, fine, fine_too = RULED
    asked.connection.execute(f"drop table {asked.world.catalog.sources['appointment'].table}")
    weighs = asked.alone(both(WEIGHS))

    found = asked.calculate(
        {
            needs: both(tag(fails.id)),
            fine: both(WEIGHS),
            fails: both(ARRIVES),
            fine_too: both(segment(fine.id), tag(1)),
        },
        workers=workers,
    )

    assert codes(found) == {fails: ["not_answered"], needs: ["reference_failed"]}
    assert "CatalogException" in found.refused[fails][0].message_en
    assert keys(found.members[fine]) == weighs
    assert keys(found.members[fine_too]) == weighs & asked.world.tags[1]


def test_members_that_the_caller_cannot_tell_are_the_fault_of_those_who_ask_for_them(asked: Asked) -> None:
    asks, fine = RULED[:2]

    def others(one: InAudience) -> Bitmap:
        raise LookupError(one)

    found = asked.calculate({asks: both(tag(1)), fine: EVERYONE}, others)

    assert codes(found) == {asks: ["not_answered"]}
    assert keys(found.members[fine]) == set(asked.world.customers)


def test_whoever_stops_it_is_not_a_rule_that_failed(asked: Asked) -> None:
    def others(_: InAudience) -> Bitmap:
        raise duckdb.InterruptException("stopped")

    with pytest.raises(duckdb.InterruptException):
        asked.calculate({RULED[0]: both(tag(1))}, others)


def test_nothing_to_calculate_is_nothing_found(asked: Asked) -> None:
    found = asked.calculate({})

    assert (found.members, found.refused) == ({}, {})


def shuffled(random: Random, rules: Mapping[InAudience, Json]) -> Sequence[InAudience]:
    return random.sample(list(rules), len(rules))


def test_the_order_in_which_rules_come_means_nothing(asked: Asked) -> None:
    random = Random(11)
    rules = {one: random_filter(random, asked.world) for one in RULED}
    given = asked.calculate(rules)

    for _ in range(5):
        found = asked.calculate({one: rules[one] for one in shuffled(random, rules)})
        assert found.members == given.members
        assert found.refused.keys() == given.refused.keys()
