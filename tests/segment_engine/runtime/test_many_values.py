"""Lists of more values than a number has bits: kept in several numbers, and asked as SQL asks the lists themselves."""

import json
from random import Random

from segment_engine.cases.case_file import read_case_file
from segment_engine.cases.compiled import compiled_alone, compiled_together, opened
from segment_engine.cases.run import Asked, read_filter
from segment_engine.cases.world import World
from segment_engine.runtime.engine_tables import build_engine
from segment_engine.runtime.engine_values import MOST_LISTED
from tests.segment_engine.random_worlds import PRESENTS

VALUES = [f"v{number:03}" for number in range(200)]


def world_of(values: list[str]) -> World:
    random = Random(1)
    lists = [[], values[:1], values[62:64], values[125:127], *(random.sample(values, 5) for _ in range(40)), values]
    customers = [{"id": number, "items": items} for number, items in enumerate(lists)]
    world = {"attributes": {"items": "options"}, "customers": customers}
    return read_case_file(json.dumps({"world": world, "cases": []})).world


def asked_of(world: World) -> list[Asked]:
    chosen = [
        VALUES[:1], VALUES[62:64], VALUES[62:65], VALUES[125:127], [VALUES[5], VALUES[70], VALUES[140]], ["nobody's"],
        [VALUES[0], "nobody's"],
    ]  # fmt: skip
    conditions: list[dict[str, object]] = [{"operator": "is_set"}, {"operator": "not_set"}]
    conditions += [
        {"operator": operator, "value": values}
        for operator in ("has_any", "has_all", "has_none", "set_eq")
        for values in chosen
    ]
    documents = [
        {"combinator": "and", "rules": [{"kind": "attribute", "field": "items", **condition}]}
        for condition in conditions
    ]
    return [Asked(str(document), PRESENTS[0], document, *read_filter(document, world)) for document in documents]


def test_bits_in_several_numbers_select_whom_the_lists_select() -> None:
    world = world_of(VALUES)
    cases = asked_of(world)

    with opened(world) as con:
        build_engine(con, world.catalog, zone=world.zone.key)
        columns = [name for (name, *_) in con.execute("describe engine.customer").fetchall()]

    assert columns[2:] == ["items__0", "items__1", "items__2", "items__3"]
    assert compiled_together(world, cases) == compiled_alone(world, cases)


def test_lists_of_too_many_values_are_asked_in_the_marts() -> None:
    world = world_of([f"v{number:03}" for number in range(MOST_LISTED + 1)])
    cases = asked_of(world)

    assert compiled_together(world, cases) == compiled_alone(world, cases)
