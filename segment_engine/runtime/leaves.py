"""Finding out what a plan asks, on one published version: a scan per set of rows, a few statements for customers.

Scans read the engine's coded tables where those hold what is asked, and the marts where they do not. Each leaf becomes
a bitmap; what filters make of them is `audiences.py`'s.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from segment_engine.formula import Formula, Thing, all_of
from segment_engine.layout import Layout, NotKeptError, coded, coded_sequence, day_column
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
from segment_engine.relations import Relations, Statement
from segment_engine.runtime.bitmaps import Bitmap, of_flags, of_keys
from segment_engine.runtime.columns import Values, different_days, holding, is_answered, read_values, truths
from segment_engine.statements import (
    KEY,
    rows_kept,
    select_columns,
    select_customers,
    select_following,
    select_measured,
    select_rows,
)
from segment_engine.tidy import holds_over_none
from segment_engine.tree import Metric

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
    there are; everyone: those that are customers, without those whom the marts' universe leaves out
    """

    marts: Relations
    layout: Layout | None
    keys: int
    everyone: Bitmap


class LeafReader:
    """Reads leaves through one cursor; `readings` tells what was run. Not for several threads at once.

    A leaf is the same whoever counts as a customer, so that it may be remembered: `everyone` belongs to the algebra.
    """

    def __init__(self, cursor: duckdb.DuckDBPyConnection, version: Version) -> None:
        self.readings: list[Reading] = []
        self._cursor = cursor
        self._version = version
        self._marts = version.marts.of_all_clinics
        self._columns: dict[str, Values] = {}
        layout = version.layout
        # The engine's tables under the marts' names, a row's time told as its day, or as its moment.
        self._by_day = None if layout is None else _engine(version.marts, layout, by_day=True)
        self._by_moment = None if layout is None else _engine(version.marts, layout, by_day=False)

    def of_customers(self, things: Sequence[Predicate | InBucket]) -> Found:
        """Predicates of the customer and buckets; duckdb.Error where the database fails."""
        found: Found = {}
        for thing in things:
            said = self._coded_customer(thing)
            if said is None:
                found[thing] = self._selected(thing, self._marts, thing)
            elif is_answered(said):
                flags = truths(said, self._values, self._version.keys)
                found[thing] = of_flags(flags)
            else:
                assert self._by_day is not None
                found[thing] = self._selected(said, self._by_day, thing)
        return found

    def of_rows(self, scan: Scan) -> Found:
        """Everything that is asked of one set of rows."""
        counted = [thing for thing in scan.things if is_counted(thing)]
        rest = [thing for thing in scan.things if isinstance(thing, OfRows) and not is_counted(thing)]
        own = [thing for thing in rest if is_ordered(thing)]
        summed = [thing for thing in rest if _is_summed(thing)]
        dated = [thing for thing in rest if _metric(thing) is Metric.DAYS]
        aggregated = [thing for thing in rest if thing not in own and thing not in summed and thing not in dated]
        rows, relations = self._coded_rows(scan.rows)
        found = self._counted(rows, relations, counted) if counted else {}
        for column, things in _by_column(summed).items():
            found |= self._summed(rows, relations, column, things)
        if dated and relations is self._by_day:
            found |= self._dated(rows, dated)
        else:
            aggregated += dated
        found |= self._measured(rows, relations, aggregated)
        return found | self._measured(scan.rows, self._marts, own)

    def of_sequence(self, sequence: Follows) -> Found:
        """Customers whose rows hold a sequence."""
        steps, relations = self._coded_sequence(sequence)
        keys = self._run(select_following(steps, relations), (sequence,))[KEY]
        return {sequence: of_keys(keys, self._version.keys)}

    def _coded_sequence(self, sequence: Follows) -> tuple[Follows, Relations]:
        """The same sequence over the engine's tables, where they hold all that it asks."""
        layout, marts = self._version.layout, self._marts
        if layout is None or self._by_moment is None:
            return sequence, marts
        try:
            return coded_sequence(
                sequence, layout, lambda rows: rows_kept(rows, marts.sources[rows.source])
            ), self._by_moment
        except NotKeptError:
            return sequence, marts

    def _coded_customer(self, thing: Predicate | InBucket) -> Formula | None:
        if self._version.layout is None or isinstance(thing, InBucket) or self._marts.history_on is not None:
            return None
        try:
            return coded(thing, self._version.layout.customers)
        except NotKeptError:
            return None

    def _coded_rows(self, rows: RowSet) -> tuple[RowSet, Relations]:
        """The same rows of the engine's table, where it holds what is asked of them."""
        marts = self._marts
        if self._version.layout is None or rows.source not in self._version.layout.sources:
            return rows, marts
        kept = rows_kept(rows, marts.sources[rows.source])
        try:
            where = coded(kept, self._version.layout.sources[rows.source])
        except NotKeptError:
            return rows, marts
        assert self._by_day is not None
        return RowSet(rows.source, where), self._by_day

    def _selected(self, said: Formula, relations: Relations, thing: Thing) -> Bitmap:
        statement = select_customers(said, relations, pretty=False)
        return of_keys(self._run(statement, (thing,))[KEY], self._version.keys)

    def _values(self, name: str) -> Values:
        """A column of the engine's customers, in order of their keys; read once."""
        if name not in self._columns:
            assert self._version.layout is not None
            names = (name,) if self._columns else (KEY, name)
            table = self._run_arrow(select_columns(names, self._version.layout.customers.table), ())
            if not self._columns:
                # The place of a value is its key: the table was written in that order, which is worth one look.
                in_order = np.array_equal(table.column(KEY).to_numpy(), np.arange(self._version.keys))
                assert in_order, "keys are out of order"
            self._columns[name] = read_values(table.column(name))
        return self._columns[name]

    def _counted(self, rows: RowSet, relations: Relations, things: Sequence[Thing]) -> Found:
        keys = self._run(select_rows(rows, relations), things)[KEY]
        measured = [thing for thing in things if isinstance(thing, OfRows)]
        found: Found = {}
        if len(measured) < len(things):
            found = {thing: of_keys(keys, self._version.keys) for thing in things if isinstance(thing, HasRows)}
        if measured:
            counts = np.bincount(keys, minlength=self._version.keys)
            found |= {thing: of_flags(_held(counts, thing)) for thing in measured}
        return found

    def _summed(self, rows: RowSet, relations: Relations, column: str, things: Sequence[OfRows]) -> Found:
        """Sums of whole numbers; those too large to be exact here are the database's."""
        read = self._run(select_rows(rows, relations, (column,)), things)
        keys, values = read[KEY], read[column]
        if np.ma.isMaskedArray(values):
            there = ~np.ma.getmaskarray(values)
            keys, values = keys[there], values.data[there]
        if _largest_sum(values) >= _EXACT:
            return self._measured(rows, relations, things)
        sums = np.bincount(keys, weights=values, minlength=self._version.keys).astype(np.int64)
        held = {thing: _held(sums, thing) for thing in things}
        # Over no rows a sum is missing, and 0 here.
        if any(_holds_of_zero(thing) for thing in things):
            present = np.bincount(keys, minlength=self._version.keys) > 0
            held = {thing: flags & present for thing, flags in held.items()}
        return {thing: of_flags(flags) for thing, flags in held.items()}

    def _dated(self, rows: RowSet, things: Sequence[OfRows]) -> Found:
        """On how many days: pairs of key and day, sorted here."""
        assert self._by_day is not None
        day = self._by_day.sources[rows.source].time.name
        statement = select_rows(
            replace(rows, where=all_of([rows.where, Present(Column(day, FieldType.DATE))])), self._by_day, (day,)
        )
        table = self._run_arrow(statement, things)
        keys, days = table.column(KEY).to_numpy(), table.column(day).cast(pa.int32()).to_numpy()
        # Who has fewer rows than the fewest days that are asked for has fewer days, whichever they are.
        enough = (np.bincount(keys, minlength=self._version.keys) >= min(map(_least, things)))[keys]
        found = different_days(keys[enough], days[enough], self._version.keys)
        return {thing: of_flags(_held(found, thing)) for thing in things}

    def _measured(self, rows: RowSet, relations: Relations, things: Sequence[OfRows]) -> Found:
        """Aggregates of the database; who has no rows is told apart where nothing would do."""
        if not things:
            return {}
        read = self._run(select_measured(rows, [thing.predicate for thing in things], relations), things)
        keys = read[KEY]
        found: Found = {}
        for index, thing in enumerate(things):
            holding = of_keys(keys[read[f"t{index}"].astype(bool)], self._version.keys)
            found[thing] = holding | self._besides(keys) if holds_over_none(thing.predicate) else holding
        return found

    def _besides(self, keys: Numbers) -> Bitmap:
        flags = np.ones(self._version.keys, bool)
        flags[keys] = False
        return of_flags(flags)

    def _run(self, statement: Statement, answers: Sequence[Thing]) -> dict[str, Any]:
        began = time.perf_counter()
        # A relation's rows come as columns at once; those of an executed statement are kept as rows first.
        read = self._cursor.sql(statement.text, params=dict(statement.values)).fetchnumpy()
        self._note(statement, len(read[KEY]), began, answers)
        return read

    def _run_arrow(self, statement: Statement, answers: Sequence[Thing]) -> pa.Table:
        began = time.perf_counter()
        table = self._cursor.sql(statement.text, params=dict(statement.values)).to_arrow_table()
        self._note(statement, table.num_rows, began, answers)
        return table

    def _note(self, statement: Statement, rows: int, began: float, answers: Sequence[Thing]) -> None:
        self.readings.append(Reading(statement.text, rows, time.perf_counter() - began, tuple(answers)))


def _engine(marts: Relations, layout: Layout, *, by_day: bool) -> Relations:
    tables = {name: marts.sources[name] for name in layout.sources if name in marts.sources}
    if by_day:
        tables = {name: replace(table, time=_day_of(table.time)) for name, table in tables.items()}
    return Relations(
        zone=marts.zone,
        customers=layout.customers.table,
        sources={name: replace(table, table=layout.sources[name].table) for name, table in tables.items()},
    )


def _day_of(time_: Column) -> Column:
    return Column(day_column(time_.name), FieldType.DATE) if time_.type is FieldType.DATETIME else time_


def _largest_sum(values: Numbers) -> float:
    """What no sum of some of the values can exceed."""
    return len(values) * max(float(values.max()), -float(values.min())) if len(values) else 0.0


def _holds_of_zero(thing: OfRows) -> bool:
    return bool(_held(np.zeros(1, np.int64), thing)[0])


def _is_summed(thing: OfRows) -> bool:
    measured = measured_in(thing.predicate.term)
    return measured is not None and measured.metric is Metric.SUM and measured.type in _WHOLE


def _metric(thing: OfRows) -> Metric:
    measured = measured_in(thing.predicate.term)
    assert measured is not None
    return measured.metric


def _least(thing: OfRows) -> int:
    """The fewest days that a customer may have of whom it holds; 0 where it says nothing of that."""
    match thing.predicate:
        case Among(_, values):
            return min(values)  # type: ignore[return-value]
        case Within(_, low) if low is not None:
            return low  # type: ignore[return-value]
    return 0


def _by_column(things: Sequence[OfRows]) -> dict[str, list[OfRows]]:
    found: dict[str, list[OfRows]] = {}
    for thing in things:
        measured = measured_in(thing.predicate.term)
        assert measured is not None
        assert measured.column is not None
        found.setdefault(measured.column.name, []).append(thing)
    return found


def _held(values: Numbers, thing: OfRows) -> npt.NDArray[np.bool_]:
    """Where a metric, which is there for every key, is as it should be."""
    if isinstance(thing.predicate, Present):
        return np.ones(len(values), bool)
    assert isinstance(thing.predicate, Among | Within)
    return holding(values, thing.predicate)
