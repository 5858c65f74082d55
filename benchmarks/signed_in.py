"""A published sample, a new store with an administrator, and the API in this process as that administrator."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import Connection, insert

from api.access.actors import EVERY_CLINIC
from api.access.builtin_roles import COMPANY_ADMIN
from api.access.keys import make_key
from api.main import create_app
from api.settings import ApiSettings
from api.storage.database import Database
from api.storage.tables.access import actor, actor_role
from api.store import upgrade_store
from benchmarks.nightly import make_sample, run_night
from pipelines.settings import PipelineSettings
from segment_engine.runtime.published import POINTER_NAME

WHO = "bench"
"""The administrator's id."""
OPERATIONAL = ("operational.sqlite", "operational.sqlite-wal", "operational.sqlite-shm")


@contextmanager
def published_sample(customers: int, directory: Path | None, *, keep: bool) -> Iterator[PipelineSettings]:
    """A data directory with a published night and no members of tags and segments; reused where there is one.

    Below `directory`, or in a temporary folder; removed at the end unless kept.
    """
    base = directory or Path(tempfile.mkdtemp(prefix="cdp-benchmark-"))
    settings = PipelineSettings(data_dir=base / str(customers))
    folders = settings.folders
    try:
        if not (folders.published / POINTER_NAME).exists():
            if not folders.landing.exists():
                make_sample(customers, folders)
            run_night(folders.root)
        shutil.rmtree(folders.audiences, ignore_errors=True)
        yield settings
    finally:
        if not keep:
            shutil.rmtree(base, ignore_errors=True)


def new_store(settings: PipelineSettings) -> Database:
    """An empty store in the place of what was there; close it."""
    for name in OPERATIONAL:
        (settings.folders.root / name).unlink(missing_ok=True)
    database = Database(ApiSettings(data_dir=settings.data_dir))
    upgrade_store(database, now=datetime.now(UTC))
    return database


def add_administrator(connection: Connection, moment: datetime) -> str:
    """Put the administrator in, and return their key."""
    stamps: dict[str, Any] = {"created_at": moment, "updated_at": moment, "version": 1}
    connection.execute(insert(actor).values(id=WHO, kind="client", name="benchmark", is_active=True, **stamps))
    connection.execute(insert(actor_role).values(actor_id=WHO, role_id=COMPANY_ADMIN, clinic_id=EVERY_CLINIC))
    return make_key(
        connection, actor_id=WHO, name="benchmark", scopes=None, expires_at=None, created_by=WHO, now=moment
    ).text


@contextmanager
def api_client(settings: PipelineSettings, key: str) -> Iterator[TestClient]:
    """The API with its workers, without a limit of requests or of segments."""
    app = create_app(ApiSettings(data_dir=settings.data_dir, rate_limit_per_address=0, smart_segment_quota=10_000))
    with TestClient(app) as client:
        client.headers["Authorization"] = f"Bearer {key}"
        yield client
