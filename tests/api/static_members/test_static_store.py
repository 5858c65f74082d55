"""Rows of static members on both stores: in once, followed through merges, known as they were, gone when erased."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert

from api.storage.audience_members import add_members, members_of_customer, remove_members
from api.storage.database import Database
from api.storage.erasures import hold_erasures
from api.storage.forgetting import forget_customers
from api.storage.tables.customers import erasure_request
from segment_engine.catalog import Catalog
from segment_engine.runtime.former_ids import former_ids
from segment_engine.runtime.version import customers_of
from tests.api.static_members.static import make, members, revision, rows_of
from tests.at_once import at_once

NOON = datetime(2026, 11, 20, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
CUSTOMERS = Catalog("marts.dim_customer", {}, {})
IDS = [f"C{number:04d}" for number in range(2_000)]


def put(database: Database, audience_id: int, one_ids: list[str], at: datetime = NOON, **more: Any) -> int:
    return database.write(
        lambda connection: add_members(connection, audience_id, one_ids, how="bulk", by="staff:1", now=at, **more)
    )


def take(database: Database, audience_id: int, one_ids: list[str], at: datetime = NOON, **more: Any) -> int:
    return database.write(
        lambda connection: remove_members(connection, audience_id, one_ids, how="staff", by="staff:2", now=at, **more)
    )


def test_putting_somebody_in_twice_is_as_once_and_counts_newcomers_only(database: Database) -> None:
    tag = make(database)

    counts = [put(database, tag, ["A", "B"]), put(database, tag, ["B", "C", "C"]), put(database, tag, ["A"])]

    assert counts == [2, 1, 0]
    assert members(database, tag) == ["A", "B", "C"]
    assert revision(database, tag) == 3  # nothing changed, nothing grew


def test_taking_out_ends_the_row_and_putting_in_again_begins_another(database: Database) -> None:
    tag = make(database)
    put(database, tag, ["A", "B"])

    counts = [take(database, tag, ["A", "X"], NOON + HOUR), take(database, tag, ["A"]), put(database, tag, ["A"])]

    assert counts == [1, 0, 1]
    told = [(row.one_id, row.removed_by, row.removed_how, row.removed_at) for row in rows_of(database, tag)]
    assert told == [
        ("A", "staff:2", "staff", NOON + HOUR),
        ("B", None, None, None),
        ("A", None, None, None),
    ]


def test_who_was_in_at_a_moment_is_still_known_later(database: Database) -> None:
    tag, empty = make(database), make(database)
    put(database, tag, ["A"], NOON)
    put(database, tag, ["B"], NOON + HOUR)
    take(database, tag, ["A"], NOON + 2 * HOUR)

    moments = [NOON - HOUR, NOON, NOON + HOUR, NOON + 2 * HOUR, NOON + 3 * HOUR]

    assert [members(database, tag, at) for at in moments] == [[], ["A"], ["A", "B"], ["B"], ["B"]]
    assert members(database, tag) == ["B"]
    assert members(database, empty) == []


def test_of_two_who_put_overlapping_customers_in_at_once_each_counts_its_own(database: Database) -> None:
    tag = make(database)

    counts = at_once(lambda part: put(database, tag, part), [IDS[:1_500], IDS[:499:-1], IDS[200:700]])

    assert sum(counts) == len(IDS)
    assert members(database, tag) == IDS
    assert len(rows_of(database, tag)) == len(IDS)


def test_a_customer_who_was_merged_is_in_under_the_former_id(database: Database) -> None:
    tag = make(database)
    put(database, tag, ["old"])
    merged = {"new": ("old", "older")}

    again = put(database, tag, ["new"], former=merged)
    left = take(database, tag, ["new"], former=merged)

    assert (again, left) == (0, 1)
    assert members(database, tag) == []


def test_the_tags_of_a_customer_are_those_of_all_its_ids_each_since_the_first(database: Database) -> None:
    one, other, left = make(database), make(database), make(database)
    put(database, one, ["old"], NOON)
    put(database, one, ["new"], NOON + HOUR)
    put(database, other, ["new"], NOON)
    put(database, left, ["new"])
    take(database, left, ["new"])

    with database.read() as connection:
        found = members_of_customer(connection, ["new", "old"])

    assert [(member.audience_id, member.one_id, member.added_at) for member in found] == [
        (one, "old", NOON),
        (other, "new", NOON),
    ]


def erase(connection: Connection, one_id: str) -> None:
    hold_erasures(connection)
    row = {"id": f"era_{one_id}", "status": "requested", "reason": "x", "requested_by": "x", "requested_at": NOON}
    connection.execute(insert(erasure_request).values(one_id=one_id, **row))
    forget_customers(connection, [one_id])


def test_whoever_is_erased_has_no_row_left_and_gets_none(database: Database) -> None:
    tag, other = make(database), make(database)
    put(database, tag, ["A", "B"])
    take(database, tag, ["A"])
    put(database, other, ["A"])

    database.write(lambda connection: erase(connection, "A"))
    again = [put(database, tag, ["A"]), put(database, tag, ["A2"], former={"A2": ("A",)})]

    assert again == [0, 0]
    assert [row.one_id for row in (*rows_of(database, tag), *rows_of(database, other))] == ["B"]
    assert revision(database, other) == 3


def test_nobody_slips_in_while_they_are_erased(database: Database) -> None:
    tag = make(database)

    for one_id in IDS[:30]:
        acts = [
            lambda connection, one_id=one_id: erase(connection, one_id),
            lambda connection, one_id=one_id: add_members(connection, tag, [one_id], how="staff", by="x", now=NOON),
        ]
        at_once(database.write, acts)

    assert rows_of(database, tag) == []


# Who a step is about: customers are small numbers, and a merged one is asked for by its survivor.
STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "take", "merge", "undo"]), st.integers(0, 5), st.integers(0, 5)), max_size=12
)


class Chain:
    """Customers C0 … C5, merged and parted again, as a version's `one_id_alias` tells it."""

    def __init__(self) -> None:
        self.owner = {number: number for number in range(6)}

    def merge(self, one: int, other: int) -> None:
        loser, winner = self.owner[one], self.owner[other]
        self.owner = {number: winner if owner == loser else owner for number, owner in self.owner.items()}

    def undo(self, one: int) -> None:
        """The merge that took C<one> away never was: it and whoever came along are themselves again."""
        if self.owner[one] != one:
            self.owner[one] = one

    def publish(self, con: duckdb.DuckDBPyConnection) -> None:
        con.execute("create or replace table marts.owner (number integer, owner integer)")
        con.executemany("insert into marts.owner values (?, ?)", [[*pair] for pair in self.owner.items()])


@pytest.fixture(scope="module")
def published() -> Iterator[duckdb.DuckDBPyConnection]:
    """A version that tells of merges what `Chain.publish` says."""
    with duckdb.connect(config={"threads": 1}) as con:
        con.execute("create schema marts")
        con.execute("create table marts.owner (number integer, owner integer)")
        con.execute(
            "create view marts.dim_customer as select number as customer_key, 'C' || number as one_id "
            "from marts.owner where number = owner"
        )
        con.execute(
            "create view marts.one_id_alias as select 'C' || number as old_one_id, 'C' || owner as one_id, "
            "owner as customer_key from marts.owner where number <> owner"
        )
        yield con


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_a_tag_follows_its_customers_through_merges_and_back(
    database: Database, published: duckdb.DuckDBPyConnection, steps: list[tuple[str, int, int]]
) -> None:
    tag, chain = make(database), Chain()
    marked: set[int] = set()  # the ids that carry the tag

    for act, one, other in steps:
        if act == "merge":
            chain.merge(one, other)
        elif act == "undo":
            chain.undo(one)
        else:
            owner = chain.owner[one]
            group = {number for number, whose in chain.owner.items() if whose == owner}
            chain.publish(published)
            former = former_ids(published, [f"C{owner}"])
            is_in = bool(marked & group)
            if act == "put":
                assert put(database, tag, [f"C{owner}"], former=former) == (not is_in)
                marked |= set() if is_in else {owner}
            else:
                assert take(database, tag, [f"C{owner}"], former=former) == is_in
                marked -= group
    chain.publish(published)

    found = customers_of(published, CUSTOMERS, members(database, tag), len(chain.owner)).keys()
    assert found.tolist() == sorted({chain.owner[one] for one in marked})
