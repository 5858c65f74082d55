"""`cdp sql`: read-only SQL over the published version, for a query or at a prompt.

The version is chosen anew for each statement, so a prompt left open over night answers from the newest one.
"""

import csv
import json
import math
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import duckdb
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pipelines.settings import PipelineSettings
from segment_engine.layout import ENGINE_SCHEMA
from segment_engine.runtime.published import DamagedPointerError, NothingPublishedError, open_current

HELP = """\
.tables            tables and what they hold / 列出数据表
.describe NAME     columns of one table / 查看字段
.quit              leave / 退出
A statement ends with ;   语句以分号结束"""

# The engine's tables hold codes; the marts say the same in words.
TABLES = f"""
select t.schema_name as schema, t.name, t.comment as description
from (
    select schema_name, table_name as name, comment from duckdb_tables() where not internal
    union all
    select schema_name, view_name, comment from duckdb_views() where not internal
) as t
where t.schema_name <> '{ENGINE_SCHEMA}'
order by all
"""
COLUMNS = f"""
select schema_name as schema, column_name as name, data_type as type, comment as description
from duckdb_columns()
where table_name = $name and not internal and schema_name <> '{ENGINE_SCHEMA}'
order by schema_name, column_index
"""


class SqlShell:
    """Runs statements and prints their answers.

    Exit codes: 0 answered, 1 a statement failed, 2 nothing to run or too much for the format, 3 nothing published,
    130 stopped with Ctrl-C.
    """

    def __init__(self, settings: PipelineSettings, out: Console, err: Console, *, output: str, limit: int) -> None:
        self._settings = settings
        self._out = out
        self._err = err
        self._output = output
        self._limit = limit

    def run(self, query: str, parameters: dict[str, Any] | None = None) -> int:
        """Run the statements of `query` in order and print each answer, up to the first that fails."""
        folders = self._settings.folders
        try:
            con, _ = open_current(folders, timezone=self._settings.timezone)
            with con:
                statements = con.extract_statements(query)
                if not statements:
                    return self._refuse("there is no statement to run / 没有可执行的语句", code=2)
                if self._output != "table" and len(statements) > 1:
                    sentence = f"{self._output} takes one statement at a time / {self._output} 格式一次只支持一条语句"
                    return self._refuse(sentence, code=2)
                with _stopped_by_ctrl_c(con):
                    for statement in statements:
                        cursor = con.execute(statement, parameters or {})
                        self._print([column[0] for column in cursor.description or ()], cursor)
        except NothingPublishedError as error:
            return self._refuse(str(error), code=3)
        except (duckdb.Error, DamagedPointerError) as error:
            return self._refuse(str(error), code=1)
        except (KeyboardInterrupt, RuntimeError) as error:
            # DuckDB ends a query on Ctrl-C with a bare RuntimeError; between two calls of it Python raises its own.
            if isinstance(error, RuntimeError) and str(error) != "Query interrupted":
                raise
            return self._refuse("stopped / 已停止", code=130)
        return 0

    def _refuse(self, sentence: str, *, code: int) -> int:
        self._err.print(f"[red]error[/] {escape(sentence)}", highlight=False, soft_wrap=True)
        return code

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
            keys = _distinct(names)
            objects = [dict(zip(keys, map(_json_value, row), strict=True)) for row in cursor.fetchall()]
            sys.stdout.write(json.dumps(objects, ensure_ascii=False, default=str, indent=1, allow_nan=False) + "\n")
        else:
            self._table(names, cursor)

    def _table(self, names: list[str], cursor: duckdb.DuckDBPyConnection) -> None:
        rows = cursor.fetchmany(self._limit + 1)
        table = Table()
        # Text, because a name or cell like "[red]" is data, not markup.
        for name in names:
            table.add_column(Text(name))
        for row in rows[: self._limit]:
            table.add_row(*(Text("" if value is None else str(value)) for value in row))
        self._out.print(table)
        if len(rows) > self._limit:
            cursor.fetchall()
            self._out.print(f"first {self._limit} rows; --limit or --format csv shows more / 仅显示前 {self._limit} 行")


@contextmanager
def _stopped_by_ctrl_c(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Let Ctrl-C stop every thread of a query; by itself DuckDB stops one and waits until the others are through."""

    def stop(number: int, frame: FrameType | None) -> None:
        con.interrupt()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _distinct(names: Sequence[str]) -> list[str]:
    """Names of which none repeats, as DuckDB gives them to a subquery: `id, id` becomes `id, id_1`."""
    given: list[str] = []
    for name in names:
        number, key = 0, name
        while key in given or (number and key in names):
            number += 1
            key = f"{name}_{number}"
        given.append(key)
    return given


def _json_value(value: Any) -> Any:
    """A value that JSON can hold: it has no NaN and no infinity, so they become null, and keys are text."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _json_value(item) for key, item in value.items()}
    return value
