"""What people get of refused rows: `data/quarantine/<source>/<table>/<batch_id>.csv` and the ledger's summary.

The reasons themselves are in `pipelines.ingest.quarantine`.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from duckdb import DuckDBPyConnection

from pipelines.ingest.contracts import Contract
from pipelines.ingest.normalise import quote_literal
from pipelines.ingest.quarantine import ROW_REASONS
from segment_engine.runtime.folders import DataFolders

BOM = "\ufeff"
# A spreadsheet would run such a cell as a formula; an apostrophe before it makes it text.
# So are the full-width signs of a Chinese keyboard; blanks before are no protection; a negative number is a number.
FORMULA = r"'^(\s*[=+\-@＝＋－＠]|[\t\r\n])'"
NUMBER = r"'-[0-9]+([.][0-9]+)?'"
SAMPLE_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class RejectedFile:
    """A landed file's name and the Parquet file of its refused rows."""

    name: str
    rejects: Path


def write_quarantine(
    con: DuckDBPyConnection,
    folders: DataFolders,
    contract: Contract,
    batch_id: str,
    rejected: Sequence[RejectedFile],
) -> None:
    """Write the batch's quarantine CSV in one move, or remove it when nothing is refused.

    UTF-8 with BOM, so that spreadsheets read Chinese; one line per bad value, sorted by file, line and column.
    """
    target = quarantine_file(folders, contract, batch_id)
    if not rejected:
        target.unlink(missing_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    hidden = target.with_name(f".{target.name}.{os.getpid()}")
    reasons = ", ".join(
        f"({quote_literal(reason.code)}, {quote_literal(reason.zh)}, {quote_literal(reason.en)})"
        for reason in ROW_REASONS.values()
    )
    con.execute(
        f"""
        copy (
            select
                file as "{BOM}file", line, column_name as "column", code, reason_zh, reason_en,
                {_as_text("value")} as "value", {_as_text("row")} as "row"
            from {_rejects(rejected)}
            join (values {reasons}) as reasons (code, reason_zh, reason_en) using (code)
            order by file, line, position, code
        ) to {quote_literal(str(hidden))} (format csv, header)
        """,
        _parameters(rejected),
    )
    hidden.replace(target)


def write_rejections(
    con: DuckDBPyConnection, contract: Contract, batch_id: str, rejected: Sequence[RejectedFile]
) -> None:
    """Add the batch's refused rows to `ingest.rejection`: rows per file, column and reason; personal data masked."""
    if not rejected:
        return
    personal = [column.name for column in contract.columns if column.pii]
    con.execute(
        f"""
        insert into ingest.rejection
        select $batch_id, $source, $table, file, column_name, code, count(*), min(line),
            case
                when list_contains($personal, column_name)
                    then left(arg_min(value, line), 1) || repeat('*', length(left(arg_min(value, line), $shown)) - 1)
                else left(arg_min(value, line), $shown)
            end
        from {_rejects(rejected)}
        group by file, column_name, code
        """,
        {
            **_parameters(rejected),
            "batch_id": batch_id,
            "source": contract.source,
            "table": contract.table,
            "personal": personal,
            "shown": SAMPLE_CHARACTERS,
        },
    )


def quarantine_file(folders: DataFolders, contract: Contract, batch_id: str) -> Path:
    """Where a batch's refused rows lie."""
    return folders.quarantine / contract.source / contract.table / f"{batch_id}.csv"


def _rejects(rejected: Sequence[RejectedFile]) -> str:
    files = (f"select $name_{place} as file, * from read_parquet($rejects_{place})" for place in range(len(rejected)))
    return f"({' union all '.join(files)})"


def _parameters(rejected: Sequence[RejectedFile]) -> dict[str, str]:
    names = {f"name_{place}": file.name for place, file in enumerate(rejected)}
    return names | {f"rejects_{place}": str(file.rejects) for place, file in enumerate(rejected)}


def _as_text(column: str) -> str:
    calculated = f"regexp_matches({column}, {FORMULA}) and not regexp_full_match({column}, {NUMBER})"
    return f"case when {calculated} then '''' || {column} else {column} end"
