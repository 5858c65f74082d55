"""Whole statements from resolved formulas: one filter as an analyst reads it, and the scans that many share.

How a single predicate is said belongs to `emit.py`, sequences to `follows.py`, what is asked together to `plan.py`. One
common table expression per set of rows, named after its source; each has at most one row per customer.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from itertools import count
from typing import Final

from sqlglot import exp

from segment_engine.catalog import Child
from segment_engine.emit import (
    COUNT_OF,
    ChildTable,
    Dialect,
    Emitter,
    ListColumn,
    Lists,
    Parameters,
    Sql,
    column,
    different_of_lists,
    local,
    measure_name,
    moment_of_day,
    name_of,
    named,
    sorted_list,
)
from segment_engine.emit import table as table_of
from segment_engine.follows import Chains
from segment_engine.formula import TRUE, Formula, Thing, all_of, no, things_of
from segment_engine.operators import FieldType
from segment_engine.predicates import (
    Column,
    Follows,
    HasRows,
    InAudience,
    InBucket,
    Measured,
    OfRows,
    Predicate,
    Present,
    RowSet,
    measured_in,
)
from segment_engine.relations import CREATED_AT, Relations, RowTable, Statement
from segment_engine.tidy import within
from segment_engine.tree import METRICS_OF_ROWS, Metric

KEY: Final = "customer_key"
_CUSTOMER: Final = "customer"
_ORDERED: Final = frozenset({Metric.FIRST, Metric.LAST})
_BUCKETS: Final = 100


def select_customers(
    formula: Formula,
    relations: Relations,
    dialect: Dialect = Dialect.DUCKDB,
    *,
    only: int | None = None,
    pretty: bool = True,
) -> Statement:
    """One filter: the keys of its customers, each once, in no order; with `only`, of this customer or of nobody."""
    return _Writer(relations, dialect).customers(formula, only, pretty=pretty)


def select_rows(rows: RowSet, relations: Relations, columns: Sequence[str] = ()) -> Statement:
    """The keys of the customers of a set of rows, one per row, with more of their columns."""
    writer = _Writer(relations, Dialect.DUCKDB)
    return writer.statement(writer.rows(rows, *(column(name) for name in (KEY, *columns))))


def select_columns(names: Sequence[str], table: str) -> Statement:
    """Columns of every row of a table, as it lies."""
    query = exp.select(*map(column, names), copy=False).from_(table_of(table), copy=False)
    return Statement(query.sql(Dialect.DUCKDB.value), {})


def select_measured(rows: RowSet, predicates: Sequence[Predicate], relations: Relations) -> Statement:
    """Per customer with such rows: the key, and whether each predicate holds of what is measured, `t0`, `t1`, …"""
    return _Writer(relations, Dialect.DUCKDB).measured(rows, predicates)


def select_values(rows: RowSet, terms: Sequence[Measured], relations: Relations) -> Statement:
    """Per customer with such rows: what each metric is, under `measure_name`; of an average the sum, and the count."""
    return _Writer(relations, Dialect.DUCKDB).values(rows, terms)


def select_following(sequence: Follows, relations: Relations) -> Statement:
    """The keys of the customers whose rows hold the sequence."""
    writer = _Writer(relations, Dialect.DUCKDB)
    return writer.statement(exp.select(column(KEY), copy=False).from_(table_of(writer.sequence(sequence))))


def rows_kept(rows: RowSet, table: RowTable) -> Formula:
    """What a row must satisfy, its becoming known included; a row that does not say when it was is known."""
    if rows.known_by is None or table.known_at is None:
        return rows.where
    known_by: date | datetime = rows.known_by
    if table.known_at.type is FieldType.DATE:
        known_by = rows.known_by.date()
    return all_of([rows.where, no(within(table.known_at, known_by, None, includes_low=False))])


class _Writer:
    """One statement: its parameters, and its common table expressions in the order in which they need each other."""

    def __init__(self, relations: Relations, dialect: Dialect) -> None:
        self._relations = relations
        self._dialect = dialect
        self._parameters = Parameters()
        self._ctes: dict[str, exp.Query] = {}
        # Where each measure of a set of rows stands; a set of rows itself stands under None.
        self._places: dict[tuple[RowSet, Measured | None], str] = {}
        self._sequences: dict[Follows, str] = {}

    def statement(self, query: exp.Select, *, pretty: bool = False) -> Statement:
        """The text of a query with its common table expressions, and the values of its parameters."""
        for name, cte in self._ctes.items():
            query = query.with_(name_of(name), as_=cte, copy=False)
        return Statement(query.sql(self._dialect.value, pretty=pretty, copy=False), self._parameters.values)

    def customers(self, formula: Formula, only: int | None, *, pretty: bool) -> Statement:
        """The statement of one filter."""
        formula = all_of([self._relations.universe, formula])
        for rows, terms in _measured_in(formula).items():
            self._measure(rows, terms)
        query = self._joined(exp.select(column(KEY, _CUSTOMER), copy=False).from_(self._customers(), copy=False))
        query = query.where(self._of_customers().formula(formula), copy=False)
        if only is not None:
            query = query.where(exp.EQ(this=column(KEY, _CUSTOMER), expression=self._parameters.bind(only)), copy=False)
        return self.statement(query, pretty=pretty)

    def measured(self, rows: RowSet, predicates: Sequence[Predicate]) -> Statement:
        """The statement of `select_measured`."""
        self._measure(rows, dict.fromkeys(_measured(one) for one in predicates))
        base = self._places[rows, None]
        said = (self._of_rows(rows, one, counts_nobody=False).formula(one) for one in predicates)
        query = exp.select(column(KEY, base), *map(_truth, count(), said), copy=False)
        return self.statement(self._joined(query.from_(table_of(base), copy=False), base))

    def values(self, rows: RowSet, terms: Sequence[Measured]) -> Statement:
        """The statement of `select_values`."""
        self._measure(rows, dict.fromkeys(terms))
        base = self._places[rows, None]
        said = [column(measure_name(term), self._places[rows, term]) for term in terms]
        counts = [column(COUNT_OF.format(term.column.name), base) for term in terms if _is_average(term)]  # type: ignore[union-attr]
        query = exp.select(column(KEY, base), *said, *counts, copy=False)
        return self.statement(self._joined(query.from_(table_of(base), copy=False), base))

    def sequence(self, sequence: Follows) -> str:
        """The name of the expression that holds a sequence's customers."""
        if sequence not in self._sequences:
            name = f"sequence_{len(self._sequences) + 1}"
            chains = Chains(
                sequence,
                lambda index: self._step(sequence, index),
                self._parameters,
                self._relations.zone,
                self._dialect,
            )
            self._ctes |= dict(chains.steps(name))
            self._sequences[sequence] = name
        return self._sequences[sequence]

    def rows(self, rows: RowSet, *columns: Sql) -> exp.Select:
        """The rows of a set, with these columns."""
        table = self._relations.sources[rows.source]
        selected = exp.select(*columns, copy=False).from_(table_of(table.table), copy=False)
        kept = rows_kept(rows, table)
        if kept == TRUE:
            return selected
        lists = self._lists(table.children, table.table)
        emitter = Emitter(self._parameters, column, self._relations.zone, self._dialect, lists=lists)
        return selected.where(emitter.formula(kept), copy=False)

    def _customers(self) -> Sql:
        """The customers' table; of a past day, their versions that held then, or those who had come by then."""
        customers = table_of(self._relations.customers)
        if (created_by := self._relations.created_by) is not None:
            came = exp.LTE(this=column(CREATED_AT), expression=self._parameters.bind(created_by))
            there = exp.select(exp.Star()).from_(customers, copy=False).where(came, copy=False)
            return there.subquery(_CUSTOMER, copy=False)
        if (day := self._relations.history_on) is None:
            return exp.alias_(customers, _CUSTOMER, table=True)
        began = exp.LTE(this=column("valid_from"), expression=self._parameters.bind(day))
        ended = exp.GT(this=column("valid_to"), expression=self._parameters.bind(day))
        held = exp.or_(exp.Is(this=column("valid_to"), expression=exp.null()), ended, copy=False)
        then = exp.select(exp.Star()).from_(customers, copy=False).where(began, held, *self._still(), copy=False)
        return then.subquery(_CUSTOMER, copy=False)

    def _still(self) -> list[Sql]:
        """Who was a customer then and is none now, because of a merge, is the customer whom the rows belong to now."""
        if self._relations.present is None:
            return []
        present = exp.select(column(KEY), copy=False).from_(table_of(self._relations.present), copy=False)
        return [exp.In(this=column(KEY), query=present.subquery(copy=False))]

    def _joined(self, query: exp.Select, base: str = _CUSTOMER) -> exp.Select:
        """Each measure's expression, which has at most one row per customer, beside the customers."""
        for name in dict.fromkeys(self._places.values()):
            if name != base:
                on = exp.EQ(this=column(KEY, name), expression=column(KEY, base))
                query = query.join(table_of(name), on=on, join_type="left", copy=False)
        return query

    def _of_customers(self) -> Emitter:
        return Emitter(
            self._parameters,
            lambda name: column(name, _CUSTOMER),
            self._relations.zone,
            self._dialect,
            things=self._thing,
            lists=self._lists(self._relations.children, _CUSTOMER),
        )

    def _of_rows(self, rows: RowSet, predicate: Predicate, *, counts_nobody: bool = True) -> Emitter:
        """Of what is measured over rows; a customer without rows, who is joined with nothing, counts 0."""
        term = _measured(predicate)
        place = self._places[rows, term]
        zero = counts_nobody and term.metric in METRICS_OF_ROWS

        def measured(name: str) -> Sql:
            found = column(name, place)
            return exp.Coalesce(this=found, expressions=[exp.Literal.number(0)]) if zero else found

        return Emitter(self._parameters, measured, self._relations.zone, self._dialect)

    def _lists(self, children: Mapping[str, Child], table: str) -> Callable[[Column], Lists]:
        """Spark asks the child tables, DuckDB the lists that it keeps in the row."""

        def lists(one: Column) -> Lists:
            child = children.get(one.name) if self._dialect is Dialect.SPARK else None
            if child is None:
                return ListColumn(column(one.name, _CUSTOMER if table == _CUSTOMER else None), self._dialect)
            return ChildTable(child, table.rpartition(".")[2])

        return lists

    def _thing(self, thing: Thing) -> Sql:
        match thing:
            case HasRows(rows):
                return exp.Not(this=exp.Is(this=column(KEY, self._places[rows, None]), expression=exp.null()))
            case OfRows(rows, predicate):
                return self._of_rows(rows, predicate).formula(predicate)
            case InAudience(kind, id_):
                return self._is_among(self._audience(kind, id_))
            case InBucket(salt, first, end):
                return self._bucket(salt, first, end)
            case Follows():
                return self._is_among(exp.select(column(KEY), copy=False).from_(table_of(self.sequence(thing))))
        raise AssertionError(f"{type(thing).__name__} is nothing of customers")

    def _is_among(self, query: exp.Select) -> Sql:
        return exp.In(this=column(KEY, _CUSTOMER), query=query.subquery(copy=False))

    def _audience(self, kind: str, id_: int) -> exp.Select:
        return (
            exp.select(column(KEY), copy=False)
            .from_(table_of(self._relations.audience_members), copy=False)
            .where(
                exp.EQ(this=column("audience_kind"), expression=self._parameters.bind(str(kind))),
                exp.EQ(this=column("audience_id"), expression=self._parameters.bind(id_)),
                copy=False,
            )
        )

    def _bucket(self, salt: str, first: int, end: int) -> Sql:
        """The first 32 bits of the MD5 of salt, colon and one_id, of 100."""
        salted = exp.DPipe(this=self._parameters.bind(f"{salt}:"), expression=column("one_id", _CUSTOMER))
        digits = exp.Substring(
            this=exp.MD5(this=salted), start=exp.Literal.number(1), length=exp.Literal.number(8)
        )  # fmt: skip
        if self._dialect is Dialect.DUCKDB:
            number: Sql = exp.cast(exp.DPipe(this=exp.Literal.string("0x"), expression=digits), "bigint")
        else:
            conv = exp.Anonymous(this="conv", expressions=[digits, exp.Literal.number(16), exp.Literal.number(10)])
            number = exp.cast(conv, "bigint")
        share = exp.Mod(this=number, expression=exp.Literal.number(_BUCKETS))
        return exp.and_(
            exp.GTE(this=share, expression=self._parameters.bind(first)),
            exp.LT(this=share.copy(), expression=self._parameters.bind(end)),
            copy=False,
        )

    def _measure(self, rows: RowSet, terms: Iterable[Measured]) -> None:
        """One expression per set of rows with what is aggregated over it, and one for each first and last."""
        name = f"{rows.source}_{sum(1 for _, term in self._places if term is None) + 1}"
        self._places[rows, None] = name
        aggregated = []
        for term in terms:
            if term.metric in _ORDERED:
                self._places[rows, term] = f"{name}_{measure_name(term)}"
                self._ctes[self._places[rows, term]] = self._ordered(rows, term)
            else:
                self._places[rows, term] = name
                aggregated += self._aggregates(rows, term)
        self._ctes[name] = self.rows(rows, column(KEY), *aggregated).group_by(column(KEY), copy=False)

    def _aggregates(self, rows: RowSet, term: Measured) -> list[Sql]:
        alias = measure_name(term)
        if term.metric is Metric.COUNT:
            return [named(exp.Count(this=exp.Star()), alias)]
        if term.metric is Metric.DAYS:
            day = self._day_of(self._relations.sources[rows.source].time)
            return [named(exp.Count(this=exp.Distinct(expressions=[day])), alias)]
        assert term.column is not None
        value = column(term.column.name)
        if term.metric is Metric.DISTINCT:
            return [named(self._different(term.column), alias)]
        found = [named(_AGGREGATES[term.metric](this=value), alias)]
        if term.metric is Metric.AVG:
            found.append(named(exp.Count(this=value.copy()), COUNT_OF.format(term.column.name)))
        return found

    def _different(self, one: Column) -> Sql:
        """How many different values; of a field with several, single ones."""
        if one.type is FieldType.OPTIONS:
            return different_of_lists(column(one.name), self._dialect)
        value = column(one.name)
        if one.type in (FieldType.TEXT, FieldType.OPTION):
            value = exp.Nullif(this=value, expression=exp.Literal.string(""))
        return exp.Count(this=exp.Distinct(expressions=[value]))

    def _ordered(self, rows: RowSet, term: Measured) -> exp.Select:
        """The field of the first or last row; of rows at one moment the least is first and the greatest last."""
        assert term.column is not None
        is_last = term.metric is Metric.LAST
        value = column(term.column.name)
        time = self._relations.sources[rows.source].time
        by = sorted_list(value, self._dialect) if term.column.type is FieldType.OPTIONS else value
        order = [
            exp.Ordered(this=column(time.name), desc=is_last),
            # A missing value is the least of all.
            exp.Ordered(this=by.copy(), desc=is_last, nulls_first=not is_last),
        ]
        place = exp.Window(
            this=exp.RowNumber(), partition_by=[column(KEY)], order=exp.Order(expressions=order)
        )  # fmt: skip
        timed = exp.Not(this=exp.Is(this=column(time.name), expression=exp.null()))
        ranked = self.rows(rows, column(KEY), named(value, measure_name(term)), named(place, "place"))
        first = exp.EQ(this=column("place"), expression=exp.Literal.number(1))
        return (
            exp.select(column(KEY), column(measure_name(term)), copy=False)
            .from_(ranked.where(timed, copy=False).subquery("ranked", copy=False), copy=False)
            .where(first, copy=False)
        )

    def _step(self, sequence: Follows, index: int | None) -> exp.Select:
        """Key, moment and what must be the same, of the rows of a step or of what must not lie between."""
        rows = sequence.without if index is None else sequence.steps[index]
        assert rows is not None
        time = self._relations.sources[rows.source].time
        selected = [column(KEY), named(self._moment_of(time), "moment")]
        conditions: list[Sql] = [exp.Not(this=exp.Is(this=column(time.name), expression=exp.null()))]
        if sequence.same is not None and index is not None:
            same = column(sequence.same.name)
            if sequence.same.type is FieldType.OPTIONS:
                same = sorted_list(same, self._dialect)
            selected.append(named(same, "same_value"))
            emitter = Emitter(self._parameters, column, self._relations.zone, self._dialect)
            conditions.append(emitter.present(Present(sequence.same)))
        return self.rows(rows, *selected).where(*conditions, copy=False)

    def _moment_of(self, time: Column) -> Sql:
        """A day begins at midnight of the tenant's zone."""
        if time.type is FieldType.DATETIME:
            return column(time.name)
        return moment_of_day(column(time.name), self._relations.zone, self._dialect)

    def _day_of(self, time: Column) -> Sql:
        day = column(time.name)
        if time.type is FieldType.DATE:
            return day
        return exp.Cast(this=local(day, self._relations.zone), to=exp.DataType.build("date"))


def _measured_in(formula: Formula) -> dict[RowSet, list[Measured]]:
    """What a formula asks of which rows, each once."""
    found: dict[RowSet, dict[Measured, None]] = {}
    for thing in things_of(formula):
        if isinstance(thing, HasRows | OfRows):
            terms = found.setdefault(thing.rows, {})
            if isinstance(thing, OfRows):
                terms[_measured(thing.predicate)] = None
    return {rows: list(terms) for rows, terms in found.items()}


def _measured(predicate: Predicate) -> Measured:
    found = measured_in(predicate.term)
    assert found is not None
    return found


def _is_average(term: Measured) -> bool:
    return term.metric is Metric.AVG


def _truth(index: int, said: Sql) -> Sql:
    return named(exp.Is(this=exp.Paren(this=said), expression=exp.true()), f"t{index}")


_AGGREGATES: Final[Mapping[Metric, type[exp.AggFunc]]] = {
    Metric.SUM: exp.Sum,
    Metric.AVG: exp.Sum,
    Metric.MIN: exp.Min,
    Metric.MAX: exp.Max,
}
