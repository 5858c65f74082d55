"""Landing batches on disk: parts that grow chunk by chunk, and the manifest that seals a batch.

The bytes of a format come from `formats`. A batch folder without `_manifest.json` does not exist yet, so manifests
are written last, by the caller.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Protocol
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow.parquet as pq

from pipelines.sample.contracts import Contract
from pipelines.sample.formats import arrow_table, csv_bytes, jsonl_bytes, parquet_writer, xlsx_bytes
from pipelines.sample.season import DAILY_BATCHES, Offsets

MANIFEST = "_manifest.json"
FORMAT = 1
MOST_ROWS = 1_000_000
BY_MONTH = {"mini_program/events": "occurred_at"}
_XLSX = frozenset({"saas/clinics", "saas/staff"})
_FORMAT_OF_SOURCE = {
    "saas": "csv",
    "leads": "csv",
    "official_account": "jsonl",
    "wecom": "jsonl",
    "mini_program": "parquet",
    "operational": "parquet",
}


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A data file as the manifest names it."""

    name: str
    format: str
    row_count: int
    bytes: int
    sha256: str
    encoding: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch's id and the local days it covers, both included; `first` null: everything up to `last`."""

    batch_id: str
    first: date
    last: date


def batches_of(end_on: date, days: int) -> tuple[Batch, ...]:
    """The initial batch up to three days before the last day, then one batch for each of the last three days."""
    start = end_on - timedelta(days=DAILY_BATCHES)
    daily = [start + timedelta(days=number) for number in range(1, DAILY_BATCHES + 1)]
    initial = Batch(f"{start:%Y%m%d}-initial", end_on - timedelta(days=days - 1), start)
    return (initial, *(Batch(f"{on:%Y%m%d}-daily", on, on) for on in daily))


def format_of(contract: Contract) -> str:
    """The format in which the sample writes a table."""
    return "xlsx" if contract.name in _XLSX else _FORMAT_OF_SOURCE[contract.source]


class _Part(Protocol):
    rows: int

    def add(self, frame: pl.DataFrame) -> None: ...

    def close(self) -> WrittenFile: ...


class _TextPart:
    """A CSV or JSON lines file that grows; its hash grows with it."""

    def __init__(self, path: Path, contract: Contract, offsets: Offsets, file_format: str) -> None:
        self.rows = 0
        self._path, self._contract, self._offsets, self._format = path, contract, offsets, file_format
        self._file: BinaryIO = path.open("wb")
        self._hash, self._bytes = hashlib.sha256(), 0
        if file_format == "csv":
            self._put((",".join(column.name for column in contract.columns) + "\n").encode())

    def add(self, frame: pl.DataFrame) -> None:
        if self._format == "csv":
            self._put(csv_bytes(frame, self._contract, header=False))
        else:
            self._put(jsonl_bytes(frame, self._contract, self._offsets))
        self.rows += len(frame)

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self._bytes += len(data)

    def close(self) -> WrittenFile:
        self._file.close()
        return WrittenFile(self._path.name, self._format, self.rows, self._bytes, self._hash.hexdigest())


class _ParquetPart:
    """A Parquet file that grows by one row group per chunk."""

    def __init__(self, path: Path, contract: Contract, offsets: Offsets) -> None:
        self.rows = 0
        self._path, self._contract, self._offsets = path, contract, offsets
        self._writer: pq.ParquetWriter | None = None

    def add(self, frame: pl.DataFrame) -> None:
        table = arrow_table(frame, self._contract, self._offsets)
        if self._writer is None:
            self._writer = parquet_writer(str(self._path), table, self._contract)
        self._writer.write_table(table)
        self.rows += len(frame)

    def close(self) -> WrittenFile:
        assert self._writer is not None, "a part is opened for its first rows"
        self._writer.close()
        return _sealed(self._path, "parquet", self.rows)


class _WorkbookPart:
    """An XLSX file; small tables only, written at once."""

    def __init__(self, path: Path, contract: Contract) -> None:
        self.rows = 0
        self._path, self._contract = path, contract
        self._frames: list[pl.DataFrame] = []

    def add(self, frame: pl.DataFrame) -> None:
        self._frames.append(frame)
        self.rows += len(frame)

    def close(self) -> WrittenFile:
        self._path.write_bytes(xlsx_bytes(pl.concat(self._frames), self._contract))
        return _sealed(self._path, "xlsx", self.rows)


def _sealed(path: Path, file_format: str, rows: int) -> WrittenFile:
    data = path.read_bytes()
    return WrittenFile(path.name, file_format, rows, len(data), hashlib.sha256(data).hexdigest())


class BatchFiles:
    """The data files of one table in one batch folder; parts of at most a million rows, by month where asked."""

    def __init__(self, folder: Path, contract: Contract, offsets: Offsets, *, label: str) -> None:
        self._folder, self._contract, self._offsets, self._label = folder, contract, offsets, label
        self._open: dict[str, _Part] = {}
        self._done: list[WrittenFile] = []

    def add(self, frame: pl.DataFrame) -> None:
        """Append rows (columns of the contract, in order)."""
        column = BY_MONTH.get(self._contract.name)
        if column is None or len(frame) == 0:
            self._add_to("part", frame)
            return
        months = frame[column].dt.to_string("%Y%m")
        for (month,), rows in (
            frame.with_columns(months.alias("_month")).partition_by("_month", as_dict=True, include_key=False).items()
        ):
            self._add_to(str(month), rows)

    def _add_to(self, group: str, frame: pl.DataFrame) -> None:
        part = self._open.get(group)
        if part is not None and part.rows + len(frame) > MOST_ROWS:
            self._done.append(part.close())
            part = None
        if part is None:
            part = self._open[group] = self._part(group)
        part.add(frame)

    def _part(self, group: str) -> _Part:
        self._folder.mkdir(parents=True, exist_ok=True)
        file_format = format_of(self._contract)
        turn = sum(1 for file in self._done if file.name.startswith(f"{group}-{self._label}"))
        path = self._folder / f"{group}-{self._label}{f'-{turn + 1}' if turn else ''}.{file_format}"
        if file_format == "parquet":
            return _ParquetPart(path, self._contract, self._offsets)
        if file_format == "xlsx":
            return _WorkbookPart(path, self._contract)
        return _TextPart(path, self._contract, self._offsets, file_format)

    def close(self) -> list[WrittenFile]:
        """Close all parts; the files written, in order of their names."""
        self._done += [part.close() for part in self._open.values()]
        return sorted(self._done, key=lambda file: file.name)


def write_manifest(
    folder: Path, contract: Contract, batch: Batch, files: Sequence[WrittenFile], zone: ZoneInfo
) -> None:
    """Seal a batch: write `_manifest.json`, in the format of `docs/architecture.md`."""
    text = manifest(contract.source, contract.table, batch, files, zone, schema_version=contract.schema_version)
    write_json(folder / MANIFEST, text)


def manifest(
    source: str,
    table: str,
    batch: Batch,
    files: Sequence[WrittenFile],
    zone: ZoneInfo,
    *,
    schema_version: int = 1,
) -> dict[str, object]:
    """The manifest of a batch as a JSON object; `window.to` is exclusive."""
    return {
        "format": FORMAT,
        "source": source,
        "table": table,
        "batch_id": batch.batch_id,
        "schema_version": schema_version,
        "window": {"from": _midnight(batch.first, zone), "to": _midnight(batch.last + timedelta(days=1), zone)},
        "row_count": sum(file.row_count for file in files),
        "files": [{k: v for k, v in asdict(file).items() if v is not None} for file in files],
    }


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Write a JSON object for people and machines."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", "utf-8")


def _midnight(on: date, zone: ZoneInfo) -> str:
    return datetime(on.year, on.month, on.day, tzinfo=zone).isoformat()
