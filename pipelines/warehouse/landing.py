"""Landing folders: finding sealed batches, and sealing them. A folder without a manifest does not exist yet.

What a manifest may say belongs to `pipelines.ingest.manifest`; loading to `load`.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pipelines.ingest.contracts import Contract, load_contracts
from pipelines.ingest.count import count_rows
from pipelines.ingest.manifest import (
    MANIFEST_NAME,
    Encoding,
    FileFormat,
    Manifest,
    ManifestFile,
    Window,
    check_manifest,
    manifest_document,
    read_manifest,
)
from pipelines.ingest.problems import Problem
from pipelines.ingest.quarantine import refusal
from segment_engine.runtime.folders import DataFolders

HASHED_BYTES = 1 << 22
FORMATS_BY_SUFFIX: dict[str, FileFormat] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
}
# Left behind by people's computers; not data.
IGNORED_PREFIXES = (".", "_", "~$")


@dataclass(frozen=True, slots=True)
class LandedBatch:
    """A sealed folder; `problems` says what is wrong with its manifest, which is None when it cannot be read."""

    folder: Path
    source: str
    table: str
    batch_id: str
    manifest_sha256: str
    manifest: Manifest | None
    problems: tuple[Problem, ...] = ()

    @property
    def identity(self) -> tuple[str, str, str]:
        """Source, table and batch id: the name under which the ledger knows the batch."""
        return self.source, self.table, self.batch_id

    def business_day(self, zone: ZoneInfo) -> date:
        """The manifest's business day; the first of days for a broken manifest, so that every night refuses it."""
        return self.manifest.business_day(zone) if self.manifest else date.min


def discover(folders: DataFolders) -> list[LandedBatch]:
    """Every sealed batch, sorted by source, table, window end and batch id; broken manifests first of their table."""
    contracts = load_contracts()
    batches = [_landed(folder, contracts) for folder in _batch_folders(folders) if (folder / MANIFEST_NAME).is_file()]
    return sorted(batches, key=_order)


def read_batch(folder: Path) -> LandedBatch:
    """One sealed folder as it is now."""
    return _landed(folder, load_contracts())


def remove_unlisted(batch: LandedBatch) -> None:
    """Remove what lies in a redacted batch's folder beside its files: a killed run left there what it had replaced."""
    assert batch.manifest is not None and batch.manifest.erased_rows is not None
    _remove_all_but(batch.folder, {MANIFEST_NAME, *(file.name for file in batch.manifest.files)})


def remove_data_files(batch: LandedBatch) -> None:
    """Remove everything in a batch's folder but its manifest."""
    _remove_all_but(batch.folder, {MANIFEST_NAME})


def _remove_all_but(folder: Path, names: Collection[str]) -> None:
    for stray in folder.iterdir():
        if stray.name in names:
            continue
        if stray.is_dir() and not stray.is_symlink():
            shutil.rmtree(stray)
        else:
            stray.unlink()


def unsealed(folders: DataFolders) -> list[Path]:
    """The batch folders that have no manifest yet, sorted."""
    return [folder for folder in _batch_folders(folders) if not (folder / MANIFEST_NAME).is_file()]


def newest_seal(folders: DataFolders) -> int | None:
    """When the newest batch was sealed, in nanoseconds; None where there is none. Opens no manifest."""
    seals = (folder / MANIFEST_NAME for folder in _batch_folders(folders))
    return max((seal.stat().st_mtime_ns for seal in seals if seal.is_file()), default=None)


def waiting(batches: Iterable[LandedBatch], zone: ZoneInfo, *, after: date) -> list[LandedBatch]:
    """The batches whose business day lies after `after`, soonest first: no night may load them before."""
    later = [batch for batch in batches if batch.business_day(zone) > after]
    return sorted(later, key=lambda batch: (batch.business_day(zone), batch.identity))


def seal(
    folder: Path,
    *,
    source: str,
    table: str,
    batch_id: str,
    window_from: datetime,
    window_to: datetime,
    schema_version: int = 1,
) -> Manifest:
    """Count and hash a folder's data files and write its manifest; for people who drop files.

    Formats follow the files' suffixes. `window_to` is exclusive, both aware. Raises ValueError with a sentence in both
    languages for a file of unknown kind, an empty folder or a file that cannot be counted.
    """
    names = sorted(file.name for file in folder.iterdir() if not file.name.startswith(IGNORED_PREFIXES))
    unknown = [name for name in names if Path(name).suffix.lower() not in FORMATS_BY_SUFFIX]
    if unknown or not names:
        known = ", ".join(sorted(FORMATS_BY_SUFFIX))
        raise ValueError(f"{folder}: {unknown or 'no file'}; known: {known} / 文件类型未知或目录为空")
    files = tuple(_sealed_file(folder / name) for name in names)
    manifest = Manifest(
        source=source,
        table=table,
        batch_id=batch_id,
        schema_version=schema_version,
        window=Window(window_from, window_to),
        row_count=sum(file.row_count for file in files),
        files=files,
    )
    write_manifest(folder, manifest)
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `_manifest.json` in one move, after the data files; raises ValueError when it would be refused."""
    document = manifest_document(manifest)
    problems = [
        problem
        for problem in check_manifest(document, contracts=load_contracts())
        if problem.code not in {"unknown_table", "unsupported_schema_version"}
    ]
    if problems:
        raise ValueError("; ".join(f"{problem.path}: {problem.message_en}" for problem in problems))
    hidden = folder / f".{MANIFEST_NAME}.{os.getpid()}"
    with hidden.open("w", encoding="utf-8") as stream:
        json.dump(document, stream, ensure_ascii=False, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    hidden.replace(folder / MANIFEST_NAME)


def describe_file(file: Path, *, form: FileFormat, row_count: int, encoding: Encoding | None = None) -> ManifestFile:
    """The manifest entry of a written file whose rows the writer counted itself."""
    return ManifestFile(file.name, form, row_count, file.stat().st_size, file_sha256(file), encoding)


def file_sha256(file: Path) -> str:
    """The SHA-256 of a file's bytes, as hex."""
    digest = hashlib.sha256()
    with file.open("rb", buffering=0) as stream:
        while chunk := stream.read(HASHED_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _sealed_file(file: Path) -> ManifestFile:
    form = FORMATS_BY_SUFFIX[file.suffix.lower()]
    return describe_file(file, form=form, row_count=count_rows(file, form))


def _batch_folders(folders: DataFolders) -> Iterator[Path]:
    for folder in sorted(folders.landing.glob("*/*/*")):
        if folder.is_dir() and not any(part.startswith(".") for part in folder.parts[-3:]):
            yield folder


def _landed(folder: Path, contracts: dict[tuple[str, str], Contract]) -> LandedBatch:
    content = (folder / MANIFEST_NAME).read_bytes()
    source, table, batch_id = folder.parts[-3:]
    manifest, problems = _checked(content, contracts, (source, table, batch_id))
    return LandedBatch(folder, source, table, batch_id, hashlib.sha256(content).hexdigest(), manifest, tuple(problems))


def _checked(
    content: bytes, contracts: dict[tuple[str, str], Contract], place: tuple[str, str, str]
) -> tuple[Manifest | None, list[Problem]]:
    try:
        document: Any = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        return None, [refusal("unreadable_manifest", "", detail=str(error)[:200])]
    problems = check_manifest(document, contracts=contracts)
    if problems and any(problem.code not in {"unknown_table", "unsupported_schema_version"} for problem in problems):
        return None, problems
    manifest = read_manifest(document)
    said = (manifest.source, manifest.table, manifest.batch_id)
    for key, folder_says, manifest_says in zip(("source", "table", "batch_id"), place, said, strict=True):
        if folder_says != manifest_says:
            problems.append(refusal("wrong_folder", f"/{key}", expected=folder_says, found=manifest_says))
    return manifest, problems


def _order(batch: LandedBatch) -> tuple[str, str, float, str]:
    end = batch.manifest.window.end.timestamp() if batch.manifest else float("-inf")
    return batch.source, batch.table, end, batch.batch_id
