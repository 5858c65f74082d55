"""Writers who are written together: as if each had been alone."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError

from api.settings import ApiSettings
from api.storage.database import Database, StoreBusyError, StoreGoneError
from api.storage.group import LONGEST_SECONDS, CommitGroup, WaitedTooLongError
from api.storage.sqlite import PRAGMAS
from tests.api.storage.things import adding, all_at_once, things, together, with_things
from tests.stores import SqliteStores, StoreSettings


@pytest.fixture
def database(store: StoreSettings, tmp_path: Path) -> Iterator[Database]:
    """Both engines."""
    yield from with_things(ApiSettings(data_dir=tmp_path / "data", **store))


@pytest.fixture
def sqlite_database(sqlite_stores: SqliteStores, tmp_path: Path) -> Iterator[Database]:
    with sqlite_stores.new(tmp_path):
        yield from with_things(ApiSettings(data_dir=tmp_path))


def test_everybody_gets_their_own_outcome_and_only_the_failed_are_undone(database: Database) -> None:
    outcomes = together(database, list(range(1, 81)))

    assert [n if isinstance(n, int) else -n.args[0] for n in outcomes] == [n if n % 5 else -n for n in range(1, 81)]
    assert things(database) == [number for number in range(1, 81) if number % 5]


def test_those_who_come_together_share_a_commit(sqlite_database: Database) -> None:
    commits: list[int] = []
    event.listen(sqlite_database.engine, "commit", lambda _: commits.append(1))

    together(sqlite_database, [1, 2, 3, 4])

    assert len(commits) == 1


def test_the_loop_goes_on_while_the_disk_is_flushed_and_while_others_hold_the_store(sqlite_database: Database) -> None:
    async def hold_and_write(holder: Callable[[], Coroutine[Any, Any, Any]]) -> int:
        ticks = 0
        writing = asyncio.create_task(holder())
        while not writing.done():
            ticks += 1
            await asyncio.sleep(0.001)
        await writing
        return ticks

    def slow(_: Connection) -> None:
        time.sleep(0.05)

    async def flushed_slowly() -> None:
        event.listen(sqlite_database.engine, "commit", slow)
        try:
            await sqlite_database.write_async(adding(1))
        finally:
            event.remove(sqlite_database.engine, "commit", slow)

    async def behind_a_thread() -> None:
        holding = asyncio.create_task(asyncio.to_thread(sqlite_database.write, slow))
        await asyncio.sleep(0.01)
        await sqlite_database.write_async(adding(2))
        await holding

    assert asyncio.run(hold_and_write(flushed_slowly)) > 10
    assert asyncio.run(hold_and_write(behind_a_thread)) > 10
    assert things(sqlite_database) == [1, 2]


def test_a_program_that_does_not_queue_with_us_is_waited_for(sqlite_database: Database, tmp_path: Path) -> None:
    (file,) = tmp_path.glob("*.sqlite")

    async def both() -> None:
        stranger = sqlite3.connect(file, isolation_level=None)
        stranger.execute("begin immediate")
        writing = asyncio.create_task(sqlite_database.write_async(adding(1)))
        await asyncio.sleep(0.05)
        assert not writing.done()
        stranger.execute("commit")
        assert await writing == 1
        stranger.close()

    asyncio.run(both())

    assert things(sqlite_database) == [1]


def test_a_commit_that_fails_is_nobodys_success_and_the_next_one_succeeds(sqlite_database: Database) -> None:
    def fail(_: Connection) -> None:
        raise OSError("disk")

    event.listen(sqlite_database.engine, "commit", fail)
    try:
        outcomes = together(sqlite_database, [1, 2])
    finally:
        event.remove(sqlite_database.engine, "commit", fail)

    assert [str(outcome) for outcome in outcomes] == ["disk", "disk"]
    assert things(sqlite_database) == []
    assert together(sqlite_database, [3]) == [3]
    assert things(sqlite_database) == [3]


def test_an_error_that_undoes_the_transaction_is_told_to_everybody_in_it(database: Database) -> None:
    def give_up(connection: Connection) -> None:
        connection.exec_driver_sql("rollback")
        raise OSError("disk full")

    outcomes = all_at_once(database, adding(1), give_up, adding(2))

    assert all(isinstance(outcome, Exception) for outcome in outcomes)
    assert things(database) == []
    assert together(database, [3]) == [3]


def test_who_waits_too_long_is_told_and_nothing_of_theirs_is_done(sqlite_database: Database) -> None:
    sqlite_database._group = CommitGroup(sqlite_database._transactions, timeout_seconds=0.05)

    async def behind_a_thread() -> BaseException | None:
        release = asyncio.Event()
        loop = asyncio.get_running_loop()

        def hold(_: Connection) -> None:
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result()

        holding = asyncio.create_task(asyncio.to_thread(sqlite_database.write, hold))
        await asyncio.sleep(0.01)
        with pytest.raises(StoreBusyError) as told:
            await sqlite_database.write_async(adding(1))
        release.set()
        await holding
        return told.value.__cause__

    assert isinstance(asyncio.run(behind_a_thread()), WaitedTooLongError)
    assert things(sqlite_database) == []
    assert together(sqlite_database, [2]) == [2]
    assert things(sqlite_database) == [2]


def test_who_stops_waiting_before_their_turn_has_done_nothing(sqlite_database: Database) -> None:
    async def leave_early() -> None:
        release = asyncio.Event()
        loop = asyncio.get_running_loop()

        def hold(_: Connection) -> None:
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result()

        holding = asyncio.create_task(asyncio.to_thread(sqlite_database.write, hold))
        await asyncio.sleep(0.01)
        leaving, staying = (asyncio.create_task(sqlite_database.write_async(adding(n))) for n in (1, 2))
        await asyncio.sleep(0.01)
        leaving.cancel()
        await asyncio.sleep(0.01)
        release.set()
        await holding
        assert await staying == 2

    asyncio.run(leave_early())

    assert things(sqlite_database) == [2]


def test_a_refusal_does_not_outlive_the_neighbour_it_was_for(sqlite_database: Database) -> None:
    def refused(_: Connection) -> None:
        raise ValueError("there is one already")

    def fail(_: Connection) -> None:
        raise OSError("disk")

    event.listen(sqlite_database.engine, "commit", fail)
    try:
        outcomes = all_at_once(sqlite_database, adding(1), refused)
    finally:
        event.remove(sqlite_database.engine, "commit", fail)

    assert [str(outcome) for outcome in outcomes] == ["disk", "disk"]


def test_an_error_that_no_future_carries_leaves_nobody_waiting(database: Database) -> None:
    def exhausted(_: Connection) -> None:
        next(iter(()))

    first, second, third = all_at_once(database, adding(1), exhausted, adding(2))

    assert (first, third) == (1, 2)
    assert isinstance(second, RuntimeError)
    assert things(database) == [1, 2]


def test_a_loop_that_ends_while_it_waits_for_the_store_leaves_it_free(sqlite_database: Database) -> None:
    release = threading.Event()
    holder = threading.Thread(target=sqlite_database.write, args=(lambda _: release.wait(),))
    holder.start()

    async def cancelled_while_waiting() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sqlite_database.write_async(adding(1)), 0.05)

    asyncio.run(cancelled_while_waiting())
    release.set()
    holder.join()

    assert together(sqlite_database, [2]) == [2]
    sqlite_database.write(adding(3))
    assert things(sqlite_database) == [2, 3]


def test_a_store_that_was_closed_can_be_used_again(database: Database) -> None:
    assert together(database, [1]) == [1]
    database.close()

    assert together(database, [2]) == [2]
    database.write(adding(3))
    assert things(database) == [1, 2, 3]


def test_scrubbing_says_so_when_an_old_state_is_still_being_read(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRAGMAS, "busy_timeout", 50)
    (file,) = tmp_path.glob("*.sqlite")
    reader = sqlite3.connect(file, isolation_level=None)
    reader.execute("begin")
    reader.execute("select count(*) from thing").fetchall()
    together(sqlite_database, [1])
    with pytest.raises(StoreBusyError):
        sqlite_database.scrub()

    reader.close()
    sqlite_database.scrub()
    assert file.with_name(f"{file.name}-wal").stat().st_size == 0


def test_a_transaction_that_the_last_writer_lost_is_nobodys_success(sqlite_database: Database) -> None:
    def rolls_back(connection: Connection) -> None:
        with suppress(DBAPIError):
            connection.exec_driver_sql("insert or rollback into thing values (1)")

    outcomes = all_at_once(sqlite_database, adding(1), rolls_back)

    assert all(isinstance(outcome, Exception) for outcome in outcomes)
    assert things(sqlite_database) == []


def test_who_comes_after_a_slow_work_is_written_in_the_next_group(sqlite_database: Database) -> None:
    commits: list[int] = []
    event.listen(sqlite_database.engine, "commit", lambda _: commits.append(1))

    def slow(_: Connection) -> str:
        time.sleep(LONGEST_SECONDS + 0.05)
        return "slow"

    assert all_at_once(sqlite_database, adding(1), slow, adding(2), adding(3)) == [1, "slow", 2, 3]
    assert len(commits) == 2
    assert things(sqlite_database) == [1, 2, 3]


def test_a_full_disk_is_told_as_such_to_everybody_who_was_written_with_it(sqlite_database: Database) -> None:
    def fill(connection: Connection) -> None:
        (pages,) = connection.exec_driver_sql("pragma page_count").one()
        connection.exec_driver_sql(f"pragma max_page_count = {pages}")
        connection.exec_driver_sql("create table filled as select zeroblob(1000000)")

    outcomes = all_at_once(sqlite_database, adding(1), fill)

    assert isinstance(outcomes[1], StoreGoneError)
    sqlite_database.close()
    assert together(sqlite_database, [2]) == [2]
