"""Making landing batches and reading what ingest made of them; every text is written exactly as given."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from pipelines.ingest.contracts import Contract, load_contracts
from pipelines.ingest.manifest import Encoding, FileFormat, Manifest, Window
from pipelines.ingest.parse import parse_file
from pipelines.ingest.parse_messages import ParseReply, ParseRequest, SandboxRules
from pipelines.ingest.sandbox import Sandboxes
from pipelines.settings import PipelineSettings
from pipelines.warehouse.landing import LandedBatch, describe_file, discover, write_manifest

ZONE = ZoneInfo("Asia/Shanghai")
DAY = datetime(2026, 11, 20, tzinfo=ZONE)
WINDOW = Window(DAY, DAY + timedelta(days=1))
PHONES = ("saas", "patient_phones")
EVENTS = ("mini_program", "events")


def phone(key: str, number: str = "13800001111", *, updated_at: str = "2026-11-20 08:00:00") -> dict[str, Any]:
    """A good row of saas/patient_phones."""
    return {
        "patient_phone_id": key,
        "patient_id": "P1",
        "phone": number,
        "relation": "本人",
        "is_primary": "是",
        "updated_at": updated_at,
    }


def event(key: str, **changes: Any) -> dict[str, Any]:
    """A good row of mini_program/events, as JSON carries it."""
    row = {
        "event_id": key,
        "app_id": "wx1",
        "openid": "o1",
        "event": "分享",
        "amount": 1200,
        "occurred_at": "2026-11-20T08:00:00+08:00",
    }
    return row | changes


def csv_text(rows: Sequence[Mapping[str, Any]], *, quote_all: bool = False) -> str:
    """Rows as CSV with a header; quoted where Python sees a need (which a lone carriage return is not), or all."""
    sink = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    writer = csv.DictWriter(sink, fieldnames=list(rows[0]), lineterminator="\n", quoting=quoting)
    writer.writeheader()
    writer.writerows(rows)
    return sink.getvalue()


def jsonl_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as JSON lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def land(
    settings: PipelineSettings,
    table: tuple[str, str],
    content: str | bytes,
    *,
    batch_id: str = "20261120-01",
    rows: int,
    form: FileFormat = "csv",
    encoding: Encoding | None = None,
    window: Window = WINDOW,
) -> Path:
    """Write a batch of one file with a true manifest; `rows` is the count the manifest declares."""
    folder = settings.folders.landing / table[0] / table[1] / batch_id
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"part-1.{form}"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    entry = describe_file(file, form=form, row_count=rows, encoding=encoding)
    write_manifest(folder, Manifest(*table, batch_id, 1, window, rows, (entry,)))
    return folder


def landed(settings: PipelineSettings, batch_id: str = "20261120-01") -> LandedBatch:
    """The landed batch of that id."""
    return next(batch for batch in discover(settings.folders) if batch.batch_id == batch_id)


class SameProcessParser:
    """The parser without its process: for tests of what is parsed, not of what a crash does."""

    def __init__(self) -> None:
        self.sandboxes = Sandboxes()
        self.requests: list[ParseRequest] = []

    def parse(self, request: ParseRequest) -> ParseReply:
        self.requests.append(request)
        return parse_file(request, self.sandboxes)


def request_for(folder: Path, file: Path, form: FileFormat, contract: Contract, **changes: Any) -> ParseRequest:
    """A request to parse one file below `folder` into `folder/staged`."""
    staged = folder / "staged"
    staged.mkdir(exist_ok=True)
    defaults: dict[str, Any] = {
        "contract": contract,
        "batch_id": "20261120-01",
        "file": file,
        "format": form,
        "encoding": None,
        "window": WINDOW,
        "staged": staged / "0.parquet",
        "rejects": staged / "0.rejects.parquet",
        "rules": SandboxRules(folder, staged, "Asia/Shanghai", "1GB"),
        "threads": 2,
        "numbered": False,
    }
    return ParseRequest(**(defaults | changes))


class Parsed:
    """What one file was parsed into: good rows as dicts, rejects as (line, column, code, value, row)."""

    def __init__(self, request: ParseRequest, reply: ParseReply) -> None:
        self.reply = reply
        self.rows: list[dict[str, Any]] = []
        self.rejects: list[tuple[Any, ...]] = []
        if reply.problem is None:
            self.rows = _dicts(f"from read_parquet('{request.staged}') where not _bad order by _row")
        if reply.has_rejects:
            with duckdb.connect() as con:
                self.rejects = con.execute(
                    f"select line, column_name, code, value, row from read_parquet('{request.rejects}')"
                ).fetchall()


def parsed(
    folder: Path, content: str | bytes, form: FileFormat = "csv", table: tuple[str, str] = PHONES, **changes: Any
) -> Parsed:
    """Write a file and parse it."""
    file = folder / f"data.{form}"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    request = request_for(folder, file, form, load_contracts()[table], **changes)
    return Parsed(request, parse_file(request, Sandboxes()))


def _dicts(query: str) -> list[dict[str, Any]]:
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'Asia/Shanghai'")
        cursor = con.execute(query)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
