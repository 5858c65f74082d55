"""Parquet and CSV files as the relations that a night reads: `given_identities`, `given_evidence`, `given_overrides`.

What the files look like is told in `forms.py`, how a refusal reads in `refusals.py`.
"""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from duckdb.func import PythonUDFType

from pipelines.identity.forms import NAME, NFKC, TEXT, TEXTS, Column, Form
from pipelines.identity.model import IdentityOverrideError
from pipelines.identity.overrides import read_overrides
from pipelines.identity.refusals import Problem, refused_rows
from pipelines.telling import reason


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was looked at, and what is wrong with it so far.

    rows: SQL that reads it; cells: SQL for the cell of each usable column
    """

    form: Form
    rows: str = ""
    cells: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    @property
    def relation(self) -> str:
        return f"given_{self.form.name}"

    def table(self, *, numbered: bool = False) -> str:
        """SQL for the cells of the rows that count; numbered, with row_number in the file (from 1) and name_of_row."""
        cells = ", ".join(
            f"{self.cells.get(column.name, 'null::varchar')} as {column.name}" for column in self.form.columns
        )
        if not numbered:
            return f"(select * from (select {cells} from {self.rows}) where {self.form.counts})"
        return f"""(
            select *, {self.form.name_of_row} as name_of_row
            from (select row_number() over () as row_number, {cells} from {self.rows})
            where {self.form.counts}
        )"""

    def but(self, code: str, zh: str, en: str, column: str | None = None) -> "Source":
        """The source with one more problem."""
        path = self.form.name if column is None else f"{self.form.name}/{column}"
        return replace(self, problems=(*self.problems, Problem(code, path, zh, en)))


def look_at(con: duckdb.DuckDBPyConnection, form: Form, file: Path) -> Source:
    """Find the columns of a file; its suffix tells Parquet from CSV, and what is wrong with its shape is a problem."""
    source = Source(form)
    suffix = file.suffix.lower()
    if suffix not in (".parquet", ".csv"):
        return source.but(
            "unknown_format", f"{file} 应以 .parquet 或 .csv 结尾", f"{file} must end in .parquet or .csv"
        )
    try:
        if not file.is_file():
            return source.but("missing_file", f"没有文件 {file}", f"there is no file {file}")
        rows = _csv_rows(form, file) if suffix == ".csv" else f"read_parquet({_literal(file)})"
        types = {name.lower(): kind for name, kind, *_ in con.execute(f"describe select * from {rows}").fetchall()}
        source = replace(source, rows=rows)
        for column in form.columns:
            source = _with_column(con, source, column, types.get(column.name))
    except (OSError, UnicodeDecodeError, csv.Error, duckdb.Error) as error:
        return _unreadable(source, error)
    return source


def store(con: duckdb.DuckDBPyConnection, source: Source) -> Source:
    """Write the temporary table `given_<name>`; the source that comes back tells every row that cannot be used.

    A name is NFKC-normalised as raw tables are. Of a source with problems only further problems are sought.
    """
    if not source.rows:
        return source
    columns = source.form.columns
    is_faulty = " or ".join(test for column in columns for test in (column.is_wrong, column.is_empty))
    values = ", ".join(f"{column.value} as {column.name}" for column in columns)
    try:
        if not source.problems:
            con.execute(f"""
                create or replace temp table {source.relation} as
                select {source.form.relation}, is_faulty
                from (select {values}, coalesce({is_faulty}, false) as is_faulty from {source.table()})
            """)
            if not con.execute(f"select 1 from {source.relation} where is_faulty limit 1").fetchone():
                return source
        return replace(source, problems=(*source.problems, *_faults(con, source)))
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        return _unreadable(source, error)


def key_problems(con: duckdb.DuckDBPyConnection, identities: Source, evidence: Source) -> list[Problem]:
    """Keys that repeat among the identities, and keys of evidence that no identity has."""
    if "key" not in identities.cells:
        return []
    known = identities.table()
    repeated = f"select key from {known} group by key having count(*) > 1"
    problems = refused_rows(
        con,
        identities.table(numbered=True),
        f"key in ({repeated})",
        "duplicate_key",
        "identities/key",
        zh="的 key 重复",
        en="the key repeats",
    )
    if "key" in evidence.cells:
        problems += refused_rows(
            con,
            evidence.table(numbered=True),
            f"not exists (select 1 from {known} as known where known.key = refused.key)",
            "unknown_key",
            "evidence/key",
            zh="的 key 不在身份表中",
            en="no identity has this key",
            shown="value_type",
        )
    return problems


def repeated_ids(con: duckdb.DuckDBPyConnection, overrides: Source) -> list[Problem]:
    """Operator rows under one id that say different things; the same row twice is one."""
    if not {"id", "kind", "a", "b"} <= set(overrides.cells):
        return []
    cells = ", ".join(column.name for column in overrides.form.columns if column.name != "id")
    repeated = f"select id from {overrides.table()} group by id having count(distinct row({cells})) > 1"
    return refused_rows(
        con,
        overrides.table(numbered=True),
        f"id in ({repeated})",
        "duplicate_id",
        "overrides/id",
        zh="的 id 重复而内容不同",
        en="the id repeats with another content",
    )


def contradictions(con: duckdb.DuckDBPyConnection, overrides: Source, *, night: date) -> list[Problem]:
    """Operator rows that contradict each other tonight."""
    if overrides.problems:
        return []
    try:
        read_overrides(con, overrides.relation, night=night)
    except IdentityOverrideError as error:
        return [Problem(error.code, overrides.form.name, error.message_zh, error.message_en)]
    return []


def add_functions(con: duckdb.DuckDBPyConnection) -> None:
    """Give the connection what the forms need to read names."""
    con.create_function(NFKC, _nfkc, ["VARCHAR"], "VARCHAR", type=PythonUDFType.ARROW)


def _nfkc(texts: pa.Array) -> pa.Array:
    return pc.utf8_normalize(texts, form="NFKC")


def _with_column(con: duckdb.DuckDBPyConnection, source: Source, column: Column, found: str | None) -> Source:
    if found is None and column.required:
        return source.but(
            "missing_column", f"缺少列 {column.name}", f"the column {column.name} is missing", column.name
        )
    cell = "null::varchar"
    if found is not None and re.fullmatch(column.holds.types, found):
        is_text = column.holds in (TEXT, NAME) or re.fullmatch(TEXTS, found)
        cell = f"nullif({column.name}::varchar, '')" if is_text else column.name
    # A column of nothing but nulls may have any type.
    elif found is not None and con.execute(f"select count({column.name}) from {source.rows}").fetchone() != (0,):
        return source.but(
            "wrong_type",
            f"列 {column.name} 的类型为 {found},应为{column.holds.zh}",
            f"the column {column.name} is {found}, expected is {column.holds.en}",
            column.name,
        )
    return replace(source, cells={**source.cells, column.name: cell})


def _faults(con: duckdb.DuckDBPyConnection, source: Source) -> list[Problem]:
    problems: list[Problem] = []
    for column in source.form.columns:
        if column.name not in source.cells:
            continue
        name, path = column.name, f"{source.form.name}/{column.name}"
        rows = source.table(numbered=True)
        problems += refused_rows(
            con,
            rows,
            column.is_wrong,
            column.holds.code,
            path,
            zh=f"的 {name} 应为{column.holds.zh}",
            en=f"{name} must be {column.holds.en}",
            shown=name,
        )
        problems += refused_rows(
            con, rows, column.is_empty, "missing_value", path, zh=f"的 {name} 为空", en=f"{name} is empty"
        )
    return problems


def _csv_rows(form: Form, file: Path) -> str:
    """SQL that reads a CSV file as texts: header row, comma, double quotes, UTF-8."""
    with file.open(encoding="utf-8-sig", newline="") as lines:
        header = next(csv.reader(lines), [])
    wanted = {column.name for column in form.columns}
    seen = [name.strip().lower() for name in header]
    repeated = sorted({name for name in seen if name in wanted and seen.count(name) > 1})
    if repeated:
        raise csv.Error(f"columns repeat: {', '.join(repeated)}")
    # Columns that nobody asked for may be called anything.
    names = [name if name in wanted else f"ignored {place}" for place, name in enumerate(seen)] or ["ignored"]
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    return f"""read_csv(
        {_literal(file)}, auto_detect = false, header = true, delim = ',', quote = '"', escape = '"',
        columns = {{{columns}}}
    )"""


def _literal(file: Path) -> str:
    """The path as an SQL text in which no sign stands for others."""
    exact = "".join(f"[{sign}]" if sign in "*?[" else sign for sign in str(file))
    return "'" + exact.replace("'", "''") + "'"


def _unreadable(source: Source, error: Exception) -> Source:
    told = str(error) if isinstance(error, csv.Error) else reason(error).partition("\n")[0]
    if isinstance(error, UnicodeDecodeError):
        told = "not UTF-8"
    return replace(source, rows="", cells={}).but("unreadable", "无法读取", f"cannot be read ({told})")
