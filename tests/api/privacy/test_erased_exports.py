"""Export files that may hold somebody who is erased: gone with the order, whoever wrote them and however that ended."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Connection, select

from api.background import JOB_KINDS
from api.caller import system_caller
from api.clock import now
from api.customers import export_service
from api.jobs.context import Services
from api.jobs.worker import Worker
from api.privacy.erasure import Person, forget
from api.storage.tables.jobs import export_file, job
from api.upkeep import sweep
from tests.api.conftest import MakeClient
from tests.api.privacy.test_consents import somebody
from tests.api.privacy.test_erasure_route import erase

Writer = Callable[..., int]


class Killed(BaseException):
    """The process ends here."""


def exporting(client: TestClient) -> None:
    """One export, written by a worker of the test's own."""
    body = {"kind": "customers", "format": "csv"}
    assert client.post("/v1/exports", json=body, headers={"Idempotency-Key": "x"}).status_code == 202
    state: Any = client.app.state  # type: ignore[attr-defined]
    services = Services(state.database, state.settings, state.reader, now, state.filters)
    Worker(JOB_KINDS, services, name="one", lease=timedelta(minutes=1)).step()


def folder_of(client: TestClient) -> Path:
    found: Path = client.app.state.settings.folders.exports  # type: ignore[attr-defined]
    return found


def whole_then_killed(write: Writer) -> Writer:
    def writer(path: Path, *args: Any, **options: Any) -> int:
        write(path, *args, **options)
        raise Killed

    return writer


def killed_while_writing(_: Writer) -> Writer:
    def writer(path: Path, *_: Any, **__: Any) -> int:
        path.with_name(f".{path.name}.tmp").write_text("唐三")
        raise Killed

    return writer


@pytest.mark.parametrize("dying", [whole_then_killed, killed_while_writing])
def test_what_a_killed_attempt_left_goes_with_the_order(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, dying: Callable[[Writer], Writer]
) -> None:
    client = make_client(published=True, settings={"job_workers": 0})
    monkeypatch.setitem(export_service.WRITERS, "csv", dying(export_service.WRITERS["csv"]))
    monkeypatch.setattr(Worker, "_end", lambda *_: None)  # nobody is left to say how it ended
    exporting(client)
    assert len(list(folder_of(client).iterdir())) == 1

    assert erase(client, somebody(client)).status_code == 202

    assert list(folder_of(client).iterdir()) == []


def test_an_export_that_is_being_written_is_cancelled_and_leaves_no_file(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client(published=True, settings={"job_workers": 0})
    one_id, write, statuses = somebody(client), export_service.WRITERS["csv"], []

    def erased_meanwhile(*args: Any, on_progress: Callable[[int], None], **options: Any) -> int:
        def progress(done: int) -> None:
            statuses.append(erase(client, one_id).status_code)
            on_progress(done)

        return write(*args, on_progress=progress, **options)

    monkeypatch.setitem(export_service.WRITERS, "csv", erased_meanwhile)
    exporting(client)

    assert set(statuses) == {202}
    assert list(folder_of(client).iterdir()) == []
    with client.app.state.database.read() as connection:  # type: ignore[attr-defined]
        assert connection.execute(select(job.c.status)).scalar_one() == "cancelled"


def test_what_a_crash_right_after_the_order_left_is_swept(make_client: MakeClient) -> None:
    client = make_client(published=True, settings={"job_workers": 0})
    exporting(client)
    database = client.app.state.database  # type: ignore[attr-defined]

    def work(connection: Connection) -> None:
        person, who = Person("C1", ("lead:leads:1",)), system_caller("test")
        forget(connection, who, person, reason="x", secret=b"s" * 32, engine=database.kind, now=now())

    database.write(work)
    assert len(list(folder_of(client).iterdir())) == 1
    sweep(database, folder_of(client), now=now())

    assert list(folder_of(client).iterdir()) == []
    with database.read() as connection:
        row = connection.execute(select(export_file)).one()
    assert (row.path, row.deleted_at is None) == (None, False)
