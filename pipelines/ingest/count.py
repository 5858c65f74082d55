"""Counting a data file's rows as the parser will, for people who seal a folder without knowing the counts."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
from python_calamine import CalamineError

from pipelines.ingest.encoding import certain_encoding, has_carriage_returns_only, likely_encoding, rewrite_as_utf8
from pipelines.ingest.manifest import FileFormat
from pipelines.ingest.records import csv_records, json_records
from pipelines.ingest.xlsx import read_sheet


def count_rows(file: Path, form: FileFormat) -> int:
    """Rows below the header, broken ones included; raises ValueError when the file cannot be read at all."""
    try:
        match form:
            case "parquet":
                return int(pq.read_metadata(file).num_rows)
            case "xlsx":
                return int(read_sheet(file)[1].num_rows)
            case _:
                return _count_text(file, form)
    except (pa.ArrowException, CalamineError, OSError) as error:
        raise ValueError(f"{file.name}: {error} / 文件无法读取") from error


def _count_text(file: Path, form: FileFormat) -> int:
    encoding = likely_encoding(file, None)
    if encoding == "utf-8":
        encoding = certain_encoding(file)
    only_returns = encoding != "utf-16" and has_carriage_returns_only(file)
    if encoding == "utf-8" and not only_returns:
        return _count_records(file, form)
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "text"
        rewrite_as_utf8(file, copy, encoding, only_returns=only_returns)
        return _count_records(copy, form)


def _count_records(file: Path, form: FileFormat) -> int:
    with file.open("rb") as stream:
        if form == "jsonl":
            return sum(1 for _ in json_records(stream))
        return max(0, sum(1 for _ in csv_records(stream, columns=None)) - 1)
