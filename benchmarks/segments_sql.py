"""Rule by rule as SQL, beside the plan of many: GROUP BY on marts and on the engine's tables, and EXISTS on marts.

Statements come from the compiler's own phases; only the EXISTS form is written here. Loading and asking ClickHouse
belongs to `segments_clickhouse.py`.
"""

from collections.abc import Callable
from typing import Final

import duckdb
from sqlglot import exp

from benchmarks.segments_world import Formulas, World, in_order_of_need, referred_to
from segment_engine.emit import Emitter, Parameters, Sql, column, local, measure_name
from segment_engine.formula import TRUE, Formula, Thing, all_of, mapped, things_of
from segment_engine.layout import NotKeptError, coded, day_column
from segment_engine.operators import FieldType
from segment_engine.plan import is_ordered
from segment_engine.predicates import Column, Follows, HasRows, Holds, InAudience, Measured, OfRows, RowSet, measured_in
from segment_engine.relations import Relations, RowTable, Statement
from segment_engine.statements import KEY, rows_kept, select_customers
from segment_engine.tree import Metric

MEMBERS: Final = "temp.audience_members"
_CODED: Final = "{}_coded"

Members = dict[int, tuple[int, int]]
"""By rule: how many customers, and the sum of their keys."""

Compiled = dict[InAudience, Statement]


def on_marts(world: World, formulas: Formulas) -> Compiled:
    """As an analyst would be given them."""
    relations = _with_members(world.marts)
    return {key: select_customers(formula, relations) for key, formula in in_order_of_need(formulas).items()}


def on_engine(world: World, formulas: Formulas) -> Compiled:
    """The same statements over the engine's tables; what those do not hold is asked of the marts."""
    relations = _engine_relations(world)
    return {
        key: select_customers(_coded_formula(world, formula), relations)
        for key, formula in in_order_of_need(formulas).items()
    }


def as_exists(world: World, formulas: Formulas) -> Compiled:
    """A correlated subquery per leaf; without rules with sequences, first, last or distinct, and who refers to them."""
    compiled: Compiled = {}
    for key, formula in in_order_of_need(formulas).items():
        if all(one in compiled if isinstance(one, InAudience) else _has_exists(one) for one in things_of(formula)):
            compiled[key] = _Exists(world.marts).customers(formula)
    return compiled


def run(world: World, compiled: Compiled, formulas: Formulas) -> Members:
    """Number of customers and sum of their keys, one statement after the other."""
    con = world.connection.cursor()
    con.execute(
        "create or replace temp table audience_members"
        " (audience_kind varchar, audience_id bigint, customer_key integer)"
    )
    needed = referred_to(formulas)
    found: Members = {}
    for key, statement in compiled.items():
        count, total = _totals(con, key, statement, is_needed=key in needed)
        found[key.id] = (int(count), int(total or 0))
    return found


def _totals(
    con: duckdb.DuckDBPyConnection, key: InAudience, statement: Statement, *, is_needed: bool
) -> tuple[int, int]:
    totals = f"select count(*), sum({KEY}) from"
    row: tuple[int, int]
    if not is_needed:
        row = con.execute(f"{totals} ({statement.text})", dict(statement.values)).fetchall()[0]
        return row
    kept = f"insert into {MEMBERS} select 'segment', {key.id}, {KEY} from ({statement.text})"
    con.execute(kept, dict(statement.values))
    row = con.execute(f"{totals} {MEMBERS} where audience_id = {key.id}").fetchall()[0]
    return row


def _with_members(marts: Relations) -> Relations:
    return Relations(marts.zone, marts.customers, marts.sources, audience_members=MEMBERS)


def _engine_relations(world: World) -> Relations:
    """Both sets of tables, the engine's under names of their own; customers are the engine's."""
    coded_ones = {
        _CODED.format(name): _engine_table(stored.table, world.marts.sources[name])
        for name, stored in world.layout.sources.items()
    }
    sources = {**world.marts.sources, **coded_ones}
    return Relations(world.marts.zone, world.layout.customers.table, sources, audience_members=MEMBERS)


def _engine_table(table: str, mart: RowTable) -> RowTable:
    time = mart.time
    if time.type is FieldType.DATETIME:
        time = Column(day_column(time.name), FieldType.DATE)
    return RowTable(table, time, mart.known_at)


def _coded_formula(world: World, formula: Formula) -> Formula:
    is_customer = Holds(Column("is_customer", FieldType.BOOLEAN))
    return all_of([is_customer, mapped(formula, lambda thing: _coded_thing(world, thing))])


def _coded_thing(world: World, thing: Thing) -> Formula:
    match thing:
        case Follows() | InAudience():
            return thing
        case OfRows() if is_ordered(thing):
            return thing
        case HasRows(rows):
            return HasRows(_coded_rows(world, rows))
        case OfRows(rows, predicate):
            return OfRows(_coded_rows(world, rows), predicate)
    return coded(thing, world.layout.customers)


def _coded_rows(world: World, rows: RowSet) -> RowSet:
    kept = rows_kept(rows, world.marts.sources[rows.source])
    try:
        return RowSet(_CODED.format(rows.source), coded(kept, world.layout.sources[rows.source]))
    except NotKeptError:
        return rows


def _has_exists(thing: Thing) -> bool:
    return not (isinstance(thing, Follows) or (isinstance(thing, OfRows) and is_ordered(thing)))


class _Exists:
    """Writes one rule with subqueries that look up each customer's rows."""

    def __init__(self, relations: Relations) -> None:
        self._relations = relations
        self._parameters = Parameters()

    def customers(self, formula: Formula) -> Statement:
        emitter = Emitter(
            self._parameters, lambda name: column(name, "customer"), self._relations.zone, things=self._thing
        )
        table = exp.alias_(exp.to_table(self._relations.customers), "customer", table=True)
        query = exp.select(column(KEY, "customer")).from_(table).where(emitter.formula(formula))
        return Statement(query.sql("duckdb"), self._parameters.values)

    def _thing(self, thing: Thing) -> Sql:
        match thing:
            case HasRows(rows):
                return exp.Exists(this=self._rows(rows, exp.Literal.number(1)))
            case OfRows(rows, predicate):
                measured = self._measured(rows, predicate.term)
                return Emitter(self._parameters, measured, self._relations.zone).formula(predicate)
            case InAudience(_, number):
                found = exp.select("1").from_(exp.alias_(exp.to_table(MEMBERS), "one", table=True))
                is_it = exp.EQ(this=column("audience_id", "one"), expression=exp.Literal.number(number))
                return exp.Exists(this=found.where(_same_key("one"), is_it))
        raise AssertionError(f"{type(thing).__name__} has no such form")

    def _measured(self, rows: RowSet, term: object) -> Callable[[str], Sql]:
        measured = measured_in(term)  # type: ignore[arg-type]
        assert measured is not None

        def found(name: str) -> Sql:
            is_count = name != measure_name(measured)
            return self._rows(rows, self._aggregate(rows, measured, is_count=is_count)).subquery()

        return found

    def _aggregate(self, rows: RowSet, measured: Measured, *, is_count: bool) -> Sql:
        """A metric; `is_count`: how many values an average is of."""
        if measured.metric is Metric.COUNT:
            return exp.Count(this=exp.Star())
        if measured.metric is Metric.DAYS:
            moment = column(self._relations.sources[rows.source].time.name)
            day = exp.Cast(this=local(moment, self._relations.zone), to=exp.DataType.build("date"))
            return exp.Count(this=exp.Distinct(expressions=[day]))
        assert measured.column is not None
        value = column(measured.column.name)
        assert measured.metric in (Metric.SUM, Metric.AVG)
        return exp.Count(this=value) if is_count else exp.Sum(this=value)

    def _rows(self, rows: RowSet, selected: Sql) -> exp.Select:
        table = self._relations.sources[rows.source]
        query = exp.select(selected).from_(exp.alias_(exp.to_table(table.table), "one", table=True))
        kept = rows_kept(rows, table)
        emitter = Emitter(self._parameters, lambda name: column(name, "one"), self._relations.zone)
        conditions = [] if kept == TRUE else [emitter.formula(kept)]
        return query.where(_same_key("one"), *conditions)


def _same_key(table: str) -> Sql:
    return exp.EQ(this=column(KEY, table), expression=column(KEY, "customer"))
