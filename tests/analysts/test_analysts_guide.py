"""The guide's promises, kept against a published file: every block runs as it stands, in the session of `cdp sql`."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import duckdb
import pytest

from api.storage.database import Database
from api.storage.schema import upgrade
from pipelines import steps
from pipelines.settings import PipelineSettings
from segment_engine.runtime.folders import DataFolders
from segment_engine.runtime.published import read_pointer
from tests.analysts.guide import GUIDE, Question, questions, table_map
from tests.audiences import EVERYONE, add_audience, define, put_in, share
from tests.conftest import MadeOnce
from tests.warehouse.audience_nights import Nights

SQL_BLOCKS = GUIDE.read_text("utf-8").count("```sql")


def make_night_with_audiences(night: PipelineSettings, root: Path) -> None:
    """The shared night's end once more, with a tag, a segment whose rule changed, and a static one."""
    settings = PipelineSettings(data_dir=root / "data")
    shutil.copytree(night.folders.build, settings.folders.build)
    shutil.copytree(night.folders.published, settings.folders.published)
    store = Database(settings)
    upgrade(store)
    nights = Nights(settings, store)
    add_audience(store, 1, share(0, 40))
    add_audience(store, 2, EVERYONE, kind="tag")
    add_audience(store, 3, is_smart=False)
    put_in(store, 3, [one for (one,) in nights.ask("select one_id from marts.dim_customer limit 5")])
    nights.calculate()
    steps.serve_night(settings, replace(read_pointer(settings.folders), fingerprint=nights.take()))
    define(store, 1, share(20, 60))
    nights.night()
    store.close()


@pytest.fixture(scope="module")
def session(night: PipelineSettings, made_once: MadeOnce) -> Iterator[duckdb.DuckDBPyConnection]:
    made = made_once("night_with_audiences", partial(make_night_with_audiences, night))
    folders = DataFolders(made / "data")
    with duckdb.connect(str(folders.published / read_pointer(folders).file), read_only=True) as con:
        con.execute("set TimeZone = 'Asia/Shanghai'")
        con.execute("set search_path = 'analyst,marts,meta'")
        yield con


def test_the_guide_answers_at_least_twenty_questions_and_each_names_its_columns() -> None:
    found = questions()

    assert len(found) >= 20
    assert len(found) == SQL_BLOCKS
    assert all(question.columns for question in found)


@pytest.mark.parametrize("question", questions(), ids=lambda question: question.title.split(" / ")[0])
def test_question_runs_as_it_stands(session: duckdb.DuckDBPyConnection, question: Question) -> None:
    cursor = session.execute(question.sql)
    columns = [column[0] for column in cursor.description]
    rows = cursor.fetchall()

    assert columns == question.columns
    assert rows or question.may_be_empty


def test_a_customer_seen_exactly_180_days_ago_is_asleep_and_one_seen_later_is_not() -> None:
    (asleep,) = (question for question in questions() if question.title.startswith("2. "))
    with duckdb.connect() as con:
        con.execute("create schema meta")
        con.execute("create table meta.publication as select date '2026-11-20' as as_of")
        con.execute(
            """
            create table dim_customer as
            select
                days_ago as customer_key, '唐*' as name, '一店' as clinic_name, 0 as new_money_paid_fen,
                timestamp '2026-11-20 23:59:59' - to_days(days_ago) as last_visit_at, null as next_appointment_at
            from (values (179), (180), (181)) as visits (days_ago)
            """
        )

        customers = con.execute(asleep.sql).fetchall()

    assert [customer[0] for customer in customers] == [180, 181]


def test_the_table_map_names_every_published_mart_and_no_other(session: duckdb.DuckDBPyConnection) -> None:
    published = session.execute(
        """
        select table_schema, table_name from information_schema.tables
        where table_schema in ('marts', 'meta')
        """
    ).fetchall()

    marts = {name for schema, name in published if schema == "marts"}

    # one_id_alias resolves old ids for programs; analysts join on customer_key, which a merge rewrites.
    assert marts - table_map() <= {"one_id_alias"}
    assert table_map() <= {name for _, name in published}


def test_personal_data_of_facts_is_masked_by_default(session: duckdb.DuckDBPyConnection) -> None:
    shown = {
        (table, column): session.execute(f"select count(*) from marts.{table} where {column} is not null").fetchone()
        for table, column in [("fct_lead", "name"), ("fct_lead", "phone")]
    }
    leaked = session.execute(
        """
        select count(*) from fct_lead as seen join marts.fct_lead as kept using (lead_id)
        where seen.name = kept.name or seen.phone = kept.phone
        """
    ).fetchone()

    assert all(count and count[0] > 0 for count in shown.values())
    assert leaked == (0,)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("fct_review", "comment"),
        ("fct_follow_up", "content"),
        ("fct_lead_event", "content"),
        ("fct_medical_record", "chief_complaint"),
        ("fct_medical_record", "treatment"),
        ("fct_payment", "refund_reason"),
    ],
)
def test_free_text_is_not_shown_by_default(session: duckdb.DuckDBPyConnection, table: str, column: str) -> None:
    by_default = session.execute(f"select * from {table} limit 0").description
    unmasked = session.execute(f"select * from marts.{table} limit 0").description

    assert column in {entry[0] for entry in unmasked}
    assert column not in {entry[0] for entry in by_default}


def test_every_fact_and_every_column_of_it_is_described_in_chinese(session: duckdb.DuckDBPyConnection) -> None:
    undescribed = session.execute(
        r"""
        select table_name, column_name from duckdb_columns()
        where
            schema_name in ('marts', 'analyst') and table_name like 'fct\_%' escape '\'
            and not regexp_matches(coalesce(comment, ''), '[\x{4e00}-\x{9fff}]')
        union all
        select table_name, null from duckdb_tables()
        where
            schema_name = 'marts' and table_name like 'fct\_%' escape '\'
            and not starts_with(coalesce(comment, ''), '每行')
        """
    ).fetchall()

    assert undescribed == []
