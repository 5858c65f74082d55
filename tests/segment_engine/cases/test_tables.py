"""A world in a DuckDB database: the types and the values that the engine finds there."""

import duckdb

from segment_engine.cases.case_file import read_case_file
from segment_engine.cases.tables import write_world

FILE = """
world:
  attributes:
    {t: text, o: option, m: options, i: integer, d: decimal, money: money, b: boolean, day: date, at: datetime}
  sources:
    Sale: {time: day, fields: {day: date, text: text}}
    empty: {time: at, fields: {at: datetime}}
  customers:
    - {id: 3, t: a, o: b, m: [y, x, x], i: 9223372036854775807, d: 0.1, money: 0.1, b: false, day: 2024-02-29,
       at: "1991-09-15 01:30:00"}
    - {id: 1}
  rows:
    Sale: [{customer: 3, day: 2026-01-01, text: "'; drop"}, {customer: 3}]
  tags: {12: [3, 1]}
  segments: {7: [3], 12: []}
cases: []
"""


def written() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'")
    write_world(read_case_file(FILE).world, con)
    return con


def test_customers_have_the_types_of_published_ones() -> None:
    with written() as con:
        columns = con.execute("select column_name, column_type from (describe world.customer)").fetchall()

    assert columns == [
        ("customer_key", "INTEGER"), ("one_id", "VARCHAR"), ("t", "VARCHAR"), ("o", "VARCHAR"), ("m", "VARCHAR[]"),
        ("i", "BIGINT"), ("d", "DECIMAL(18,6)"), ("money", "BIGINT"), ("b", "BOOLEAN"), ("day", "DATE"),
        ("at", "TIMESTAMP WITH TIME ZONE"),
    ]  # fmt: skip


def test_values_are_there_and_what_is_missing_is_null() -> None:
    with written() as con:
        rows = con.execute(
            'select customer_key, one_id, t, m, i, d::text, money, b, day::text, "at"::text from world.customer'
        ).fetchall()

    # The clock showed half past one twice that night; the first time it was summer still.
    assert rows == [
        (3, "3", "a", ["x", "y"], 9223372036854775807, "0.100000", 10, False, "2024-02-29", "1991-09-14 16:30:00+00"),
        (1, "1", *[None] * 8),
    ]


def test_sources_and_members_are_tables_too() -> None:
    with written() as con:
        sales = con.execute('select customer_key, day::varchar, text from world."Sale"').fetchall()
        empty = con.execute("select count(*) from world.empty").fetchall()
        members = con.execute("select audience_kind, audience_id, customer_key from world.audience_member").fetchall()

    assert sales == [(3, "2026-01-01", "'; drop"), (3, None, None)]
    assert empty == [(0,)]
    assert members == [("tag", 12, 1), ("tag", 12, 3), ("segment", 7, 3)]
