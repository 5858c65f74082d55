"""`cdp sql` as an analyst types it: one answer, many, and none."""

import csv
import io
import json
import os
import signal
import threading
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.settings import PipelineSettings
from pipelines.sql_shell import TABLES, SqlShell
from tests.pipelines.conftest import of


def test_sql_prints_a_table_a_csv_and_json(runner: CliRunner, night: PipelineSettings) -> None:
    query = "select clinic_type, count(*) as clinics from dim_clinic group by all order by all"

    table = runner.invoke(app, ["sql", query], env=of(night))
    as_csv = runner.invoke(app, ["sql", query, "--format", "csv"], env=of(night))
    as_json = runner.invoke(app, ["sql", query, "--format", "json"], env=of(night))

    assert "clinics" in table.output
    rows = list(csv.DictReader(io.StringIO(as_csv.stdout)))
    assert [{**row, "clinics": int(row["clinics"])} for row in rows] == json.loads(as_json.stdout)
    assert {row["clinic_type"] for row in rows} <= {"直营", "加盟"}


def test_sql_shows_masked_names_unless_the_mart_is_named(runner: CliRunner, night: PipelineSettings) -> None:
    masked = runner.invoke(
        app, ["sql", "select name from dim_customer where name is not null", "--format", "csv"], env=of(night)
    )
    plain = runner.invoke(
        app, ["sql", "select name from marts.dim_customer where name is not null", "--format", "csv"], env=of(night)
    )

    assert all("*" in name for name in masked.stdout.split()[1:])
    assert not any("*" in name for name in plain.stdout.split()[1:])


def test_the_tables_that_are_listed_are_those_for_people(runner: CliRunner, night: PipelineSettings) -> None:
    listed = runner.invoke(app, ["sql", TABLES, "--format", "csv"], env=of(night))

    schemas = {row["schema"] for row in csv.DictReader(io.StringIO(listed.stdout))}
    assert schemas == {"analyst", "marts", "meta"}


def test_a_cell_with_brackets_is_shown_as_it_is(runner: CliRunner, night: PipelineSettings) -> None:
    answer = runner.invoke(app, ["sql", "select '[red]x[/red]' as cell"], env=of(night))

    assert "[red]x[/red]" in answer.output


def test_a_column_name_with_brackets_is_shown_as_it_is(runner: CliRunner, night: PipelineSettings) -> None:
    answer = runner.invoke(app, ["sql", 'select 1 as "[/x]", 2 as "[red]a"'], env=of(night))

    assert answer.exit_code == 0
    assert "[/x]" in answer.output
    assert "[red]a" in answer.output


@pytest.mark.parametrize("query", ["", ";", " -- nothing"])
def test_sql_without_a_statement_is_refused(runner: CliRunner, night: PipelineSettings, query: str) -> None:
    answer = runner.invoke(app, ["sql", query], env=of(night))

    assert answer.exit_code == 2
    assert "no statement" in answer.stderr


def test_every_statement_of_a_query_is_answered(runner: CliRunner, night: PipelineSettings) -> None:
    answer = runner.invoke(app, ["sql", "select 11 as first; select 22 as second"], env=of(night))

    assert answer.exit_code == 0
    assert [word in answer.output for word in ("first", "11", "second", "22")] == [True] * 4


@pytest.mark.parametrize("output", ["csv", "json"])
def test_a_format_of_one_answer_takes_one_statement(runner: CliRunner, night: PipelineSettings, output: str) -> None:
    answer = runner.invoke(app, ["sql", "select 1; select 2", "--format", output], env=of(night))

    assert (answer.exit_code, answer.stdout) == (2, "")
    assert "one statement" in answer.stderr


def test_json_keeps_equally_named_columns_and_holds_no_nan(runner: CliRunner, night: PipelineSettings) -> None:
    query = "select 1 as a, 2 as a, 'nan'::double as b, ['inf'::double, 3] as c"

    answer = runner.invoke(app, ["sql", query, "--format", "json"], env=of(night))

    def refuse(word: str) -> None:
        raise AssertionError(word)

    assert json.loads(answer.stdout, parse_constant=refuse) == [{"a": 1, "a_1": 2, "b": None, "c": [None, 3.0]}]


@pytest.mark.timeout(60)
def test_ctrl_c_at_the_prompt_stops_the_query_and_not_the_shell(
    night: PipelineSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    endless = "select sum(sqrt(range)) from range(1000000000000);"
    lines = iter([endless, "select 6 * 7 as answer;", ".quit"])

    def typed(prompt: str) -> str:
        line = next(lines)
        if line == endless:
            threading.Timer(1, os.kill, [os.getpid(), signal.SIGINT]).start()
        return line

    monkeypatch.setattr("builtins.input", typed)
    code = SqlShell(night, Console(), Console(stderr=True), output="table", limit=10).prompt()

    said = capsys.readouterr()
    assert code == 0
    assert "stopped" in said.err
    assert "42" in said.out


@pytest.mark.parametrize(
    "query",
    ["select nothing from dim_customer", "drop table marts.dim_customer", "from read_csv('/etc/passwd')", "selec"],
)
def test_sql_that_fails_says_why_and_exits_with_1(runner: CliRunner, night: PipelineSettings, query: str) -> None:
    answer = runner.invoke(app, ["sql", query], env=of(night))

    assert answer.exit_code == 1
    assert answer.stderr.startswith("error ")


def test_sql_before_the_first_night_says_what_to_do(runner: CliRunner, tmp_path: Path) -> None:
    answer = runner.invoke(app, ["sql", "select 1"], env={"CDP_DATA_DIR": str(tmp_path)})

    assert answer.exit_code == 3
    assert "cdp nightly" in answer.stderr


def test_a_long_answer_says_that_it_was_cut(runner: CliRunner, night: PipelineSettings) -> None:
    answer = runner.invoke(app, ["sql", "from range(7)", "--limit", "3"], env=of(night))

    assert "first 3 rows" in answer.output
