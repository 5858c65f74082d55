"""`cdp doctor`: what is wrong with an installation, and how to mend it. Looks only; changes nothing."""

import os
import shutil
from dataclasses import dataclass

import duckdb

from pipelines.ingest.contracts import load_contracts
from pipelines.settings import PipelineSettings
from pipelines.warehouse.lock import current_holder
from segment_engine.runtime.published import NothingPublishedError, open_current

FREE_BYTES = 5 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    name: str
    ok: bool
    advice: str


def examine(settings: PipelineSettings) -> list[Finding]:
    """Look at folders, disk, contracts, lock and the published version."""
    return [_folder(settings), _disk(settings), _contracts(), _lock(settings), _published(settings)]


def _folder(settings: PipelineSettings) -> Finding:
    place = settings.data_dir.resolve()
    existing = next(parent for parent in (place, *place.parents) if parent.exists())
    if os.access(existing, os.W_OK):
        return Finding("data directory", True, str(place))
    return Finding(
        "data directory", False, f"{existing} is not writable: set CDP_DATA_DIR or its permissions / 目录不可写"
    )


def _disk(settings: PipelineSettings) -> Finding:
    place = settings.data_dir.resolve()
    existing = next(parent for parent in (place, *place.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    return Finding(
        "disk",
        free > FREE_BYTES,
        f"{free / (1 << 30):.0f} GiB free; a night needs about three times the published file",
    )


def _contracts() -> Finding:
    try:
        return Finding("contracts", True, f"{len(load_contracts())} tables")
    except ValueError as error:
        return Finding("contracts", False, str(error))


def _lock(settings: PipelineSettings) -> Finding:
    if not settings.folders.build.exists():
        return Finding("writer lock", True, "nothing has run yet / 尚未运行")
    holder = current_holder(settings.folders)
    if holder is None:
        return Finding("writer lock", True, "free / 空闲")
    who = f"pid {holder['pid']}, {holder.get('owner', '?')}, since {holder.get('since', '?')}"
    return Finding("writer lock", True, f"a run holds it / 正被占用: {who}")


def _published(settings: PipelineSettings) -> Finding:
    try:
        con, pointer = open_current(settings.folders, timezone=settings.timezone)
        with con:
            con.execute("select * from meta.publication").fetchall()
    except NothingPublishedError:
        return Finding("published version", False, "none yet: run `cdp nightly` / 尚未发布")
    except duckdb.Error as error:
        return Finding("published version", False, f"it does not open ({error}): run `cdp nightly --force`")
    return Finding("published version", True, f"{pointer.version}, business day {pointer.as_of}")
