"""`cdp status` on data directories that are not as they should be."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.nightly import RunRecord
from segment_engine.runtime.folders import DataFolders

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

    runner.invoke(app, ["nightly", "--as-of", "2026-11-20"], env={"CDP_DATA_DIR": str(tmp_path)})
    answer = runner.invoke(app, ["status"], env={"CDP_DATA_DIR": str(tmp_path)})

    assert answer.exit_code == 0, answer.exception
    assert "[/x]" in answer.output
