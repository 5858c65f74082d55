"""Operator rows as a night takes them over: which are in force, and which are left out since they contradict others."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import duckdb
import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert
from typer.testing import CliRunner

from api.storage.database import Database
from api.storage.overrides import OperatorRow, OverrideKind, Standing
from api.storage.schema import upgrade
from api.storage.tables.identity import identity_override
from pipelines import steps
from pipelines.cli import app
from pipelines.identity.overrides import KINDS_OF_OVERRIDE, read_overrides
from pipelines.settings import PipelineSettings
from pipelines.warehouse.connection import connect_warehouse
from pipelines.warehouse.overrides import offer_overrides, standing_overrides, take_overrides

NIGHT = date(2026, 11, 20)
AT = datetime(2026, 11, 20, 4, tzinfo=UTC)


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'Asia/Shanghai'; create schema ingest")
        yield con


def rows(*told: tuple[str, str, str]) -> list[OperatorRow]:
    return [OperatorRow(f"ov{n}", *one, AT + timedelta(seconds=n)) for n, one in enumerate(told)]


def test_the_api_the_store_and_the_night_know_the_same_kinds() -> None:
    assert set(OverrideKind) == set(KINDS_OF_OVERRIDE)


def test_a_row_counts_in_the_night_of_the_tenants_day_on_which_it_was_made(con: duckdb.DuckDBPyConnection) -> None:
    late = datetime(2026, 11, 20, 15, 59, tzinfo=UTC)  # 23:59 in Shanghai
    take_overrides(
        con,
        [
            OperatorRow("today", "block", "1", "", late),
            OperatorRow("tomorrow", "block", "2", "", late + timedelta(minutes=1)),
            OperatorRow("revoked today", "block", "3", "", late - timedelta(days=9), late),
            OperatorRow("revoked tomorrow", "block", "4", "", late - timedelta(days=9), late + timedelta(minutes=1)),
        ],
    )

    standing = standing_overrides(con, NIGHT)

    assert [row.id for row in standing.rows] == ["revoked tomorrow", "today"]
    assert standing.left_out == ()


def test_what_was_taken_over_before_is_gone_with_the_next_taking(con: duckdb.DuckDBPyConnection) -> None:
    take_overrides(con, rows(("block", "1", "")))
    take_overrides(con, rows(("block", "2", "")))

    assert [row.a for row in standing_overrides(con, NIGHT).rows] == ["2"]


def test_of_rows_that_contradict_each_other_the_later_is_left_out(con: duckdb.DuckDBPyConnection) -> None:
    take_overrides(
        con,
        rows(("merge", "a", "b"), ("split", "b", "c"), ("merge", "c", "a"), ("marry", "a", "b"), ("split", "d", "d")),
    )

    standing = standing_overrides(con, NIGHT)

    assert [row.id for row in standing.rows] == ["ov0", "ov1"]
    assert [(row.id, why.code, why.others) for row, why in standing.left_out] == [
        ("ov2", "merge_across_split", ("ov1",)),
        ("ov3", "unknown_override", ()),
        ("ov4", "same_identity", ()),
    ]


KEYS = st.sampled_from("abcde")
DECISIONS = st.one_of(
    st.tuples(st.sampled_from(["merge", "split"]), KEYS, KEYS),
    st.tuples(st.sampled_from(["block", "allow"]), st.sampled_from("12"), st.just("")),
    st.tuples(st.just("owner"), st.sampled_from("12"), KEYS),
    st.tuples(st.just("detach"), KEYS, st.sampled_from("12")),
)


@given(told=st.lists(DECISIONS, max_size=14))
def test_whatever_stands_is_taken_by_the_night_and_joins_nobody_who_is_split(
    con: duckdb.DuckDBPyConnection, told: list[tuple[str, str, str]]
) -> None:
    take_overrides(con, rows(*told))
    standing = standing_overrides(con, NIGHT)

    taken = read_overrides(con, offer_overrides(con, standing.rows), night=NIGHT)

    assert {row.id for row in taken.rows} == {row.id for row in standing.rows}
    assert len(standing.rows) + len(standing.left_out) == len(told)
    merges = nx.Graph([(row.a, row.b) for row in standing.rows if row.kind == "merge"])
    splits = [row for row in standing.rows if row.kind == "split" and {row.a, row.b} <= set(merges)]
    assert not any(nx.has_path(merges, row.a, row.b) for row in splits)
    for row, why in standing.left_out:
        if why.code == "split_inside_merge":
            way = [next({m.a, m.b} for m in standing.rows if m.id == merge) for merge in why.others]
            assert all(one & next_one for one, next_one in pairwise(way))
            assert {row.a, row.b} <= set().union(*way)


def test_asking_about_thousands_of_rows_takes_no_time_that_counts() -> None:
    told = [OperatorRow(f"ov{n}", "merge", f"k{n}", f"k{n + 1}") for n in range(0, 10_000, 2)]
    standing = Standing(told)

    assert [standing.against(OperatorRow("", "split", row.b, row.a))[0].others for row in told] == [
        (row.id,) for row in told
    ]


@pytest.fixture
def settings(tmp_path: Path) -> PipelineSettings:
    """A data directory with an operational store in which somebody wrote by hand."""
    settings = PipelineSettings(data_dir=tmp_path / "data")
    store = Database(settings)
    upgrade(store)
    told = {"reason": "x", "operator": "staff:1", "version": 1, "created_at": AT, "value_type": None}
    decided = [("ov1", "merge", "a", "b"), ("ov2", "split", "a", "b")]
    for n, (override_id, kind, a, b) in enumerate(decided):
        row = {"id": override_id, "kind": kind, "a": a, "b": b, "valid_from": AT + timedelta(seconds=n), **told}
        store.write(lambda connection, row=row: connection.execute(insert(identity_override).values(row)))
    store.close()
    return settings


def test_status_names_a_row_that_is_left_out_in_both_languages(settings: PipelineSettings) -> None:
    steps.ingest(settings, NIGHT)

    shown = CliRunner(env={"COLUMNS": "240", "TERM": "dumb"}).invoke(
        app, ["status"], env={"CDP_DATA_DIR": str(settings.data_dir)}
    )

    assert shown.exit_code == 0, shown.output
    (line,) = [line for line in shown.output.splitlines() if line.startswith("left out")]
    assert line.count("ov2") == 2
    assert line.count("ov1") == 2
    assert "矛盾" in line


def test_the_fingerprint_of_a_night_changes_with_what_is_in_force_and_with_nothing_else(
    settings: PipelineSettings,
) -> None:
    steps.ingest(settings, NIGHT)
    with_merge = steps.input_fingerprint(settings, NIGHT)
    store = Database(settings)

    def change(**values: object) -> str:
        store.write(lambda connection: connection.execute(identity_override.update().values(**values)))
        steps.ingest(settings, NIGHT)
        return steps.input_fingerprint(settings, NIGHT)

    assert change(reason="another") == with_merge
    assert change(valid_from=AT + timedelta(days=1)) != with_merge
    assert change(valid_from=AT) == with_merge
    store.close()


def test_a_store_that_nobody_has_upgraded_yet_decides_nothing(settings: PipelineSettings) -> None:
    store = Database(settings)
    store.write(lambda connection: connection.exec_driver_sql("drop table identity_override"))
    store.close()

    steps.ingest(settings, NIGHT)

    with connect_warehouse(settings) as con:
        assert standing_overrides(con, NIGHT).rows == ()
