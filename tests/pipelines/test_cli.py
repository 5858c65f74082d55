"""The `cdp` command as an operator or analyst types it."""

import csv
import io
import json
import os
import signal
import threading
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from click.testing import Result
from rich.console import Console
from typer.testing import CliRunner

from api.settings import ApiSettings
from pipelines import steps
from pipelines.cli import app
from pipelines.clock import SystemClock
from pipelines.ingest.contracts import InvalidContract
from pipelines.settings import PipelineSettings
from pipelines.sql_shell import SqlShell
from pipelines.warehouse.lock import writer_lock
from tests.dropped import clinics_by_hand
from tests.pipelines.damage import DAMAGED_POINTERS, damage_pointer

COMMANDS = ["sample-data", "nightly", "status", "sql", "seal", "serve", "dagster", "demo", "doctor"]


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner(env={"COLUMNS": "200", "TERM": "dumb"})


def of(settings: PipelineSettings) -> dict[str, str]:
    return {"CDP_DATA_DIR": str(settings.data_dir)}


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
    ],
)
def test_every_command_of_a_group_explains_itself_in_both_languages(runner: CliRunner, command: list[str]) -> None:
    answer = runner.invoke(app, [*command, "--help"])

    assert answer.exit_code == 0
    assert any("\u4e00" <= character <= "\u9fff" for character in answer.output)


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


def test_status_before_anything_happened_is_not_an_error(runner: CliRunner, tmp_path: Path) -> None:
    answer = runner.invoke(app, ["status"], env={"CDP_DATA_DIR": str(tmp_path / "none")})

    assert answer.exit_code == 0
    assert "cdp nightly" in answer.output


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


def test_files_dropped_by_hand_are_sealed_and_loaded(runner: CliRunner, own_copy: PipelineSettings) -> None:
    folder = clinics_by_hand(own_copy)

    sealed = runner.invoke(app, ["seal", str(folder), "--from", "2026-11-20", "--to", "2026-11-20"], env=of(own_copy))
    night = runner.invoke(app, ["nightly", "--as-of", "2026-11-20"], env=of(own_copy))
    found = runner.invoke(app, ["sql", "select clinic_name from dim_clinic where clinic_id = 'HAND'"], env=of(own_copy))

    assert "1 rows" in sealed.output
    assert night.exit_code == 0, night.output
    assert "手工门诊" in found.output


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


def broken_contract() -> None:
    raise InvalidContract("saas/patients.yml", ["no key"])
