"""Rows of one customer out of marts that are laid out for many, read in two steps.

First where the rows are: a scan of `customer_key` and what the condition names, which a million customers bear. Then
the rows themselves, each by its place: a scan would unpack the long texts of the whole mart. Places hold within one
published version only, so they never leave a request.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

import duckdb

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Spot:
    """Where one row lies: which of the caller's sources it is of, its moment, its place in the mart."""

    source: int
    moment: datetime
    row_id: int


def spots_sql(source: int | str, table: str, *, moment: str, where: str) -> str:
    """A statement for the spots of a mart's rows that meet a condition; `source` is a number or an expression."""
    return f"select {source} as source, {moment} as moment, rowid as row_id from marts.{table} where {where}"


def newest(
    cursor: duckdb.DuckDBPyConnection,
    spots: str,
    values: Mapping[str, Any],
    *,
    after: datetime | None,
    limit: int,
) -> list[Spot]:
    """The newest `limit` spots of a statement, and all that share the moment of the last one; some order.

    With `after`, all of that moment and the newest `limit` older than it: the caller knows which of them are behind
    its cursor. A spot without a moment is none.
    """
    behind = "true" if after is None else "moment <= $after"
    ties = "0" if after is None else "(select count(*) from spots where moment = $after)"
    statement = f"""
        with spots as ({spots})
        select source, moment, row_id
        from spots
        where moment is not null and source is not null and {behind}
        qualify rank() over (order by moment desc) <= $row_limit + {ties}
    """
    told = {**values, "row_limit": limit} | ({} if after is None else {"after": after})
    return [Spot(*found) for found in cursor.execute(statement, told).fetchall()]


def row_ids(cursor: duckdb.DuckDBPyConnection, table: str, where: str, values: Mapping[str, Any]) -> list[int]:
    """The places of a mart's rows that meet a condition."""
    statement = f"select rowid from marts.{table} where {where}"
    return [row_id for (row_id,) in cursor.execute(statement, dict(values)).fetchall()]


def rows_at(
    cursor: duckdb.DuckDBPyConnection, table: str, columns: Iterable[str], places: Sequence[int]
) -> dict[int, Row]:
    """The rows of a mart at these places, by place."""
    if not places:
        return {}
    names = list(dict.fromkeys(columns))
    asked, values = among("rowid", places)
    found = cursor.execute(f"select rowid, {', '.join(names)} from marts.{table} where {asked}", values).fetchall()
    return {row_id: dict(zip(names, told, strict=True)) for row_id, *told in found}


def among(column: str, wanted: Sequence[int] | Sequence[str]) -> tuple[str, dict[str, Any]]:
    """A condition that the column has one of these values, at least one, and the values it names.

    A list of values, whose length DuckDB knows, makes it skip what lies between them; a list in one parameter does not.
    """
    values = {f"{column}_{number}": value for number, value in enumerate(wanted)}
    listed = ", ".join(f"(${name})" for name in values)
    return f"{column} in (select * from (values {listed}))", values


def rows_where(
    cursor: duckdb.DuckDBPyConnection, table: str, columns: Iterable[str], where: str, values: Mapping[str, Any]
) -> list[Row]:
    """The rows of a mart that meet a condition, in some order."""
    return list(rows_at(cursor, table, columns, row_ids(cursor, table, where, values)).values())


def by_source(spots: Iterable[Spot]) -> dict[int, list[Spot]]:
    """Spots by the source they are of."""
    ordered = sorted(spots, key=attrgetter("source"))
    return {source: list(group) for source, group in groupby(ordered, key=attrgetter("source"))}
