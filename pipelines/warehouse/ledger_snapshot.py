"""What people ask the ledger, as a small file that ingest replaces in one move: who reads it never meets a night.

A reader of the working file itself would lock a beginning night out, and a night its readers. The ledger's tables are
in `ledger`.
"""

import json
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from duckdb import DuckDBPyConnection

from pipelines.warehouse.overrides import standing_overrides
from segment_engine.runtime.folders import DataFolders

REFUSED = """
select source, table_name, batch_id, refusal_code, refusal_message_zh, refusal_message_en
from ingest.batch where status = 'refused' order by all
"""
REJECTIONS = """
select source, table_name, batch_id, file, column_name, code, rows, first_line
from ingest.rejection order by source, table_name, batch_id, file, first_line, column_name, code
"""
SOURCES = """
select
    source, max(business_day) as newest_day, sum(loaded_rows)::bigint as loaded_rows,
    sum(rejected_rows)::bigint as rejected_rows, sum(erased_rows)::bigint as erased_rows
from ingest.batch where status = 'loaded' group by source order by source
"""


@dataclass(frozen=True, slots=True)
class LedgerSnapshot:
    """The ledger after the ingest of the business day `as_of`; one dict per row, as the queries above name them.

    `overrides_left_out` are operator rows that contradict earlier ones: id, code, message_zh, message_en. A snapshot of
    an earlier release has none.
    """

    as_of: date
    refused: list[dict[str, Any]]
    rejections: list[dict[str, Any]]
    sources: list[dict[str, Any]]
    overrides_left_out: list[dict[str, Any]] = field(default_factory=list)


def write_snapshot(con: DuckDBPyConnection, folders: DataFolders, as_of: date) -> None:
    """Replace the snapshot by what the open ledger says now; needs the writer lock."""
    document = {
        "as_of": as_of,
        "refused": _rows(con, REFUSED),
        "rejections": _rows(con, REJECTIONS),
        "sources": _rows(con, SOURCES),
        "overrides_left_out": [
            {"id": row.id, "code": why.code, "message_zh": why.message_zh, "message_en": why.message_en}
            for row, why in standing_overrides(con, as_of).left_out
        ],
    }
    hidden = folders.ledger_snapshot.with_suffix(".tmp")
    hidden.write_text(json.dumps(document, ensure_ascii=False, default=date.isoformat), encoding="utf-8")
    hidden.replace(folders.ledger_snapshot)


def read_snapshot(folders: DataFolders) -> LedgerSnapshot | None:
    """The snapshot of the last ingest that came to its end; None before the first."""
    try:
        document = json.loads(folders.ledger_snapshot.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    for source in document["sources"]:
        source["newest_day"] = date.fromisoformat(source["newest_day"])
    return LedgerSnapshot(**document | {"as_of": date.fromisoformat(document["as_of"])})


def _rows(con: DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    cursor = con.execute(query)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
