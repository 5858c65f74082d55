"""Operational stores for tests: SQLite and PostgreSQL, each new, with the builtin roles and nothing else."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from api.clock import now
from api.storage.database import Database
from api.store import upgrade_store
from segment_engine.runtime.settings import SharedSettings

TEMPLATE = "cdp_template"

# What ApiSettings takes: {} for SQLite in the data directory, database_url for PostgreSQL.
StoreSettings = dict[str, str]


class SqliteStores:
    """Copies of one migrated file."""

    kind = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._template = SharedSettings(data_dir=folder)
        _upgraded(self._template)

    @contextmanager
    def new(self, data_dir: Path) -> Iterator[StoreSettings]:
        data_dir.mkdir(parents=True, exist_ok=True)
        shutil.copy(self._template.folders.operational, SharedSettings(data_dir=data_dir).folders.operational)
        yield {}


class PostgresStores:
    """Copies of one migrated database; in memory, PostgreSQL makes one in some 20 ms."""

    kind = "postgresql"

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._run(f"create database {TEMPLATE}")
        _upgraded(SharedSettings(database_url=self._url(TEMPLATE)))

    @contextmanager
    def new(self, data_dir: Path) -> Iterator[StoreSettings]:
        name = f"cdp_{secrets.token_hex(6)}"
        self._run(f"create database {name} template {TEMPLATE}")
        yield {"database_url": self._url(name)}
        self._run(f"drop database {name} with (force)")

    def _url(self, name: str) -> str:
        return f"postgresql+psycopg://cdp@/{name}?host={self._socket}"

    def _run(self, statement: str) -> None:
        with psycopg.connect(f"host={self._socket} user=cdp dbname=postgres", autocommit=True) as connection:
            connection.execute(statement)


def _upgraded(settings: SharedSettings) -> None:
    database = Database(settings)
    upgrade_store(database, now=now())
    with database.read() as connection:
        if database.kind == "sqlite":
            connection.exec_driver_sql("pragma wal_checkpoint")
    database.close()
