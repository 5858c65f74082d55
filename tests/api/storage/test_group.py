"""Writers who are written together: as if each had been alone."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from api.settings import ApiSettings
from api.storage.database import PRAGMAS, Database, StoreBusyError
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


def together(database: Database, numbers: list[int]) -> list[Any]:
    """Their outcomes, errors included, when all come before the first is written."""

    async def everybody() -> list[Any]:
        return await asyncio.gather(*map(database.write_async, map(adding, numbers)), return_exceptions=True)

    return asyncio.run(everybody())


def test_everybody_gets_their_own_outcome_and_only_the_failed_are_undone(database: Database) -> None:
    outcomes = together(database, list(range(1, 81)))

    assert [n if isinstance(n, int) else -n.args[0] for n in outcomes] == [n if n % 5 else -n for n in range(1, 81)]
    assert things(database) == [number for number in range(1, 81) if number % 5]


def test_those_who_come_together_share_a_commit(database: Database) -> None:
    commits: list[int] = []
    event.listen(database.engine, "commit", lambda _: commits.append(1))

    together(database, [1, 2, 3, 4])

    assert len(commits) == 1


def test_the_loop_goes_on_while_the_disk_is_flushed_and_while_others_hold_the_store(database: Database) -> None:
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
        event.listen(database.engine, "commit", slow)
        try:
            await database.write_async(adding(1))
        finally:
            event.remove(database.engine, "commit", slow)

    async def behind_a_thread() -> None:
        holding = asyncio.create_task(asyncio.to_thread(database.write, slow))
        await asyncio.sleep(0.01)
        await database.write_async(adding(2))
        await holding

    assert asyncio.run(hold_and_write(flushed_slowly)) > 10
    assert asyncio.run(hold_and_write(behind_a_thread)) > 10
    assert things(database) == [1, 2]


def test_a_program_that_does_not_queue_with_us_is_waited_for(database: Database, tmp_path: Path) -> None:
    (file,) = tmp_path.glob("*.sqlite")

    async def both() -> None:
        stranger = sqlite3.connect(file, isolation_level=None)
        stranger.execute("begin immediate")
        writing = asyncio.create_task(database.write_async(adding(1)))
        await asyncio.sleep(0.05)
        assert not writing.done()
        stranger.execute("commit")
        assert await writing == 1
        stranger.close()

    asyncio.run(both())

    assert things(database) == [1]


def test_a_commit_that_fails_is_nobodys_success_and_the_next_one_succeeds(database: Database) -> None:
    def fail(_: Connection) -> None:
        raise OSError("disk")

    event.listen(database.engine, "commit", fail)
    try:
        outcomes = together(database, [1, 2])
    finally:
        event.remove(database.engine, "commit", fail)

    assert [str(outcome) for outcome in outcomes] == ["disk", "disk"]
    assert things(database) == []
    assert together(database, [3]) == [3]
    assert things(database) == [3]


def test_an_error_that_undoes_the_transaction_is_told_to_everybody_in_it(database: Database) -> None:
    def give_up(connection: Connection) -> None:
        connection.exec_driver_sql("rollback")
        raise OSError("disk full")

    async def everybody() -> list[Any]:
        works: list[Callable[[Connection], Any]] = [adding(1), give_up, adding(2)]
        return await asyncio.gather(*map(database.write_async, works), return_exceptions=True)

    outcomes = asyncio.run(everybody())

    assert all(isinstance(outcome, Exception) for outcome in outcomes)
    assert things(database) == []
    assert together(database, [3]) == [3]


def test_who_waits_too_long_is_told_and_nothing_of_theirs_is_done(database: Database) -> None:
    database._group = CommitGroup(database._sqlite_writer, timeout_seconds=0.05)

    async def behind_a_thread() -> BaseException | None:
        release = asyncio.Event()
        loop = asyncio.get_running_loop()

        def hold(_: Connection) -> None:
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result()

        holding = asyncio.create_task(asyncio.to_thread(database.write, hold))
        await asyncio.sleep(0.01)
        with pytest.raises(StoreBusyError) as told:
            await database.write_async(adding(1))
        release.set()
        await holding
        return told.value.__cause__

    assert isinstance(asyncio.run(behind_a_thread()), WaitedTooLongError)
    assert things(database) == []
    assert together(database, [2]) == [2]
    assert things(database) == [2]


def test_who_stops_waiting_before_their_turn_has_done_nothing(database: Database) -> None:
    async def leave_early() -> None:
        release = asyncio.Event()
        loop = asyncio.get_running_loop()

        def hold(_: Connection) -> None:
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result()

        holding = asyncio.create_task(asyncio.to_thread(database.write, hold))
        await asyncio.sleep(0.01)
        leaving, staying = (asyncio.create_task(database.write_async(adding(n))) for n in (1, 2))
        await asyncio.sleep(0.01)
        leaving.cancel()
        await asyncio.sleep(0.01)
        release.set()
        await holding
        assert await staying == 2

    asyncio.run(leave_early())

    assert things(database) == [2]


def test_a_refusal_does_not_outlive_the_neighbour_it_was_for(database: Database) -> None:
    def refused(_: Connection) -> None:
        raise ValueError("there is one already")

    def fail(_: Connection) -> None:
        raise OSError("disk")

    async def both() -> list[Any]:
        works: list[Callable[[Connection], Any]] = [adding(1), refused]
        return await asyncio.gather(*map(database.write_async, works), return_exceptions=True)

    event.listen(database.engine, "commit", fail)
    try:
        outcomes = asyncio.run(both())
    finally:
        event.remove(database.engine, "commit", fail)

    assert [str(outcome) for outcome in outcomes] == ["disk", "disk"]


def test_an_error_that_no_future_carries_leaves_nobody_waiting(database: Database) -> None:
    def exhausted(_: Connection) -> None:
        next(iter(()))

    async def all_three() -> list[Any]:
        works: list[Callable[[Connection], Any]] = [adding(1), exhausted, adding(2)]
        return await asyncio.wait_for(asyncio.gather(*map(database.write_async, works), return_exceptions=True), 5)

    first, second, third = asyncio.run(all_three())

    assert (first, third) == (1, 2)
    assert isinstance(second, RuntimeError)
    assert things(database) == [1, 2]


def test_a_loop_that_ends_while_it_waits_for_the_store_leaves_it_free(database: Database) -> None:
    release = threading.Event()
    holder = threading.Thread(target=database.write, args=(lambda _: release.wait(),))
    holder.start()

    async def cancelled_while_waiting() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(database.write_async(adding(1)), 0.05)

    asyncio.run(cancelled_while_waiting())
    release.set()
    holder.join()

    assert together(database, [2]) == [2]
    database.write(adding(3))
    assert things(database) == [2, 3]


def test_a_store_that_was_closed_can_be_used_again(database: Database) -> None:
    assert together(database, [1]) == [1]
    database.close()

    assert together(database, [2]) == [2]
    database.write(adding(3))
    assert things(database) == [1, 2, 3]


def test_scrubbing_says_so_when_an_old_state_is_still_being_read(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRAGMAS, "busy_timeout", 50)
    (file,) = tmp_path.glob("*.sqlite")
    reader = sqlite3.connect(file, isolation_level=None)
    reader.execute("begin")
    reader.execute("select count(*) from thing").fetchall()
    together(database, [1])
    with pytest.raises(StoreBusyError):
        database.scrub()

    reader.close()
    database.scrub()
    assert file.with_name(f"{file.name}-wal").stat().st_size == 0
