"""What callers are told while an erasure rewrites the file of the store: to come again, and nothing worse."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event

from api.main import create_app
from api.settings import ApiSettings
from api.storage.database import Database
from tests.api.conftest import bearer, make_actor
from tests.stores import SqliteStores

ROLE = {"name_zh": "角色", "name_en": "Role", "permissions": [], "data_scope": {}}


@pytest.fixture
def client(sqlite_stores: SqliteStores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The API on SQLite, with less patience than it has."""
    monkeypatch.setattr("api.storage.database.BUSY_SECONDS", 0.2)
    with ExitStack() as stack:
        stack.enter_context(sqlite_stores.new(tmp_path))
        app = create_app(ApiSettings(data_dir=tmp_path, rate_limit_per_address=0, job_workers=0))
        client = stack.enter_context(TestClient(app, raise_server_exceptions=False))
        client.headers.update(bearer(make_actor(app.state.database)))
        yield client


@contextmanager
def scrubbing(database: Database) -> Iterator[None]:
    """A scrub that takes as long as the block: its connection is given back late, and before that the lock is not."""
    began, release = threading.Event(), threading.Event()

    def late(*_: Any) -> None:
        if threading.current_thread() is thread:
            began.set()
            release.wait()

    event.listen(database.engine, "close_detached", late)
    thread = threading.Thread(target=database.scrub)
    thread.start()
    assert began.wait(10)
    try:
        yield
    finally:
        release.set()
        thread.join()


def make_role(client: TestClient) -> Any:
    return client.post("/v1/access/roles", json=ROLE, headers={"Idempotency-Key": "r1"})


def delete_role(client: TestClient) -> Any:
    return client.delete("/v1/access/roles/nobody", headers={"If-Match": '"1"'})


@pytest.mark.parametrize(("write", "afterwards"), [(make_role, 201), (delete_role, 404)])
def test_a_writer_is_told_to_come_again_and_reads_go_on(
    client: TestClient, write: Callable[[TestClient], Any], afterwards: int
) -> None:
    with scrubbing(client.app.state.database):  # type: ignore[attr-defined]
        answer = write(client)
        read = client.get("/v1/me")

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert [problem["code"] for problem in answer.json()["problems"]] == ["store_busy"]
    assert read.status_code == 200
    assert write(client).status_code == afterwards
