"""Columns between DuckDB and numpy; no rule of identity lives here."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.identity.model import Ints


def fetch(con: duckdb.DuckDBPyConnection, query: str) -> dict[str, NDArray[Any]]:
    """The columns of `query` as numpy arrays, not to be written to; the query must not return nulls.

    By way of polars: DuckDB's own way to numpy takes six times as long.
    """
    frame: pl.DataFrame = con.sql(query).pl()
    assert not any(column.null_count() for column in frame), query
    return {column.name: column.to_numpy() for column in frame}


def one_row(con: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    """The only row of `query`, read to its end: the next query may be a relation, which waits for nobody."""
    (row,) = con.execute(query).fetchall()
    return tuple(row)


def is_there(con: duckdb.DuckDBPyConnection, query: str) -> bool:
    """Whether `query`, which should be limited, has a row."""
    return bool(con.execute(query).fetchall())


def fetch_ints(con: duckdb.DuckDBPyConnection, query: str) -> list[Ints]:
    """The columns of `query`, all integers without nulls, in the order of the select list."""
    return list(fetch(con, query).values())


def fetch_texts(con: duckdb.DuckDBPyConnection, query: str) -> pl.DataFrame:
    """The columns of `query` in its order, each in one piece; polars moves texts by reference."""
    frame: pl.DataFrame = con.sql(query).pl()
    return frame.rechunk()


def gather(texts: pl.Series, positions: Ints) -> pl.Series:
    """The text at each of `positions`; null for a position below 0."""
    chosen = pl.Series(positions)
    return texts.gather(chosen.set(chosen < 0, None))


@contextmanager
def registered(con: duckdb.DuckDBPyConnection, view: str, columns: Mapping[str, Any] | pa.Table) -> Iterator[None]:
    """Offer arrays of equal length as the view `view` while the block runs."""
    con.register(view, columns if isinstance(columns, pa.Table) else pa.table(dict(columns)))
    try:
        yield
    except BaseException:
        # A transaction that failed would refuse this too, and hide why.
        with suppress(duckdb.TransactionException):
            con.unregister(view)
        raise
    con.unregister(view)


def store(con: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, Any]) -> None:
    """Create the temporary table `table` from arrays of equal length, in their order."""
    view = f"{table}_columns"
    with registered(con, view, columns):
        con.execute(f"create or replace temp table {table} as select * from {view}")


def number_rows(con: duckdb.DuckDBPyConnection, table: str, column: str) -> None:
    """Count the rows of the table from 0 in its empty `column`; a window function would count with one thread.

    Row ids follow each other, but begin with 0 only after the transaction that wrote the table.
    """
    con.execute(f"update {table} set {column} = rowid - (select min(rowid) from {table})")


def has_repeats(values: NDArray[Any]) -> bool:
    """Whether a value occurs twice: sorting takes a third of the time of counting groups."""
    ordered = pl.Series(values).sort().to_numpy()
    return bool((ordered[1:] == ordered[:-1]).any())


def distinct(values: Ints) -> Ints:
    """The different values, ascending; for dense non-negative integers, where marking beats sorting and hashing."""
    marks = np.zeros(int(values.max(initial=-1)) + 1, dtype=np.bool_)
    marks[values] = True
    return np.flatnonzero(marks)
