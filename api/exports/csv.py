"""A query as a CSV file that Excel opens as meant: UTF-8 with BOM, RFC 4180, CRLF, no text taken for a formula."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import duckdb

from api.exports.rows import UNPRINTABLE, CellSql, RowFormat, heading_row, row_chunks
from api.exports.sheet import Column
from api.exports.target import open_target

# What a spreadsheet calculates, the full-width signs of a Chinese keyboard among it; blanks before are no protection.
_FORMULA = r"^(\s*[=+\-@＝＋－＠]|[\t\r\n])"


def write_csv(
    file: BinaryIO | Path,
    cursor: duckdb.DuckDBPyConnection,
    query: str,
    values: Mapping[str, Any],
    columns: Sequence[Column],
    *,
    timezone: str,
    on_progress: Callable[[int], None],
) -> int:
    """Write the query's rows as CSV; returns how many. Progress, stopping, zones and errors are those of `write_xlsx`.

    A text that a spreadsheet would calculate begins with an apostrophe; numbers keep their minus. NULL and the empty
    text are empty cells.
    """
    form = _CSV_ROW if len(columns) > 1 else _CSV_ROW_OF_ONE
    written = 0
    with open_target(file) as target:
        target.write(b"\xef\xbb\xbf" + heading_row(cursor, columns, form).encode())
        for rows in row_chunks(cursor, query, values, columns, form, timezone=timezone):
            target.write("".join(rows).encode())
            written += len(rows)
            on_progress(written)
    return written


def _text_cell(value: str) -> str:
    printable = f"regexp_replace({value}, '[{UNPRINTABLE}]', '', 'g')"
    harmless = rf"regexp_replace({printable}, '{_FORMULA}', '''\1')"
    # Mostly a text needs nothing, and one search is cheaper than the care.
    return rf"""
        case
            when {value} is null or {value} = '' then ''
            when not regexp_matches({value}, '[{UNPRINTABLE}\r\n",]|{_FORMULA}') then {value}
            else '"' || replace({harmless}, '"', '""') || '"'
        end"""


def _plain_cell(value: str) -> str:
    return f"coalesce({value}::varchar, '')"


def _flag_cell(value: str) -> str:
    return f"case {value} when true then 'TRUE' when false then 'FALSE' else '' end"


def _never_blank(cell: CellSql) -> CellSql:
    return lambda value: f"""coalesce(nullif({cell(value)}, ''), '""')"""


_CSV_ROW = RowFormat(
    begin="",
    between=",",
    end="\r\n",
    cells={
        "text": _text_cell,
        "integer": _plain_cell,
        "decimal": _plain_cell,
        "day": _plain_cell,
        "moment": _plain_cell,
        "flag": _flag_cell,
    },
    heading=_text_cell,
)
# Where the only cell is empty the line would be blank, and readers skip blank lines.
_CSV_ROW_OF_ONE = replace(
    _CSV_ROW,
    cells={kind: _never_blank(cell) for kind, cell in _CSV_ROW.cells.items()},
    heading=_never_blank(_text_cell),
)
