"""What identity's log says of erased persons."""

from collections.abc import Iterable
from datetime import date, timedelta

import duckdb
import pytest

from pipelines.identity.erase import copy_state
from pipelines.identity.resolve import IdentityConfig, resolve_night

NIGHT = date(2026, 11, 1)
GONE, LEFT, OTHER = "lead:leads:gone", "lead:leads:left", "lead:leads:other"
PSEUDONYM = "lead:leads:erased-0123456789abcdef"


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("""
        set TimeZone = 'Asia/Shanghai';
        create table identities (
            key varchar, kind varchar, first_seen_at timestamptz, name_norm varchar, birth_date date,
            id_number varchar, is_minor boolean
        );
        create table evidence (key varchar, value_type varchar, value varchar, tier integer, position integer);
        create table blocked (value_type varchar, value varchar);
        create temp table erased_key (key varchar, pseudonym varchar);
        create temp table erased_text (text varchar)
    """)
    return con


def resolve(con: duckdb.DuckDBPyConnection, number: int, keys: Iterable[str], *, schema: str) -> None:
    """A night of leads of whom all but OTHER have one phone."""
    for table in ("identities", "evidence"):
        con.execute(f"delete from {table}")
    for key in keys:
        phone = "+8613800000002" if key == OTHER else "+8613800000001"
        con.execute(
            "insert into identities values ($key, 'lead', '2026-01-01 00:00:00+08', null, null, null, false)",
            {"key": key},
        )
        con.execute("insert into evidence values ($key, 'phone', $phone, 5, 0)", {"key": key, "phone": phone})
    resolve_night(
        con,
        night=NIGHT + timedelta(days=number),
        config=IdentityConfig(),
        identities="identities",
        evidence="evidence",
        blocked="blocked",
        state_schema=schema,
    )


def erase(con: duckdb.DuckDBPyConnection, source: str, target: str, keys: Iterable[tuple[str, str]]) -> None:
    con.execute("delete from erased_key")
    for pair in keys:
        con.execute("insert into erased_key values (?, ?)", pair)
    copy_state(con, source, [], target=target)


def erased(con: duckdb.DuckDBPyConnection, schema: str) -> list[tuple[object, ...]]:
    return con.execute(
        f"select night, key, from_id, to_id from {schema}.event where event = 'ERASED' order by all"
    ).fetchall()


@pytest.mark.parametrize("night", [0, 1], ids=["the same night again", "the next night"])
def test_the_log_says_once_of_which_record_somebody_was_erased_and_replays(
    con: duckdb.DuckDBPyConnection, night: int
) -> None:
    resolve(con, 0, [GONE, LEFT, OTHER], schema="before")
    ((one_id,),) = con.execute("select one_id from before.assignment where key = $key", {"key": GONE}).fetchall()

    erase(con, "before", "after", [(GONE, PSEUDONYM)])
    resolve(con, night, [LEFT, OTHER], schema="after")
    erase(con, "after", "later", [])

    for schema in ("after", "later"):
        assert erased(con, schema) == [(NIGHT, PSEUDONYM, one_id, None)]
        log = con.execute(f"select event, key, to_id from {schema}.event order by night, seq").fetchall()
        assert {key: to_id for event, key, to_id in log if event in ("LINKED", "MOVED")} == dict(
            con.execute(f"select key, one_id from {schema}.assignment").fetchall()
        )
        present = {key: event not in ("VANISHED", "ERASED") for event, key, _ in log if key}
        assert present == dict(con.execute(f"select key, present from {schema}.assignment").fetchall())
    numbers = con.execute("select seq from later.event where night = $night", {"night": NIGHT}).fetchall()
    assert len(numbers) == len(set(numbers))


def test_an_erasure_before_any_night_logs_nothing(con: duckdb.DuckDBPyConnection) -> None:
    resolve(con, 0, [], schema="before")
    con.execute("delete from before.night")

    erase(con, "before", "after", [(GONE, PSEUDONYM)])

    assert erased(con, "after") == []
