"""`cdp seal`: files dropped by hand, and the days they may have; a night of one is in `end_to_end`."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines import steps
from pipelines.cli import app
from pipelines.clock import SystemClock
from pipelines.settings import PipelineSettings
from tests.dropped import clinics_by_hand
from tests.pipelines.conftest import of


@pytest.mark.parametrize(
    ("last_day", "words"), [("9999-12-31", "未来"), ("tomorrow", "2026-11-20"), ("2026-11-19", "早于")]
)
def test_sealing_days_that_cannot_be_is_refused_with_a_sentence(
    runner: CliRunner, empty_settings: PipelineSettings, last_day: str, words: str
) -> None:
    folder = clinics_by_hand(empty_settings)

    answer = runner.invoke(app, ["seal", str(folder), "--from", "2026-11-20", "--to", last_day], env=of(empty_settings))

    assert (answer.exit_code, answer.exception.__class__) in {(1, SystemExit), (2, SystemExit)}
    assert words in answer.stderr
    assert not (folder / "_manifest.json").exists()


def test_a_batch_of_today_says_everywhere_that_it_waits_for_its_day(
    runner: CliRunner, empty_settings: PipelineSettings
) -> None:
    today = SystemClock(empty_settings.zone).now().date()
    folder = clinics_by_hand(empty_settings)
    sentence = f"waiting for its business day {today} / 等待业务日 {today}"

    sealed = runner.invoke(
        app, ["seal", str(folder), "--from", "2026-11-20", "--to", f"{today}"], env=of(empty_settings)
    )
    shown = runner.invoke(app, ["status"], env=of(empty_settings))
    told = runner.invoke(app, ["status", "--json"], env=of(empty_settings))
    facts = steps.ingest(empty_settings, today - timedelta(days=1)).facts

    assert sentence in sealed.output
    assert sentence in shown.output
    assert json.loads(told.stdout)["waiting"] == [
        {"source": "saas", "table_name": "clinics", "batch_id": "by-hand", "business_day": f"{today}"}
    ]
    assert facts["batches waiting for their business day / 等待业务日"] == f"{today} (1)"
    assert facts["batches loaded"] == 0


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("elsewhere/x", "landing"),
        ("landing/saas/nonsense/x", "no contract"),
        ("landing/saas/clinics/none", "not a folder"),
    ],
)
def test_sealing_a_wrong_place_says_what_is_right(
    runner: CliRunner, empty_settings: PipelineSettings, place: str, words: str
) -> None:
    folder = empty_settings.data_dir / place
    if not place.endswith("none"):
        folder.mkdir(parents=True)

    answer = runner.invoke(
        app, ["seal", str(folder), "--from", "2026-11-20", "--to", "2026-11-20"], env=of(empty_settings)
    )

    assert answer.exit_code == 1
    assert words in answer.stderr


@pytest.mark.parametrize("day", ["yesterday", "2026-02-30"])
def test_sealing_with_a_wrong_day_says_how_days_are_written(runner: CliRunner, tmp_path: Path, day: str) -> None:
    answer = runner.invoke(
        app, ["seal", str(tmp_path), "--from", day, "--to", "2026-11-20"], env={"CDP_DATA_DIR": str(tmp_path)}
    )

    assert answer.exit_code == 2
    assert "日期格式应为 2026-11-20" in answer.stderr
