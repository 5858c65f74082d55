"""Putting together the files of planted faults: rows, their line numbers, the manifests that fit or do not fit.

Which faults there are is said in `dirt`.
"""

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from pipelines.sample.dirt_rows import DirtRows
from pipelines.sample.formats import workbook
from pipelines.sample.shard import Order
from pipelines.sample.world import World
from pipelines.sample.writers import MANIFEST, Batch, WrittenFile, batches_of, manifest, write_json


@dataclass(slots=True)
class Planted:
    """What `dirt.json` will list."""

    rows: list[dict[str, object]] = field(default_factory=list)
    batches: list[dict[str, object]] = field(default_factory=list)
    accepted: list[dict[str, object]] = field(default_factory=list)
    ignored: list[dict[str, object]] = field(default_factory=list)


class Dirt(DirtRows):
    """The planted files of one sample, made of planted rows, and the list of what was planted."""

    def __init__(self, order: Order, world: World) -> None:
        super().__init__(order, world)
        self.planted = Planted()

    def batch(self, name: str) -> Batch:
        """A batch of the last day with an id of its own."""
        return Batch(f"{self.order.end_on:%Y%m%d}-{name}", self.order.end_on, self.order.end_on)

    def known_openid(self) -> str:
        """A mini-program user of the sample, or a planted one when it has none."""
        for path in sorted((self.order.landing / "mini_program/users").glob("*/*.parquet")):
            found = pq.read_table(path, columns=["openid"])["openid"]
            if len(found):
                return str(found[0])
        return "oM5x-planted"

    def csv(self, table: str, name: str, *, encoding: str = "utf-8") -> "DirtyFile":
        """An empty CSV of a new batch."""
        return DirtyFile(self, table, name, "csv", encoding)

    def jsonl(self, table: str, name: str) -> "DirtyFile":
        """An empty JSON lines file of a new batch."""
        return DirtyFile(self, table, name, "jsonl", "utf-8")

    def xlsx(self, table: str, name: str) -> "DirtyFile":
        """An empty workbook of a new batch."""
        return DirtyFile(self, table, name, "xlsx", "utf-8")

    def copy(
        self,
        table: str,
        name: str,
        *,
        rows: int,
        times: int = 1,
        encoding: str = "utf-8",
        extra: Mapping[str, str] | None = None,
        without: str | None = None,
        landed_as: str | None = None,
    ) -> "DirtyFile":
        """A CSV with the first rows of the table's initial batch again."""
        initial = batches_of(self.order.end_on, self.order.days)[0]
        source = sorted((self.order.landing / table / initial.batch_id).glob("*.csv"))[0]
        file = DirtyFile(self, landed_as or table, name, "csv", encoding)
        with source.open(encoding="utf-8", newline="") as lines:
            for _, row in zip(range(rows), csv.DictReader(lines), strict=False):
                kept = {column: cell for column, cell in row.items() if column != without}
                for _ in range(times):
                    file.add(kept | dict(extra or {}))
        return file

    def write(self) -> None:
        """Write `dirt.json` and the truth of planted identities."""
        lists = {"rows": self.planted.rows, "batches": self.planted.batches}
        more = {"accepted": self.planted.accepted, "ignored": self.planted.ignored}
        write_json(self.order.truth / "dirt.json", {"format": 1, **lists, **more})
        types: dict[str, Any] = {"key": pl.String, "kind": pl.String, "person_id": pl.Int64, "household_id": pl.Int64}
        truth = pl.DataFrame(self.truth, schema={**types, "is_guardian_contact": pl.Boolean})
        truth.write_ipc(self.order.truth / "part-dirty.arrow")


class DirtyFile:
    """One file of one planted batch, row by row; lines count from 1 and a CSV's or workbook's header is line 1."""

    def __init__(self, dirt: Dirt, table: str, name: str, file_format: str, encoding: str) -> None:
        self._dirt, self._table, self._format, self._encoding = dirt, table, file_format, encoding
        self._batch = dirt.batch(name)
        self._name = f"export.{file_format}"
        self._columns: list[str] = []
        self._records: list[str | tuple[str | None, ...]] = []
        self._line = 1 if file_format == "jsonl" else 2
        self._bad = 0

    def add(self, row: Mapping[str, Any]) -> int:
        """Append a row; the line it begins on."""
        self._columns = self._columns or list(row)
        if self._format == "jsonl":
            return self._append(json.dumps(row, ensure_ascii=False))
        if self._format == "xlsx":
            return self._append(tuple(row[name] or None for name in self._columns))
        out = io.StringIO()
        csv.writer(out, lineterminator="").writerow([row[name] for name in self._columns])
        return self._append(out.getvalue())

    def _append(self, record: str | tuple[str | None, ...]) -> int:
        line = self._line
        self._records.append(record)
        self._line += 1 + (record.count("\n") if isinstance(record, str) else 0)
        return line

    def good(self, row: Mapping[str, Any], *, what: str) -> None:
        """Append a row that is odd but loads."""
        line = self.add(row)
        self._dirt.planted.accepted.append({**self._place(), "line": line, "what": what})

    def bad(self, row: Mapping[str, Any], column: str, reason: str) -> None:
        """Append a row with one fault."""
        self._refused(self.add(row), column, reason)

    def broken(self, text: str, reason: str) -> None:
        """Append a line that is no row."""
        self._refused(self._append(text), None, reason)

    def _refused(self, line: int, column: str | None, reason: str) -> None:
        self._bad += 1
        self._dirt.planted.rows.append({**self._place(), "line": line, "column": column, "reason": reason})

    def seal(self, *, what: str | None = None) -> None:
        """Write the file and a manifest that fits it."""
        written = self._write()
        self._manifest([written])
        if what is not None:
            self._dirt.planted.accepted.append({**self._place(), "rows": written.row_count, "what": what})

    def refuse(self, reason: str, *, claimed_rows: int | None = None, wrong_checksum: bool = False) -> None:
        """Write the file and a manifest for which the whole batch is refused."""
        file = self._write()
        rows = file.row_count if claimed_rows is None else claimed_rows
        digest = hashlib.sha256(b"another file").hexdigest() if wrong_checksum else file.sha256
        self._manifest([WrittenFile(file.name, file.format, rows, file.bytes, digest, file.encoding)])
        self._dirt.planted.batches.append({**self._batch_place(), "reason": reason})

    def leave_unsealed(self) -> None:
        """Write the file without a manifest: the batch does not exist yet."""
        self._write()
        self._dirt.planted.ignored.append({**self._batch_place(), "what": "a folder without a manifest"})

    def _folder(self) -> Path:
        return self._dirt.order.landing / self._table / self._batch.batch_id

    def _batch_place(self) -> dict[str, object]:
        source, table = self._table.split("/")
        return {"source": source, "table": table, "batch_id": self._batch.batch_id}

    def _place(self) -> dict[str, object]:
        return {**self._batch_place(), "file": self._name}

    def _write(self) -> WrittenFile:
        data = self._bytes()
        self._folder().mkdir(parents=True)
        (self._folder() / self._name).write_bytes(data)
        # A byte order mark is still UTF-8; only another encoding is named.
        encoding = self._encoding if self._encoding == "gb18030" else None
        digest = hashlib.sha256(data).hexdigest()
        return WrittenFile(self._name, self._format, len(self._records), len(data), digest, encoding)

    def _bytes(self) -> bytes:
        if self._format == "xlsx":
            cells = [record for record in self._records if isinstance(record, tuple)]
            return workbook([tuple(self._columns), *cells])
        header = [] if self._format == "jsonl" else [",".join(self._columns)]
        lines = [*header, *(str(record) for record in self._records)]
        return ("\n".join(lines) + "\n").encode(self._encoding)

    def _manifest(self, files: list[WrittenFile]) -> None:
        source, table = self._table.split("/")
        text = manifest(source, table, self._batch, files, self._dirt.order.zone)
        write_json(self._folder() / MANIFEST, text)
