"""The engine's tables hold what the marts hold, coded and in order; a night that appends ends as a fresh build does."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import pytest
from duckdb import DuckDBPyConnection

from segment_engine.catalog import Catalog, Field, Source
from segment_engine.layout import Stored
from segment_engine.operators import FieldType
from segment_engine.runtime import engine_tables
from segment_engine.runtime.engine_layout import read_layout
from segment_engine.runtime.engine_tables import EngineReport, build_engine
from segment_engine.runtime.engine_values import MOST_LISTED, MOST_VALUES

ZONE = "Asia/Shanghai"
NOON = datetime(2026, 3, 1, 4, tzinfo=UTC)
Row = tuple[Any, ...]


def fields(**types: FieldType) -> dict[str, Field]:
    return {name: Field(name, type_, name, name) for name, type_ in types.items()}


PEOPLE = fields(
    city=FieldType.TEXT,
    name=FieldType.TEXT,
    is_member=FieldType.BOOLEAN,
    seen_at=FieldType.DATETIME,
    points=FieldType.INTEGER,
)
PEOPLE["name"] = replace(PEOPLE["name"], permission="pii_name")
VISIT = Source(
    name="visit",
    table="marts.fct_visit",
    category=("一", "二", "三"),
    label_zh="就诊",
    label_en="Visit",
    time="visited_at",
    known_at="visited_at",
    fields=fields(
        kind=FieldType.OPTION,
        doctor=FieldType.TEXT,
        visited_at=FieldType.DATETIME,
        paid_fen=FieldType.MONEY,
        teeth=FieldType.OPTIONS,
    ),
    metrics=(),
    groups={},
    leading="kind",
)
SLOT = replace(
    VISIT,
    name="slot",
    table="marts.fct_slot",
    time="due_on",
    known_at="due_on",
    fields=fields(due_on=FieldType.DATE, is_done=FieldType.BOOLEAN),
    leading=None,
)
CATALOG = Catalog("marts.dim_people", PEOPLE, {"visit": VISIT, "slot": SLOT})


@pytest.fixture
def con() -> Iterator[DuckDBPyConnection]:
    with marts() as con:
        yield con


def marts() -> DuckDBPyConnection:
    """Empty marts in memory, as a night's connection sees them, in a zone that is not the tenant's."""
    con = duckdb.connect()
    con.execute("set TimeZone = 'America/New_York'")
    con.execute("set preserve_insertion_order = false")
    con.execute("create schema marts")
    con.execute(
        "create table marts.dim_people (customer_key integer, one_id varchar, city varchar, name varchar,"
        " is_member boolean, seen_at timestamptz, points bigint)"
    )
    con.execute(
        "create table marts.fct_visit (visit_id varchar, customer_key integer, kind varchar, doctor varchar,"
        " visited_at timestamptz, paid_fen bigint, teeth varchar[])"
    )
    con.execute("create table marts.fct_slot (customer_key integer, due_on date, is_done boolean)")
    return con


def visit(key: int, kind: str | None = "初诊", at: datetime | None = NOON, *, paid: int | None = 100) -> Row:
    return (f"V{key}", key, kind, "D1", at, paid, ["11", "12"])


def put(con: DuckDBPyConnection, table: str, rows: Iterable[Row]) -> None:
    for row in rows:
        con.execute(f"insert into marts.{table} values ({', '.join('?' * len(row))})", list(row))


def build(con: DuckDBPyConnection, catalog: Catalog = CATALOG) -> EngineReport:
    return build_engine(con, catalog, zone=ZONE)


def stored(con: DuckDBPyConnection, name: str) -> Stored:
    layout = read_layout(con, CATALOG)
    assert layout is not None
    return layout.sources[name]


def how(report: EngineReport, relation: str) -> str:
    return next(table.how for table in report.tables if table.relation == relation)


def test_texts_are_codes_in_the_order_of_their_bytes_and_what_is_missing_is_zero(con: DuckDBPyConnection) -> None:
    kinds = ["初诊", "", "𠮷", "Z", None, "a", "～", "初诊"]
    put(con, "fct_visit", [visit(key, kind) for key, kind in enumerate(kinds)])

    build(con)

    assert stored(con, "visit").codes["kind"] == ("Z", "a", "初诊", "～", "𠮷")
    assert con.execute("select customer_key, kind from engine.visit order by 1").fetchall() == [
        (0, 3), (1, 0), (2, 5), (3, 1), (4, 0), (5, 2), (6, 4), (7, 3),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "held_as"), [(255, "UTINYINT"), (256, "USMALLINT"), (MOST_VALUES, "USMALLINT"), (MOST_VALUES + 1, None)]
)
def test_a_text_takes_the_smallest_number_that_holds_its_values_or_is_not_kept(
    con: DuckDBPyConnection, values: int, held_as: str | None
) -> None:
    con.execute(
        "insert into marts.fct_visit select i, i, 'x', 'D' || i, $at, 1, [] from range($values) t(i)",
        {"at": NOON, "values": values},
    )

    build(con)

    types = con.execute("select column_name, data_type from duckdb_columns() where schema_name = 'engine'").fetchall()
    assert dict(types).get("doctor") == held_as
    assert ("doctor" in stored(con, "visit").columns) is (held_as is not None)


def test_every_code_is_its_texts_place_in_the_dictionary(con: DuckDBPyConnection) -> None:
    con.execute(
        "insert into marts.fct_visit select i, i, 'x', 'D' || i % $n, $at, 1, [] from range($n * 2) t(i)",
        {"at": NOON, "n": MOST_VALUES},
    )

    build(con)

    names = stored(con, "visit").codes["doctor"]
    pairs = con.execute(
        "select mart.doctor, kept.doctor from engine.visit as kept join marts.fct_visit as mart using (customer_key)"
    ).fetchall()
    assert len(pairs) == 2 * MOST_VALUES
    assert all(names[code - 1] == name for name, code in pairs)


def test_a_text_that_is_always_missing_has_an_empty_dictionary(con: DuckDBPyConnection) -> None:
    put(con, "fct_visit", [visit(0, None)])

    build(con)

    assert stored(con, "visit").codes["kind"] == ()


def test_customers_are_one_row_per_key_also_where_nobody_has_it(con: DuckDBPyConnection) -> None:
    put(con, "dim_people", [(3, "C", "北京", "李", True, NOON, 5), (1, "A", None, "王", None, None, None)])

    build(con)

    assert con.execute(
        "select customer_key, is_customer, city, is_member, seen_at__on, points from engine.customer"
    ).fetchall() == [
        (0, False, 0, None, None, None),
        (1, True, 0, None, None, None),
        (2, False, 0, None, None, None),
        (3, True, 1, True, date(2026, 3, 1), 5),
    ]
    layout = read_layout(con, CATALOG)
    assert layout is not None
    assert (layout.keys, layout.customers.known_until) == (4, None)


def test_a_text_that_not_everybody_may_see_is_not_copied(con: DuckDBPyConnection) -> None:
    put(con, "dim_people", [(0, "A", "北京", "王小明", True, NOON, 5)])

    build(con)

    tables = con.execute("select table_name from duckdb_tables() where schema_name = 'engine'").fetchall()
    assert [name for (name,) in tables if "王小明" in repr(con.execute(f'from engine."{name}"').fetchall())] == []
    layout = read_layout(con, CATALOG)
    assert layout is not None
    assert layout.customers.columns == {"city", "is_member", "seen_at", "points"}


@pytest.mark.parametrize(
    ("at", "day"),
    [
        (datetime(2026, 2, 28, 15, 59, 59, tzinfo=UTC), date(2026, 2, 28)),
        (datetime(2026, 2, 28, 16, tzinfo=UTC), date(2026, 3, 1)),
        (None, None),
    ],
    ids=["last second", "midnight", "never"],
)
def test_a_moment_has_its_day_in_the_tenants_zone_beside_it(
    con: DuckDBPyConnection, at: datetime | None, day: date | None
) -> None:
    put(con, "fct_visit", [visit(0, at=at)])

    build(con)

    assert con.execute("select visited_at, visited_at__on from engine.visit").fetchall() == [(at, day)]


def test_rows_lie_by_the_leading_field_and_then_by_day(con: DuckDBPyConnection) -> None:
    con.execute(
        "insert into marts.fct_visit select i, i, ['丙', '甲', '乙'][1 + i % 3], 'D',"
        " $at::timestamptz + to_days((i * 7919 % 400)::integer), i, [] from range(300000) t(i)",
        {"at": NOON},
    )
    put(con, "fct_slot", [(0, date(2026, 3, 2), True), (1, date(2026, 3, 1), None)])

    build(con)

    ordered = con.execute("select kind, visited_at__on from engine.visit order by rowid").fetchall()
    assert len(ordered) == 300_000
    assert ordered == sorted(ordered)
    assert con.execute("select customer_key from engine.slot order by rowid").fetchall() == [(1,), (0,)]


def test_rows_are_known_until_the_last_of_them_and_a_day_until_its_last_microsecond(con: DuckDBPyConnection) -> None:
    put(con, "fct_visit", [visit(0), visit(1, at=NOON + timedelta(hours=1)), visit(2, at=None)])
    put(con, "fct_slot", [(0, date(2026, 3, 1), True), (0, date(2026, 2, 1), True)])

    build(con)

    assert stored(con, "visit").known_until == NOON + timedelta(hours=1)
    assert stored(con, "slot").known_until == datetime(2026, 3, 1, 15, 59, 59, 999999, tzinfo=UTC)


def test_a_source_without_rows_is_there_and_known_until_nothing(con: DuckDBPyConnection) -> None:
    build(con)

    assert stored(con, "visit") == Stored(
        "engine.visit", 0, frozenset(VISIT.fields), {"kind": (), "doctor": (), "teeth": ()}, known_until=None
    )


def test_lists_are_kept_as_bits_unless_they_hold_too_many_values(con: DuckDBPyConnection) -> None:
    put(con, "fct_visit", [visit(0)])
    build(con)
    few = con.execute("select teeth__0 from engine.visit").fetchall()

    con.execute(
        "update marts.fct_visit set teeth = (select list(i::varchar) from range($n) t(i))", {"n": MOST_LISTED + 1}
    )
    build(con)

    assert few == [(0b11,)]
    assert "teeth" not in stored(con, "visit").columns


def test_tables_are_commented_in_both_languages(con: DuckDBPyConnection) -> None:
    build(con)

    comments = con.execute("select comment from duckdb_tables() where schema_name = 'engine'").fetchall()
    assert len(comments) == 6
    assert all(comment and "筛选引擎" in comment and "filter engine" in comment for (comment,) in comments)


def test_a_night_without_news_writes_nothing(con: DuckDBPyConnection) -> None:
    put(con, "fct_visit", [visit(0), visit(1, at=None)])
    put(con, "dim_people", [(1, "A", "北京", "王", True, NOON, 5)])
    first = build(con)

    again = build(con)

    assert first.counts == {"rebuilt": 3}
    assert again.counts == {"unchanged": 3}
    assert again.rows == first.rows == 4


def many_visits(days: int = 20) -> list[Row]:
    return [visit(day, ["初诊", "复诊"][day % 2], NOON + timedelta(days=day)) for day in range(days)]


def test_a_new_day_is_appended_behind_the_ordered_rows(con: DuckDBPyConnection) -> None:
    put(con, "fct_visit", many_visits())
    build(con)
    put(con, "fct_visit", [visit(7, "初诊", NOON + timedelta(days=30)), visit(3, "复诊", NOON + timedelta(days=29))])

    report = build(con)

    assert how(report, "visit") == "appended"
    assert con.execute("select customer_key from engine.visit order by rowid desc limit 2").fetchall() == [(7,), (3,)]
    assert con.execute("select rows, sorted_rows from engine.layout where relation = 'visit'").fetchall() == [(22, 20)]
    assert stored(con, "visit").known_until == NOON + timedelta(days=30)


def test_a_day_of_a_source_that_is_timed_by_days_replaces_what_was_there(con: DuckDBPyConnection) -> None:
    put(con, "fct_slot", [(day, date(2026, 3, day), False) for day in range(1, 21)])
    build(con)
    con.execute("update marts.fct_slot set is_done = true where customer_key in (4, 20)")
    con.execute("delete from marts.fct_slot where customer_key = 9")

    report = build(con)

    assert how(report, "slot") == "appended"
    assert contents(con) == contents(fresh(con))
    assert con.execute("select customer_key from engine.slot order by rowid desc limit 2").fetchall() == [(20,), (4,)]


@pytest.mark.parametrize(
    "late",
    [
        [visit(1, "再诊", NOON)],
        [visit(1, "初诊", None)],
        [visit(key, "初诊", NOON + timedelta(days=key)) for key in range(5)],
    ],
    ids=["codes would change", "of no day", "too many"],
)
def test_what_cannot_be_appended_is_laid_out_anew(con: DuckDBPyConnection, late: Sequence[Row]) -> None:
    put(con, "fct_visit", many_visits())
    build(con)
    put(con, "fct_visit", late)

    report = build(con)

    assert how(report, "visit") == "rebuilt"
    assert how(report, "slot") == "unchanged"


def test_a_value_behind_all_others_is_appended_with_a_code_of_its_own(con: DuckDBPyConnection) -> None:
    put(con, "fct_visit", many_visits())
    build(con)
    put(con, "fct_visit", [visit(1, "～", NOON)])

    report = build(con)

    assert how(report, "visit") == "appended"
    assert stored(con, "visit").codes["kind"][-1] == "～"


def test_another_catalogue_lays_the_source_out_anew_and_forgets_one_that_is_gone(con: DuckDBPyConnection) -> None:
    put(con, "fct_visit", many_visits())
    build(con)
    other = replace(CATALOG, sources={"visit": replace(VISIT, leading="doctor")})

    report = build(con, other)

    assert [(table.relation, table.how) for table in report.tables] == [("customer", "unchanged"), ("visit", "rebuilt")]
    assert con.execute("select table_name from duckdb_tables() where table_name = 'slot'").fetchall() == []
    assert "slot" not in repr(con.execute("from engine.layout").fetchall())


def test_a_file_without_the_engines_tables_or_with_another_releases_has_no_layout(con: DuckDBPyConnection) -> None:
    before = read_layout(con, CATALOG)
    con.execute("create schema engine")
    con.execute("create table engine.layout (relation varchar)")
    old = read_layout(con, CATALOG)

    build(con)
    ours = read_layout(con, CATALOG)
    con.execute("update engine.layout set shape = replace(shape, '[3,', '[0,')")

    assert (before, old) == (None, None)
    assert ours is not None
    assert read_layout(con, CATALOG) is None


def test_a_build_that_breaks_off_leaves_the_table_as_it_was_and_the_next_one_ends_it(
    con: DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(con, "fct_visit", many_visits())
    build(con)
    before = contents(con)
    put(con, "fct_visit", [visit(1, "再诊", NOON)])

    with monkeypatch.context() as broken, pytest.raises(ZeroDivisionError):
        broken.setattr(engine_tables, "_write_layout", lambda *_, **__: 1 // 0)
        build(con)
    after = contents(con)
    build(con)

    assert after == before
    assert contents(con) == contents(fresh(con))


def contents(con: DuckDBPyConnection) -> dict[str, Any]:
    """Everything but the order of rows, and how many of them are in order."""
    found = {name: con.execute(f"from engine.{name}").fetchall() for name in ("visit", "slot", "value", "day_digest")}
    layout = con.execute("select relation, rows, known_until, columns, shape from engine.layout").fetchall()
    types = con.execute(
        "select table_name, column_name, data_type, is_nullable from duckdb_columns() where schema_name = 'engine'"
    ).fetchall()
    unordered = {**found, "layout": layout, "types": types}
    customers = con.execute("from engine.customer").fetchall()
    return {**{name: sorted(map(repr, rows)) for name, rows in unordered.items()}, "customer": customers}


def fresh(con: DuckDBPyConnection) -> DuckDBPyConnection:
    """A build from the same marts by somebody who has never built one."""
    other = marts()
    for table in ("dim_people", "fct_visit", "fct_slot"):
        put(other, table, con.execute(f"from marts.{table}").fetchall())
    build(other)
    return other


def another_night(con: DuckDBPyConnection, dice: random.Random, night: int) -> None:
    """New rows of today, and of late; rows that changed and rows that went; a customer merged into another."""
    today = NOON + timedelta(days=night)
    put(con, "fct_visit", [random_visit(dice, today) for _ in range(dice.randint(0, 4))])
    one = dice.randint(0, 30)
    match dice.randint(0, 5):
        case 0:
            put(con, "fct_visit", [random_visit(dice, today - timedelta(days=dice.randint(1, 9)))])
        case 1:
            con.execute("update marts.fct_visit set paid_fen = 7, kind = '～' where customer_key = ?", [one])
        case 2:
            con.execute("delete from marts.fct_visit where customer_key = ?", [one])
        case 3:
            con.execute("update marts.fct_visit set customer_key = 31 where customer_key = ?", [one])
            con.execute("delete from marts.dim_people where customer_key = ?", [one])
        case 4:
            put(con, "fct_slot", [(one, (today + timedelta(days=1)).date(), dice.random() < 0.5)])


def random_visit(dice: random.Random, at: datetime) -> Row:
    kind = dice.choices(["初诊", "复诊", "", None, f"{dice.randint(0, 99)}"], [20, 20, 5, 5, 1])[0]
    return visit(dice.randint(0, 30), kind, at + timedelta(hours=dice.randint(0, 23)), paid=dice.choice([None, 1, 2]))


@pytest.mark.parametrize("seed", range(6))
def test_nights_that_append_end_as_a_fresh_build_does(con: DuckDBPyConnection, seed: int) -> None:
    dice = random.Random(seed)
    put(con, "dim_people", [(key, f"C{key}", "北京", "王", True, NOON, key) for key in range(32)])
    put(con, "fct_visit", [random_visit(dice, NOON - timedelta(days=dice.randint(1, 40))) for _ in range(120)])
    seen = set()

    for night in range(12):
        another_night(con, dice, night)
        seen.add(how(build(con), "visit"))
        assert contents(con) == contents(fresh(con))

    assert "appended" in seen
