"""A batch's manifest as typed data, and everything that can be wrong with one. Pure: no file is touched here.

Reading and writing `_manifest.json` belongs to `pipelines.warehouse.landing`, comparing it with the files to
`pipelines.warehouse.load`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal, cast, get_args
from zoneinfo import ZoneInfo

from pipelines.ingest.contracts import Contract
from pipelines.ingest.problems import Problem
from pipelines.ingest.quarantine import refusal

FileFormat = Literal["csv", "jsonl", "parquet", "xlsx"]
Encoding = Literal["utf-8", "gb18030", "utf-16"]
FORMATS: tuple[str, ...] = get_args(FileFormat)
ENCODINGS: tuple[str, ...] = get_args(Encoding)
MANIFEST_FORMAT = 1
MANIFEST_NAME = "_manifest.json"

MANIFEST_KEYS = {"format", "source", "table", "batch_id", "schema_version", "window", "row_count", "files"}
# Written by us alone, where erased persons' rows were taken out of a batch.
REDACTED = "redacted"
FILE_KEYS = {"name", "format", "row_count", "bytes", "sha256"}
BATCH_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
SHA256 = re.compile(r"[0-9a-f]{64}")
# No path, no hidden file, no pattern characters: the name is handed to a reader that expands patterns.
FILE_NAME = re.compile(r"[^/\\\x00-\x1f*?\[\]{}._][^/\\\x00-\x1f*?\[\]{}]{0,199}")


@dataclass(frozen=True, slots=True)
class Window:
    """The span of time a batch covers; `end` is exclusive, both aware."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """One data file as its writer saw it; without `encoding`, text is UTF-8."""

    name: str
    format: FileFormat
    row_count: int
    bytes: int
    sha256: str
    encoding: Encoding | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A batch as its writer sealed it; once persons were erased from it, also how many of its rows are gone with them.

    `erased_rows` is None for a batch that was never redacted. `row_count` counts the rows that are there.
    """

    source: str
    table: str
    batch_id: str
    schema_version: int
    window: Window
    row_count: int
    files: tuple[ManifestFile, ...]
    erased_rows: int | None = None

    def business_day(self, zone: ZoneInfo) -> date:
        """The local date of the last instant before the window's end."""
        return (self.window.end - timedelta(microseconds=1)).astimezone(zone).date()


def check_manifest(document: Any, *, contracts: Mapping[tuple[str, str], Contract]) -> list[Problem]:
    """Everything wrong with a manifest document at once; empty when `read_manifest` may read it."""
    if not isinstance(document, dict):
        return [refusal("wrong_value", "", expected="an object / 对象", found=type(document).__name__)]
    problems = [
        *_key_problems(document, MANIFEST_KEYS, path="", more=REDACTED),
        *_header_problems(document),
        *_window_problems(document),
        *_files_problems(document),
    ]
    return problems or list(_contract_problems(document, contracts))


def read_manifest(document: Mapping[str, Any]) -> Manifest:
    """The typed form of a document in which `check_manifest` found nothing wrong."""
    return Manifest(
        source=document["source"],
        table=document["table"],
        batch_id=document["batch_id"],
        schema_version=document["schema_version"],
        window=Window(
            datetime.fromisoformat(document["window"]["from"]), datetime.fromisoformat(document["window"]["to"])
        ),
        row_count=document["row_count"],
        files=tuple(
            ManifestFile(
                name=file["name"],
                format=cast(FileFormat, file["format"]),
                row_count=file["row_count"],
                bytes=file["bytes"],
                sha256=file["sha256"],
                encoding=cast(Encoding | None, file.get("encoding")),
            )
            for file in document["files"]
        ),
        erased_rows=document[REDACTED]["erased_rows"] if REDACTED in document else None,
    )


def manifest_document(manifest: Manifest) -> dict[str, Any]:
    """The JSON document of a manifest; `read_manifest` reads it back."""
    document: dict[str, Any] = {
        "format": MANIFEST_FORMAT,
        "source": manifest.source,
        "table": manifest.table,
        "batch_id": manifest.batch_id,
        "schema_version": manifest.schema_version,
        "window": {"from": manifest.window.start.isoformat(), "to": manifest.window.end.isoformat()},
        "row_count": manifest.row_count,
        "files": [_file_document(file) for file in manifest.files],
    }
    if manifest.erased_rows is not None:
        document[REDACTED] = {"erased_rows": manifest.erased_rows}
    return document


def _file_document(file: ManifestFile) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": file.name,
        "format": file.format,
        "row_count": file.row_count,
        "bytes": file.bytes,
        "sha256": file.sha256,
    }
    return document | ({"encoding": file.encoding} if file.encoding else {})


def _key_problems(found: Mapping[str, Any], needed: set[str], *, path: str, more: str = "") -> Iterator[Problem]:
    for key in sorted(needed - set(found)):
        yield refusal("missing_key", f"{path}/{key}")
    for key in sorted(set(found) - needed - {more}):
        yield refusal("unknown_key", f"{path}/{_pointer(key)}", found=repr(key))


def _header_problems(document: Mapping[str, Any]) -> Iterator[Problem]:
    yield from _expect(
        document, "format", str(MANIFEST_FORMAT), lambda value: _is_count(value) and value == MANIFEST_FORMAT
    )
    yield from _expect(document, "source", "text / 文本", lambda value: isinstance(value, str))
    yield from _expect(document, "table", "text / 文本", lambda value: isinstance(value, str))
    yield from _expect(document, "batch_id", BATCH_ID.pattern, lambda value: _matches(BATCH_ID, value))
    yield from _expect(document, "schema_version", "a whole number / 整数", _is_count)
    yield from _expect(document, "row_count", "a whole number / 整数", _is_count)
    yield from _expect(document, REDACTED, '{"erased_rows": n}', _is_redaction)


def _window_problems(document: Mapping[str, Any]) -> Iterator[Problem]:
    if "window" not in document:
        return
    window = document["window"]
    if not isinstance(window, dict):
        yield refusal("wrong_value", "/window", expected="an object / 对象", found=repr(window)[:80])
        return
    yield from _key_problems(window, {"from", "to"}, path="/window")
    bounds = {key: _moment(window[key]) for key in ("from", "to") if key in window}
    for key, bound in bounds.items():
        if bound is None:
            expected = "an ISO 8601 moment with offset / 带时区的 ISO 8601 时间"
            yield refusal("wrong_value", f"/window/{key}", expected=expected, found=repr(window[key])[:80])
    start, end = bounds.get("from"), bounds.get("to")
    if start and end and start >= end:
        yield refusal("wrong_value", "/window/to", expected=f"> {window['from']}", found=window["to"])


def _files_problems(document: Mapping[str, Any]) -> Iterator[Problem]:
    if "files" not in document:
        return
    files = document["files"]
    if not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
        yield refusal("wrong_value", "/files", expected="a list of objects / 对象列表", found=repr(files)[:80])
        return
    problems = [problem for index, file in enumerate(files) for problem in _file_problems(index, file)]
    yield from problems
    names = [file.get("name") for file in files]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield refusal("wrong_value", f"/files/{index}/name", expected="a new name / 不重复的文件名", found=name)
    total = document.get("row_count")
    if not problems and _is_count(total) and total != sum(file["row_count"] for file in files):
        yield refusal(
            "row_count_mismatch", "/row_count", expected=total, found=sum(file["row_count"] for file in files)
        )


def _file_problems(index: int, file: Mapping[str, Any]) -> Iterator[Problem]:
    path = f"/files/{index}"
    yield from _key_problems(file, FILE_KEYS, path=path, more="encoding")
    yield from _expect(file, "name", "a plain file name / 文件名", lambda value: _matches(FILE_NAME, value), path)
    yield from _expect(file, "format", " | ".join(FORMATS), lambda value: value in FORMATS, path)
    yield from _expect(file, "row_count", "a whole number / 整数", _is_count, path)
    yield from _expect(file, "bytes", "a whole number / 整数", _is_count, path)
    yield from _expect(file, "sha256", "64 hex digits", lambda value: _matches(SHA256, value), path)
    is_text = file.get("format") in ("csv", "jsonl")  # a tuple: the value may be anything, unhashable too
    allowed = ENCODINGS if is_text else ()
    yield from _expect(file, "encoding", " | ".join(allowed) or "-", lambda value: value in allowed, path)


def _contract_problems(document: Mapping[str, Any], contracts: Mapping[tuple[str, str], Contract]) -> Iterator[Problem]:
    contract = contracts.get((document["source"], document["table"]))
    if contract is None:
        yield refusal("unknown_table", "/table", table=f"{document['source']}/{document['table']}"[:120])
    elif document["schema_version"] != contract.schema_version:
        yield refusal(
            "unsupported_schema_version",
            "/schema_version",
            expected=contract.schema_version,
            found=document["schema_version"],
        )


def _expect(found: Mapping[str, Any], key: str, expected: str, holds: Any, path: str = "") -> Iterator[Problem]:
    if key in found and not holds(found[key]):
        yield refusal("wrong_value", f"{path}/{key}", expected=expected, found=repr(found[key])[:80])


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_redaction(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"erased_rows"} and _is_count(value["erased_rows"])


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    # Moments near the end of time cannot be moved between zones or by the late-arrival days.
    return moment if moment.tzinfo is not None and 1900 <= moment.year <= 2200 else None


def _pointer(key: object) -> str:
    return str(key).replace("~", "~0").replace("/", "~1")
