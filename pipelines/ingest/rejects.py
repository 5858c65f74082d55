"""Writing a file's refused rows: for each bad value its line, column, reason and value, and the row as it was spelt."""

from collections.abc import Iterator
from pathlib import Path

import duckdb

from pipelines.ingest.locate import RecordIndex, broken_rows, located_rows
from pipelines.ingest.normalise import quote_identifier, quote_literal
from pipelines.ingest.parse_messages import ParseRequest, Refused
from pipelines.ingest.quarantine import refusal
from pipelines.ingest.staging import IN_FILE_ORDER, TypedRows

SHOWN_VALUE_CHARACTERS = 500
FETCHED_ROWS = 20_000


def write_numbered_rejects(con: duckdb.DuckDBPyConnection, request: ParseRequest, rows: TypedRows) -> None:
    """The rejects of a format that numbers and spells its rows itself (Parquet, spreadsheets)."""
    source = rows.source
    assert source.row_number is not None and source.row_text is not None
    _collect_faults(con, rows, row_number=source.row_number, row_text=source.row_text)
    _write(con, request, "select _row as line, position, column_name, code, value, _text as row from faults")


def write_text_rejects(
    con: duckdb.DuckDBPyConnection, request: ParseRequest, rows: TypedRows, text: Path, index: RecordIndex
) -> None:
    """The rejects of a text file, bad values and broken records; `con` keeps the file's order.

    Raises Refused when no line of a JSONL file has a required column.
    """
    _collect_faults(con, rows, row_number=IN_FILE_ORDER, row_text=None)
    _refuse_absent_columns(con, request, rows, len(index))
    con.register("located_stream", located_rows(text, index, _bad_ordinals(con)))
    con.execute("create table located as select *, row_number() over () as place from located_stream")
    con.register("broken_stream", broken_rows(text, index))
    con.execute("create table broken as select * from broken_stream")
    _write(
        con,
        request,
        """
        with
        bad_rows as (select _row, row_number() over (order by _row) as place from (select distinct _row from faults))
        select located.line, faults.position, faults.column_name, faults.code, faults.value, located.row
        from faults
        join bad_rows using (_row)
        join located using (place)
        union all
        select line, -1, null, 'malformed_row', fault, row from broken
        """,
    )


def _collect_faults(con: duckdb.DuckDBPyConnection, rows: TypedRows, *, row_number: str, row_text: str | None) -> None:
    faults = ", ".join(
        f"{{'position': {position}, 'column_name': {quote_literal(column.name)}, 'code': {column.code},"
        f" 'value': left(cast(r{position} as varchar), {SHOWN_VALUE_CHARACTERS})}}"
        for position, column in enumerate(rows.columns)
        if column.name in rows.source.columns
    )
    text = "_text" if row_text else "null"
    con.execute(
        f"""
        create table faults as
        {rows.steps(row_number=row_number, row_text=row_text)},
        bad_rows as (select _row, {text} as _text, unnest([{faults}]) as fault from typed_rows where {rows.is_bad})
        select _row, _text, fault.position, fault.column_name, fault.code, fault.value
        from bad_rows
        where fault.code is not null
        """
    )


def _bad_ordinals(con: duckdb.DuckDBPyConnection) -> Iterator[int]:
    # A cursor of its own: the stream is read while the connection is busy storing it.
    cursor = con.cursor().execute("select distinct _row from faults order by _row")
    while chunk := cursor.fetchmany(FETCHED_ROWS):
        yield from (int(row) for (row,) in chunk)


def _refuse_absent_columns(con: duckdb.DuckDBPyConnection, request: ParseRequest, rows: TypedRows, total: int) -> None:
    for name in sorted(rows.source.doubtful):
        row = con.execute(
            "select count(*) from faults where column_name = $name and code = 'missing_required'", {"name": name}
        ).fetchone()
        if row is not None and total and row[0] == total:
            raise Refused(refusal("missing_column", request.file.name, column=quote_identifier(name).strip('"')))


def _write(con: duckdb.DuckDBPyConnection, request: ParseRequest, query: str) -> None:
    con.execute(
        f"copy ({query} order by line, position) to {quote_literal(str(request.rejects))}"
        " (format parquet, compression uncompressed)"
    )
