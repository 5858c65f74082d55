"""A store with the owner of the tests' jobs in it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import insert

from api.clock import now
from api.jobs.worker import Worker
from api.settings import ApiSettings
from api.storage.database import Database
from api.storage.tables.access import actor
from tests.api.jobs.handlers import OWNER, worker

MakeWorker = Callable[..., Worker]


@pytest.fixture
def queue(database: Database) -> Database:
    """A store in which the owner of the jobs is known."""
    stamps = {"version": 1, "created_at": now(), "updated_at": now()}
    row = {"id": OWNER.id, "kind": OWNER.kind, "name": OWNER.name, "is_active": True, **stamps}
    database.write(lambda connection: connection.execute(insert(actor).values(row)))
    return database


@pytest.fixture
def make_worker(queue: Database, tmp_path: Path) -> MakeWorker:
    """`make_worker(name, lease_seconds=60)`."""
    settings = ApiSettings(data_dir=tmp_path / "data")
    return lambda name="one", **options: worker(queue, settings, name, **options)
