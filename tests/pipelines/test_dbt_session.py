"""What a night's dbt commands share, and what a night without news never pays."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from pipelines.settings import PipelineSettings
from pipelines.warehouse.dbt import DbtFailedError, DbtSession, run_dbt, target_path
from tests.conftest import END_ON
from tests.parsed import LendParsed

AS_OF_MODEL = "models/intermediate/customer/int_customer_visit.sql"


def compiled(settings: PipelineSettings) -> str:
    return (target_path(settings) / "compiled" / "dental_cdp" / AS_OF_MODEL
            ).read_text(encoding="utf-8")  # fmt: skip


def test_a_new_day_is_in_the_sql_and_keeps_the_parsed_project(
    empty_settings: PipelineSettings, lend_parsed: LendParsed
) -> None:
    lend_parsed(empty_settings)
    compile_visits = ("compile", "--select", "int_customer_visit", "--no-introspect", "--no-populate-cache")

    run_dbt(empty_settings, compile_visits, as_of=date(2026, 11, 20))
    first, parsed = compiled(empty_settings), (target_path(empty_settings) / "partial_parse.msgpack").stat().st_mtime_ns
    run_dbt(empty_settings, compile_visits, as_of=date(2026, 11, 21))

    assert "date '2026-11-20'" in first
    assert "date '2026-11-21'" in compiled(empty_settings)
    assert (target_path(empty_settings) / "partial_parse.msgpack").stat().st_mtime_ns == parsed


def test_commands_of_a_session_share_the_project_that_was_parsed_ahead(
    empty_settings: PipelineSettings, lend_parsed: LendParsed
) -> None:
    lend_parsed(empty_settings)

    with DbtSession(empty_settings, END_ON) as dbt:
        dbt.parse_ahead()
        dbt.parse_ahead()
        listed = dbt.run(["list", "--select", "int_identity"])
        manifest = (target_path(empty_settings) / "manifest.json").stat()
        dbt.run(["list", "--select", "int_identity"])

    assert listed == []
    assert (target_path(empty_settings) / "manifest.json").stat().st_mtime_ns == manifest.st_mtime_ns


def test_what_fails_ahead_is_reported_by_the_command(
    empty_settings: PipelineSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("pipelines.warehouse.dbt.PROJECT_DIR", tmp_path / "nowhere")

    with DbtSession(empty_settings, END_ON) as dbt:
        dbt.parse_ahead()
        with pytest.raises(DbtFailedError, match="nowhere"):
            dbt.run(["list"])


def test_a_night_without_news_never_imports_dbt(own_copy: PipelineSettings) -> None:
    script = (
        "import sys; from pipelines.cli import app; "
        f"app(['nightly', '--as-of', '{END_ON}'], standalone_mode=False); "
        "print('dbt modules:', sum(name.split('.')[0] == 'dbt' for name in sys.modules))"
    )

    answer = subprocess.run(
        [sys.executable, "-c", script],
        env={"CDP_DATA_DIR": str(own_copy.data_dir), "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert answer.stdout.splitlines()[-1] == "dbt modules: 0"
