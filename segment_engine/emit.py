"""How SQL says a predicate: one expression per predicate, in two dialects, every value a parameter.

Decides nothing: what is said was decided by the phases before. Whole statements are put together in `statements.py`.
Identifiers come from the catalogue, values only ever stand in `Parameters.values`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.dialects.spark import Spark

from segment_engine.catalog import Child
from segment_engine.formula import All, Always, Formula, No, Some, Thing
from segment_engine.operators import FieldType
from segment_engine.predicates import (
    Among,
    Bits,
    Bound,
    Column,
    Compared,
    Has,
    Holds,
    Likeness,
    Matches,
    Measured,
    Order,
    Overlap,
    Part,
    PartOf,
    Present,
    SizeOf,
    Term,
    Within,
)
from segment_engine.tree import Metric

Sql = exp.Expr


class Dialect(StrEnum):
    """What reads the statement."""

    DUCKDB = "duckdb"
    SPARK = "spark"


_TEXTS: Final = frozenset({FieldType.TEXT, FieldType.OPTION})
_PLAIN: Final = re.compile("[a-z_][a-z0-9_]*")
_RESERVED: Final = {
    word.lower() for dialect in (DuckDB, Spark) for word in dialect.Generator.RESERVED_KEYWORDS
}  # fmt: skip
_DAY: Final = timedelta(days=1)
# No moment outside can be told in every zone; nothing that happened to a customer did before or will after.
_FIRST_DAY, _LAST_DAY = date(1, 1, 2), date(9999, 12, 30)
_EXACT_COUNT: Final = exp.DataType.build("decimal(19, 0)")


class Parameters:
    """The values of a statement, each under a name of its own."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._names: dict[tuple[type, Any], str] = {}

    def bind(self, value: Any) -> Sql:
        """The placeholder that stands for a value; equal ones of one type share it."""
        name = self._names.setdefault((type(value), value), f"p{len(self.values)}")
        self.values[name] = value
        return exp.Placeholder(this=name)


def name_of(name: str) -> exp.Identifier:
    """An identifier, quoted where it must be."""
    return exp.Identifier(this=name, quoted=not _PLAIN.fullmatch(name) or name in _RESERVED)


def column(name: str, table: str | None = None) -> Sql:
    """A column, of a table where one is named."""
    return exp.Column(this=name_of(name), table=None if table is None else name_of(table))


def table(name: str) -> exp.Table:
    """A table, `schema.name` or a name alone."""
    schema, _, own = name.rpartition(".")
    return exp.Table(this=name_of(own), db=name_of(schema) if schema else None)


def named(said: Sql, name: str) -> Sql:
    """An expression under a name."""
    return exp.Alias(this=said, alias=name_of(name))


def measure_name(measured: Measured) -> str:
    """The column under which a statement carries a metric."""
    return "row_count" if measured.metric is Metric.COUNT else "_".join(
        [measured.metric.value, *([measured.column.name] if measured.column else [])]
    )  # fmt: skip


COUNT_OF: Final = "present_{}"
"""How many rows have a value; what an exact average is compared by."""


class Emitter:
    """Writes predicates of one relation's rows.

    columns: how a term's column is reached; zone: the tenant's; has_row: for a field with several values, the
    condition that a row of its child table exists, for dialects that ask there
    """

    def __init__(
        self,
        parameters: Parameters,
        columns: Callable[[str], Sql],
        zone: str,
        dialect: Dialect = Dialect.DUCKDB,
        things: Callable[[Thing], Sql] | None = None,
        lists: "Callable[[Column], Lists] | None" = None,
    ) -> None:
        self._parameters = parameters
        self._columns = columns
        self._zone = zone
        self._dialect = dialect
        self._things = things
        self._lists = lists or (lambda one: ListColumn(columns(one.name), dialect))

    def formula(self, formula: Formula) -> Sql:
        """A condition; where it is null, the formula is false."""
        match formula:
            case Always(value):
                return exp.true() if value else exp.false()
            case All(parts):
                return exp.and_(*map(self._nested, parts), copy=False)
            case Some(parts):
                return exp.or_(*map(self._nested, parts), copy=False)
            case No(part):
                return _contrary(self._thing(part))
        return self._thing(formula)

    def _nested(self, formula: Formula) -> Sql:
        said = self.formula(formula)
        return exp.Paren(this=said) if isinstance(said, exp.And | exp.Or) else said

    def _thing(self, thing: Thing) -> Sql:
        emit = _EMITS.get(type(thing))
        if emit is not None:
            return emit(self, thing)
        assert self._things is not None, f"{type(thing).__name__} is nothing that a row can be asked"
        return self._things(thing)

    def present(self, one: Present) -> Sql:
        """Null, an empty text and an empty list are missing."""
        term = one.term
        if isinstance(term, SizeOf) or term.type is FieldType.OPTIONS:
            return self._list_of(term).is_set()
        value = self._value(term)
        if term.type in _TEXTS:
            return exp.NEQ(this=value, expression=exp.Literal.string(""))
        return exp.Not(this=exp.Is(this=value, expression=exp.null()))

    def among(self, one: Among) -> Sql:
        """Equal to one of the values."""
        if _is_average(one.term):
            return exp.or_(*(self._against_average(one.term, exp.EQ, value) for value in one.values), copy=False)
        bound = [self._parameters.bind(value) for value in one.values]
        if len(bound) == 1:
            return exp.EQ(this=self._value(one.term), expression=bound[0])
        return exp.In(this=self._value(one.term), expressions=bound)

    def within(self, one: Within) -> Sql:
        """Between the bounds, each where there is one."""
        parts = []
        if (low := self._low(one)) is not None:
            parts.append(self._against(one.term, exp.GTE if low[1] else exp.GT, low[0]))
        if (high := self._high(one)) is not None:
            parts.append(self._against(one.term, exp.LTE if high[1] else exp.LT, high[0]))
        return exp.and_(*parts, copy=False) if parts else self.present(Present(one.term))

    def _low(self, one: Within) -> tuple[Bound, bool] | None:
        if not self._is_by_days(one, one.low):
            return None if one.low is None else (one.low, one.includes_low)
        return None if one.low < _FIRST_DAY else (self._midnight(one.low), True)  # type: ignore[operator, arg-type]

    def _high(self, one: Within) -> tuple[Bound, bool] | None:
        if not self._is_by_days(one, one.high):
            return None if one.high is None else (one.high, one.includes_high)
        return None if one.high > _LAST_DAY else (self._midnight(one.high + _DAY), False)  # type: ignore[operator, arg-type]

    def _is_by_days(self, one: Within, bound: Bound | None) -> bool:
        return one.term.type is FieldType.DATETIME and isinstance(bound, date) and not isinstance(bound, datetime)

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), ZoneInfo(self._zone))

    def _against(self, term: Term, comparison: type[exp.Binary], bound: Bound) -> Sql:
        if _is_average(term):
            return self._against_average(term, comparison, bound)
        return comparison(this=self._value(term), expression=self._parameters.bind(bound))

    def _against_average(self, term: Term, comparison: type[exp.Binary], bound: Any) -> Sql:
        """sum ≥ value × count instead of sum / count ≥ value: exact, whatever the digits."""
        assert isinstance(term, Measured)
        assert term.column is not None
        count = exp.Cast(this=self._columns(COUNT_OF.format(term.column.name)), to=_EXACT_COUNT.copy())
        scaled = exp.Mul(this=self._parameters.bind(Decimal(bound)), expression=count)
        return comparison(this=self._columns(measure_name(term)), expression=scaled)

    def matches(self, one: Matches) -> Sql:
        """`%` and `_` are ordinary characters."""
        return _LIKE[one.likeness](this=self._value(one.term), expression=self._parameters.bind(one.text))

    def holds(self, one: Holds) -> Sql:
        """The boolean itself."""
        return self._value(one.term)

    def has(self, one: Has) -> Sql:
        """Values of a field with several."""
        values = [self._parameters.bind(value) for value in one.values]
        asked = self._list_of(one.term)
        match one.overlap:
            case Overlap.ANY:
                return asked.has_any(values)
            case Overlap.ALL:
                return asked.has_all(values)
            case Overlap.ONLY:
                return exp.and_(asked.is_set(), asked.has_only(values), copy=False)
        return exp.and_(asked.has_all(values), asked.has_only(values), copy=False)

    def bits(self, one: Bits) -> Sql:
        """Bits of a number."""
        mask = self._parameters.bind(one.mask)
        met = exp.Paren(this=exp.BitwiseAnd(this=self._value(one.term), expression=mask))
        if one.overlap is Overlap.ANY:
            return exp.NEQ(this=met, expression=exp.Literal.number(0))
        return exp.EQ(this=met, expression=mask.copy())

    def compared(self, one: Compared) -> Sql:
        """Two fields of one row; moments by their days."""
        is_moment = one.term.type is FieldType.DATETIME
        said = [self._local_day(term) if is_moment else self._value(term) for term in (one.term, one.other)]
        compared = _COMPARISONS[one.order](this=said[0], expression=said[1])
        # Two empty texts are two missing ones.
        return exp.and_(compared, self.present(Present(one.term)), copy=False) if one.term.type in _TEXTS else compared

    def _local(self, term: Term) -> Sql:
        value = self._value(term)
        return local(value, self._zone) if term.type is FieldType.DATETIME else value

    def _local_day(self, term: Term) -> Sql:
        return exp.Cast(this=self._local(term), to=exp.DataType.build("date"))

    def _value(self, term: Term) -> Sql:
        if isinstance(term, SizeOf):
            return self._list_of(term).size()
        if isinstance(term, PartOf):
            return _part(self._local(term.column), term.part)
        return self._columns(term.name if isinstance(term, Column) else measure_name(term))

    def _list_of(self, term: Term) -> "Lists":
        if isinstance(term, SizeOf):
            return self._list_of(term.column)
        if isinstance(term, Column):
            return self._lists(term)
        assert isinstance(term, Measured)
        return ListColumn(self._columns(measure_name(term)), self._dialect)


def _contrary(said: Sql) -> Sql:
    """Null is false, so that its contrary is true: ordinary logic has two values."""
    if isinstance(said, exp.Not) and isinstance(said.this, exp.Is):
        return said.this
    return exp.Not(this=exp.Is(this=exp.Paren(this=said), expression=exp.true()))


class Lists:
    """How one dialect asks a field with several values."""

    def is_set(self) -> Sql:
        """It has a value."""
        raise NotImplementedError

    def size(self) -> Sql:
        """How many different ones; null for none."""
        raise NotImplementedError

    def has_any(self, values: Sequence[Sql]) -> Sql:
        """One of these."""
        raise NotImplementedError

    def has_all(self, values: Sequence[Sql]) -> Sql:
        """Each of these."""
        raise NotImplementedError

    def has_only(self, values: Sequence[Sql]) -> Sql:
        """No other than these; also where it has none."""
        raise NotImplementedError


_FEW: Final = 4
"""Asking a list for so many values one by one is quicker: DuckDB builds a table per row to compare two lists."""


class ListColumn(Lists):
    """The values are a list in the row."""

    def __init__(self, column: Sql, dialect: Dialect) -> None:
        self._column = column
        self._names = _LIST_FUNCTIONS[dialect]

    def is_set(self) -> Sql:
        size = exp.ArraySize(this=self._column.copy())
        return exp.GT(this=size, expression=exp.Literal.number(0))

    def size(self) -> Sql:
        # An empty list is missing, and has no size.
        size = exp.ArraySize(this=exp.ArrayDistinct(this=self._column.copy()))
        return exp.Nullif(this=size, expression=exp.Literal.number(0))

    def has_any(self, values: Sequence[Sql]) -> Sql:
        if len(values) <= _FEW:
            return exp.or_(*map(self._has, values), copy=False)
        return self._call("has_any", self._column.copy(), exp.Array(expressions=list(values)))

    def has_all(self, values: Sequence[Sql]) -> Sql:
        if len(values) <= _FEW:
            return exp.and_(*map(self._has, values), copy=False)
        return self._call("has_all", self._column.copy(), exp.Array(expressions=list(values)))

    def _has(self, value: Sql) -> Sql:
        return exp.ArrayContains(this=self._column.copy(), expression=value.copy())

    def has_only(self, values: Sequence[Sql]) -> Sql:
        return self._call("has_all", exp.Array(expressions=[one.copy() for one in values]), self._column.copy())

    def _call(self, name: str, left: Sql, right: Sql) -> Sql:
        return self._names[name](left, right)


class ChildTable(Lists):
    """The values are rows of a child table, which a row finds by its key."""

    def __init__(self, child: Child, table: str) -> None:
        self._child = child
        self._table = table

    def is_set(self) -> Sql:
        return self._exists()

    def size(self) -> Sql:
        different = exp.Count(this=exp.Distinct(expressions=[self._value()]))
        return exp.Nullif(this=self._rows(different).subquery(copy=False), expression=exp.Literal.number(0))

    def has_any(self, values: Sequence[Sql]) -> Sql:
        return self._exists(exp.In(this=self._value(), expressions=list(values)))

    def has_all(self, values: Sequence[Sql]) -> Sql:
        return exp.and_(*(self.has_any([value]) for value in values), copy=False)

    def has_only(self, values: Sequence[Sql]) -> Sql:
        others = exp.Not(this=exp.In(this=self._value(), expressions=[value.copy() for value in values]))
        return exp.Not(this=self._exists(others))

    def _value(self) -> Sql:
        return column(self._child.column, _CHILD)

    def _exists(self, *conditions: Sql) -> Sql:
        return exp.Exists(this=self._rows(exp.Literal.number(1), *conditions))

    def _rows(self, selected: Sql, *conditions: Sql) -> exp.Select:
        key = exp.EQ(this=column(self._child.key, _CHILD), expression=column(self._child.key, self._table))
        rows = exp.alias_(table(self._child.table), _CHILD, table=True)
        return exp.select(selected, copy=False).from_(rows, copy=False).where(key, *conditions, copy=False)


_CHILD: Final = "child"


def local(moment: Sql, zone: str) -> Sql:
    """A moment as the tenant's clocks show it."""
    return exp.AtTimeZone(this=moment, zone=exp.Literal.string(zone))


def _part(day: Sql, part: Part) -> Sql:
    """Month, day, or month and day of a date."""
    if part is not Part.YEARLY:
        return exp.Extract(this=exp.Var(this=part.upper()), expression=day)
    hundreds = exp.Mul(this=_part(day.copy(), Part.MONTH), expression=exp.Literal.number(100))
    return exp.Paren(this=exp.Add(this=hundreds, expression=_part(day, Part.DAY)))


def moment_of_day(day: Sql, zone: str, dialect: Dialect) -> Sql:
    """Midnight of a day in the tenant's zone, as a moment."""
    midnight = exp.cast(day, "timestamp")
    if dialect is Dialect.SPARK:
        return exp.Anonymous(this="to_utc_timestamp", expressions=[midnight, exp.Literal.string(zone)])
    return exp.AtTimeZone(this=midnight, zone=exp.Literal.string(zone))


def sorted_list(values: Sql, dialect: Dialect) -> Sql:
    """A list as the set that it is."""
    name = {Dialect.DUCKDB: "list_sort", Dialect.SPARK: "array_sort"}[dialect]
    return exp.Anonymous(this=name, expressions=[exp.ArrayDistinct(this=values.copy())])


def different_of_lists(values: Sql, dialect: Dialect) -> Sql:
    """Over rows together: how many different single values their lists hold."""
    name = {Dialect.DUCKDB: "list", Dialect.SPARK: "collect_list"}[dialect]
    flat = exp.Anonymous(this="flatten", expressions=[exp.Anonymous(this=name, expressions=[values])])
    size = exp.ArraySize(this=exp.ArrayDistinct(this=flat))
    return exp.Coalesce(this=size, expressions=[exp.Literal.number(0)])


def _is_average(term: Term) -> bool:
    return isinstance(term, Measured) and term.metric is Metric.AVG


def _named(name: str) -> Callable[[Sql, Sql], Sql]:
    return lambda left, right: exp.Anonymous(this=name, expressions=[left, right])


def _contains_all(left: Sql, right: Sql) -> Sql:
    """Spark has no name for it: nothing of the right is missing on the left."""
    rest = exp.Anonymous(this="array_except", expressions=[right, left])
    return exp.EQ(this=exp.ArraySize(this=rest), expression=exp.Literal.number(0))


_LIST_FUNCTIONS: Final[Mapping[Dialect, Mapping[str, Callable[[Sql, Sql], Sql]]]] = {
    Dialect.DUCKDB: {"has_any": _named("list_has_any"), "has_all": _named("list_has_all")},
    Dialect.SPARK: {"has_any": _named("arrays_overlap"), "has_all": _contains_all},
}

_LIKE: Final[Mapping[Likeness, type[exp.Expr]]] = {
    Likeness.CONTAINS: exp.Contains,
    Likeness.STARTS_WITH: exp.StartsWith,
    Likeness.ENDS_WITH: exp.EndsWith,
    Likeness.REGEX: exp.RegexpLike,
}

_COMPARISONS: Final[Mapping[Order, type[exp.Binary]]] = {
    Order.EQ: exp.EQ,
    Order.GT: exp.GT,
    Order.GTE: exp.GTE,
    Order.LT: exp.LT,
    Order.LTE: exp.LTE,
}

_EMITS: Final[Mapping[type, Callable[[Emitter, Any], Sql]]] = {
    Present: Emitter.present,
    Among: Emitter.among,
    Within: Emitter.within,
    Matches: Emitter.matches,
    Holds: Emitter.holds,
    Has: Emitter.has,
    Bits: Emitter.bits,
    Compared: Emitter.compared,
}
