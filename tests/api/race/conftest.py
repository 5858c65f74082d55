"""Two API processes on one store."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from api.settings import ApiSettings
from api.storage.database import Database
from tests.api.conftest import Stores, make_actor

CAP = 60


@dataclass(frozen=True)
class Race:
    """Two processes, the store they share, and a key."""

    addresses: list[str]
    database: Database
    key: str
    data_dir: Path
    store: dict[str, str]


@contextmanager
def api_process(data_dir: Path, store: dict[str, str], **environment: str) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.api.race.server", str(data_dir), *store.values()]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **environment}
    ) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


@pytest.fixture(scope="module", params=("sqlite", "postgresql"))
def race_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Race]:
    """The store and a key; no process yet."""
    data_dir = tmp_path_factory.mktemp("race")
    stores: Stores = request.getfixturevalue("sqlite_stores" if request.param == "sqlite" else "postgres_stores")
    with stores.new(data_dir) as address:
        database = Database(ApiSettings(data_dir=data_dir, **address))
        with database.engine.begin() as connection:
            connection.execute(text("create table race_cap (cap integer, issued integer)"))
            connection.execute(text("create table race_coupon (claim text)"))
        yield Race([], database, make_actor(database), data_dir, address)
        database.close()


@pytest.fixture(scope="module")
def race(race_store: Race) -> Iterator[Race]:
    """Two processes on the store."""
    data_dir, store = race_store.data_dir, race_store.store
    with api_process(data_dir, store) as first, api_process(data_dir, store) as second:
        yield dataclasses.replace(race_store, addresses=[first, second])


@pytest.fixture(autouse=True)
def fresh(race_store: Race) -> None:
    with race_store.database.engine.begin() as connection:
        connection.execute(text("delete from race_cap"))
        connection.execute(text("delete from race_coupon"))
        connection.execute(text("insert into race_cap values (:cap, 0)"), {"cap": CAP})
