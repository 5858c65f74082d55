"""`cdp doctor`: what it finds, how it says to mend it, and what it leaves alone."""

import json
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from api.settings import ApiSettings
from pipelines.cli import app
from pipelines.settings import PipelineSettings
from tests.pipelines.conftest import of
from tests.pipelines.damage import DAMAGED_POINTERS, broken_contract, damage_pointer


def test_status_and_doctor_touch_no_working_file_and_no_lock(
    runner: CliRunner, own_copy: PipelineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = json.loads(runner.invoke(app, ["status", "--json"], env=of(own_copy)).stdout)
    opened: list[Path] = []
    connect = duckdb.connect

    def watched(file: str = ":memory:", **options: object) -> duckdb.DuckDBPyConnection:
        if file != ":memory:":
            opened.append(Path(file))
        return connect(file, **options)

    monkeypatch.setattr(duckdb, "connect", watched)
    monkeypatch.setattr("fcntl.flock", lambda *_: pytest.fail("took the lock"))
    (own_copy.folders.warehouse).write_bytes(b"in the hands of a night")

    told = runner.invoke(app, ["status", "--json"], env=of(own_copy))
    examined = runner.invoke(app, ["doctor"], env=of(own_copy))

    facts = json.loads(told.stdout)
    assert facts["sources"] == before["sources"] != []
    assert facts["ledger"] == "ingest of 2026-11-20"
    assert examined.exit_code == 0, examined.output
    assert {file.parent for file in opened} == {own_copy.folders.published}


def test_doctor_finds_nothing_wrong_with_a_good_installation(runner: CliRunner, night: PipelineSettings) -> None:
    answer = runner.invoke(app, ["doctor"], env=of(night))

    assert answer.exit_code == 0, answer.output
    assert "CDP_DATA_DIR" in answer.output


def test_doctor_says_how_to_mend_what_is_missing(runner: CliRunner, tmp_path: Path) -> None:
    answer = runner.invoke(app, ["doctor"], env={"CDP_DATA_DIR": str(tmp_path)})

    assert answer.exit_code == 1
    assert "cdp nightly" in answer.output


def test_doctor_lists_every_setting(runner: CliRunner, tmp_path: Path) -> None:
    answer = runner.invoke(app, ["doctor"], env={"CDP_DATA_DIR": str(tmp_path)})

    fields = {**PipelineSettings.model_fields, **ApiSettings.model_fields}
    assert [name for name in fields if f"CDP_{name.upper()} = " not in answer.output] == []


@pytest.mark.parametrize("text", DAMAGED_POINTERS)
def test_a_damaged_pointer_is_a_finding_of_doctor_and_an_error_of_sql(
    runner: CliRunner, tmp_path: Path, text: str
) -> None:
    damage_pointer(tmp_path, text)

    examined = runner.invoke(app, ["doctor"], env={"CDP_DATA_DIR": str(tmp_path)})
    asked = runner.invoke(app, ["sql", "select 1"], env={"CDP_DATA_DIR": str(tmp_path)})

    assert (examined.exit_code, asked.exit_code) == (1, 1)
    assert "已损坏" in examined.output
    assert "已损坏" in asked.stderr


def test_a_broken_contract_is_a_finding_beside_the_others(
    runner: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.doctor.load_contracts", broken_contract)

    answer = runner.invoke(app, ["doctor"], env={"CDP_DATA_DIR": str(tmp_path)})

    assert answer.exit_code == 1
    assert "saas/patients.yml: no key" in answer.output
    assert "published version" in answer.output


def test_a_check_that_cannot_be_made_is_a_finding_too(
    runner: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_disk(place: Path) -> None:
        raise PermissionError("no disk for you")

    monkeypatch.setattr("pipelines.doctor.shutil.disk_usage", no_disk)

    answer = runner.invoke(app, ["doctor"], env={"CDP_DATA_DIR": str(tmp_path)})

    assert answer.exit_code == 1
    assert "no disk for you" in answer.output
