"""What is told of an error: its kind and place, and never the value on which it was raised."""

import json
import sys
from pathlib import Path

import duckdb
import pytest
from dagster_dbt import DagsterDbtTranslator, DbtCliInvocation
from packaging.version import parse
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from pipelines.defs.telling import OTHER_OUTPUT, without_values_of
from pipelines.identity.model import IdentityError
from pipelines.settings import PipelineSettings
from pipelines.telling import reason, told, without_values
from pipelines.warehouse.dbt import DbtFailedError, run_dbt
from tests.conftest import END_ON
from tests.parsed import LendParsed

CANARY = "13712340987"
QUOTING = [
    "select (name || 'x')::integer from person",
    "select name::date from person",
    "select (name || 'x')::timestamptz from person",
    "select number::integer from person",
    "select number::decimal(2, 1) from person",
    "select number * 900719925474099 from person",
    "select name::varchar[] from person",
    "select name::uuid from person",
    "select (name || '{')::json from person",
    "select strptime(name, '%Y-%m') from person",
    "select regexp_matches('x', name || '(') from person",
    "select error(name) from person",
    "select date_trunc(name, current_date) from person",
    "select (name || chr(10) || name || 'x')::integer from person",
    "insert into person select * from person",
    "insert into person select name, null from person",
]


def error_of(statement: str) -> duckdb.Error:
    with duckdb.connect() as con:
        con.execute("create table person (name varchar unique, number bigint not null)")
        con.execute("insert into person values ($name, $number)", {"name": CANARY, "number": int(CANARY)})
        with pytest.raises(duckdb.Error) as caught:
            con.execute(statement).fetchall()
    return caught.value


@pytest.mark.parametrize("statement", QUOTING)
def test_no_error_of_duckdbs_is_told_with_a_value(statement: str) -> None:
    error = error_of(statement)

    assert CANARY not in told(error)
    assert CANARY not in without_values(
        f"Runtime Error in model some_model (models/some_model.sql)\n  {error}\n\n  more"
    )
    assert type(error).__name__ in told(error)


def test_the_column_of_a_failed_cast_is_told() -> None:
    assert "Conversion Error: column number (values" in told(error_of("select number::integer from person"))


def test_an_error_about_the_query_is_told_as_it_is() -> None:
    error = error_of("select nonsense from person")

    assert reason(error) == str(error)


@pytest.mark.parametrize(
    "error",
    [IdentityError("too_late", "太晚", "too late"), FileNotFoundError(2, "No such file or directory", "/data/x")],
)
def test_our_own_errors_and_those_of_files_are_told_as_they_are(error: Exception) -> None:
    assert reason(error) == str(error)


def test_an_error_that_others_raise_is_told_by_its_class_and_place() -> None:
    with pytest.raises(ValueError, match=CANARY) as caught:
        int(f"{CANARY}x")

    assert told(caught.value).startswith("ValueError: test_telling.py:")
    assert CANARY not in told(caught.value)


def test_a_store_that_does_not_answer_is_told_by_what_the_driver_says_without_the_statement(tmp_path: Path) -> None:
    with pytest.raises(OperationalError) as caught, create_engine(f"sqlite:///{tmp_path}/no/folder").connect() as con:
        con.execute(text("select :phone"), {"phone": CANARY})

    assert reason(caught.value) == "unable to open database file"


def test_a_model_that_fails_in_a_night_is_told_without_the_value_that_dbts_own_log_keeps(
    own_copy: PipelineSettings, lend_parsed: LendParsed
) -> None:
    lend_parsed(own_copy)
    half = 9_223_372_036_854_775_807
    with duckdb.connect(str(own_copy.folders.marts)) as con:
        con.execute("create temp table one as select * from marts.fct_payment where customer_key is not null limit 1")
        con.execute("delete from marts.fct_payment where customer_key = (select customer_key from one)")
        con.execute(f"insert into marts.fct_payment select one.* replace ({half} as amount_fen) from one, range(2)")

    with pytest.raises(DbtFailedError, match="model int_customer_payment") as caught:
        run_dbt(own_copy, ["build", "--select", "int_customer_payment"], as_of=END_ON)

    assert "Conversion Error: column sum (values" in told(caught.value)
    assert str(2 * half) not in told(caught.value)
    log = (own_copy.folders.build / "dbt_logs" / "dbt.log").read_text(encoding="utf-8")
    assert str(2 * half) in log


def test_of_dbts_output_events_go_on_without_values_and_all_else_stays_in_a_file_among_the_data(tmp_path: Path) -> None:
    said = str(error_of("select number::integer from person"))
    event = {"info": {"name": "X", "level": "error", "msg": said}, "data": {"exc": [said]}}
    script = f"import json\nprint(json.dumps({event!r}))\nprint('Traceback: {CANARY}')\nprint('{CANARY}')"
    (tmp_path / "dbt.py").write_text(script, encoding="utf-8")
    invocation = DbtCliInvocation.run(
        args=[sys.executable, str(tmp_path / "dbt.py")],
        env={},
        manifest={},
        dagster_dbt_translator=DagsterDbtTranslator(),
        project_dir=tmp_path,
        target_path=tmp_path / "target",
        raise_on_error=False,
        context=None,
        adapter=None,
        cli_version=parse("1.11.0"),
    )

    events = [one.raw_event for one in without_values_of(invocation).stream_raw_events()]

    assert [one["info"]["level"] for one in events] == ["error"]
    assert "Conversion Error: column number" in json.dumps(events)
    assert CANARY not in json.dumps(events)
    assert CANARY not in str(invocation.get_error())
    assert (tmp_path / "target" / OTHER_OUTPUT).read_text(encoding="utf-8").count(CANARY) == 2
