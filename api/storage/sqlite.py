"""Connections to SQLite: the pool, and two that are kept, so that what they have read stays in their memory."""

import sqlite3
import threading
from collections.abc import Mapping
from typing import Any

from sqlalchemy import URL, Connection, Engine, PoolProxiedConnection, RootTransaction, create_engine, event
from sqlalchemy.exc import DBAPIError

from api.storage.group import BUSY_SECONDS
from api.storage.lock import FileLock
from api.storage.prepared import Prepared, Rows

# Set on every connection and asserted at start-up; what SQLite shows is a number.
PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL: an acknowledged write survives a power cut
    "foreign_keys": 1,
    "busy_timeout": BUSY_SECONDS * 1000,
    "trusted_schema": 0,
    "secure_delete": 1,  # deleted personal data leaves the file
}
UNUSABLE = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_CORRUPT", "SQLITE_NOTADB")
EMPTY_LOG = "pragma wal_checkpoint(truncate)"


def engine_of(url: URL) -> Engine:
    """As many connections as are asked for, each set up by PRAGMAS."""
    # As many connections as the server has threads: one is never waited for.
    engine = create_engine(
        url, pool_size=8, max_overflow=56, pool_use_lifo=True, connect_args={"timeout": BUSY_SECONDS}
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        # SQLAlchemy says BEGIN itself, below; the driver would begin late and upgrade a read, which cannot wait.
        connection.isolation_level = None
        for name, value in PRAGMAS.items():
            connection.execute(f"pragma {name} = {value}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("cdp_write", False)
        connection.exec_driver_sql("begin immediate" if writes else "begin")

    return engine


class Reader:
    """Small queries on one connection, one at a time, each for itself. Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._guard = threading.Lock()
        self._connection: PoolProxiedConnection | None = None

    async def look_up(self, statement: Prepared, values: Mapping[str, Any]) -> Rows:
        """The rows of one query."""
        with self._guard:
            if self._connection is None:
                self._connection = self._engine.raw_connection()
            return statement.run_on(self._connection, self._engine.dialect, values)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class Writer:
    """Write transactions on one connection; used by one group (`api.storage.group`), one transaction at a time."""

    is_remote = False

    def __init__(self, engine: Engine, lock: FileLock) -> None:
        self._engine = engine
        self._lock = lock
        self._connection: Connection | None = None
        self._driver: Any = None  # under the connection: these statements come with every request
        self._patience: int | None = None
        self._transaction: RootTransaction | None = None

    def begin(self, *, wait: bool) -> Connection | None:
        """Open a transaction; None where `wait` is not allowed and another thread, process or program is writing."""
        if not self._lock.acquire(wait=wait):
            return None
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
                self._driver, self._patience = self._connection.connection.driver_connection, None
            self._be_patient(BUSY_SECONDS * 1000 if wait else 0)
            self._transaction = self._connection.begin()
            self._driver.execute("savepoint one_writer")  # SQLAlchemy's own savepoints cost as much as the work
        except BaseException as error:
            self._drop()
            self._lock.release()
            if not wait and isinstance(error, DBAPIError) and is_busy(error):
                return None
            raise
        return self._connection

    def keep_one(self, *, last: bool) -> None:
        """The next writer's savepoint in place of this one's; raises where this one ended the transaction."""
        if not last or not self._driver.in_transaction:
            self._driver.execute("release one_writer")
            self._driver.execute("savepoint one_writer")

    def undo_one(self) -> None:
        """Back to where the writer began."""
        self._driver.execute("rollback to one_writer")

    def may_be_repeated(self, _: BaseException) -> bool:
        """Never: who writes is alone."""
        return False

    def commit(self) -> None:
        """Commit, or raise with everything undone."""
        self._end(commit=True)

    def rollback(self) -> None:
        """Undo everything."""
        self._end(commit=False)

    def close(self) -> None:
        self._drop()

    def _end(self, *, commit: bool) -> None:
        transaction, self._transaction = self._transaction, None
        assert transaction is not None, "only what was begun ends"
        try:
            if commit:
                transaction.commit()
            else:
                transaction.rollback()
        except BaseException:
            self._drop()
            raise
        finally:
            self._lock.release()

    def _be_patient(self, milliseconds: int) -> None:
        """How long SQLite itself waits for programs that do not queue with us."""
        if milliseconds != self._patience:
            self._driver.execute(f"pragma busy_timeout = {milliseconds:d}")
            self._patience = milliseconds

    def _drop(self) -> None:
        """Give the connection up, with whatever it had begun; the next transaction opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()


def scrub(driver: sqlite3.Connection) -> bool:
    """Rewrite the file without what was deleted, and empty its log; False when a reader keeps the log."""
    for statement in (EMPTY_LOG, "vacuum", EMPTY_LOG):
        answer = driver.execute(statement).fetchall()
        if statement == EMPTY_LOG and answer[0][0]:
            return False
    return True


def is_busy(error: DBAPIError) -> bool:
    """Whether another program had the database."""
    return _name(error).startswith("SQLITE_BUSY")


def is_gone(error: DBAPIError) -> bool:
    """Whether the file cannot be read or written: the disk is full, damaged or not there."""
    return _name(error).startswith(UNUSABLE)


def _name(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlite_errorname", ""))
