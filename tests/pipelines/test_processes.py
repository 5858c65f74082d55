"""What `cdp demo` says about its services."""

import sys

import pytest
from rich.console import Console

from pipelines import processes
from pipelines.settings import PipelineSettings


def test_a_dagster_that_does_not_start_is_told_with_its_own_words(
    empty_settings: PipelineSettings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "DAGSTER", (sys.executable, "-c", "raise SystemExit('port [3000] is taken')"))

    code = processes.serve_demo(empty_settings, Console(width=200), api_port=1, dagster_port=1, key="cdp_0_0")

    said = capsys.readouterr().out
    assert code == 1
    assert str(processes.dagster_log(empty_settings)) in said.replace("\n", "")
    assert "port [3000] is taken" in said
    assert "服务未能启动" in said
