"""What `cdp status` tells: versions, freshness, quarantine and last runs, read without disturbing a running night.

Everything is read from files that are replaced in one move, or from the published version; never from the working
files, which a night keeps locked.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import duckdb

from pipelines.nightly import RunRecord, is_interrupted, read_run, run_files
from pipelines.settings import PipelineSettings
from pipelines.warehouse.connection import connect_warehouse
from pipelines.warehouse.landing import unsealed
from pipelines.warehouse.publish import current_pointer
from segment_engine.runtime.published import DamagedPointerError, Pointer, open_version


@dataclass(frozen=True, slots=True)
class PlatformStatus:
    """A snapshot for people: what is served, how old it is, what was refused, how the last runs went.

    `damaged` holds a sentence for each file that should be readable and is not.
    """

    pointer: Pointer | None
    age_seconds: float | None
    versions: list[str]
    runs: list[RunRecord]
    interrupted: list[str]
    refused: list[dict[str, Any]]
    rejections: list[dict[str, Any]]
    sources: list[dict[str, Any]]
    unsealed: list[str]
    ledger: str
    damaged: list[str]


REFUSED = """
select source, table_name, batch_id, refusal_code, refusal_message_zh, refusal_message_en
from {batch} where status = 'refused' order by all
"""
REJECTIONS = """
select source, table_name, batch_id, file, column_name, code, rows, first_line
from {rejection} order by source, table_name, batch_id, file, first_line
"""
SOURCES = """
select source, max(business_day) as newest_day, sum(loaded_rows) as loaded_rows, sum(rejected_rows) as rejected_rows
from {batch} where status = 'loaded' group by source order by source
"""


def platform_status(settings: PipelineSettings, *, now: datetime, runs: int = 5) -> PlatformStatus:
    """Collect the snapshot; `now` is only used for ages."""
    folders = settings.folders
    damaged: list[str] = []
    pointer = _pointer(settings, damaged)
    records = _runs(settings, runs, damaged)
    refused, rejections, sources, ledger = _ledger(settings, pointer)
    return PlatformStatus(
        pointer=pointer,
        age_seconds=(now - pointer.published_at).total_seconds() if pointer else None,
        versions=sorted(file.stem.removeprefix("marts-") for file in folders.published.glob("marts-*.duckdb")),
        runs=records,
        interrupted=[record.run_id for record in records if is_interrupted(record)],
        refused=refused,
        rejections=rejections,
        sources=sources,
        unsealed=[str(folder.relative_to(folders.landing)) for folder in unsealed(folders)],
        ledger=ledger,
        damaged=damaged,
    )


def _pointer(settings: PipelineSettings, damaged: list[str]) -> Pointer | None:
    try:
        return current_pointer(settings.folders)
    except DamagedPointerError as error:
        damaged.append(str(error))
        return None


def _runs(settings: PipelineSettings, newest: int, damaged: list[str]) -> list[RunRecord]:
    records: list[RunRecord] = []
    for file in run_files(settings.folders, newest=newest):
        try:
            records.append(read_run(file))
        except ValueError:
            damaged.append(f"{file} is no run record; delete it / 运行记录已损坏,请删除")
    return records


def _ledger(
    settings: PipelineSettings, pointer: Pointer | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]], str]:
    """The ingest ledger from the working file when it is free, else from the published version."""
    try:
        if not settings.folders.warehouse.exists():
            return [], [], [], "none"
        with connect_warehouse(settings, read_only=True) as con:
            # The first run may have been killed before it had made its ledger.
            if not con.execute("from duckdb_tables() where schema_name = 'ingest'").fetchone():
                return [], [], [], "none"
            return (*_read(con, "ingest.batch", "ingest.rejection"), "warehouse")
    except duckdb.IOException:
        if pointer is None:
            return [], [], [], "busy"
        with open_version(settings.folders, pointer, timezone=settings.timezone) as con:
            return (*_read(con, "meta.batch", "meta.quarantine"), "published version (a run is writing now)")


def _read(
    con: duckdb.DuckDBPyConnection, batch: str, rejection: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    def rows(query: str) -> list[dict[str, Any]]:
        cursor = con.execute(query.format(batch=batch, rejection=rejection))
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    return rows(REFUSED), rows(REJECTIONS), rows(SOURCES)


def newest_business_day(status: PlatformStatus) -> date | None:
    """The newest business day any source delivered."""
    days = [source["newest_day"] for source in status.sources if source["newest_day"]]
    return max(days, default=None)
