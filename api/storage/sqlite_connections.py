"""Connections to SQLite that are kept: what has been read stays in their memory, and nobody asks a pool for them."""

import threading
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine, PoolProxiedConnection, RootTransaction
from sqlalchemy.exc import OperationalError

from api.storage.lock import FileLock
from api.storage.prepared import Prepared, Rows


class SqliteReader:
    """Small queries on one connection, one at a time, each for itself. Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._guard = threading.Lock()
        self._connection: PoolProxiedConnection | None = None

    def look_up(self, statement: Prepared, values: Mapping[str, Any]) -> Rows:
        """The rows of one query."""
        with self._guard:
            if self._connection is None:
                self._connection = self._engine.raw_connection()
            return statement.run_on(self._connection, self._engine.dialect, values)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class SqliteWriter:
    """Write transactions on one connection; used by one group (`api.storage.group`), one transaction at a time."""

    def __init__(self, engine: Engine, lock: FileLock, *, busy_seconds: float) -> None:
        self._engine = engine
        self._lock = lock
        self._busy_milliseconds = int(busy_seconds * 1000)
        self._connection: Connection | None = None
        self._transaction: RootTransaction | None = None

    def begin(self, *, wait: bool) -> Connection | None:
        """Open a transaction; None where `wait` is not allowed and another thread, process or program is writing."""
        if not self._lock.acquire(wait=wait):
            return None
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            self._be_patient(self._busy_milliseconds if wait else 0)
            self._transaction = self._connection.begin()
        except BaseException as error:
            self._drop()
            self._lock.release()
            if not wait and isinstance(error, OperationalError) and is_sqlite_busy(error):
                return None
            raise
        return self._connection

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
        assert self._connection is not None, "called with a connection"
        self._connection.connection.cursor().execute(f"pragma busy_timeout = {milliseconds:d}")

    def _drop(self) -> None:
        """Give the connection up, with whatever it had begun; the next transaction opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()


def is_sqlite_busy(error: OperationalError) -> bool:
    """Whether another program had the database."""
    return getattr(error.orig, "sqlite_errorname", "").startswith("SQLITE_BUSY")
