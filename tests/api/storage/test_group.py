"""Writers who are written together: as if each had been alone."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from api.settings import ApiSettings
from api.storage.database import Database, StoreBusyError
from api.storage.group import CommitGroup, WaitedTooLongError
from tests.stores import SqliteStores


@pytest.fixture
def database(sqlite_stores: SqliteStores, tmp_path: Path) -> Any:
    with sqlite_stores.new(tmp_path):
        database = Database(ApiSettings(data_dir=tmp_path))
        with database.engine.begin() as connection:
            connection.execute(text("create table thing (id integer primary key)"))
        yield database
        database.close()


def adding(number: int) -> Callable[[Connection], int]:
    def work(connection: Connection) -> int:
        connection.execute(text("insert into thing values (:number)"), {"number": number})
        if number % 5 == 0:
            raise ValueError(number)
        return number

    return work


def things(database: Database) -> list[int]:
    with database.read() as connection:
        return sorted(number for (number,) in connection.execute(text("select id from thing")))


def all_at_once(database: Database, numbers: list[int]) -> list[Any]:
    """Their outcomes, errors included, when they come while another writer has the store."""
    holds, release = threading.Event(), threading.Event()

    def hold(_: Connection) -> None:
        holds.set()
        release.wait()

    def write(number: int) -> Any:
        try:
            return database.write(adding(number))
        except ValueError as error:
            return error

    with ThreadPoolExecutor(len(numbers) + 1) as pool:
        holder = pool.submit(database.write, hold)
        holds.wait()
        waiting = [pool.submit(write, number) for number in numbers]
        while len(database._group._waiting) < len(numbers):
            pass
        release.set()
        holder.result()
        return [future.result() for future in waiting]


def test_everybody_gets_their_own_outcome_and_only_the_failed_are_undone(database: Database) -> None:
    numbers = list(range(1, 41))

    outcomes = all_at_once(database, numbers)

    succeeded = [number for number in numbers if number % 5]
    assert [outcome for outcome in outcomes if isinstance(outcome, int)] == succeeded
    assert [outcome.args[0] for outcome in outcomes if isinstance(outcome, ValueError)] == [
        5,
        10,
        15,
        20,
        25,
        30,
        35,
        40,
    ]
    assert things(database) == succeeded


def test_those_who_wait_together_share_a_commit(database: Database) -> None:
    commits = []
    event.listen(database.engine, "commit", lambda _: commits.append(1))

    all_at_once(database, [1, 2, 3, 4])

    assert len(commits) == 2  # the holder's and the group's


def test_a_commit_that_fails_is_nobodys_success(database: Database) -> None:
    def fail(_: Connection) -> None:
        raise OSError("disk")

    event.listen(database.engine, "commit", fail)
    try:
        with pytest.raises(OSError, match="disk"):
            database.write(adding(1))
    finally:
        event.remove(database.engine, "commit", fail)

    assert things(database) == []


def test_who_waits_too_long_is_told_and_nothing_of_theirs_is_done(database: Database) -> None:
    database._group = CommitGroup(database._transaction, timeout_seconds=0.05)
    holds, release = threading.Event(), threading.Event()

    def hold(_: Connection) -> None:
        holds.set()
        release.wait()

    with ThreadPoolExecutor(1) as pool:
        holder = pool.submit(database.write, hold)
        holds.wait()
        with pytest.raises(StoreBusyError) as told:
            database.write(adding(1))
        release.set()
        holder.result()

    assert isinstance(told.value.__cause__, WaitedTooLongError)
    assert things(database) == []
    database.write(adding(2))
    assert things(database) == [2]
