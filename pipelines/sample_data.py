"""Where `cdp sample-data` may write, and what it may remove: never anything that it did not make itself.

The rows themselves are made by `pipelines.sample`.
"""

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

from pipelines.sample.generate import TRUTH_FOLDER, SampleSummary, write_sample
from pipelines.settings import PipelineSettings
from pipelines.warehouse.lock import LOCK_NAME, writer_lock
from segment_engine.runtime.folders import DataFolders

UNFINISHED = "writing"


class SampleRefusedError(ValueError):
    """Data lie where the sample would be written; says in both languages which, and what to do."""


def make_sample(
    settings: PipelineSettings,
    *,
    customers: int,
    days: int,
    seed: int,
    end_on: date,
    dirty: bool,
    replace: bool,
    on_progress: Callable[[str, int], None] | None = None,
) -> SampleSummary:
    """Write a sample into an empty data directory, or with `replace` over an older sample and what came of it.

    Raises SampleRefusedError when anything else lies there, WarehouseBusy while another process writes.
    """
    folders = settings.folders
    with writer_lock(folders, wait_seconds=settings.lock_wait_seconds, owner="cdp sample-data"):
        _make_room(folders, replace=replace)
        folders.sample_mark.write_text(UNFINISHED, encoding="utf-8")
        summary = write_sample(
            folders,
            customers=customers,
            days=days,
            seed=seed,
            end_on=end_on,
            dirty=dirty,
            zone=settings.zone,
            on_progress=on_progress,
        )
        folders.sample_mark.write_text("\n".join(sorted(_batches(folders))), encoding="utf-8")
    return summary


def _make_room(folders: DataFolders, *, replace: bool) -> None:
    """Leave the directory empty, or refuse and leave it as it is."""
    occupied = [child for folder in _made(folders) for child in _children(folder)]
    if not occupied:
        return
    if not folders.sample_mark.exists():
        _refuse_strangers(folders, occupied[0].relative_to(folders.root))
    ours = folders.sample_mark.read_text(encoding="utf-8").split("\n")
    strangers = _batches(folders) - set(ours)
    if strangers and ours != [UNFINISHED]:
        _refuse_strangers(folders, folders.landing.relative_to(folders.root) / min(strangers))
    if not replace:
        raise SampleRefusedError(
            f"{folders.root} holds sample data; --replace empties it first / 已有样例数据,加 --replace 先清空"
        )
    for child in occupied:
        if child.is_dir():
            shutil.rmtree(child)
        else:
            child.unlink()


def _refuse_strangers(folders: DataFolders, example: Path) -> None:
    raise SampleRefusedError(
        f"{folders.root} holds data that `cdp sample-data` did not write, for example {example}; use an empty "
        f"CDP_DATA_DIR, --replace removes sample data only / {folders.root} 中有并非样例的数据(例如 {example}),"
        "请换一个空的数据目录,--replace 只清空样例数据"
    )


def _made(folders: DataFolders) -> list[Path]:
    """The folders that a sample and the nights after it fill."""
    return [
        folders.landing,
        folders.build,
        folders.quarantine,
        folders.published,
        folders.runs,
        folders.root / TRUTH_FOLDER,
    ]


def _children(folder: Path) -> list[Path]:
    # The lock's file stays: whoever waits for it has it open, and another file of its name would be another lock.
    return sorted(child for child in folder.iterdir() if child.name != LOCK_NAME) if folder.is_dir() else []


def _batches(folders: DataFolders) -> set[str]:
    """`<source>/<table>/<batch_id>` of every folder in landing, sealed or not."""
    return {str(folder.relative_to(folders.landing)) for folder in folders.landing.glob("*/*/*")}
