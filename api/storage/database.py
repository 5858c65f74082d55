"""The engine of the operational store, and the one way to write to it.

SQLite (default) and PostgreSQL behave alike here: a write is one short transaction that either happened or did not.
What is written belongs to the domains; the schema to `api.storage.migrations`.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal, TypeVar

from sqlalchemy import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from api.storage import postgres, sqlite
from api.storage.group import BUSY_SECONDS, CommitGroup, WaitedTooLongError
from api.storage.lock import FileLock, LockedTooLongError
from api.storage.prepared import Prepared, Rows, errors_as_everywhere
from segment_engine.runtime.settings import SharedSettings

T = TypeVar("T")
Engines = Literal["sqlite", "postgresql"]

RETRIES = 3
RETRY_BASE_SECONDS = 0.02


class StoreError(Exception):
    """The store did not do what it was asked, for reasons of its own."""


class StoreBusyError(StoreError):
    """Others held the store for too long; nothing was written, the caller may try again."""


class StoreGoneError(StoreError):
    """The server went away, or the disk is full; nobody knows whether the last write happened."""


class StoreUnusableError(Exception):
    """The store cannot be used as it is configured; the message says why and what to do, in both languages."""


class Database:
    """One operational store. Thread-safe; raises StoreUnusableError when the address makes no sense."""

    def __init__(self, settings: SharedSettings) -> None:
        self.url = database_url(settings)
        self.kind: Engines = "sqlite" if self.url.get_backend_name() == "sqlite" else "postgresql"
        self._engine = sqlite.engine_of(self.url) if self.kind == "sqlite" else postgres.engine_of(self.url)
        self._writer = self._engine.execution_options(cdp_write=True)
        self._lock: FileLock | None = None
        if self.kind == "sqlite":
            file = Path(str(self.url.database))
            file.parent.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(file.with_name(f"{file.name}.queue"), timeout_seconds=BUSY_SECONDS)
            self._reader: sqlite.Reader | postgres.Reader = sqlite.Reader(self._engine)
            self._transactions: sqlite.Writer | postgres.Writer = sqlite.Writer(self._writer, self._lock)
        else:
            self._reader = postgres.Reader(self._engine)
            self._transactions = postgres.Writer(self.url)
        self._group = CommitGroup(self._transactions, timeout_seconds=BUSY_SECONDS)

    @property
    def engine(self) -> Engine:
        """For migrations; everything else uses `read` and `write`."""
        return self._engine

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one moment of the store (SQLite) or committed rows (PostgreSQL). Raises StoreError."""
        with _errors_as_such(), self._engine.connect() as connection, connection.begin():
            yield connection

    async def look_up(self, statement: Prepared, values: Mapping[str, Any]) -> Rows:
        """The rows of one small query, as the driver spells them: no transaction around it. Raises StoreError.

        On SQLite the loop reads the file itself, which is quicker than giving it to a thread.
        """
        try:
            with _errors_as_such():
                return await self._reader.look_up(statement, values)
        except TimeoutError as error:
            raise StoreBusyError from error

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do the work in one transaction; `work` may be called again when the engine undid it for reasons of its own.

        Repeated are PostgreSQL's serialization failures and deadlocks, at most RETRIES times. Nothing else is: after
        an error while committing nobody knows whether it happened, so the caller's Idempotency-Key decides.
        Raises StoreBusyError when others held the store too long, StoreGoneError, and whatever `work` raises.
        """
        with _errors_as_such():
            return self._retried(work)

    async def write_async(self, work: Callable[[Connection], T]) -> T:
        """`write` for the event loop, together with others who write (`api.storage.group`).

        On SQLite the loop does the work itself: it must ask nobody but the store, and nothing that takes long.
        """
        with _errors_as_such():
            done: T = await self._group.write(work)
            return done

    def check(self) -> None:
        """Assert that connections are set up as they must be; raises StoreUnusableError."""
        try:
            with self.read() as connection:
                found = _settings_of(connection, self.kind)
        except StoreError as error:
            told = f"the operational store does not answer / 业务库无法连接: {self.url.render_as_string()}"
            raise StoreUnusableError(f"{told}\n{error}") from error
        wrong = {name: value for name, (value, wanted) in found.items() if value != wanted}
        if wrong:
            raise StoreUnusableError(f"the operational store ignores its settings / 业务库设置未生效: {wrong}")

    def scrub(self) -> None:
        """Take deleted rows out of the files too, by rewriting them. Raises StoreBusyError when others use them.

        What a PostgreSQL keeps in its write-ahead log and in backups goes with their own retention.
        """
        with _errors_as_such(), self._lock_held(), self._engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None, "a connection that was just taken is open"
            connection.detach()  # it is set up differently from now on
            with errors_as_everywhere("scrub", self._engine.dialect):
                clean = sqlite.scrub(driver) if self.kind == "sqlite" else postgres.scrub(driver)
        if not clean:
            raise StoreBusyError("somebody reads an old state of the store: its log keeps what was deleted")

    async def finish(self) -> None:
        """Wait for what the event loop is writing; before `close`."""
        await self._group.finish()

    def close(self) -> None:
        """Close every connection; used again, the store opens others."""
        self._group.close()
        self._reader.close()
        self._transactions.close()
        if self._lock is not None:
            self._lock.close()
        self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._lock_held(), self._writer.connect() as connection, connection.begin():
            yield connection

    def _retried(self, work: Callable[[Connection], T]) -> T:
        for attempt in range(RETRIES + 1):
            try:
                with self._transaction() as connection:
                    result = work(connection)
                    if self.kind == "postgresql":
                        postgres.require_usable(connection)
                    return result
            except DBAPIError as error:
                if not postgres.may_be_repeated(error) or attempt == RETRIES:
                    raise
            time.sleep(RETRY_BASE_SECONDS * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311 (jitter, no secret)
        raise AssertionError("the loop returns or raises")

    def _lock_held(self) -> AbstractContextManager[None]:
        return nullcontext() if self._lock is None else self._lock.held()


@contextmanager
def _errors_as_such() -> Iterator[None]:
    try:
        yield
    except (WaitedTooLongError, LockedTooLongError, PoolTimeoutError) as error:
        raise StoreBusyError(type(error).__name__) from error
    except DBAPIError as error:
        if sqlite.is_busy(error) or postgres.is_busy(error):
            raise StoreBusyError(str(error.orig)) from error
        if sqlite.is_gone(error) or postgres.is_gone(error):
            raise StoreGoneError(str(error.orig)) from error
        raise


def database_url(settings: SharedSettings) -> URL:
    """Where the store is: `CDP_DATABASE_URL`, else SQLite in the data directory; raises StoreUnusableError."""
    if settings.database_url is None:
        return URL.create("sqlite", database=str(settings.folders.operational))
    try:
        url = make_url(settings.database_url.get_secret_value())
    except ArgumentError as error:
        raise StoreUnusableError(f"CDP_DATABASE_URL cannot be read / 业务库地址无法识别: {error}") from error
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername not in ("postgresql+psycopg", "sqlite") or not url.database:
        raise StoreUnusableError(
            "CDP_DATABASE_URL should begin with postgresql+psycopg:// or sqlite:/// and name a database / "
            f"业务库地址应为 postgresql+psycopg:// 或 sqlite:/// 并包含库名: {url.render_as_string()}"
        )
    return url


def _settings_of(connection: Connection, kind: Engines) -> dict[str, tuple[object, object]]:
    """Setting → (found, wanted)."""
    if kind == "sqlite":
        wanted: Mapping[str, object] = sqlite.PRAGMAS
        return {name: (connection.exec_driver_sql(f"pragma {name}").scalar(), wanted[name]) for name in wanted}
    return {
        name: (str(connection.exec_driver_sql(f"show {name}").scalar()).replace("1min", "60s"), wanted)
        for name, wanted in postgres.OPTIONS.items()
    }
