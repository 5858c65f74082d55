"""One landed file of any format as a SQL relation: which columns it has, and how to select from it.

Text files arrive here as UTF-8. Judging values belongs to `normalise`, running the SQL to `parse`.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import duckdb

from pipelines.ingest.contracts import Contract
from pipelines.ingest.normalise import quote_identifier, quote_literal
from pipelines.ingest.parse_messages import Refused
from pipelines.ingest.quarantine import refusal
from pipelines.ingest.records import csv_records, json_records
from pipelines.ingest.xlsx import read_sheet

SAMPLED_LINES = 1_000


@dataclass(frozen=True, slots=True)
class Source:
    """A file as a relation.

    `relation` is SQL for a from clause; `columns` maps contract column → (identifier, DuckDB type) for those the file
    has; `row_number` and `row_text` are expressions where the format knows them itself, else None (text files).
    """

    relation: str
    columns: dict[str, tuple[str, str]]
    width: int
    unknown: tuple[str, ...] = ()
    row_number: str | None = None
    row_text: str | None = None
    # JSONL: required columns that no sampled line has; a file in which no line has them is refused.
    doubtful: frozenset[str] = field(default_factory=frozenset)


def csv_source(contract: Contract, file: Path) -> Source:
    """A UTF-8 CSV file; raises Refused when its header lacks a required column or repeats one."""
    names = _csv_header(file) or []
    columns = _matched(contract, names, file.name)
    relation = _csv_relation(file, [f"c{position}" for position in range(len(names))])
    return Source(
        relation=relation,
        columns={name: (f"c{position}", "VARCHAR") for name, position in columns.items()},
        width=len(names),
        unknown=_unknown(contract, names),
    )


def json_source(contract: Contract, file: Path) -> Source:
    """A UTF-8 JSONL file; keys are looked for in its first lines only."""
    keys = _sampled_keys(file)
    required = {column.name for column in contract.columns if column.required}
    types = ", ".join(f"{quote_literal(column.name)}: 'VARCHAR'" for column in contract.columns)
    return Source(
        relation=f"read_json({quote_literal(str(file))}, format = 'newline_delimited', columns = {{{types}}},"
        " maximum_object_size = 16777216)",
        columns={column.name: (quote_identifier(column.name), "VARCHAR") for column in contract.columns},
        width=len(contract.columns),
        unknown=_unknown(contract, keys),
        doubtful=frozenset(required - set(keys)) if keys else frozenset(),
    )


def parquet_source(contract: Contract, file: Path, con: duckdb.DuckDBPyConnection) -> Source:
    """A Parquet file with typed or text columns; raises Refused for missing columns, duckdb.Error for a broken file."""
    relation = f"read_parquet({quote_literal(str(file))}, file_row_number = true)"
    described = con.execute(f"describe select * exclude (file_row_number) from {relation}").fetchall()
    types = {str(name): str(kind) for name, kind, *_ in described}
    columns = _matched(contract, list(types), file.name)
    return Source(
        relation=relation,
        columns={name: (quote_identifier(name), types[name]) for name in columns},
        width=len(types),
        unknown=_unknown(contract, types),
        row_number="file_row_number + 1",
        row_text=_json_row({name: quote_identifier(name) for name in types}),
    )


def xlsx_source(contract: Contract, file: Path, con: duckdb.DuckDBPyConnection) -> Source:
    """The first sheet of a workbook, every cell as text; its rows are numbered as the spreadsheet shows them."""
    names, table = read_sheet(file)
    columns = _matched(contract, names, file.name)
    con.register("sheet", table)
    return Source(
        relation="sheet",
        columns={name: (f"c{position}", "VARCHAR") for name, position in columns.items()},
        width=len(names),
        unknown=_unknown(contract, names),
        row_number="line",
        row_text=_json_row({name: f"c{position}" for position, name in enumerate(names)}),
    )


def _csv_relation(file: Path, columns: Iterable[str]) -> str:
    types = ", ".join(f"'{name}': 'VARCHAR'" for name in columns)
    return (
        f"read_csv({quote_literal(str(file))}, auto_detect = false, header = true, delim = ',', quote = '\"',"
        f" escape = '\"', nullstr = '', strict_mode = true, max_line_size = 2097152, columns = {{{types}}})"
    )


def _csv_header(file: Path) -> list[str] | None:
    with file.open("rb") as stream:
        first = next(csv_records(stream, columns=None), None)
    if first is None:
        return None
    if first.fault is not None:
        raise Refused(refusal("unreadable_file", file.name, detail="header / 表头"))
    return [name.strip() for name in next(csv.reader([first.content.decode("utf-8")], skipinitialspace=True))]


def _sampled_keys(file: Path) -> list[str]:
    keys: dict[str, None] = {}
    with file.open("rb") as stream:
        for record in islice(json_records(stream), SAMPLED_LINES):
            try:
                document = json.loads(record.content)
            except (ValueError, RecursionError):
                continue
            if isinstance(document, dict):
                keys |= dict.fromkeys(document)
    return list(keys)


def _matched(contract: Contract, names: list[str], file_name: str) -> dict[str, int]:
    """Contract column → position in the file; raises Refused naming the first missing or repeated column."""
    counts = Counter(names)
    for column in contract.columns:
        if column.required and column.name not in counts:
            raise Refused(refusal("missing_column", file_name, column=column.name))
        if counts[column.name] > 1:
            raise Refused(refusal("duplicate_column", file_name, column=column.name))
    return {column.name: names.index(column.name) for column in contract.columns if column.name in counts}


def _unknown(contract: Contract, names: Iterable[str]) -> tuple[str, ...]:
    known = {column.name for column in contract.columns}
    return tuple(sorted({name for name in names if name and name not in known}))


def _json_row(identifiers: dict[str, str]) -> str:
    pairs = ", ".join(f"{quote_literal(name)}: {identifier}" for name, identifier in identifiers.items() if name)
    return f"cast(to_json({{{pairs}}}) as varchar)"
