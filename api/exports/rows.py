"""One text per row of a query, built by DuckDB and fetched in chunks; what the text looks like is a `RowFormat`.

select concat('<row>', <cell of "a">, <cell of "b">, '</row>')
from (select "a"::varchar as "a", +"b" as "b" from (<query>) as exported) as typed
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from api.exports.sheet import Column, Kind

# Small, because the texts of a chunk are in memory together.
CHUNK_ROWS = 1_000

# RE2. What XML 1.0 has no way to write; a CSV file leaves it out too, so that both files say the same.
UNPRINTABLE = r"\x00-\x08\x0B\x0C\x0E-\x1F\x{FFFE}\x{FFFF}"

# A query whose column is of another type than its kind fails here. Unary plus takes numbers only: a text that poses as
# a number would otherwise reach the file without the care that texts get. Moments are cut to the second, not rounded:
# 23:59:59.9 stays on its day.
_TYPED: Mapping[Kind, str] = {
    "text": '"{}"::varchar',
    "integer": '+"{}"',
    "decimal": '+"{}"',
    "day": '"{}"::date',
    "moment": "date_trunc('second', timezone($export_timezone, \"{}\"::timestamptz))",
    "flag": '"{}"::boolean',
}

CellSql = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class RowFormat:
    """How a row is spelt. `cells` and `heading` turn the SQL of a value into the SQL of its cell, which is never null.

    `begin`, `between` and `end` are plain texts without quotes.
    """

    begin: str
    between: str
    end: str
    cells: Mapping[Kind, CellSql]
    heading: CellSql

    def sql(self, cells: Sequence[str], source: str) -> str:
        """A query for one text per row of `source`."""
        between = f", '{self.between}', " if self.between else ", "
        return f"select concat('{self.begin}', {between.join(cells)}, '{self.end}') from ({source}) as typed"


def heading_row(cursor: duckdb.DuckDBPyConnection, columns: Sequence[Column], form: RowFormat) -> str:
    """The text of the heading row; labels get the same care as values."""
    # A label may carry half a surrogate pair from JSON; DuckDB would refuse it.
    labels = {
        f"label_{number}": column.label.encode("utf-8", "replace").decode() for number, column in enumerate(columns)
    }
    source = ", ".join(f'${label}::varchar as "{column.name}"' for label, column in zip(labels, columns, strict=True))
    cells = [form.heading(f'"{column.name}"') for column in columns]
    (text,) = cursor.execute(form.sql(cells, f"select {source}"), labels).fetchall()[0]
    return str(text)


def row_chunks(
    cursor: duckdb.DuckDBPyConnection,
    query: str,
    values: Mapping[str, Any],
    columns: Sequence[Column],
    form: RowFormat,
    *,
    timezone: str,
) -> Iterator[list[str]]:
    """The rows' texts in the query's order, up to CHUNK_ROWS at a time.

    The cursor is busy until the last chunk; a caller that stops early closes it. Raises what DuckDB raises.
    """
    typed = ", ".join(f'{_TYPED[column.kind].format(column.name)} as "{column.name}"' for column in columns)
    cells = [form.cells[column.kind](f'"{column.name}"') for column in columns]
    # DuckDB refuses a value that the statement does not use.
    zone = {"export_timezone": timezone} if any(column.kind == "moment" for column in columns) else {}
    # The line breaks keep a comment at the query's end from swallowing the bracket.
    cursor.execute(form.sql(cells, f"select {typed} from (\n{query}\n) as exported"), {**values, **zone})
    while rows := cursor.fetchmany(CHUNK_ROWS):
        yield [text for (text,) in rows]
