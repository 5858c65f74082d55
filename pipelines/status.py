"""What `cdp status` tells: versions, freshness, quarantine and last runs, read without disturbing a running night.

Everything is read from files that are replaced in one move; never from the working files, which a night keeps locked.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from pipelines.clock import last_full_day
from pipelines.nightly import RunRecord, is_interrupted, read_run, run_files
from pipelines.settings import PipelineSettings
from pipelines.warehouse.landing import discover, unsealed, waiting
from pipelines.warehouse.ledger_snapshot import LedgerSnapshot, read_snapshot
from pipelines.warehouse.publish import current_pointer, kept_versions
from segment_engine.runtime.published import DamagedPointerError, Pointer


@dataclass(frozen=True, slots=True)
class PlatformStatus:
    """A snapshot for people: what is served, how old it is, what was refused, how the last runs went.

    `ledger` says after which ingest the ledger's facts were noted, "none" before the first. `damaged` holds a sentence
    for each file that should be readable and is not.
    """

    pointer: Pointer | None
    age_seconds: float | None
    versions: list[str]
    runs: list[RunRecord]
    interrupted: list[str]
    refused: list[dict[str, Any]]
    rejections: list[dict[str, Any]]
    sources: list[dict[str, Any]]
    overrides_left_out: list[dict[str, Any]]
    waiting: list[dict[str, Any]]
    unsealed: list[str]
    ledger: str
    damaged: list[str]


def platform_status(settings: PipelineSettings, *, now: datetime, runs: int = 5) -> PlatformStatus:
    """Collect the snapshot; `now` is only used for ages and for which business days are over."""
    folders = settings.folders
    damaged: list[str] = []
    pointer = _pointer(settings, damaged)
    records = _runs(settings, runs, damaged)
    snapshot = _snapshot(settings, damaged)
    return PlatformStatus(
        pointer=pointer,
        age_seconds=(now - pointer.published_at).total_seconds() if pointer else None,
        versions=kept_versions(folders),
        runs=records,
        interrupted=[record.run_id for record in records if is_interrupted(record)],
        refused=snapshot.refused if snapshot else [],
        rejections=snapshot.rejections if snapshot else [],
        sources=snapshot.sources if snapshot else [],
        overrides_left_out=snapshot.overrides_left_out if snapshot else [],
        waiting=_waiting(settings, snapshot, now),
        unsealed=[str(folder.relative_to(folders.landing)) for folder in unsealed(folders)],
        ledger=f"ingest of {snapshot.as_of}" if snapshot else "none",
        damaged=damaged,
    )


def _waiting(settings: PipelineSettings, snapshot: LedgerSnapshot | None, now: datetime) -> list[dict[str, Any]]:
    """Sealed batches that neither the last night nor one run now for the last full day may load."""
    covered = last_full_day(now, settings.zone)
    if snapshot:
        covered = max(covered, snapshot.as_of)
    return [
        {
            "source": batch.source,
            "table_name": batch.table,
            "batch_id": batch.batch_id,
            "business_day": batch.business_day(settings.zone),
        }
        for batch in waiting(discover(settings.folders), settings.zone, after=covered)
    ]


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


def _snapshot(settings: PipelineSettings, damaged: list[str]) -> LedgerSnapshot | None:
    try:
        return read_snapshot(settings.folders)
    except (ValueError, KeyError, TypeError):
        file = settings.folders.ledger_snapshot
        damaged.append(
            f"{file} is no snapshot of the ledger; the next night writes it anew / 账本快照已损坏,下次夜间任务会重写"
        )
        return None


def newest_business_day(status: PlatformStatus) -> date | None:
    """The newest business day any source delivered."""
    days = [source["newest_day"] for source in status.sources if source["newest_day"]]
    return max(days, default=None)
