"""`cdp sample-data`: what it writes over, what it never touches, and how it fails."""

from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.settings import PipelineSettings
from pipelines.warehouse.lock import writer_lock
from tests.dropped import clinics_by_hand
from tests.pipelines.conftest import of
from tests.pipelines.damage import broken_contract


def test_sample_data_never_writes_over_landing_unasked(runner: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "landing/saas/patients/mine").mkdir(parents=True)

    answer = runner.invoke(app, ["sample-data", "--customers", "50"], env={"CDP_DATA_DIR": str(tmp_path)})

    assert answer.exit_code == 1
    assert "--replace" in answer.stderr
    assert (tmp_path / "landing/saas/patients/mine").exists()


@pytest.fixture
def sampled(runner: CliRunner, tmp_path: Path) -> PipelineSettings:
    """A data directory with a small sample in it, as `cdp sample-data` writes it."""
    settings = PipelineSettings(data_dir=tmp_path / "sampled")
    assert sample(runner, settings).exit_code == 0
    return settings


def sample(runner: CliRunner, settings: PipelineSettings, *options: str) -> Result:
    small = ["sample-data", "--customers", "50", "--days", "30", "--end-on", "2026-11-20"]
    return runner.invoke(app, [*small, *options], env=of(settings))


def test_replacing_a_sample_removes_it_and_what_came_of_it(runner: CliRunner, sampled: PipelineSettings) -> None:
    unasked = sample(runner, sampled)
    sampled.folders.warehouse.write_bytes(b"identity history of made-up people")

    replaced = sample(runner, sampled, "--seed", "8", "--replace")

    assert (unasked.exit_code, replaced.exit_code) == (1, 0), replaced.output
    assert "--replace" in unasked.stderr
    assert [file.name for file in sampled.folders.build.iterdir()] == ["writer.lock"]


@pytest.mark.parametrize("place", ["landing/saas/patients/mine", "build/warehouse.duckdb", "published/CURRENT"])
def test_replace_never_empties_a_directory_that_sample_data_did_not_fill(
    runner: CliRunner, tmp_path: Path, place: str
) -> None:
    (tmp_path / place).mkdir(parents=True)

    answer = sample(runner, PipelineSettings(data_dir=tmp_path), "--replace")

    assert answer.exit_code == 1
    assert "/".join(place.split("/")[:2]) in answer.stderr
    assert "样例" in answer.stderr
    assert (tmp_path / place).exists()


def test_replace_refuses_a_sample_to_which_somebody_added_a_batch(runner: CliRunner, sampled: PipelineSettings) -> None:
    folder = clinics_by_hand(sampled)

    answer = sample(runner, sampled, "--replace")

    assert answer.exit_code == 1
    assert "saas/clinics/by-hand" in answer.stderr
    assert folder.exists()


def test_replace_waits_for_a_night_instead_of_emptying_under_it(
    runner: CliRunner, sampled: PipelineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDP_LOCK_WAIT_SECONDS", "0")

    with writer_lock(sampled.folders, wait_seconds=0, owner="a night"):
        answer = sample(runner, sampled, "--replace")

    assert answer.exit_code == 1
    assert "a night" in answer.stderr
    assert any(sampled.folders.landing.iterdir())


@pytest.mark.parametrize("failure", ["contract", "disk"])
def test_what_is_wrong_with_the_installation_is_a_sentence(
    runner: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        if failure == "disk":
            raise OSError(28, "No space left on device", "data/landing")
        broken_contract()

    monkeypatch.setattr("pipelines.sample_data.write_sample", fail)

    answer = runner.invoke(app, ["sample-data"], env={"CDP_DATA_DIR": str(tmp_path)})

    assert answer.exit_code == 1
    assert {"contract": "契约有误", "disk": "No space left"}[failure] in answer.stderr
