"""Where the records of a text file stand: a compact index of good records, and the broken ones with their reason."""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import duckdb
import pyarrow as pa

from pipelines.ingest.manifest import FileFormat
from pipelines.ingest.records import Record, csv_records, json_records

JUDGED_LINES = 20_000
LOCATED_ROWS = 20_000
LOCATED = pa.schema([("line", pa.int64()), ("fault", pa.string()), ("row", pa.string())])


@dataclass(slots=True)
class RecordIndex:
    """Line, offset and length of every record below the header: of the good ones in order, and of the broken ones."""

    lines: "array[int]" = field(default_factory=lambda: array("q"))
    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    lengths: "array[int]" = field(default_factory=lambda: array("q"))
    broken: list[tuple[int, int, int, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.lines)

    def add(self, record: Record, fault: str | None) -> None:
        """Note one record."""
        if fault is None:
            self.lines.append(record.line)
            self.offsets.append(record.offset)
            self.lengths.append(len(record.content))
        else:
            self.broken.append((record.line, record.offset, len(record.content), fault))


def index_records(
    file: Path, form: FileFormat, *, columns: int, judge: duckdb.DuckDBPyConnection | None
) -> RecordIndex:
    """Index a UTF-8 file; with `judge` JSONL lines must also be JSON objects, as the parser understands JSON."""
    index = RecordIndex()
    with file.open("rb") as stream:
        if form == "csv":
            for record in islice(csv_records(stream, columns=columns), 1, None):
                index.add(record, record.fault)
        else:
            for record, fault in _judged(json_records(stream), judge):
                index.add(record, fault)
    return index


def write_clean_copy(file: Path, form: FileFormat, index: RecordIndex, target: Path) -> None:
    """Write only the good records (and a CSV's header), each ended by one line feed."""
    with file.open("rb") as stream, target.open("wb") as sink:
        if form == "csv":
            header = next(csv_records(stream, columns=None))
            sink.write(header.content.rstrip(b"\r\n") + b"\n")
        for content in _contents(stream, zip(index.offsets, index.lengths, strict=True)):
            sink.write(content.rstrip(b"\r\n") + b"\n")


def located_rows(file: Path, index: RecordIndex, ordinals: Iterable[int]) -> pa.RecordBatchReader:
    """Line and text of good records by ordinal (1 is the first below the header), in the order given; `fault` null."""
    places = ((index.lines[n - 1], index.offsets[n - 1], index.lengths[n - 1], None) for n in ordinals)
    return pa.RecordBatchReader.from_batches(LOCATED, _located(file, places))


def broken_rows(file: Path, index: RecordIndex) -> pa.RecordBatchReader:
    """Line, fault and text of the broken records; bytes that are no text are shown as U+FFFD."""
    return pa.RecordBatchReader.from_batches(LOCATED, _located(file, iter(index.broken)))


def _located(file: Path, places: Iterator[tuple[int, int, int, str | None]]) -> Iterator[pa.RecordBatch]:
    with file.open("rb") as stream:
        while chunk := list(islice(places, LOCATED_ROWS)):
            contents = _contents(stream, ((offset, length) for _, offset, length, _ in chunk))
            texts = [content.rstrip(b"\r\n").decode("utf-8", errors="replace") for content in contents]
            lines, faults = [place[0] for place in chunk], [place[3] for place in chunk]
            yield pa.RecordBatch.from_arrays(
                [pa.array(lines, pa.int64()), pa.array(faults, pa.string()), pa.array(texts, pa.string())],
                schema=LOCATED,
            )


def _contents(stream: BinaryIO, places: Iterable[tuple[int, int]]) -> Iterator[bytes]:
    for offset, length in places:
        stream.seek(offset)
        yield stream.read(length)


def _judged(records: Iterator[Record], judge: duckdb.DuckDBPyConnection | None) -> Iterator[tuple[Record, str | None]]:
    while chunk := list(islice(records, JUDGED_LINES)):
        verdicts = _are_objects(judge, chunk) if judge is not None else [True] * len(chunk)
        for record, is_object in zip(chunk, verdicts, strict=True):
            yield record, record.fault or (None if is_object else "broken_json")


def _are_objects(judge: duckdb.DuckDBPyConnection, records: list[Record]) -> list[bool]:
    texts = [record.content.decode("utf-8", errors="replace") for record in records]
    lines = pa.table({"place": list(range(len(texts))), "line": pa.array(texts, pa.string())})
    judge.register("lines", lines)
    # A key written twice is refused by the reader, so it is refused here.
    verdicts = judge.execute(
        """
        select
            case
                when not json_valid(line) then false
                when json_type(line) <> 'OBJECT' then false
                else len(json_keys(line)) = len(list_distinct(json_keys(line)))
            end
        from lines
        order by place
        """
    ).fetchall()
    judge.unregister("lines")
    return [bool(verdict) for (verdict,) in verdicts]
