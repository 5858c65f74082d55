"""Facts that grow by batches end every night as a full rebuild would have made them."""

import duckdb
import pytest

from pipelines.settings import PipelineSettings
from pipelines.warehouse.dbt import DbtFailedError, run_dbt
from tests.conftest import END_ON
from tests.parsed import LendParsed

# fact → its raw tables, each with its key and the column that names whose event it is
GROWING = {
    "fct_mini_program_event": [("mini_program__events", "event_id", "openid")],
    "fct_official_account_event": [("official_account__follow_events", "event_id", "openid")],
    "fct_points_entry": [("operational__points_entries", "entry_id", "patient_id")],
    "fct_lead_event": [
        ("leads__assignment_events", "event_id", "lead_id"),
        ("leads__follow_ups", "follow_up_id", "lead_id"),
    ],
}


@pytest.fixture(autouse=True)
def parsed(own_copy: PipelineSettings, lend_parsed: LendParsed) -> None:
    lend_parsed(own_copy)


def contents(settings: PipelineSettings) -> dict[str, tuple[int, int]]:
    """Rows and an order-free hash of each growing fact."""
    with duckdb.connect() as con:
        con.execute(f"attach '{settings.folders.marts}' as serving (read_only)")
        return {
            fact: con.execute(f"select count(*), sum(hash(f)::hugeint) from serving.marts.{fact} as f").fetchall()[0]
            for fact in (*GROWING, "identity_event")
        }


def change_marts(settings: PipelineSettings, *statements: str) -> None:
    with duckdb.connect() as con:
        con.execute(f"attach '{settings.folders.marts}' as serving")
        con.execute("use serving.marts")
        for statement in statements:
            con.execute(statement)


def change_warehouse(settings: PipelineSettings, *statements: str) -> None:
    with duckdb.connect(str(settings.folders.warehouse)) as con:
        con.execute("set TimeZone = 'Asia/Shanghai'")
        for statement in statements:
            con.execute(statement)


def build(settings: PipelineSettings, *options: str) -> None:
    run_dbt(settings, ["run", "--select", *GROWING, "identity_event", *options], as_of=END_ON)


def another_night() -> list[str]:
    """Identities move, vanish and appear; batches bring new rows, old rows again, and old rows with a new owner."""
    statements = [
        "update identity.assignment set customer_key = customer_key + 100000 where hash(key) % 10 = 0",
        "update identity.assignment set present = not present where hash(key || 'x') % 20 = 0",
    ]
    for table, key, owner in (source for sources in GROWING.values() for source in sources):
        statements += [
            f"update raw_tail.{table} set _batch_id = 'again' where hash({key}) % 50 = 1",
            f"update raw_tail.{table} set _batch_id = 'moved', {owner} = 'unknown' where hash({key}) % 50 = 2",
            f"""insert into raw_tail.{table}
                select * replace ({key} || '-late' as {key}, 'late' as _batch_id)
                from raw_tail.{table} where hash({key}) % 30 = 3""",
        ]
    return statements


def test_incremental_night_equals_a_full_refresh(own_copy: PipelineSettings) -> None:
    before = contents(own_copy)
    change_warehouse(own_copy, *another_night())

    build(own_copy)
    grown = contents(own_copy)
    build(own_copy, "--full-refresh")

    assert grown == contents(own_copy)
    assert all(grown[fact] != before[fact] for fact in GROWING)


def test_a_night_without_news_changes_nothing(own_copy: PipelineSettings) -> None:
    before = contents(own_copy)

    build(own_copy)

    assert contents(own_copy) == before


def test_a_failed_night_leaves_the_fact_as_it_was(own_copy: PipelineSettings) -> None:
    before = contents(own_copy)
    change_warehouse(
        own_copy,
        "update identity.assignment set customer_key = customer_key + 100000 where hash(key) % 10 = 0",
        """insert into raw_tail.operational__points_entries
           select * replace ('broken' as entry_id, null as booked_at, 'broken' as _batch_id)
           from raw_tail.operational__points_entries
           semi join (
               select substr(key, length('patient:saas:') + 1) as patient_id
               from identity.assignment where present and starts_with(key, 'patient:')
           ) using (patient_id)
           limit 1""",
    )

    with pytest.raises(DbtFailedError, match="booked_at"):
        build(own_copy)

    assert contents(own_copy)["fct_points_entry"] == before["fct_points_entry"]


def test_a_fact_whose_columns_changed_is_rebuilt_as_it_was(own_copy: PipelineSettings) -> None:
    before = contents(own_copy)
    change_marts(
        own_copy,
        "drop view serving.analyst.fct_lead_event",
        "drop view serving.analyst.identity_event",
        "alter table fct_mini_program_event drop column page",
        "alter table fct_official_account_event alter identity_id type hugeint",
        "alter table fct_points_entry add column gone_since varchar",
        "alter table fct_lead_event drop column content",
        "alter table identity_event drop column override_id",
    )

    build(own_copy)
    rebuilt = contents(own_copy)
    change_warehouse(own_copy, *another_night())
    build(own_copy)

    assert rebuilt == before
    assert contents(own_copy)["fct_points_entry"] != before["fct_points_entry"]
