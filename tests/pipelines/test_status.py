"""`cdp status` on data directories that are not as they should be."""

import json
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from pipelines import steps
from pipelines.cli import app
from pipelines.nightly import RunRecord
from pipelines.settings import PipelineSettings
from segment_engine.runtime.folders import DataFolders
from tests.conftest import END_ON
from tests.pipelines.damage import DAMAGED_POINTERS, damage_pointer

MARKUP = "[/x] [red]y"


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner(env={"COLUMNS": "240", "TERM": "dumb"})


def test_brackets_in_data_are_shown_and_break_nothing(runner: CliRunner, tmp_path: Path) -> None:
    record = RunRecord(run_id="20261120", as_of="2026-11-20", started_at="2026-11-21T00:30:00+08:00", pid=1)
    record.status, record.error = "failed", f"error: {MARKUP}"
    record.write(DataFolders(tmp_path))
    (tmp_path / "landing/saas/patients/[red]batch").mkdir(parents=True)

    answer = runner.invoke(app, ["status"], env={"CDP_DATA_DIR": str(tmp_path)})

    assert answer.exit_code == 0, answer.exception
    assert f"error: {MARKUP}" in answer.output
    assert "saas/patients/[red]batch" in answer.output


def test_brackets_in_a_refused_manifest_are_shown_and_break_nothing(runner: CliRunner, tmp_path: Path) -> None:
    folder = tmp_path / "landing/saas/patients/b1"
    folder.mkdir(parents=True)
    (folder / "_manifest.json").write_text(json.dumps({"window": {"from": "x", "to": MARKUP}}), encoding="utf-8")

    steps.ingest(PipelineSettings(data_dir=tmp_path), END_ON)
    answer = runner.invoke(app, ["status"], env={"CDP_DATA_DIR": str(tmp_path)})

    assert answer.exit_code == 0, answer.exception
    assert "[/x]" in answer.output


@pytest.mark.parametrize("text", DAMAGED_POINTERS)
def test_a_damaged_pointer_is_told_and_the_rest_still_shown(runner: CliRunner, tmp_path: Path, text: str) -> None:
    damage_pointer(tmp_path, text)
    (tmp_path / "landing/saas/patients/b1").mkdir(parents=True)

    answer = runner.invoke(app, ["status"], env={"CDP_DATA_DIR": str(tmp_path)})

    assert answer.exit_code == 1
    assert "CURRENT" in answer.output
    assert "已损坏" in answer.output
    assert "saas/patients/b1" in answer.output


def test_a_run_record_of_a_later_release_is_read_without_what_is_new(runner: CliRunner, tmp_path: Path) -> None:
    record = RunRecord(run_id="20261120", as_of="2026-11-20", started_at="2026-11-21T00:30:00+08:00", pid=1)
    record.status = "failed"
    record.write(DataFolders(tmp_path))
    file = tmp_path / "runs/20261120.json"
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), "colour": "red"}), encoding="utf-8")

    answer = runner.invoke(app, ["status"], env={"CDP_DATA_DIR": str(tmp_path)})

    assert answer.exit_code == 0
    assert "failed" in answer.output


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"run_id": 5', "\x00"])
def test_a_file_that_is_no_run_record_is_named(runner: CliRunner, tmp_path: Path, text: str) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/20261120.json").write_text(text, encoding="utf-8")

    answer = runner.invoke(app, ["status"], env={"CDP_DATA_DIR": str(tmp_path)})

    assert answer.exit_code == 1
    assert "20261120.json" in answer.output


def test_a_first_night_killed_at_once_leaves_a_status_like_before_it(runner: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    duckdb.connect(str(tmp_path / "build/warehouse.duckdb")).close()

    answer = runner.invoke(app, ["status"], env={"CDP_DATA_DIR": str(tmp_path)})

    assert answer.exit_code == 0, answer.exception
    assert "cdp nightly" in answer.output


def test_a_run_takes_the_time_from_its_start_to_its_end(runner: CliRunner, tmp_path: Path) -> None:
    record = RunRecord(run_id="20261120", as_of="2026-11-20", started_at="2026-11-21T00:30:00+08:00", pid=0)
    record.status, record.finished_at = "succeeded", "2026-11-21T00:31:05.500000+08:00"
    record.write(DataFolders(tmp_path))

    answer = runner.invoke(app, ["status"], env={"CDP_DATA_DIR": str(tmp_path)})

    assert "65.5" in answer.output
