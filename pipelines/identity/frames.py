"""Columns between DuckDB and numpy; no rule of identity lives here."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.identity.model import Ints


def fetch(con: duckdb.DuckDBPyConnection, query: str, parameters: object = None) -> dict[str, NDArray[Any]]:
    """The columns of `query` as numpy arrays; the query must not return nulls."""
    columns = con.execute(query, parameters).fetchnumpy()
    assert not any(isinstance(values, np.ma.MaskedArray) for values in columns.values()), query
    return dict(columns)


def fetch_ints(con: duckdb.DuckDBPyConnection, query: str, parameters: object = None) -> list[Ints]:
    """The columns of `query`, all integers without nulls, as int64 arrays in the order of the select list."""
    return [values.astype(np.int64, copy=False) for values in fetch(con, query, parameters).values()]


def fetch_texts(con: duckdb.DuckDBPyConnection, query: str) -> pa.Table:
    """The text columns of `query` as an Arrow table in the query's order, one chunk per column."""
    return con.sql(query).to_arrow_table().combine_chunks()


@contextmanager
def registered(con: duckdb.DuckDBPyConnection, view: str, columns: Mapping[str, Any]) -> Iterator[None]:
    """Offer arrays of equal length as the view `view` while the block runs."""
    con.register(view, pa.table(dict(columns)))
    try:
        yield
    finally:
        con.unregister(view)


def store(con: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, Any]) -> None:
    """Create the temporary table `table` from arrays of equal length, in their order."""
    view = f"{table}_columns"
    with registered(con, view, columns):
        con.execute(f"create or replace temp table {table} as select * from {view}")


def distinct(values: Ints) -> Ints:
    """The different values, ascending; for dense non-negative integers, where marking beats sorting and hashing."""
    marks = np.zeros(int(values.max(initial=-1)) + 1, dtype=np.bool_)
    marks[values] = True
    return np.flatnonzero(marks)
