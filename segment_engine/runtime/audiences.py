"""The customers of many filters on one published version: leaves side by side, then algebra.

What a leaf is and how one is read are `plan.py`'s and `leaves.py`'s. Leaves are remembered as long as the version is
the same: a filter that was edited in one place reads one leaf anew.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Final

import duckdb

from segment_engine.formula import Thing
from segment_engine.plan import Plan, Scan
from segment_engine.predicates import InAudience, InBucket, Predicate
from segment_engine.runtime.bitmaps import Bitmap, evaluated
from segment_engine.runtime.leaves import Found, LeafReader, Reading, Version

MEMORY: Final = 256 << 20
"""Bytes of leaves that are remembered."""

_ReadLeaf = Callable[[LeafReader], Found]


@dataclass(frozen=True, slots=True)
class Answer:
    """The customers of each filter, by its key; what was read for it, and how many leaves were remembered."""

    members: Mapping[Hashable, Bitmap]
    readings: tuple[Reading, ...]
    remembered: int


class LeafMemory:
    """Leaves of one version on one day, found before; the longest unused are forgotten first. For several threads."""

    def __init__(self, most: int = MEMORY) -> None:
        self._most = most
        self._held = 0
        self._found: OrderedDict[Thing, Bitmap] = OrderedDict()
        self._guard = threading.Lock()

    def get(self, thing: Thing) -> Bitmap | None:
        """What was found, None when it is not remembered."""
        with self._guard:
            if thing in self._found:
                self._found.move_to_end(thing)
            return self._found.get(thing)

    def keep(self, found: Found) -> None:
        """Remember these."""
        with self._guard:
            for thing, bitmap in found.items():
                if thing not in self._found:
                    self._held += bitmap.words.nbytes
                self._found[thing] = bitmap
            while self._held > self._most:
                self._held -= self._found.popitem(last=False)[1].words.nbytes


class AudienceReader:
    """Evaluates plans on one version.

    audiences: the members of a tag or segment that a plan refers to and does not hold; workers: how many cursors read
    side by side, which pays where each runs on one thread (`set threads = 1`)
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        version: Version,
        audiences: Callable[[InAudience], Bitmap],
        *,
        memory: LeafMemory | None = None,
        workers: int = 2,
    ) -> None:
        self._version = version
        self._audiences = audiences
        self._memory = memory or LeafMemory()
        self._cursors = [connection.cursor() for _ in range(workers)]
        self._is_stopped = False

    def read(self, plan: Plan) -> Answer:
        """The customers of every filter of a plan; raises duckdb.Error, and InterruptException when it is stopped."""
        # Asked once: what is remembered now may be forgotten for another thread's sake in a moment.
        found = {thing: bitmap for thing in _things_of(plan) if (bitmap := self._memory.get(thing)) is not None}
        things = [thing for thing in _things_of(plan) if thing not in found]
        work = _work_of(plan, frozenset(things))
        readers = [LeafReader(cursor, self._version) for cursor in self._cursors]
        free: SimpleQueue[LeafReader] = SimpleQueue()
        for reader in readers:
            free.put(reader)

        def run(read: _ReadLeaf) -> Found:
            if self._is_stopped:
                raise duckdb.InterruptException("stopped")
            reader = free.get()
            try:
                return read(reader)
            finally:
                free.put(reader)

        if work:
            with ThreadPoolExecutor(len(readers)) as pool:
                for leaves in pool.map(run, work):
                    self._memory.keep(leaves)
                    found |= leaves
        readings = [reading for reader in readers for reading in reader.readings]
        found |= {one: self._audiences(one).at_most(self._version.keys) for one in plan.audiences}
        return Answer(self._combined(plan, found), tuple(readings), len(found) - len(things) - len(plan.audiences))

    def stop(self) -> None:
        """Give up what is being read, from another thread; the reader is of no use after it."""
        self._is_stopped = True
        for cursor in self._cursors:
            cursor.interrupt()

    def _combined(self, plan: Plan, found: Found) -> dict[Hashable, Bitmap]:
        members: dict[Hashable, Bitmap] = {}
        for key, formula in plan.formulas.items():
            members[key] = evaluated(
                formula, lambda thing: members[thing] if thing in members else found[thing], self._version.everyone
            )
        return members


def _things_of(plan: Plan) -> list[Thing]:
    of_rows = [thing for scan in plan.scans for thing in scan.things]
    return [*plan.of_customers, *of_rows, *plan.sequences]


def _work_of(plan: Plan, asked: frozenset[Thing]) -> list[_ReadLeaf]:
    """One piece of work per statement or few, for what is not remembered."""
    by_column: dict[object, list[Predicate | InBucket]] = {}
    for thing in plan.of_customers:
        if thing in asked:
            by_column.setdefault(None if isinstance(thing, InBucket) else thing.term, []).append(thing)
    work: list[_ReadLeaf] = [partial(LeafReader.of_customers, things=things) for things in by_column.values()]
    for scan in plan.scans:
        things = {thing: uses for thing, uses in scan.things.items() if thing in asked}
        if things:
            work.append(partial(LeafReader.of_rows, scan=Scan(scan.rows, things)))
    return work + [partial(LeafReader.of_sequence, sequence=one) for one in plan.sequences if one in asked]
