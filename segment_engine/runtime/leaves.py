"""Finding out what a plan asks, on one published version: a scan per set of rows, a few statements for customers.

Scans read the engine's coded tables where those hold what is asked, and the marts where they do not. Each leaf becomes
a bitmap; what filters make of them is `audiences.py`'s.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from segment_engine.formula import Formula, Thing
from segment_engine.layout import Layout, NotKeptError, Stored, coded, day_column
from segment_engine.operators import FieldType
from segment_engine.plan import Scan, is_counted, is_ordered
from segment_engine.predicates import (
    Among,
    Column,
    Follows,
    HasRows,
    InBucket,
    OfRows,
    Predicate,
    Present,
    RowSet,
    Within,
    measured_in,
)
from segment_engine.relations import Relations, RowTable, Statement
from segment_engine.runtime.bitmaps import Bitmap, of_flags, of_keys, of_truths
from segment_engine.statements import KEY, rows_kept, select_following, select_measured, select_rows, select_truths
from segment_engine.tidy import holds_over_none
from segment_engine.tree import Metric

TOGETHER: Final = 16
"""How many predicates of customers one statement answers."""

# Sums of floats are exact below this.
_EXACT: Final = float(1 << 53)
_WHOLE: Final = (FieldType.INTEGER, FieldType.MONEY)

Numbers = npt.NDArray[np.integer]
Found = dict[Thing, Bitmap]


@dataclass(frozen=True, slots=True)
class Reading:
    """One statement that was run: its text, how many rows came back, how long it took, and what it answered."""

    text: str
    rows: int
    seconds: float
    answers: tuple[Thing, ...]


@dataclass(frozen=True, slots=True)
class Version:
    """One published version to read from.

    marts: where everything is; layout: what the engine's tables hold, None where there are none; keys: how many keys
    there are; everyone: those that are customers
    """

    marts: Relations
    layout: Layout | None
    keys: int
    everyone: Bitmap


class LeafReader:
    """Reads leaves through one cursor; `readings` tells what was run. Not for several threads at once."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, version: Version) -> None:
        self.readings: list[Reading] = []
        self._cursor = cursor
        self._version = version

    def of_customers(self, things: Sequence[Predicate | InBucket]) -> Found:
        """Predicates of the customer and buckets, several in one statement; duckdb.Error where the database fails."""
        coded_ones: dict[Thing, Formula] = {
            thing: said for thing in things if (said := self._coded_customer(thing)) is not None
        }
        elsewhere: dict[Thing, Formula] = {thing: thing for thing in things if thing not in coded_ones}
        engine = None if self._version.layout is None else _engine(self._version.marts, self._version.layout)
        found = {} if engine is None else self._truths(coded_ones, engine)
        return found | self._truths(elsewhere, self._version.marts)

    def of_rows(self, scan: Scan) -> Found:
        """Everything that is asked of one set of rows."""
        counted = [thing for thing in scan.things if is_counted(thing)]
        rest = [thing for thing in scan.things if isinstance(thing, OfRows) and not is_counted(thing)]
        own = [thing for thing in rest if is_ordered(thing)]
        summed = [thing for thing in rest if _is_summed(thing)]
        aggregated = [thing for thing in rest if thing not in own and thing not in summed]
        rows, relations = self._coded_rows(scan.rows)
        found = self._counted(rows, relations, counted) if counted else {}
        for column, things in _by_column(summed).items():
            found |= self._summed(rows, relations, column, things)
        found |= self._measured(rows, relations, aggregated, scan.rows)
        return found | self._measured(scan.rows, self._version.marts, own, scan.rows)

    def of_sequence(self, sequence: Follows) -> Found:
        """Customers whose rows hold a sequence."""
        keys = self._run(select_following(sequence, self._version.marts), (sequence,))[KEY]
        return {sequence: of_keys(keys, self._version.keys)}

    def _coded_customer(self, thing: Predicate | InBucket) -> Formula | None:
        if self._version.layout is None or isinstance(thing, InBucket) or self._version.marts.history_on is not None:
            return None
        try:
            return coded(thing, self._version.layout.customers)
        except NotKeptError:
            return None

    def _coded_rows(self, rows: RowSet) -> tuple[RowSet, Relations]:
        """The same rows of the engine's table, where it holds what is asked of them."""
        marts = self._version.marts
        if self._version.layout is None or rows.source not in self._version.layout.sources:
            return rows, marts
        kept = rows_kept(rows, marts.sources[rows.source])
        try:
            where = coded(kept, self._version.layout.sources[rows.source])
        except NotKeptError:
            return rows, marts
        return RowSet(rows.source, where), _engine(marts, self._version.layout)

    def _truths(self, said: Mapping[Thing, Formula], relations: Relations) -> Found:
        found: Found = {}
        left = iter(said)
        while things := tuple(islice(left, TOGETHER)):
            statement = select_truths([said[thing] for thing in things], relations)
            table = self._run_arrow(statement, things)
            keys = table.column(KEY).to_numpy()
            for index, thing in enumerate(things):
                found[thing] = self._scattered(keys, table.column(f"t{index}"))
        return found

    def _scattered(self, keys: Numbers, truths: pa.ChunkedArray) -> Bitmap:
        """Truths in the order of keys; where that is every key from 0 on, they are the bits already."""
        if len(keys) == self._version.keys and len(keys) and keys[0] == 0 and bool(np.all(np.diff(keys) == 1)):
            return of_truths(truths)
        return of_keys(keys[truths.to_numpy()], self._version.keys)

    def _counted(self, rows: RowSet, relations: Relations, things: Sequence[Thing]) -> Found:
        keys = self._run(select_rows(rows, relations), things)[KEY]
        measured = [thing for thing in things if isinstance(thing, OfRows)]
        found: Found = {}
        if len(measured) < len(things):
            found = {thing: of_keys(keys, self._version.keys) for thing in things if isinstance(thing, HasRows)}
        if measured:
            counts = np.bincount(keys, minlength=self._version.keys)
            found |= {thing: of_flags(_holding(counts, thing.predicate)) for thing in measured}
        return found

    def _summed(self, rows: RowSet, relations: Relations, column: str, things: Sequence[OfRows]) -> Found:
        """Sums of whole numbers; those too large to be exact here are the database's."""
        read = self._run(select_rows(rows, relations, (column,)), things)
        keys, values = read[KEY], read[column]
        if np.ma.isMaskedArray(values):
            there = ~np.ma.getmaskarray(values)
            keys, values = keys[there], values.data[there]
        if np.abs(values.astype(np.float64)).sum() >= _EXACT:
            return self._measured(rows, relations, things, rows)
        sums = np.bincount(keys, weights=values, minlength=self._version.keys).astype(np.int64)
        present = np.bincount(keys, minlength=self._version.keys) > 0
        return {thing: of_flags(_holding(sums, thing.predicate) & present) for thing in things}

    def _measured(self, rows: RowSet, relations: Relations, things: Sequence[OfRows], asked: RowSet) -> Found:
        """Aggregates of the database; who has no rows is told apart where nothing would do."""
        if not things:
            return {}
        read = self._run(select_measured(rows, [thing.predicate for thing in things], relations), things)
        keys = read[KEY]
        found: Found = {}
        for index, thing in enumerate(things):
            holding = of_keys(keys[read[f"t{index}"].astype(bool)], self._version.keys)
            without = self._version.everyone - of_keys(keys, self._version.keys)
            found[thing] = holding | without if holds_over_none(thing.predicate) else holding
        return found

    def _run(self, statement: Statement, answers: Sequence[Thing]) -> dict[str, Any]:
        began = time.perf_counter()
        read = self._cursor.execute(statement.text, dict(statement.values)).fetchnumpy()
        self._note(statement, len(read[KEY]), began, answers)
        return read

    def _run_arrow(self, statement: Statement, answers: Sequence[Thing]) -> pa.Table:
        began = time.perf_counter()
        table = self._cursor.sql(statement.text, params=dict(statement.values)).to_arrow_table()
        self._note(statement, table.num_rows, began, answers)
        return table

    def _note(self, statement: Statement, rows: int, began: float, answers: Sequence[Thing]) -> None:
        self.readings.append(Reading(statement.text, rows, time.perf_counter() - began, tuple(answers)))


def _engine(marts: Relations, layout: Layout) -> Relations:
    """The engine's tables under the marts' names; the day of a moment stands for it."""
    return Relations(
        zone=marts.zone,
        customers=layout.customers.table,
        sources={name: _engine_table(stored, marts.sources[name]) for name, stored in layout.sources.items()},
    )


def _engine_table(stored: Stored, mart: RowTable) -> RowTable:
    name = mart.time.name
    time_ = Column(day_column(name), FieldType.DATE) if mart.time.type is FieldType.DATETIME else mart.time
    return RowTable(stored.table, time_, mart.known_at)


def _is_summed(thing: OfRows) -> bool:
    measured = measured_in(thing.predicate.term)
    return measured is not None and measured.metric is Metric.SUM and measured.type in _WHOLE


def _by_column(things: Sequence[OfRows]) -> dict[str, list[OfRows]]:
    found: dict[str, list[OfRows]] = {}
    for thing in things:
        measured = measured_in(thing.predicate.term)
        assert measured is not None
        assert measured.column is not None
        found.setdefault(measured.column.name, []).append(thing)
    return found


def _holding(values: Numbers, predicate: Predicate) -> npt.NDArray[np.bool_]:
    """Where a predicate holds of whole numbers, none of which is missing."""
    match predicate:
        case Among(_, numbers):
            return np.isin(values, np.array(numbers))
        case Within(_, low, high):
            return _from(values, low) & _to(values, high)
    assert isinstance(predicate, Present)
    return np.ones(len(values), bool)


def _from(values: Numbers, low: Any) -> npt.NDArray[np.bool_]:
    return np.ones(len(values), bool) if low is None else values >= low


def _to(values: Numbers, high: Any) -> npt.NDArray[np.bool_]:
    return np.ones(len(values), bool) if high is None else values <= high
