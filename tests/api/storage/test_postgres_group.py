"""Writers who are written together on PostgreSQL, and connections that are lost."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Connection, Integer, bindparam, column, literal, make_url, select, table, text
from sqlalchemy.exc import DBAPIError

from api.main import create_app
from api.settings import ApiSettings
from api.storage.database import Database, StoreBusyError, StoreGoneError
from api.storage.postgres import QUEUE
from api.storage.prepared import Prepared
from api.storage.types import Moment
from tests.api.conftest import bearer, make_actor
from tests.api.storage.things import adding, all_at_once, things, with_things
from tests.stores import PostgresStores

ONE = Prepared(select(column("id", Integer)).select_from(table("thing")).where(column("id") == bindparam("number")))


@pytest.fixture
def postgres_database(postgres_stores: PostgresStores, tmp_path: Path) -> Iterator[Database]:
    with postgres_stores.new(tmp_path) as settings:
        yield from with_things(ApiSettings(data_dir=tmp_path, **settings))


def transaction_of(connection: Connection) -> int:
    return int(connection.execute(text("select txid_current()")).scalar_one())


def test_those_who_come_together_share_a_transaction_of_postgresql(postgres_database: Database) -> None:
    outcomes = all_at_once(postgres_database, *[transaction_of] * 8)

    assert len(set(outcomes)) == 1


def test_who_was_undone_for_the_sake_of_others_comes_again_in_another_transaction(postgres_database: Database) -> None:
    seen: list[int] = []

    def deadlocked_at_first(connection: Connection) -> str:
        seen.append(transaction_of(connection))
        if len(seen) < 3:
            connection.execute(text("do $$ begin raise exception 'again' using errcode = '40P01'; end $$"))
        return "done"

    outcomes = all_at_once(postgres_database, adding(1), deadlocked_at_first, adding(2))

    assert outcomes == [1, "done", 2]
    assert len(set(seen)) == 3
    assert things(postgres_database) == [1, 2]


def test_who_is_undone_again_and_again_is_told(postgres_database: Database) -> None:
    def always(connection: Connection) -> None:
        connection.execute(text("do $$ begin raise exception 'again' using errcode = '40001'; end $$"))

    outcomes = all_at_once(postgres_database, always, adding(1))

    assert isinstance(outcomes[0], StoreBusyError)
    assert "again" in str(outcomes[0])
    assert outcomes[1] == 1


def test_an_error_that_a_work_kept_to_itself_does_no_harm_to_its_neighbours(postgres_database: Database) -> None:
    def silent(connection: Connection) -> None:
        with suppress(DBAPIError):
            connection.exec_driver_sql("select 1 / 0")

    outcomes = all_at_once(postgres_database, adding(1), silent, adding(2), silent)

    assert outcomes[::2] == [1, 2]
    assert all(isinstance(outcome, DBAPIError) for outcome in outcomes[1::2])
    assert things(postgres_database) == [1, 2]


def test_whoever_is_held_up_by_others_holds_up_nobody_for_long(postgres_database: Database) -> None:
    def innocent(connection: Connection) -> str:
        connection.exec_driver_sql("insert into other values (1)")
        return "done"

    with postgres_database.engine.begin() as connection:
        connection.exec_driver_sql("create table other (id integer)")
    with postgres_database.engine.connect() as holder:
        holder.exec_driver_sql("lock table thing")
        began = time.monotonic()
        outcomes = all_at_once(postgres_database, *map(adding, (1, 2, 3, 4)), innocent)
        seconds = time.monotonic() - began

    assert all(isinstance(outcome, StoreBusyError) for outcome in outcomes)
    assert seconds < 7.5  # not the time of four, one after the other
    assert all_at_once(postgres_database, innocent, adding(6)) == ["done", 6]


def test_a_server_that_is_lost_in_the_middle_of_a_work_is_told_as_such(postgres_database: Database) -> None:
    def lost(connection: Connection) -> None:
        connection.execute(text("select pg_terminate_backend(pg_backend_pid())"))

    outcomes = all_at_once(postgres_database, adding(1), lost, adding(2))

    assert all(isinstance(outcome, StoreGoneError) for outcome in outcomes)
    assert all_at_once(postgres_database, adding(3)) == [3]
    assert things(postgres_database) == [3]


def test_a_value_that_cannot_be_bound_is_its_writers_error_only(postgres_database: Database) -> None:
    def unbindable(connection: Connection) -> None:
        connection.execute(select(literal(object(), Integer)).where(bindparam("x", "y", Moment()).is_(None)))

    outcomes = all_at_once(postgres_database, unbindable, adding(1))

    assert isinstance(outcomes[0], Exception)
    assert outcomes[1] == 1
    assert things(postgres_database) == [1]


def test_what_was_undone_is_never_told_as_done(postgres_database: Database) -> None:
    def ended(connection: Connection) -> str:
        connection.exec_driver_sql("rollback")
        return "done"

    def silent(connection: Connection) -> str:
        adding(7)(connection)
        with suppress(DBAPIError):
            connection.exec_driver_sql("select 1 / 0")
        return "done"

    outcomes = all_at_once(postgres_database, adding(1), ended)

    assert all(isinstance(outcome, Exception) for outcome in outcomes)
    with pytest.raises(DBAPIError):
        postgres_database.write(silent)
    assert things(postgres_database) == []


def test_a_look_up_outlives_a_migration(postgres_database: Database) -> None:
    async def before_and_after() -> list[Any]:
        for _ in range(8):  # by now the statement is a prepared one
            await postgres_database.look_up(ONE, {"number": 1})
        with postgres_database.engine.begin() as connection:
            connection.exec_driver_sql("alter table thing alter column id type bigint")
            connection.exec_driver_sql("insert into thing values (1)")
        return list(await postgres_database.look_up(ONE, {"number": 1}))

    assert asyncio.run(before_and_after()) == [(1,)]


def test_of_several_hosts_one_that_never_answers_is_passed_over(
    postgres_stores: PostgresStores, tmp_path: Path
) -> None:
    with postgres_stores.new(tmp_path) as settings, socket.create_server(("127.0.0.1", 0)) as silent:
        url = make_url(settings["database_url"])
        port = silent.getsockname()[1]
        hosts = {"host": ["127.0.0.1", str(url.query["host"])], "port": [str(port), "5432"]}
        address = url.set(query={"host": ",".join(hosts["host"]), "port": ",".join(hosts["port"])})
        database = Database(ApiSettings(data_dir=tmp_path, database_url=address.render_as_string(False)))

        found = asyncio.run(database.look_up(Prepared(select(literal(1).label("one"))), {}))

        assert list(found) == [(1,)]
        database.close()


def test_the_loop_goes_on_while_another_process_writes(postgres_database: Database) -> None:
    async def behind(other: Connection) -> int:
        ticks = 0
        writing = asyncio.create_task(postgres_database.write_async(adding(1)))
        while ticks < 20:
            await asyncio.sleep(0.001)
            ticks += 1
        assert not writing.done()
        other.rollback()
        return await writing

    with postgres_database.engine.connect() as other:
        other.exec_driver_sql(f"select pg_advisory_xact_lock({QUEUE})")
        assert asyncio.run(behind(other)) == 1


def test_connections_that_the_server_closed_are_replaced_without_anybody_noticing(postgres_database: Database) -> None:
    async def before_and_after() -> list[Any]:
        await postgres_database.write_async(adding(1))
        await postgres_database.look_up(ONE, {"number": 1})
        with postgres_database.engine.connect() as other:
            closed = other.execute(
                text(
                    "select pg_terminate_backend(pid, 1000) from pg_stat_activity"
                    " where pid <> pg_backend_pid() and datname = current_database()"
                )
            ).all()
        assert len(closed) >= 2
        await postgres_database.write_async(adding(2))
        return list(await postgres_database.look_up(ONE, {"number": 2}))

    assert asyncio.run(before_and_after()) == [(2,)]


def test_a_server_that_is_gone_is_told_as_such(postgres_stores: PostgresStores, tmp_path: Path) -> None:
    with postgres_stores.new(tmp_path) as settings:
        database = Database(ApiSettings(data_dir=tmp_path, **settings))
    # Its database has been dropped.

    async def ask() -> None:
        with pytest.raises(StoreGoneError):
            await database.look_up(ONE, {"number": 1})
        with pytest.raises(StoreGoneError):
            await database.write_async(transaction_of)

    asyncio.run(ask())
    with pytest.raises(StoreGoneError):
        database.write(transaction_of)
    with pytest.raises(StoreGoneError), database.read():
        pass
    database.close()


def test_callers_are_asked_to_come_again_while_the_server_is_gone(
    postgres_stores: PostgresStores, tmp_path: Path
) -> None:
    with ExitStack() as server:
        settings = ApiSettings(data_dir=tmp_path, **server.enter_context(postgres_stores.new(tmp_path)))
        database = Database(settings)
        headers = {**bearer(make_actor(database)), "Idempotency-Key": "k1"}
        database.close()
        with TestClient(create_app(settings)) as client:
            assert client.get("/v1/me", headers=headers).status_code == 200
            server.close()  # drops the database

            answers = [
                client.get("/v1/me", headers=headers),
                client.get("/v1/audit", headers=headers),
                client.post("/v1/customers/x/erasure", headers=headers),
                client.get("/readyz"),
            ]
            told = [(answer.status_code, answer.json()["problems"][0]["code"]) for answer in answers]
            assert told == [(503, "store_unavailable")] * 4
            assert all(answer.headers["Retry-After"] == "5" for answer in answers)
            assert client.get("/metrics").status_code == 200
