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

from anyio import CapacityLimiter, fail_after, to_thread
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from api.storage.group import CommitGroup, WaitedTooLongError
from api.storage.lock import FileLock, LockedTooLongError
from api.storage.prepared import Prepared, Rows
from api.storage.sqlite_connections import SqliteReader, SqliteWriter, is_sqlite_busy
from segment_engine.runtime.settings import SharedSettings

T = TypeVar("T")
Engines = Literal["sqlite", "postgresql"]

BUSY_SECONDS = 5
STALE_SECONDS = 5  # after which a connection of PostgreSQL is asked whether it is still one
WRITERS = 2  # at once, of one process and its event loop: one computes while one flushes the disk
RETRIES = 3
RETRY_BASE_SECONDS = 0.02

# Set on every connection and asserted at start-up; what SQLite shows is a number.
PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL: an acknowledged write survives a power cut
    "foreign_keys": 1,
    "busy_timeout": BUSY_SECONDS * 1000,
    "trusted_schema": 0,
    "secure_delete": 1,  # deleted personal data leaves the file
}
# Seconds; a statement that waits longer than this is told to the caller instead of piling up.
POSTGRES_OPTIONS = {
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
    "default_transaction_isolation": "read committed",
    "timezone": "UTC",
}
# A server whose machine is gone is given up after so long (milliseconds, seconds, seconds).
DEAD_PEER = {"tcp_user_timeout": 30_000, "keepalives_idle": 10, "keepalives_interval": 5}
SERIALIZATION_FAILURE, DEADLOCK, LOCK_TIMEOUT = "40001", "40P01", "55P03"


class StoreBusyError(Exception):
    """Others held the store for too long; nothing was written, the caller may try again."""


class StoreUnusableError(Exception):
    """The store cannot be used as it is configured; the message says why and what to do, in both languages."""


class Database:
    """One operational store. Thread-safe; raises StoreUnusableError when the address makes no sense."""

    def __init__(self, settings: SharedSettings) -> None:
        self.url = database_url(settings)
        self.kind: Engines = "sqlite" if self.url.get_backend_name() == "sqlite" else "postgresql"
        self._engine = _sqlite_engine(self.url) if self.kind == "sqlite" else _postgres_engine(self.url)
        self._writer = self._engine.execution_options(cdp_write=True)
        self._lock: FileLock | None = None
        if self.kind == "sqlite":
            file = Path(str(self.url.database))
            file.parent.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(file.with_name(f"{file.name}.queue"), timeout_seconds=BUSY_SECONDS)
            self._sqlite_reader = SqliteReader(self._engine)
            self._sqlite_writer = SqliteWriter(self._writer, self._lock, busy_seconds=BUSY_SECONDS)
            self._group = CommitGroup(self._sqlite_writer, timeout_seconds=BUSY_SECONDS)
        else:
            # Of its own, since a connection takes its time to change between the two ways.
            self._alone = _postgres_engine(self.url, isolation_level="AUTOCOMMIT")
            # Writers wait for one another at the head of the audit chain: rather here, where it costs nothing.
            self._turns = CapacityLimiter(WRITERS)

    @property
    def engine(self) -> Engine:
        """For migrations; everything else uses `read` and `write`."""
        return self._engine

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one moment of the store (SQLite) or committed rows (PostgreSQL). StoreBusyError."""
        try:
            with self._engine.connect() as connection, connection.begin():
                yield connection
        except PoolTimeoutError as error:
            raise StoreBusyError from error

    def look_up(self, statement: Prepared, values: Mapping[str, Any]) -> Rows:
        """The rows of one small query, as the driver spells them: no transaction around it. Raises StoreBusyError."""
        with _busy_as_such():
            if self.kind == "sqlite":
                return self._sqlite_reader.look_up(statement, values)
            with self._alone.connect() as connection:
                return statement.run(connection, values)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do the work in one transaction; `work` may be called again when the engine undid it for reasons of its own.

        Repeated are PostgreSQL's serialization failures and deadlocks, at most RETRIES times. Nothing else is: after
        an error while committing nobody knows whether it happened, so the caller's Idempotency-Key decides.
        Raises StoreBusyError when others held the store too long, and whatever `work` raises.
        """
        with _busy_as_such():
            return self._retried(work)

    async def write_async(self, work: Callable[[Connection], T]) -> T:
        """`write` for the event loop, together with others who write (`api.storage.group`).

        On SQLite the loop does the work itself: it must ask nobody but the store, and nothing that takes long.
        """
        with _busy_as_such():
            if self.kind == "sqlite":
                done: T = await self._group.write(work)
                return done
            with fail_after(BUSY_SECONDS):
                await self._turns.acquire()
            try:
                return await to_thread.run_sync(self._retried, work)
            finally:
                self._turns.release()

    def check(self) -> None:
        """Assert that connections are set up as they must be; raises StoreUnusableError."""
        try:
            with self.read() as connection:
                found = _settings_of(connection, self.kind)
        except DBAPIError as error:
            told = f"the operational store does not answer / 业务库无法连接: {self.url.render_as_string()}"
            raise StoreUnusableError(f"{told}\n{error.orig}") from error
        wrong = {name: value for name, (value, wanted) in found.items() if value != wanted}
        if wrong:
            raise StoreUnusableError(f"the operational store ignores its settings / 业务库设置未生效: {wrong}")

    def scrub(self) -> None:
        """Take deleted rows out of the files too: SQLite's log is emptied and the file rewritten, PostgreSQL vacuums.

        What a PostgreSQL keeps in its write-ahead log and in backups goes with their own retention.
        """
        emptied = ["pragma wal_checkpoint(truncate)"] if self.kind == "sqlite" else []
        endless = ["set statement_timeout = 0"] if self.kind == "postgresql" else []
        with self._lock_held(), self._engine.connect() as connection:
            driver = connection.connection.dbapi_connection
            assert driver is not None, "a connection that was just taken is open"
            if self.kind == "postgresql":
                driver.autocommit = True
            cursor = driver.cursor()
            for statement in (*endless, *emptied, "vacuum", *emptied):
                cursor.execute(statement)
                if statement in emptied and cursor.fetchall()[0][0]:
                    connection.invalidate()
                    raise StoreBusyError("somebody reads an old state of the store: its log keeps what was deleted")
            cursor.close()
            connection.invalidate()  # not back into the pool: it is set up differently now

    async def finish(self) -> None:
        """Wait for what the event loop is writing; before `close`."""
        if self._lock is not None:
            await self._group.finish()

    def close(self) -> None:
        """Close every connection; used again, the store opens others."""
        if self._lock is not None:
            self._group.close()
            self._sqlite_writer.close()
            self._sqlite_reader.close()
            self._lock.close()
        else:
            self._alone.dispose()
        self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._lock_held(), self._writer.connect() as connection, connection.begin():
            yield connection

    def _retried(self, work: Callable[[Connection], T]) -> T:
        for attempt in range(RETRIES + 1):
            try:
                with self._transaction() as connection:
                    return work(connection)
            except DBAPIError as error:
                if sql_state(error) not in (SERIALIZATION_FAILURE, DEADLOCK) or attempt == RETRIES:
                    raise
            time.sleep(RETRY_BASE_SECONDS * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311 (jitter, no secret)
        raise AssertionError("the loop returns or raises")

    def _lock_held(self) -> AbstractContextManager[None]:
        return nullcontext() if self._lock is None else self._lock.held()


@contextmanager
def _busy_as_such() -> Iterator[None]:
    try:
        yield
    except (WaitedTooLongError, LockedTooLongError, TimeoutError, PoolTimeoutError) as error:
        raise StoreBusyError from error
    except DBAPIError as error:
        if sql_state(error) == LOCK_TIMEOUT or (isinstance(error, OperationalError) and is_sqlite_busy(error)):
            raise StoreBusyError from error
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


def sql_state(error: DBAPIError) -> str | None:
    """PostgreSQL's five-character code of an error; None for SQLite's."""
    return getattr(error.orig, "sqlstate", None)


def _sqlite_engine(url: URL) -> Engine:
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


def _postgres_engine(url: URL, **options: Any) -> Engine:
    settings = " ".join(f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in POSTGRES_OPTIONS.items())
    told = {"options": settings, "connect_timeout": 5, "application_name": "cdp", **DEAD_PEER}
    size: Any = {"pool_size": 10, "max_overflow": 30, "pool_timeout": BUSY_SECONDS, "pool_use_lifo": True}
    try:
        engine = create_engine(url, **size, connect_args=told, **options)
    except NoSuchModuleError as error:
        raise StoreUnusableError(f"CDP_DATABASE_URL: {error}") from error

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


def _settings_of(connection: Connection, kind: Engines) -> dict[str, tuple[object, object]]:
    """Setting → (found, wanted)."""
    if kind == "sqlite":
        return {
            name: (connection.exec_driver_sql(f"pragma {name}").scalar(), wanted) for name, wanted in PRAGMAS.items()
        }
    return {
        name: (str(connection.exec_driver_sql(f"show {name}").scalar()).replace("1min", "60s"), wanted)
        for name, wanted in POSTGRES_OPTIONS.items()
    }
