"""The SQL that turns a file's relation into typed rows with a verdict, and writes them as staged Parquet."""

from dataclasses import dataclass

import duckdb

from pipelines.ingest.normalise import (
    ColumnSql,
    arrival_bounds,
    column_sql,
    missing_column_sql,
    quote_identifier,
    quote_literal,
)
from pipelines.ingest.parse_messages import ParseRequest
from pipelines.ingest.readers import Source
from pipelines.ingest.spelling import Spelling

UNNUMBERED = "cast(null as bigint)"
IN_FILE_ORDER = "row_number() over ()"
# zstd at its lowest level costs no measurable time and writes a third to a fifth of the bytes; disks are slower than
# processors, and the files of large batches stay.
PARQUET_OPTIONS = "format parquet, parquet_version v2, compression zstd, compression_level 1"


@dataclass(frozen=True, slots=True)
class TypedRows:
    """A file's rows as common table expressions `source_rows` (r0, r1, …) and `typed_rows` (v0, v1, …)."""

    source: Source
    columns: tuple[ColumnSql, ...]

    @property
    def is_bad(self) -> str:
        """Whether a row of `typed_rows` has any fault; never null."""
        # As a condition of `case` the predicates are evaluated one after the other, each for the rows still undecided.
        return f"case when {' or '.join(f'({column.is_bad})' for column in self.columns)} then true else false end"

    def steps(self, *, row_number: str, row_text: str | None = None) -> str:
        """The `with` clause; `_row` is the row's number, `_text` its spelling when asked for."""
        raw = [
            f"{self._identifier(column)} as r{position}"
            for position, column in enumerate(self.columns)
            if column.name in self.source.columns
        ]
        text = [f"{row_text} as _text"] if row_text else []
        values = [f"{column.value} as v{position}" for position, column in enumerate(self.columns)]
        return f"""
with
source_rows as (
    select {", ".join([f"{row_number} as _row", *text, *raw])}
    from {self.source.relation}
),
typed_rows as (
    select *, {", ".join(values)}
    from source_rows
)
"""

    def _identifier(self, column: ColumnSql) -> str:
        return self.source.columns[column.name][0]


def typed_rows(request: ParseRequest, source: Source, *, spelling: Spelling = Spelling.ANY) -> TypedRows:
    """How the request's contract reads this source."""
    contract = request.contract
    bounds = arrival_bounds(contract, request.window)
    columns = []
    for position, column in enumerate(contract.columns):
        if column.name not in source.columns:
            columns.append(missing_column_sql(column))
            continue
        columns.append(
            column_sql(
                column,
                raw=f"r{position}",
                value=f"v{position}",
                source_type=source.columns[column.name][1],
                bounds=bounds if bounds and column.name == bounds.column else None,
                spelling=spelling,
            )
        )
    return TypedRows(source, tuple(columns))


def write_staged(con: duckdb.DuckDBPyConnection, request: ParseRequest, rows: TypedRows, *, row_number: str) -> None:
    """Write the staged Parquet, and the spelled one when asked for; raises duckdb.Error for a broken structure."""
    values = ", ".join(
        f"v{position} as {quote_identifier(column.name)}" for position, column in enumerate(rows.columns)
    )
    batch_id = quote_literal(request.batch_id)
    con.execute(
        f"copy ({rows.steps(row_number=row_number)}"
        f" select {values}, {batch_id} as _batch_id, {rows.is_bad} as _bad, _row from typed_rows)"
        f" to {quote_literal(str(request.staged))} ({PARQUET_OPTIONS})"
    )
    if request.spelled is not None:
        spelled = ", ".join(
            f"r{position} as {quote_identifier(column.name)}"
            for position, column in enumerate(rows.columns)
            if column.name in rows.source.columns
        )
        con.execute(
            f"copy ({rows.steps(row_number=row_number)} select {spelled}, _row from source_rows)"
            f" to {quote_literal(str(request.spelled))} ({PARQUET_OPTIONS})"
        )


def staged_counts(con: duckdb.DuckDBPyConnection, request: ParseRequest) -> tuple[int, int]:
    """Good and bad rows of the staged file."""
    row = con.execute(
        "select count(*) filter (where not _bad), count(*) filter (where _bad) from read_parquet($staged)",
        {"staged": str(request.staged)},
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])
