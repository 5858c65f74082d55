"""Connections to PostgreSQL: the pool, those that write in groups, and those that look up without a thread."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import psycopg
from psycopg import AsyncConnection, Error, OperationalError, sql
from psycopg.pq import TransactionStatus
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError

from api.storage.group import BUSY_SECONDS
from api.storage.prepared import Prepared, Rows, errors_as_everywhere
from api.storage.tables import METADATA

# Who writes in a group waits here for the groups of other processes, before any row is locked: so they never end up
# waiting for each other, and the head of the audit chain is free when they reach it.
QUEUE = 0x63_64_70_77
SERIALIZATION_FAILURE, DEADLOCK, LOCK_TIMEOUT, STATEMENT_TIMEOUT = "40001", "40P01", "55P03", "57014"
# A statement prepared before a migration, or forgotten by a proxy.
OUTDATED = ("0A000", "26000")
# For a row or a table; meanwhile everybody waits who writes in a group.
GROUP_LOCK_TIMEOUT = "2s"
NEVER_DELETED = ("audit_head", "audit_log")
STALE_SECONDS = 5  # after which a connection is asked whether it is still one
# A statement that waits longer than this is told to the caller instead of piling up.
OPTIONS = {
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
    "default_transaction_isolation": "read committed",
    "timezone": "UTC",
}
# A server whose machine is gone is given up after so long (milliseconds, seconds, seconds).
DEAD_PEER = {"tcp_user_timeout": 30_000, "keepalives_idle": 10, "keepalives_interval": 5}


def connection_options() -> dict[str, Any]:
    """What every connection is opened with, beside the address."""
    settings = " ".join(f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in OPTIONS.items())
    return {"options": settings, "connect_timeout": BUSY_SECONDS, "application_name": "cdp", **DEAD_PEER}


def engine_of(url: URL, **options: Any) -> Engine:
    """A pool of connections."""
    size: Any = {"pool_size": 10, "max_overflow": 30, "pool_timeout": BUSY_SECONDS, "pool_use_lifo": True}
    engine = create_engine(url, **size, connect_args=connection_options(), **options)

    @event.listens_for(engine, "connect")
    @event.listens_for(engine, "checkin")
    def _note(_driver: Any, record: Any) -> None:
        record.info["used"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _ask_whether_alive(driver: Any, record: Any, _proxy: Any) -> None:
        # pool_pre_ping would ask every time, which costs as much as a query.
        if time.monotonic() - record.info.get("used", 0) > STALE_SECONDS:
            try:
                engine.dialect.do_ping(driver)
            except engine.dialect.loaded_dbapi.Error as error:
                raise DisconnectionError from error  # the pool opens another

    return engine


class Reader:
    """Small queries of event loops, each loop's on one connection, one at a time, each for itself."""

    def __init__(self, engine: Engine) -> None:
        self._dialect = engine.dialect
        _, address = self._dialect.create_connect_args(engine.url)
        # Of several hosts the first may be gone, and whoever asks waits no longer than for a busy one.
        self._options = {**address, **connection_options(), "connect_timeout": BUSY_SECONDS // 2}
        self._lines: dict[asyncio.AbstractEventLoop, _Line] = {}

    async def look_up(self, statement: Prepared, values: Mapping[str, Any]) -> Rows:
        """The rows of one query; asked again where the connection had been lost. Raises TimeoutError."""
        line = self._line(asyncio.get_running_loop())
        async with asyncio.timeout(BUSY_SECONDS), line.turn:
            if line.connection is not None and not line.connection.closed:
                try:
                    return await statement.ask(line.connection, self._dialect, values)
                except DBAPIError as error:
                    if not line.connection.closed and _state(error) not in OUTDATED:
                        raise
                    line.hang_up()
            line.connection = await self._connect()
            return await statement.ask(line.connection, self._dialect, values)

    def close(self) -> None:
        """Close every connection; the next query opens another."""
        for loop in list(self._lines):
            self._lines.pop(loop).hang_up()

    def _line(self, loop: asyncio.AbstractEventLoop) -> "_Line":
        line = self._lines.get(loop)
        if line is None:
            for ended in [other for other in list(self._lines) if other.is_closed()]:
                self._lines.pop(ended).hang_up()
            line = self._lines[loop] = _Line()
        return line

    async def _connect(self) -> AsyncConnection[Any]:
        with errors_as_everywhere("connect", self._dialect):
            return await AsyncConnection.connect(**self._options, autocommit=True)


class _Line:
    """The connection of one event loop."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.connection: AsyncConnection[Any] | None = None

    def hang_up(self) -> None:
        """Close it, whether or not its loop still runs."""
        if self.connection is not None:
            self.connection.pgconn.finish()


class Writer:
    """Write transactions, one at a time; used by one group (`api.storage.group`)."""

    is_remote = True

    def __init__(self, url: URL) -> None:
        # A pool of its own: who begins is us, and a connection takes its time to change between the two ways.
        self._engine = engine_of(url, isolation_level="AUTOCOMMIT")
        self._connection: Connection | None = None
        self._driver: psycopg.Connection[Any] | None = None

    def begin(self, *, wait: bool) -> Connection:
        """Open a transaction once nobody else has one open; always waits. A connection that was lost is replaced."""
        try:
            return self._begun()
        except DBAPIError as error:
            if not is_gone(error):
                raise
            return self._begun()

    def _begun(self) -> Connection:
        self._connection = self._engine.connect()
        driver = self._connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection), "the engine is psycopg's"
        # Kept, since a connection that is lost makes SQLAlchemy's own forget it.
        self._driver = driver
        try:
            # For SQLAlchemy only; else its first statement would begin, and undo everything where it fails.
            self._connection.begin()
            self._run(
                f"begin; select pg_advisory_xact_lock({QUEUE});"
                f" set local lock_timeout = '{GROUP_LOCK_TIMEOUT}'; savepoint one_writer"
            )
        except BaseException:
            self.rollback()
            raise
        return self._connection

    def keep_one(self, *, last: bool) -> None:
        """The next writer's savepoint in place of this one's; raises where this one left an error behind."""
        assert self._driver is not None, "called between begin and end"
        if not last or self._driver.info.transaction_status is not TransactionStatus.INTRANS:
            self._run("release one_writer; savepoint one_writer")

    def undo_one(self) -> None:
        """Back to where the writer began."""
        self._run("rollback to one_writer")

    def may_be_repeated(self, error: BaseException) -> bool:
        """Whether PostgreSQL undid a writer because of others."""
        return may_be_repeated(error)

    def commit(self) -> None:
        """Commit, or raise with everything undone or, where the server went away, with nobody knowing."""
        try:
            self._run("commit")
        finally:
            self._end()

    def rollback(self) -> None:
        """Undo everything; a connection on which that fails is closed, which undoes it too."""
        try:
            self._run("rollback")
        except DBAPIError:
            self._end(usable=False)
        else:
            self._end()

    def close(self) -> None:
        """Close the connection; the next transaction opens another."""
        self._engine.dispose()

    def _run(self, statements: str) -> None:
        """Several at once, which go over the network together."""
        assert self._driver is not None, "called between begin and end"
        with errors_as_everywhere(statements, self._engine.dialect), closing(self._driver.cursor()) as cursor:
            cursor.execute(statements, prepare=False)

    def _end(self, *, usable: bool = True) -> None:
        connection, self._connection, self._driver = self._connection, None, None
        if connection is not None:
            if not usable:
                connection.invalidate()
            connection.close()


def scrub(driver: psycopg.Connection[Any]) -> bool:
    """Rewrite every table that ever holds a person; the audit log never does, and is the longest."""
    driver.autocommit = True
    driver.execute("set statement_timeout = 0")
    names = sql.SQL(", ").join(sql.Identifier(name) for name in sorted(METADATA.tables) if name not in NEVER_DELETED)
    driver.execute(sql.SQL("vacuum (full) {}").format(names))
    return True


def require_usable(connection: Connection) -> None:
    """Raise where an error was ignored after which nothing can be committed: PostgreSQL would undo without a word."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection), "the engine is psycopg's"
    if driver.info.transaction_status is TransactionStatus.INERROR:
        connection.exec_driver_sql("select 1")


def may_be_repeated(error: BaseException) -> bool:
    """Whether a transaction was undone because of others: a serialization failure or a deadlock."""
    return isinstance(error, DBAPIError) and _state(error) in (SERIALIZATION_FAILURE, DEADLOCK)


def is_busy(error: DBAPIError) -> bool:
    """Whether others held what was asked for, for too long."""
    return _state(error) in (LOCK_TIMEOUT, STATEMENT_TIMEOUT, SERIALIZATION_FAILURE, DEADLOCK)


def is_gone(error: DBAPIError) -> bool:
    """Whether the server is not there, goes away or has no room on its disk."""
    if not isinstance(error.orig, Error):
        return False
    state = _state(error)
    if state is None:  # told by the driver, not by the server
        return isinstance(error.orig, OperationalError)
    return state.startswith(("08", "53", "57P", "58"))


def _state(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)
