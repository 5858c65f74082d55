"""The `cdp` command as an operator types it: its help, its status and what it refuses.

What needs more words than that has a file of its own, `test_cli_<command>.py`.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.breaker import ACCEPTABLE
from pipelines.cli import app
from pipelines.settings import PipelineSettings
from tests.pipelines.conftest import of

COMMANDS = ["sample-data", "nightly", "status", "sql", "seal", "serve", "dagster", "demo", "doctor"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_in_both_languages(runner: CliRunner, command: str) -> None:
    answer = runner.invoke(app, [command, "--help"])

    assert answer.exit_code == 0
    assert any("\u4e00" <= character <= "\u9fff" for character in answer.output)


def test_no_command_is_left_out_of_these_tests() -> None:
    assert {command.name or command.callback.__name__ for command in app.registered_commands} == set(COMMANDS)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "command",
    [
        ["token"],
        ["token", "create"],
        ["token", "list"],
        ["token", "revoke"],
        ["db", "upgrade"],
        ["db", "status"],
        ["audit", "verify"],
        ["identity"],
        ["identity", "resolve"],
        ["identity", "preview"],
    ],
)
def test_every_command_of_a_group_explains_itself_in_both_languages(runner: CliRunner, command: list[str]) -> None:
    answer = runner.invoke(app, [*command, "--help"])

    assert answer.exit_code == 0
    assert any("\u4e00" <= character <= "\u9fff" for character in answer.output)


def test_the_libraries_of_a_night_are_loaded_by_the_commands_that_need_them() -> None:
    script = (
        "import sys, pipelines.cli; print(sorted({'numpy', 'polars', 'sqlalchemy', 'sqlglot'} & sys.modules.keys()))"
    )

    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert loaded == "[]\n"


def test_status_before_anything_happened_is_not_an_error(runner: CliRunner, tmp_path: Path) -> None:
    answer = runner.invoke(app, ["status"], env={"CDP_DATA_DIR": str(tmp_path / "none")})

    assert answer.exit_code == 0
    assert "cdp nightly" in answer.output


def test_status_names_version_day_and_runs(runner: CliRunner, night: PipelineSettings) -> None:
    text = runner.invoke(app, ["status"], env=of(night)).output
    facts = json.loads(runner.invoke(app, ["status", "--json"], env=of(night)).stdout)

    assert "20261120-01" in text
    assert "succeeded" in text
    assert facts["pointer"]["version"] == "20261120-01"
    assert facts["runs"][0]["status"] == "succeeded"


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "words"),
    [
        (["nightly", "--as-of", "yesterday"], {}, 2, "2026-11-20"),
        (["nightly", "--as-of", "9999-12-31"], {}, 2, "未来"),
        (["sample-data", "--customers", "3"], {}, 2, "50"),
        (["status"], {"CDP_TIMEZONE": "Mars/Olympus"}, 2, "CDP_TIMEZONE"),
        (["status"], {"CDP_THREADS": "none"}, 2, "应为整数"),
        (["status"], {"CDP_THREADS": "0"}, 2, "不能小于 1"),
        (["status"], {"CDP_MEMORY_LIMIT": "abc"}, 2, "CDP_MEMORY_LIMIT=abc"),
        (["doctor"], {"CDP_MEMORY_LIMIT": "5"}, 2, "CDP_MEMORY_LIMIT=5"),
        (["doctor"], {"CDP_API_THREADS": "many"}, 2, "CDP_API_THREADS=many"),
        (["serve"], {"CDP_API_THREADS": "many"}, 2, "应为整数"),
        (["serve"], {"CDP_TIMEZONE": "Mars/Olympus"}, 2, "未知时区"),
        (["status"], {"CDP_DATA_DIR": __file__}, 2, "应为目录"),
        (["sample-data"], {"CDP_DATA_DIR": f"{__file__}/data"}, 2, "应为目录"),
        (["sql", "select 1", "--format", "xml"], {}, 2, "csv"),
    ],
)
def test_a_wrong_argument_or_setting_is_named(
    runner: CliRunner, tmp_path: Path, arguments: list[str], environment: dict[str, str], code: int, words: str
) -> None:
    answer = runner.invoke(app, arguments, env={"CDP_DATA_DIR": str(tmp_path), **environment})

    assert answer.exit_code == code
    assert words in answer.output


def test_a_check_that_may_not_be_accepted_is_refused_before_any_work(
    runner: CliRunner, empty_settings: PipelineSettings
) -> None:
    names = ["identity_moves_too_many", "moves", "customer_totals_equal_the_source"]

    answer = runner.invoke(
        app, ["nightly", *(word for name in names for word in ("--accept", name))], env=of(empty_settings)
    )

    assert answer.exit_code == 2
    assert "'customer_totals_equal_the_source', 'moves'; there are" in answer.output
    assert "没有可放行的检查" in answer.output
    assert all(name in answer.output for name in ACCEPTABLE)
    assert not empty_settings.folders.runs.exists()
