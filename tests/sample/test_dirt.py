"""What is planted: listed where it stands, with every reason once at least, and no good batch touched."""

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.sample.contracts import contracts

from .conftest import Landed

ROW_REASONS = {
    "missing_required", "not_in_allowed", "not_a_number", "not_an_integer", "too_many_decimals", "out_of_range",
    "bad_date", "bad_datetime", "bad_boolean", "malformed_row", "too_late", "from_the_future",
}  # fmt: skip
BATCH_REASONS = {"row_count_mismatch", "checksum_mismatch", "missing_column", "unknown_table"}


@pytest.fixture(scope="module")
def planted(dirty: Landed) -> dict[str, Any]:
    listed: dict[str, Any] = json.loads((dirty.root / "sample_truth/dirt.json").read_text("utf-8"))
    return listed


def folder_of(landed: Landed, fault: dict[str, Any]) -> Path:
    return landed.root / "landing" / fault["source"] / fault["table"] / fault["batch_id"]


def manifest_of(landed: Landed, fault: dict[str, Any]) -> dict[str, Any]:
    text: dict[str, Any] = json.loads((folder_of(landed, fault) / "_manifest.json").read_text("utf-8"))
    return text


def line_of(landed: Landed, fault: dict[str, Any]) -> str:
    text = (folder_of(landed, fault) / fault["file"]).read_bytes()
    encoding = next(f.get("encoding", "utf-8") for f in manifest_of(landed, fault)["files"])
    return text.decode(encoding).split("\n")[fault["line"] - 1]


def test_every_reason_is_planted(planted: dict[str, Any]):
    assert {fault["reason"] for fault in planted["rows"]} == ROW_REASONS
    assert {fault["reason"] for fault in planted["batches"]} == BATCH_REASONS


def test_good_batches_are_the_same_with_and_without_dirt(dirty: Landed, small: Landed):
    landing = small.root / "landing"

    files = [path for path in landing.rglob("*") if path.is_file()]

    assert files
    for path in files:
        assert (dirty.root / "landing" / path.relative_to(landing)).read_bytes() == path.read_bytes()


def test_listed_csv_rows_have_their_fault_in_the_listed_column(dirty: Landed, planted: dict[str, Any]):
    faults = [f for f in planted["rows"] if f["file"].endswith(".csv") and f["column"] is not None]

    for fault in faults:
        contract = contracts()[f"{fault['source']}/{fault['table']}"]
        row = next(csv.reader(io.StringIO(line_of(dirty, fault))))
        cells = dict(zip([c.name for c in contract.columns], row, strict=True))
        column = next(c for c in contract.columns if c.name == fault["column"])
        if fault["reason"] == "missing_required":
            assert column.required
            assert cells[column.name] == ""
        elif fault["reason"] == "not_in_allowed":
            assert cells[column.name] not in column.allowed
        else:
            assert cells[column.name] != ""


def test_malformed_lines_do_not_parse(dirty: Landed, planted: dict[str, Any]):
    faults = [f for f in planted["rows"] if f["reason"] == "malformed_row"]

    assert {Path(f["file"]).suffix for f in faults} == {".csv", ".jsonl"}
    for fault in faults:
        line = line_of(dirty, fault)
        if fault["file"].endswith(".jsonl"):
            with pytest.raises(json.JSONDecodeError):
                json.loads(line)
        else:
            width = len(contracts()[f"{fault['source']}/{fault['table']}"].columns)
            assert len(next(csv.reader(io.StringIO(line)))) != width


def test_sealed_batches_count_their_good_and_their_bad_rows(dirty: Landed, planted: dict[str, Any]):
    bad: dict[tuple[str, str], int] = {}
    for fault in planted["rows"]:
        key = (fault["table"], fault["batch_id"])
        bad[key] = bad.get(key, 0) + 1

    for fault in planted["rows"]:
        assert manifest_of(dirty, fault)["row_count"] >= bad[fault["table"], fault["batch_id"]]


def test_refused_batches_have_the_fault_they_are_refused_for(dirty: Landed, planted: dict[str, Any]):
    by_reason = {fault["reason"]: fault for fault in planted["batches"]}

    truncated = manifest_of(dirty, by_reason["row_count_mismatch"])
    lines = (folder_of(dirty, by_reason["row_count_mismatch"]) / "export.csv").read_text("utf-8").splitlines()
    assert len(lines) - 1 < truncated["row_count"]

    wrong = by_reason["checksum_mismatch"]
    data = (folder_of(dirty, wrong) / "export.csv").read_bytes()
    assert hashlib.sha256(data).hexdigest() != manifest_of(dirty, wrong)["files"][0]["sha256"]

    header = (folder_of(dirty, by_reason["missing_column"]) / "export.csv").read_text("utf-8").splitlines()[0]
    assert "amount" not in header.split(",")

    stranger = by_reason["unknown_table"]
    assert f"{stranger['source']}/{stranger['table']}" not in contracts()


def test_an_unsealed_folder_has_no_manifest(dirty: Landed, planted: dict[str, Any]):
    [folder] = [folder_of(dirty, fault) for fault in planted["ignored"]]

    assert [path.name for path in folder.iterdir()] == ["export.csv"]


def test_encodings_are_what_they_are_said_to_be(dirty: Landed):
    gb = dirty.root / "landing/leads/leads/20261120-excel/export.csv"
    bom = dirty.root / "landing/saas/follow_ups/20261120-bom/export.csv"

    assert "龔小姐" in gb.read_bytes().decode("gb18030")
    with pytest.raises(UnicodeDecodeError):
        gb.read_bytes().decode("utf-8")
    assert bom.read_bytes().startswith(b"\xef\xbb\xbf")
