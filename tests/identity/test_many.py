"""Nights of more records than DuckDB keeps in one row group: what only shows beyond that."""

from datetime import date, timedelta

import duckdb
import pytest

from pipelines.identity.resolve import IdentityConfig, NightSummary, resolve_night

NIGHT = date(2026, 11, 1)
RECORDS = 300_000  # two row groups and a bit


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("set threads = 2; set TimeZone = 'Asia/Shanghai'")
    con.execute(f"""
        create table identities as
        select
            'lead:leads:' || i as key, 'lead' as kind,
            timestamptz '2026-01-01 00:00:00+08' + to_seconds(i) as first_seen_at,
            null::varchar as name_norm, null::date as birth_date, null::varchar as id_number, false as is_minor
        from range({RECORDS}) as numbers (i);
        create table evidence as
        select key, 'phone' as value_type, '+86139' || (row_number() over (order by key) // 2)::varchar as value,
            5 as tier, 0 as position
        from identities;
        create table blocked (value_type varchar, value varchar)
    """)
    return con


def run(con: duckdb.DuckDBPyConnection, number: int, **more: float) -> NightSummary:
    night = NIGHT + timedelta(days=number)
    return resolve_night(
        con,
        night=night,
        config=IdentityConfig(),
        identities="identities",
        evidence="evidence",
        blocked="blocked",
        **more,
    )


def test_everybody_who_vanishes_keeps_their_id(con: duckdb.DuckDBPyConnection):
    run(con, 0)
    ids = con.execute("select key, one_id from identity.assignment order by key").fetchall()
    con.execute("create table hidden as select * from identities where hash(key) % 2 = 0")
    con.execute("delete from identities where hash(key) % 2 = 0; delete from evidence where hash(key) % 2 = 0")

    summary = run(con, 1)

    vanished = con.execute("select count(*) from hidden").fetchall()[0][0]
    assert vanished > 125_000
    assert summary.events["VANISHED"] == vanished
    assert con.execute("select key, one_id from identity.assignment order by key").fetchall() == ids


def test_a_night_in_part_logs_everything_that_it_changes(con: duckdb.DuckDBPyConnection):
    run(con, 0)
    con.execute("update evidence set value = '+86138' || substr(value, 7) where hash(key) % 2 = 0")

    summary = run(con, 1, part_at_most=1)

    moved = con.execute("""
        select count(*) from identity.assignment as now inner join identity.assignment_before as last using (key)
        where now.one_id <> last.one_id
    """).fetchall()[0][0]
    assert summary.events["MOVED"] == moved > 60_000
    assert con.execute("select way from identity.night order by night").fetchall() == [("whole",), ("part",)]
    assert con.execute("select count(*) from identity.assignment").fetchall() == [(RECORDS,)]
    assert con.execute("select current_setting('preserve_insertion_order')").fetchall() == [(True,)]
