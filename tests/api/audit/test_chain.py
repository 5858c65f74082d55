"""The audit log: whole when nobody touched it, and the first bad row named when somebody did."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, text

from api.audit.log import Entry, append
from api.audit.verify import Verdict, verify
from api.caller import Caller
from api.storage.audit_chain import GENESIS
from api.storage.database import Database

NOON = datetime(2026, 11, 20, 4, tzinfo=UTC)
ANNA = Caller("staff", "anna", "安娜", "request-1", "10.0.0.1")
ROWS, VICTIM = 60, 31


@pytest.fixture
def filled(database: Database) -> Database:
    def work(connection: Connection) -> None:
        for number in range(ROWS):
            append(connection, ANNA, Entry("role.edit", "role", f"r{number}", {"n": number}, {"名": "新"}), now=NOON)

    database.write(work)
    return database


def verdict(database: Database) -> Verdict:
    with database.read() as connection:
        return verify(connection)


def spoil(database: Database, *statements: str) -> Verdict:
    def work(connection: Connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    database.write(work)
    return verdict(database)


def test_an_empty_log_is_whole(database: Database) -> None:
    assert verdict(database) == Verdict(0, GENESIS)


def test_an_untouched_log_is_whole_and_names_its_last_hash(filled: Database) -> None:
    found = verdict(filled)

    assert found.ok
    assert found.good_rows == ROWS
    with filled.read() as connection:
        assert found.head == connection.execute(text("select hash from audit_head")).scalar_one()


@pytest.mark.parametrize(
    "change",
    [
        "action = 'role.view'", "actor_name = 'Berta'", "target_id = 'r0'", "request_id = null", "address = ''",
        "before = '{\"n\":99}'", "after = null", "actor_kind = 'client'", "hash = prev_hash",
    ],
)  # fmt: skip
def test_a_changed_row_is_the_first_bad_one(filled: Database, change: str) -> None:
    found = spoil(filled, f"update audit_log set {change} where seq = {VICTIM}")

    assert (found.bad_seq, found.good_rows) == (VICTIM, VICTIM - 1)


def test_a_row_moved_to_another_time_is_found(filled: Database) -> None:
    moved = "'2026-11-19T04:00:00.000000Z'"
    found = spoil(filled, f"update audit_log set at = {moved} where seq = {VICTIM}")

    assert found.bad_seq == VICTIM


@pytest.mark.parametrize("victim", [1, VICTIM, ROWS])
def test_a_deleted_row_is_missed_also_at_either_end(filled: Database, victim: int) -> None:
    assert spoil(filled, f"delete from audit_log where seq = {victim}").bad_seq == victim


def test_two_rows_that_changed_places_are_found(filled: Database) -> None:
    found = spoil(
        filled,
        f"update audit_log set seq = -1 where seq = {VICTIM}",
        f"update audit_log set seq = {VICTIM} where seq = {VICTIM + 1}",
        f"update audit_log set seq = {VICTIM + 1} where seq = -1",
    )

    assert found.bad_seq == VICTIM


def test_a_row_added_behind_the_heads_back_is_found(filled: Database) -> None:
    columns = "at, actor_kind, actor_id, actor_name, action, target_kind, target_id, prev_hash, hash"
    found = spoil(
        filled, f"insert into audit_log (seq, {columns}) select seq + 1, {columns} from audit_log where seq = {ROWS}"
    )

    assert found.bad_seq == ROWS + 1


def test_a_head_that_was_moved_back_is_found(filled: Database) -> None:
    assert spoil(filled, f"update audit_head set seq = {ROWS - 1}").bad_seq == ROWS
