"""The job routes: looking, cancelling, following."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from api import background
from api.access.actors import Actor
from api.clock import now
from api.jobs.queue import enqueue
from api.main import create_app
from api.settings import ApiSettings
from api.storage.database import Database
from api.storage.tables.access import actor
from api.storage.tables.jobs import job
from tests.api.conftest import MakeClient, bearer, make_actor
from tests.api.jobs.handlers import KINDS
from tests.stores import StoreSettings


@pytest.fixture(autouse=True)
def _known_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, handler in KINDS.items():
        monkeypatch.setitem(background.JOB_KINDS, kind, handler)  # type: ignore[arg-type]


def database_of(client: TestClient) -> Database:
    database: Database = client.app.state.database  # type: ignore[attr-defined]
    return database


def put(client: TestClient, kind: str, **params: Any) -> str:
    """A job of the first actor there is: the client's."""

    def work(connection: Any) -> str:
        owner_id = connection.execute(select(actor.c.id).order_by(actor.c.created_at).limit(1)).scalar_one()
        owner = Actor("staff", owner_id, "x")
        return enqueue(connection, kind=kind, params=params, owner=owner, request_id=None, now=now()).id

    return database_of(client).write(work)


def waiting(client: TestClient, tmp_path: Path) -> str:
    return put(client, "wait", file=str(tmp_path / "ran"), until=str(tmp_path / "go"), name="x")


def status(client: TestClient, job_id: str) -> str:
    return str(client.get(f"/v1/jobs/{job_id}").json()["status"])


def until(client: TestClient, job_id: str, wanted: str) -> None:
    deadline = time.monotonic() + 10
    while status(client, job_id) != wanted:
        assert time.monotonic() < deadline, status(client, job_id)
        time.sleep(0.02)


def cancel(client: TestClient, job_id: str, key: str = "cancel-1") -> Any:
    return client.post(f"/v1/jobs/{job_id}/cancel", headers={"Idempotency-Key": key})


def events(answer: Any) -> list[tuple[str, str, str]]:
    """Event, id and data of each event of a stream."""
    blocks = [block for block in answer.text.split("\n\n") if block and not block.startswith(":")]
    read = [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]
    return [(event["event"], event["id"], event["data"]) for event in read]


def test_somebody_elses_job_is_as_if_it_were_not_there(make_client: MakeClient, tmp_path: Path) -> None:
    client = make_client(settings={"job_workers": 0})
    job_id = waiting(client, tmp_path)
    stranger = bearer(make_actor(database_of(client)))

    answers = [
        client.get(f"/v1/jobs/{job_id}", headers=stranger),
        client.get(f"/v1/jobs/{job_id}/events", headers=stranger),
        client.post(f"/v1/jobs/{job_id}/cancel", headers={"Idempotency-Key": "k", **stranger}),
        client.get("/v1/jobs/nonsense"),
    ]

    assert [answer.status_code for answer in answers] == [404] * 4
    assert {answer.json()["problems"][0]["code"] for answer in answers} == {"job_unknown"}
    assert client.get("/v1/jobs", headers=stranger).json() == {"jobs": [], "next_cursor": None}
    assert status(client, job_id) == "queued"


def test_pages_of_jobs_hold_each_once_newest_first(make_client: MakeClient, tmp_path: Path) -> None:
    client = make_client(settings={"job_workers": 0})
    made = [waiting(client, tmp_path) for _ in range(5)]
    # Two of one moment are told apart by their ids.
    database_of(client).write(
        lambda connection: connection.execute(update(job).where(job.c.id.in_(made[1:3])).values(created_at=now()))
    )

    seen: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": 2}
    while query.get("cursor", "") is not None:
        page = client.get("/v1/jobs", params=query).json()
        seen += page["jobs"]
        query["cursor"] = page["next_cursor"]

    assert sorted(one["id"] for one in seen) == sorted(made)
    assert [one["created_at"] for one in seen] == sorted((one["created_at"] for one in seen), reverse=True)


@pytest.mark.parametrize("cursor", ["nonsense", "WzEsMl0", "WyIyMDI2LTAxLTAxVDAwOjAwOjAwKzAwOjAwIiwgMV0"])
def test_a_cursor_that_was_never_given_out_is_refused(make_client: MakeClient, cursor: str) -> None:
    answer = make_client().get("/v1/jobs", params={"cursor": cursor})

    assert answer.status_code == 422
    assert answer.json()["problems"][0]["code"] == "invalid_cursor"


def test_polling_says_when_to_look_again_and_whether_anything_changed(make_client: MakeClient, tmp_path: Path) -> None:
    client = make_client(settings={"job_workers": 0})
    place = f"/v1/jobs/{waiting(client, tmp_path)}"

    first = client.get(place)
    again = client.get(place, headers={"If-None-Match": first.headers["etag"]})
    client.post(f"{place}/cancel", headers={"Idempotency-Key": "k"})
    changed = client.get(place, headers={"If-None-Match": first.headers["etag"]})

    assert first.headers["retry-after"] == "1"
    assert (again.status_code, again.content) == (304, b"")
    assert (changed.status_code, changed.json()["status"]) == (200, "cancelled")
    assert "retry-after" not in changed.headers


def test_cancelling_is_done_once_and_not_after_the_end(make_client: MakeClient, tmp_path: Path) -> None:
    client = make_client(settings={"job_workers": 0})
    job_id = waiting(client, tmp_path)

    first, repeated, late = cancel(client, job_id), cancel(client, job_id), cancel(client, job_id, "cancel-2")

    assert (first.status_code, first.json()["status"]) == (200, "cancelled")
    assert repeated.json() == first.json()
    assert (late.status_code, late.json()["problems"][0]["code"]) == (409, "job_finished")
    assert "cancel" not in first.json()["links"]


def test_a_running_job_is_cancelled_by_its_worker(make_client: MakeClient, tmp_path: Path) -> None:
    client = make_client()
    job_id = waiting(client, tmp_path)
    until(client, job_id, "running")

    asked = cancel(client, job_id)

    assert (asked.status_code, asked.json()["cancel_requested"]) == (200, True)
    until(client, job_id, "cancelled")


def test_events_tell_progress_then_the_end_and_resume_where_a_client_left(
    make_client: MakeClient, tmp_path: Path
) -> None:
    client = make_client()
    job_id = waiting(client, tmp_path)
    until(client, job_id, "running")
    timer = threading.Timer(1.2, (tmp_path / "go").touch)
    timer.start()

    answer = client.get(f"/v1/jobs/{job_id}/events")
    told = events(answer)
    resumed = events(client.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": told[-2][1]}))
    nothing_new = events(client.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": told[-1][1]}))

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [event for event, _, _ in told] == ["progress"] * (len(told) - 1) + ["done"]
    assert len(told) >= 2
    assert '"succeeded"' in told[-1][2]
    revisions = [int(revision) for _, revision, _ in told]
    assert revisions == sorted(set(revisions))
    assert resumed == told[-1:]
    assert nothing_new == []


def test_a_failed_job_ends_its_stream_with_the_problem(make_client: MakeClient) -> None:
    client = make_client()
    job_id = put(client, "refuse")
    until(client, job_id, "failed")

    ((event, _, data),) = events(client.get(f"/v1/jobs/{job_id}/events"))

    assert event == "failed"
    assert '"nonsense"' in data


def test_a_stopping_server_ends_its_streams(make_client: MakeClient, tmp_path: Path) -> None:
    client = make_client(settings={"job_workers": 0})
    job_id = waiting(client, tmp_path)
    state = client.app.state  # type: ignore[attr-defined]
    timer = threading.Timer(0.3, lambda: setattr(state, "shutting_down", True))
    timer.start()

    told = events(client.get(f"/v1/jobs/{job_id}/events"))

    assert [event for event, _, _ in told] == ["progress"]


def test_stopping_the_api_puts_its_running_job_back(store: StoreSettings, tmp_path: Path) -> None:
    app = create_app(ApiSettings(data_dir=tmp_path / "data", **store))
    with TestClient(app) as client:
        client.headers.update(bearer(make_actor(app.state.database)))
        job_id = waiting(client, tmp_path)
        until(client, job_id, "running")

    with app.state.database.read() as connection:
        row = connection.execute(select(job).where(job.c.id == job_id)).one()
    assert (row.status, row.attempts, row.worker) == ("queued", 0, None)


def test_metrics_tell_how_much_waits(make_client: MakeClient, tmp_path: Path) -> None:
    client = make_client(settings={"job_workers": 0})
    waiting(client, tmp_path)

    text = client.get("/metrics").text

    assert 'cdp_jobs{status="queued"} 1.0' in text
    assert 'cdp_jobs{status="running"} 0.0' in text
    assert 'cdp_outbox_messages{status="unknown"} 0.0' in text
    (age,) = [line for line in text.splitlines() if line.startswith("cdp_job_oldest_queued_age_seconds")]
    assert 0 < float(age.split()[1]) < 60
