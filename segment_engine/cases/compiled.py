"""The compiler as engines of cases: each filter as a statement of its own, and all of a moment together as one plan.

What a case is and how it is judged belongs to `run.py`; the world's tables are `tables.py`'s.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import duckdb
import numpy as np

from segment_engine.cases.run import Asked, Engine, interpreted, with_rules_reversed
from segment_engine.cases.tables import MEMBERS, write_world
from segment_engine.cases.world import World
from segment_engine.clinics import without_clinics
from segment_engine.compile import compile_many, compile_one
from segment_engine.predicates import InAudience
from segment_engine.relations import Relations, relations_of
from segment_engine.runtime.audiences import AudienceReader
from segment_engine.runtime.bitmaps import Bitmap, of_keys
from segment_engine.runtime.engine_layout import read_layout
from segment_engine.runtime.engine_tables import build_engine
from segment_engine.runtime.leaves import Version
from segment_engine.runtime.version import customers_in
from segment_engine.tree import AudienceKind


def compiled_alone(world: World, cases: Sequence[Asked]) -> list[frozenset[int]]:
    """Every filter as SQL over the world's tables."""
    with opened(world) as con:
        statements = [compile_one(case.checked, case.as_of, relations_in(world)) for case in cases]
        found = [con.execute(one.text, dict(one.values)).fetchall() for one in statements]
    assert all(len(rows) == len(set(rows)) for rows in found), "a customer is there once"
    return [frozenset(key for (key,) in rows) for rows in found]


def compiled_together(world: World, cases: Sequence[Asked]) -> list[frozenset[int]]:
    """All filters as one plan over the engine's coded tables, and over the world's where those do not answer."""
    with opened(world) as con:
        build_engine(con, world.catalog, zone=world.zone.key)
        return _together(con, world, cases, is_coded=True)


def compiled_together_on_marts(world: World, cases: Sequence[Asked]) -> list[frozenset[int]]:
    """The same plan where there are no coded tables, as in files of earlier releases."""
    with opened(world) as con:
        return _together(con, world, cases, is_coded=False)


ENGINES: Final[Sequence[tuple[str, Engine]]] = (
    ("compiled alone", compiled_alone),
    ("compiled together", compiled_together),
    ("interpreter", interpreted),
    ("rules reversed", with_rules_reversed(compiled_alone)),
)
"""The four ways in which every case is run."""


@contextmanager
def opened(world: World) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that holds the world."""
    with duckdb.connect(config={"threads": 1}) as con:
        con.execute("set TimeZone = ?", [world.zone.key])
        write_world(world, con)
        yield con


def relations_in(world: World) -> Relations:
    """Where the world's tables are."""
    relations = relations_of(world.catalog, world.zone.key, excluded_clinics=world.excluded_clinics)
    return replace(relations, audience_members=MEMBERS)


def _together(
    con: duckdb.DuckDBPyConnection, world: World, cases: Sequence[Asked], *, is_coded: bool
) -> list[frozenset[int]]:
    keys = max(world.customers, default=-1) + 1
    layout = read_layout(con, world.catalog) if is_coded else None
    version = Version(relations_in(world), layout, keys, _bitmap(world.customers, keys))
    version = replace(version, everyone=customers_in(con, version))

    def members(audience: InAudience) -> Bitmap:
        of_kind = world.tags if audience.kind is AudienceKind.TAG else world.segments
        return _bitmap(of_kind[audience.id], keys)

    known = {} if layout is None else layout.known
    filters = (without_clinics(case.checked, world.excluded_clinics) for case in cases)
    plan = compile_many(dict(enumerate(filters)), cases[0].as_of, known)
    answer = AudienceReader(con, version, members).read(plan)
    return [frozenset(answer.members[number].keys().tolist()) for number in range(len(cases))]


def _bitmap(customers: Iterable[int], keys: int) -> Bitmap:
    return of_keys(np.array(sorted(customers), dtype=np.int64), keys)
