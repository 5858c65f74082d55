"""ClickHouse on the same rows: rules as IN subqueries, and as bitmap states that are combined, in their best forms.

Tables are MergeTree by (leading dimension, day), texts are LowCardinality, days stand beside moments. Sequences are not
written here: what ClickHouse calls a funnel counts seconds from the first step. Running it in a process of its own
belongs to `segments_runs.py`.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from benchmarks.segments_sql import Members
from benchmarks.segments_world import Formulas, World, in_order_of_need, referred_to
from segment_engine.formula import All, Always, Formula, No, Some, Thing, things_of
from segment_engine.operators import FieldType
from segment_engine.plan import Plan, plan
from segment_engine.predicates import (
    Among,
    Column,
    Follows,
    Has,
    HasRows,
    Holds,
    InAudience,
    Likeness,
    Matches,
    Measured,
    OfRows,
    Overlap,
    Part,
    PartOf,
    Present,
    RowSet,
    SizeOf,
    Within,
)
from segment_engine.statements import rows_kept
from segment_engine.tidy import holds_over_none
from segment_engine.tree import Metric

_CUSTOMERS: Final = "customer"
_TEXTS: Final = (FieldType.TEXT, FieldType.OPTION)
_NUMBERS: Final = (FieldType.INTEGER, FieldType.MONEY)
_EVERYONE: Final = 0
_RULE: Final = 1_000_000
"""Added to a rule's id it is that of its bitmap; leaves have smaller ones."""
_TOGETHER: Final = 16

W = TypeVar("W")


class NotSaidError(Exception):
    """ClickHouse is not asked this."""


# Loading.


def load(world: World, formulas: Formulas, folder: Path) -> Mapping[str, Any]:
    """Put what the rules ask into MergeTree tables below the folder; rows and bytes on disk."""
    place = folder / "clickhouse"
    shutil.rmtree(place, ignore_errors=True)
    session = _session(place)
    nullable: list[str] = []
    for name, columns in _asked(world, formulas).items():
        nullable += _load_table(world, session, place, name, columns)
    (place / "nullable.json").write_text(json.dumps(nullable))
    sizes = _rows(session, "select sum(rows), sum(bytes_on_disk) from system.parts where active and database = 'd'")
    session.close()
    return {"rows": int(sizes[0][0]), "mib": int(sizes[0][1]) / 2**20}


def _session(place: Path) -> Any:
    # Only this benchmark needs it; it is large.
    from chdb.session import Session  # noqa: PLC0415

    session: Any = Session(str(place))  # type: ignore[no-untyped-call]
    session.query("set max_threads = 2")
    session.query("create database if not exists d")
    session.query("use d")
    return session


def _rows(session: Any, query: str) -> list[list[Any]]:
    found: list[list[Any]] = json.loads(session.query(query, "JSONCompact").bytes())["data"]
    return found


def _asked(world: World, formulas: Formulas) -> dict[str, dict[str, Column]]:
    """The columns of each table that the rules look at, with those that it lies by."""
    asked: dict[str, dict[str, Column]] = {_CUSTOMERS: {}}
    for thing in (thing for formula in formulas.values() for thing in things_of(formula)):
        match thing:
            case HasRows(rows) | OfRows(rows):
                columns = asked.setdefault(rows.source, _laid_by(world, rows.source))
                kept = rows_kept(rows, world.marts.sources[rows.source])
                columns |= {one.name: one for part in things_of(kept) if (one := _column_of(part))}
                if isinstance(thing, OfRows) and (one := _column_of(thing.predicate)) is not None:
                    columns[one.name] = one
            case Follows() | InAudience():
                continue
            case _ if (one := _column_of(thing)) is not None:
                asked[_CUSTOMERS][one.name] = one
    return asked


def _laid_by(world: World, source: str) -> dict[str, Column]:
    known = world.catalog.sources[source]
    names = [known.time, *([known.leading] if known.leading else [])]
    return {name: Column(name, known.fields[name].type) for name in names}


def _column_of(thing: Thing) -> Column | None:
    term = getattr(thing, "term", None)
    while isinstance(term, SizeOf | PartOf | Measured):
        term = term.column
    return term


def _load_table(world: World, session: Any, place: Path, name: str, columns: Mapping[str, Column]) -> list[str]:
    """Load one table; the columns of it that may be null."""
    table = world.marts.customers if name == _CUSTOMERS else world.marts.sources[name].table
    kinds, selected = [("customer_key", "UInt32")], ["customer_key"]
    nullable = []
    for column in columns.values():
        has_nulls, least, greatest = _looked_at(world, table, column)
        for stored, kind, read in _stored(column, least, greatest):
            kinds.append((stored, f"Nullable({kind})" if has_nulls else kind))
            selected.append(f"{read} as {stored}")
            nullable += [f"{name}.{stored}"] if has_nulls else []
    file = place / f"{name}.parquet"
    world.connection.execute(f"copy (select {', '.join(selected)} from {table}) to '{file}' (format parquet)")
    listed = ", ".join(f"{stored} {kind}" for stored, kind in kinds)
    session.query(
        f"create table d.{name} ({listed}) engine = MergeTree order by ({_order(world, name)})"
        " settings allow_nullable_key = 1"
    )
    session.query(f"insert into d.{name} select * from file('{file}', Parquet)")
    session.query(f"optimize table d.{name} final")
    file.unlink()
    return nullable


def _looked_at(world: World, table: str, column: Column) -> tuple[bool, Any, Any]:
    """Whether a value is missing that has no value of its own for it, the least and the greatest."""
    if column.type in (*_TEXTS, FieldType.OPTIONS):
        return False, None, None
    query = f"select count(*) > count({column.name}), min({column.name}), max({column.name}) from {table}"
    row: tuple[bool, Any, Any] = world.connection.execute(query).fetchall()[0]
    return row


def _stored(column: Column, least: Any, greatest: Any) -> list[tuple[str, str, str]]:
    """Name, type and, as DuckDB reads it from the mart, value."""
    name = column.name
    if column.type in _TEXTS:
        return [(name, "LowCardinality(String)", f"coalesce({name}, '')")]
    if column.type is FieldType.OPTIONS:
        return [(name, "Array(LowCardinality(String))", f"coalesce({name}, [])")]
    if column.type is FieldType.BOOLEAN:
        return [(name, "Bool", name)]
    if column.type in _NUMBERS:
        return [(name, "Int32" if least >= -(2**31) and greatest < 2**31 else "Int64", name)]
    day = "Date" if least.year >= 1970 else "Date32"
    if column.type is FieldType.DATE:
        return [(name, day, name)]
    return [(f"{name}__on", day, f"{name}::date"), (name, "Int64", f"epoch_us({name})")]


def _order(world: World, name: str) -> str:
    if name == _CUSTOMERS:
        return "customer_key"
    source = world.catalog.sources[name]
    day = f"{source.time}__on" if source.fields[source.time].type is FieldType.DATETIME else source.time
    return ", ".join([*([source.leading] if source.leading else []), day])


# Asking.


@contextmanager
def opened(
    world: World,
    formulas: Formulas,
    folder: Path,
    work: Callable[[Callable[[], Members], Callable[[Members], Members]], W],
    *,
    bitmaps: bool,
) -> Iterator[W]:
    """The work of one form over what `load` loaded; sums of keys are found outside of what is measured."""
    place = folder / "clickhouse"
    session = _session(place)
    says = _Says(world, frozenset(json.loads((place / "nullable.json").read_text())))
    form = _Bitmaps(session, says, formulas) if bitmaps else _Subqueries(session, says, formulas)
    try:
        yield work(form.run, form.totals)
    finally:
        session.close()


class _Says:
    """Conditions as ClickHouse says them; every leaf is true or false, never null."""

    def __init__(self, world: World, nullable: frozenset[str]) -> None:
        self._world = world
        self._nullable = nullable

    def of_rows(self, formula: Formula, table: str) -> str:
        match formula:
            case Always(value):
                return "1" if value else "0"
            case No(part):
                return f"not ({self.of_rows(part, table)})"
            case All(parts):
                return " and ".join(f"({self.of_rows(part, table)})" for part in parts)
            case Some(parts):
                return " or ".join(f"({self.of_rows(part, table)})" for part in parts)
        return self._predicate(formula, table)

    def rows(self, rows: RowSet) -> str:
        """FROM and WHERE."""
        kept = rows_kept(rows, self._world.marts.sources[rows.source])
        return f"d.{rows.source} where {self.of_rows(kept, rows.source)}"

    def keys(self, thing: HasRows | OfRows) -> str:
        """The customers of a leaf of rows, perhaps several times."""
        if isinstance(thing, HasRows):
            return f"select customer_key from {self.rows(thing.rows)}"
        assert not holds_over_none(thing.predicate)
        having = self._compared(thing.predicate, self._aggregate(thing))
        return f"select customer_key from {self.rows(thing.rows)} group by customer_key having {having}"

    def _predicate(self, thing: Thing, table: str) -> str:
        column = _column_of(thing)
        assert column is not None
        name = column.name
        is_day = isinstance(thing, Within) and not any(isinstance(one, datetime) for one in (thing.low, thing.high))
        if column.type is FieldType.DATETIME and (is_day or isinstance(thing.term, PartOf)):  # type: ignore[attr-defined]
            name = f"{name}__on"
        said = self._said(thing, column, name)
        return f"ifNull({said}, 0)" if f"{table}.{name}" in self._nullable else said

    def _said(self, thing: Thing, column: Column, name: str) -> str:
        match thing:
            case Present():
                if column.type is FieldType.OPTIONS:
                    return f"notEmpty({name})"
                return f"{name} != ''" if column.type in _TEXTS else f"isNotNull({name})"
            case Matches(_, likeness, text):
                return _LIKE[likeness].format(name, _literal(text))
            case Holds():
                return name
            case Has(_, overlap, values):
                assert overlap is not Overlap.SAME
                return f"{_HAS[overlap]}({name}, [{', '.join(map(_literal, values))}])"
            case Among(PartOf(_, part)) | Within(PartOf(_, part)):
                return self._compared(thing, _PARTS[part].format(name))
            case Among() | Within():
                return self._compared(thing, name)
        raise NotSaidError(type(thing).__name__)

    def _compared(self, thing: Thing, value: str) -> str:
        match thing:
            case Among(_, values):
                return f"{value} in ({', '.join(map(_literal, values))})"
            case Within(_, low, high, includes_low, includes_high):
                ends = [
                    *([] if low is None else [f"{value} {'>=' if includes_low else '>'} {_literal(low)}"]),
                    *([] if high is None else [f"{value} {'<=' if includes_high else '<'} {_literal(high)}"]),
                ]
                return " and ".join(ends)
        raise NotSaidError(type(thing).__name__)

    def _aggregate(self, thing: OfRows) -> str:
        term = thing.predicate.term
        assert isinstance(term, Measured)
        time_ = self._world.marts.sources[thing.rows.source].time
        day = f"{time_.name}__on" if time_.type is FieldType.DATETIME else time_.name
        name = "" if term.column is None else term.column.name
        return {
            Metric.COUNT: "count()",
            Metric.DAYS: f"uniqExact({day})",
            Metric.SUM: f"sum({name})",
            Metric.AVG: f"avg({name})",
            Metric.DISTINCT: f"uniqExactIf({name}, {name} != '')",
            Metric.LAST: f"argMax({name}, ({time_.name}, {name}))",
        }[term.metric]


class _Subqueries:
    """A statement per rule; what others refer to is kept as a set of keys."""

    def __init__(self, session: Any, says: _Says, formulas: Formulas) -> None:
        self._session = session
        self._needed = {one.id for one in referred_to(formulas)}
        self._said: dict[int, str] = {}
        for key, formula in in_order_of_need(formulas).items():
            said = _said_or_none(lambda formula=formula: self._condition(says, formula))  # type: ignore[misc]
            if said is not None:
                self._said[key.id] = said

    def _condition(self, says: _Says, formula: Formula) -> str:
        match formula:
            case Always(value):
                return "1" if value else "0"
            case No(part):
                return f"not ({self._condition(says, part)})"
            case All(parts):
                return " and ".join(f"({self._condition(says, part)})" for part in parts)
            case Some(parts):
                return " or ".join(f"({self._condition(says, part)})" for part in parts)
            case HasRows() | OfRows():
                return f"customer_key in ({says.keys(formula)})"
            case InAudience(_, number):
                if number not in self._said:
                    raise NotSaidError(number)
                return f"customer_key in (select customer_key from d.member where rule = {number})"
            case Follows():
                raise NotSaidError("sequence")
        return says.of_rows(formula, _CUSTOMERS)

    def run(self) -> Members:
        self._session.query("create or replace table d.member (rule UInt32, customer_key UInt32) engine = Memory")
        found: Members = {}
        for number, condition in self._said.items():
            source = f"d.customer where {condition}"
            if number in self._needed:
                self._session.query(f"insert into d.member select {number}, customer_key from {source}")
                source = f"d.member where rule = {number}"
            ((count, total),) = _rows(self._session, f"select count(), sum(customer_key) from {source}")
            found[number] = (int(count), int(total))
        return found

    def totals(self, found: Members) -> Members:
        return found


class _Bitmaps:
    """A bitmap state per distinct leaf, then and, or, and-not over states."""

    def __init__(self, session: Any, says: _Says, formulas: Formulas) -> None:
        self._session = session
        self._says = says
        whole: Plan = plan(formulas)  # type: ignore[arg-type]
        things = [*whole.of_customers, *(thing for scan in whole.scans for thing in scan.things)]
        self._numbers: dict[Thing, int] = {thing: number for number, thing in enumerate(things, _EVERYONE + 1)}
        self._of_customers = dict.fromkeys(whole.of_customers)
        self._said: dict[int, str] = {}
        for key, formula in whole.formulas.items():
            said = _said_or_none(lambda formula=formula: self._combined(formula))  # type: ignore[misc]
            if said is not None:
                self._said[key.id] = said  # type: ignore[attr-defined]

    def _combined(self, formula: Formula) -> str:
        match formula:
            case Always(value):
                return _state(_EVERYONE) if value else f"bitmapAndnot({_state(_EVERYONE)}, {_state(_EVERYONE)})"
            case No(part):
                return f"bitmapAndnot({_state(_EVERYONE)}, {self._combined(part)})"
            case All(parts):
                positive = [part for part in parts if not isinstance(part, No)]
                found = _folded("bitmapAnd", [self._combined(part) for part in positive] or [_state(_EVERYONE)])
                for part in parts:
                    found = f"bitmapAndnot({found}, {self._combined(part.part)})" if isinstance(part, No) else found
                return found
            case Some(parts):
                return _folded("bitmapOr", [self._combined(part) for part in parts])
            case InAudience(_, number) if number in self._said:
                return _state(_RULE + number)
        if formula not in self._numbers:
            raise NotSaidError(formula)
        return _state(self._numbers[formula])

    def run(self) -> Members:
        keys = "keys AggregateFunction(groupBitmap, UInt32)"
        self._session.query(f"create or replace table d.leaf (id UInt32, {keys}) engine = Memory")
        self._read_customers()
        for thing, number in self._numbers.items():
            if isinstance(thing, HasRows | OfRows):
                state = f"select {number}, groupBitmapState(customer_key) from ({self._says.keys(thing)})"
                self._session.query(f"insert into d.leaf {state}")
        found: Members = {}
        for number, said in self._said.items():
            self._session.query(f"insert into d.leaf select {_RULE + number}, {said}")
            found[number] = (0, 0)
        return found

    def _read_customers(self) -> None:
        self._session.query(f"insert into d.leaf select {_EVERYONE}, groupBitmapState(customer_key) from d.customer")
        things = list(self._of_customers)
        for first in range(0, len(things), _TOGETHER):
            states = ", ".join(
                f"(toUInt32({self._numbers[one]}), groupBitmapStateIf(customer_key,"
                f" {self._says.of_rows(one, _CUSTOMERS)}))"
                for one in things[first : first + _TOGETHER]
            )
            self._session.query(
                f"insert into d.leaf select one.1, one.2 from (select [{states}] as states from d.customer)"
                " array join states as one"
            )

    def totals(self, found: Members) -> Members:
        """Counting and summing the keys is no part of what is compared."""
        counted = "bitmapCardinality(keys), arraySum(bitmapToArray(keys))"
        query = f"select id - {_RULE}, {counted} from d.leaf where id > {_RULE}"
        totals = {int(number): (int(count), int(total)) for number, count, total in _rows(self._session, query)}
        return {number: totals[number] for number in found}


def _said_or_none(say: Callable[[], str]) -> str | None:
    try:
        return say()
    except NotSaidError:
        return None


def _state(number: int) -> str:
    return f"(select keys from d.leaf where id = {number})"


def _folded(function: str, states: list[str]) -> str:
    found, *rest = states
    for state in rest:
        found = f"{function}({found}, {state})"
    return found


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if isinstance(value, datetime):
        return str(round(value.timestamp() * 1_000_000))
    return f"toDate32('{value}')" if isinstance(value, date) else str(value)


_LIKE: Final = {
    Likeness.CONTAINS: "position({}, {}) > 0",
    Likeness.STARTS_WITH: "startsWith({}, {})",
    Likeness.ENDS_WITH: "endsWith({}, {})",
    Likeness.REGEX: "match({}, {})",
}
_HAS: Final = {Overlap.ANY: "hasAny", Overlap.ALL: "hasAll"}
_PARTS: Final = {
    Part.MONTH: "toMonth({})",
    Part.DAY: "toDayOfMonth({})",
    Part.YEARLY: "(toMonth({0}) * 100 + toDayOfMonth({0}))",
}
