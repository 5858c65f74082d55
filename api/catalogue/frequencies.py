"""SQL that counts the values of one column over the customers whom a caller sees; names are the catalogue's own.

Which field that is, and whether the caller may ask, is decided in `candidates.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import duckdb

from api.customers.repository import Conditions
from segment_engine.catalog import Dictionary
from segment_engine.operators import FieldType

CUSTOMERS: Final = "marts.dim_customer"
_TEXTS: Final = frozenset({FieldType.TEXT, FieldType.OPTION, FieldType.OPTIONS})


@dataclass(frozen=True, slots=True)
class Column:
    """Where the values of a field stand, each row's own, and what they are called."""

    table: str
    name: str
    type: FieldType
    labels: Dictionary | None = None


@dataclass(frozen=True, slots=True)
class Naming:
    """Of which customers the caller may be told labels: everybody's, nobody's, or those of a predicate's."""

    predicate: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Counted:
    """A value with its label, whether that may be told, and in how many rows it stands."""

    value: Any
    label: str | None
    is_named: bool
    rows: int


def most_frequent(
    cursor: duckdb.DuckDBPyConnection,
    column: Column,
    customers: Conditions,
    naming: Naming,
    *,
    search: str | None,
    limit: int,
) -> list[Counted]:
    """The values of these customers' rows, the most frequent first; a label that may not be told is not searched."""
    values = {**customers.values, **naming.values, "row_limit": limit}
    if search is not None:
        values["search"] = search
    return [Counted(*row) for row in cursor.execute(_statement(column, customers, naming, search), values).fetchall()]


def _statement(column: Column, customers: Conditions, naming: Naming, search: str | None) -> str:
    label, labels = "null::varchar", ""
    if column.labels is not None:
        label = f"labels.{column.labels.label}"
        labels = f"left join {column.labels.table} as labels on labels.{column.labels.value} = counted.held"
    return f"""
        with
        counted as (
            select {column.name} as held, {_named(column, naming)} as is_named, count(*) as frequency
            from {column.table}
            where {_is_there(column)}{_seen(column, customers)}
            group by all
        ),
        named as (
            select {_shown(column)} as value, {label} as label, counted.is_named, counted.frequency
            from counted
            {labels}
        )
        select value, label, is_named, frequency
        from named
        where {_found(search)}
        order by frequency desc, value
        limit $row_limit
    """


def _is_there(column: Column) -> str:
    return f"{column.name} <> ''" if column.type in _TEXTS else f"{column.name} is not null"


def _seen(column: Column, customers: Conditions) -> str:
    """Nothing is joined for who sees everybody."""
    return f" and {_of(column, customers.text)}" if customers.parts else ""


def _named(column: Column, naming: Naming) -> str:
    """A label may be told when that of one of the counted customers may."""
    if naming.predicate in ("true", "false"):
        return naming.predicate
    return f"bool_or({_of(column, naming.predicate)})"


def _of(column: Column, predicate: str) -> str:
    """A predicate over customers as one over rows of the table."""
    if column.table == CUSTOMERS:
        return predicate
    return f"customer_key in (select customer_key from {CUSTOMERS} where {predicate})"


def _shown(column: Column) -> str:
    """As filters write it: money in yuan."""
    return "counted.held * 0.01::decimal(3, 2)" if column.type is FieldType.MONEY else "counted.held"


def _found(search: str | None) -> str:
    if search is None:
        return "true"
    wanted = "lower($search)"
    return f"(contains(lower(value::varchar), {wanted}) or (is_named and contains(lower(label), {wanted})))"
