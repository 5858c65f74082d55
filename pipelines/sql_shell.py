"""`cdp sql`: read-only SQL over the published version, for a query or at a prompt.

The version is chosen anew for each statement, so a prompt left open over night answers from the newest one.
"""

import csv
import json
import sys
from typing import Any

import duckdb
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pipelines.settings import PipelineSettings
from segment_engine.runtime.published import NothingPublishedError, open_current

HELP = """\
.tables            tables and what they hold / 列出数据表
.describe NAME     columns of one table / 查看字段
.quit              leave / 退出
A statement ends with ;   语句以分号结束"""

TABLES = """
select t.schema_name as schema, t.name, t.comment as description
from (
    select schema_name, table_name as name, comment from duckdb_tables() where not internal
    union all
    select schema_name, view_name, comment from duckdb_views() where not internal
) as t
order by all
"""
COLUMNS = """
select schema_name as schema, column_name as name, data_type as type, comment as description
from duckdb_columns() where table_name = $name and not internal order by schema_name, column_index
"""


class SqlShell:
    """Runs statements and prints their answers; exit codes: 0 answered, 1 the statement failed, 3 nothing published."""

    def __init__(self, settings: PipelineSettings, out: Console, err: Console, *, output: str, limit: int) -> None:
        self._settings = settings
        self._out = out
        self._err = err
        self._output = output
        self._limit = limit

    def run(self, query: str, parameters: dict[str, Any] | None = None) -> int:
        """Run one statement and print its answer."""
        folders = self._settings.folders
        try:
            con, _ = open_current(folders, timezone=self._settings.timezone)
            with con:
                cursor = con.execute(query, parameters or {})
                names = [column[0] for column in cursor.description or ()]
                self._print(names, cursor)
        except (NothingPublishedError, duckdb.Error) as error:
            self._err.print(f"[red]error[/] {escape(str(error))}", highlight=False, soft_wrap=True)
            return 3 if isinstance(error, NothingPublishedError) else 1
        return 0

    def prompt(self) -> int:
        """Read statements until the input ends."""
        import readline  # noqa: F401, PLC0415  (line editing for input())

        self._out.print("read-only; .help for help / 只读查询,输入 .help 查看帮助")
        pending = ""
        while True:
            try:
                line = input("cdp> " if not pending else "...> ")
            except EOFError:
                return 0
            except KeyboardInterrupt:
                pending = ""
                self._out.print()
                continue
            if not pending and line.startswith("."):
                if line.strip() in {".quit", ".exit"}:
                    return 0
                self._command(line.split())
                continue
            pending += line + "\n"
            if line.rstrip().endswith(";"):
                self.run(pending)
                pending = ""

    def _command(self, words: list[str]) -> None:
        if words[0] == ".tables":
            self.run(TABLES)
        elif words[0] == ".describe" and len(words) > 1:
            self.run(COLUMNS, {"name": words[1]})
        else:
            self._out.print(HELP, highlight=False, markup=False)

    def _print(self, names: list[str], cursor: duckdb.DuckDBPyConnection) -> None:
        if self._output == "csv":
            writer = csv.writer(sys.stdout)
            writer.writerow(names)
            while rows := cursor.fetchmany(10_000):
                writer.writerows(rows)
        elif self._output == "json":
            rows_as_objects = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            sys.stdout.write(json.dumps(rows_as_objects, ensure_ascii=False, default=str, indent=1) + "\n")
        else:
            self._table(names, cursor)

    def _table(self, names: list[str], cursor: duckdb.DuckDBPyConnection) -> None:
        rows = cursor.fetchmany(self._limit + 1)
        table = Table(*names)
        for row in rows[: self._limit]:
            # Text, because a cell like "[red]" is data, not markup.
            table.add_row(*(Text("" if value is None else str(value)) for value in row))
        self._out.print(table)
        if len(rows) > self._limit:
            cursor.fetchall()
            self._out.print(f"first {self._limit} rows; --limit or --format csv shows more / 仅显示前 {self._limit} 行")
