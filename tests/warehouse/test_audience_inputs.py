"""What a night takes over from the store: all of it, in the warehouse's types, and nothing where there is nothing."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from duckdb import DuckDBPyConnection

from api.storage.database import Database
from pipelines.settings import PipelineSettings
from pipelines.warehouse.audience_inputs import take_audiences, taken_audiences, taken_text
from tests.audiences import EVERYONE, MADE, add_audience, put_in, share, take_out
from tests.stores import PostgresStores, SqliteStores

DAY = date(2026, 11, 20)
GONE = MADE + timedelta(days=3)


@pytest.fixture(params=["sqlite", "postgresql"])
def chain(
    request: pytest.FixtureRequest, settings: PipelineSettings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[PipelineSettings, Database]]:
    """Settings of a warehouse beside a store, and the store."""
    stores: SqliteStores | PostgresStores = (
        SqliteStores(tmp_path_factory.mktemp("store"))
        if request.param == "sqlite"
        else request.getfixturevalue("postgres_stores")
    )
    with stores.new(settings.data_dir) as address:
        told: Any = address
        with_store = PipelineSettings(data_dir=settings.data_dir, **told)
        store = Database(with_store)
        yield with_store, store
        store.close()


def test_rules_and_members_are_taken_over_as_they_are(
    chain: tuple[PipelineSettings, Database], con: DuckDBPyConnection
) -> None:
    settings, store = chain
    add_audience(store, 1, share(0, 50))
    add_audience(store, 2, kind="tag", is_smart=False)
    put_in(store, 2, ["C1", "C2"])
    take_out(store, 2, ["C2"], at=GONE)

    take_audiences(con, settings, DAY)

    taken = taken_audiences(con)
    assert [(rule.id, rule.kind, rule.definition, rule.document) for rule in taken.rules] == [
        (1, "segment", 1, share(0, 50))
    ]
    assert [(one.id, one.is_smart, one.revision) for one in taken.usable] == [(1, True, 0), (2, False, 2)]
    assert [(one.id, one.group_name, one.name) for one in taken.named] == [(1, None, "segment 1"), (2, "价值", "tag 2")]
    rows = con.execute(
        "select one_id, added_at, added_how, removed_at, removed_how from ingest.static_member"
    ).fetchall()
    assert sorted(rows) == [("C1", MADE, "staff", None, None), ("C2", MADE, "staff", GONE, "bulk")]


def test_members_of_whom_nobody_was_ever_taken_out_are_taken_over(
    chain: tuple[PipelineSettings, Database], con: DuckDBPyConnection
) -> None:
    settings, store = chain
    add_audience(store, 2, is_smart=False)
    put_in(store, 2, ["C1"], at=datetime(2026, 11, 2, 3, 4, 5, 678901, tzinfo=UTC))

    take_audiences(con, settings, DAY)

    rows = con.execute("select added_at, removed_at, removed_how from ingest.static_member").fetchall()
    assert rows == [(datetime(2026, 11, 2, 3, 4, 5, 678901, tzinfo=UTC), None, None)]


def test_taking_over_again_replaces_what_was_taken(
    chain: tuple[PipelineSettings, Database], con: DuckDBPyConnection
) -> None:
    settings, store = chain
    add_audience(store, 1, EVERYONE)
    add_audience(store, 2, is_smart=False)
    put_in(store, 2, ["C1", "C2"])
    take_audiences(con, settings, DAY)
    once = taken_text(con)

    take_audiences(con, settings, DAY)

    assert taken_text(con) == once
    assert con.execute("select count(*) from ingest.static_member").fetchone() == (2,)


def test_a_store_with_nothing_in_it_is_no_news(
    chain: tuple[PipelineSettings, Database], con: DuckDBPyConnection
) -> None:
    settings, store = chain
    take_audiences(con, settings, DAY)
    empty = taken_text(con)
    add_audience(store, 1)
    take_audiences(con, settings, DAY)

    assert (empty, taken_text(con) == "") == ("", False)


def test_where_there_is_no_store_nothing_is_taken(settings: PipelineSettings, con: DuckDBPyConnection) -> None:
    take_audiences(con, settings, DAY)

    assert (taken_text(con), list(taken_audiences(con).named)) == ("", [])
    assert con.execute("select count(*) from ingest.static_member").fetchone() == (0,)
    assert not settings.folders.operational.exists()
