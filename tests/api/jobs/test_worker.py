"""Workers on one queue: every job once, whatever happens to them."""

import contextlib
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from api.clock import now
from api.jobs.model import Job
from api.jobs.queue import ClaimLostError, ask_to_cancel, cancel_queued, claim, recover, succeed
from api.jobs.rules import Status
from api.storage.database import Database, StoreBusyError
from api.storage.insist import ATTEMPTS
from api.storage.tables.access import actor
from api.storage.tables.jobs import job
from api.storage.tables.outbox import outbox
from tests.api.jobs.conftest import MakeWorker
from tests.api.jobs.handlers import in_thread, put


def reload(database: Database, job_id: str) -> Job:
    with database.read() as connection:
        return Job.of(connection.execute(select(job).where(job.c.id == job_id)).mappings().one())


def told(database: Database) -> list[Any]:
    with database.read() as connection:
        return [row.payload for row in connection.execute(select(outbox).where(outbox.c.kind == "job.finished"))]


def until(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def expire(database: Database, job_id: str) -> None:
    """As if a minute had passed in which nobody renewed."""
    database.write(
        lambda connection: connection.execute(update(job).where(job.c.id == job_id).values(lease_until=now()))
    )


def due_now(database: Database) -> None:
    database.write(lambda connection: connection.execute(update(job).values(run_after=now())))


def test_many_workers_run_every_job_once(queue: Database, make_worker: MakeWorker, tmp_path: Path) -> None:
    jobs = [put(queue, "note", file=str(tmp_path / "ran"), name=str(number)) for number in range(24)]

    def drain(name: str) -> None:
        worker = make_worker(name)
        while worker.step():
            pass

    threads = [in_thread(lambda name=f"worker-{number}": drain(name)) for number in range(6)]
    for thread in threads:
        thread.join()

    ran = Counter((tmp_path / "ran").read_text().split("\n")[:-1])
    assert ran == Counter(f"{number} 1" for number in range(24))
    assert {reload(queue, one.id).status for one in jobs} == {Status.SUCCEEDED}
    assert len(told(queue)) == 24


def test_a_worker_that_comes_back_after_its_lease_changes_nothing(
    queue: Database, make_worker: MakeWorker, tmp_path: Path
) -> None:
    put_job = put(queue, "wait", file=str(tmp_path / "ran"), until=str(tmp_path / "go"), name="x")
    stalled = in_thread(make_worker("stalled").step)
    until(lambda: reload(queue, put_job.id).status is Status.RUNNING)
    mine = reload(queue, put_job.id).claim

    expire(queue, put_job.id)
    queue.write(lambda connection: recover(connection, now()))
    due_now(queue)
    (tmp_path / "go").touch()
    second = make_worker("second")
    # The stalled worker may hold the row for a moment, to learn that it lost the job.
    until(lambda: second.step() and reload(queue, put_job.id).status is Status.SUCCEEDED)
    ended = reload(queue, put_job.id)
    stalled.join()

    with pytest.raises(ClaimLostError):
        queue.write(lambda connection: succeed(connection, mine, result={"of": "the stalled"}, now=now()))
    assert reload(queue, put_job.id) == ended
    assert (ended.status, ended.attempts) == (Status.SUCCEEDED, 2)
    assert len(told(queue)) == 1


def test_what_an_attempt_made_that_counts_for_nothing_is_thrown_away(
    queue: Database, make_worker: MakeWorker, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    lost = put(queue, "make", file=str(made), until=str(tmp_path / "go"))
    stalled = in_thread(make_worker("stalled").step)
    until(made.exists)

    expire(queue, lost.id)
    queue.write(lambda connection: recover(connection, now()))
    (tmp_path / "go").touch()
    stalled.join()

    assert not made.exists()


@pytest.mark.parametrize("refusals", [2, 3])
def test_the_end_of_a_job_is_written_again_when_the_store_is_busy(
    queue: Database, make_worker: MakeWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusals: int
) -> None:
    made, go = tmp_path / "made", tmp_path / "go"
    asked = put(queue, "make", file=str(made), until=str(go))
    worker = make_worker("one")
    write, left = queue.write, refusals

    def busy(work: Any) -> Any:
        nonlocal left
        if go.exists() and left:
            left -= 1
            raise StoreBusyError
        return write(work)

    with monkeypatch.context() as patch:
        patch.setattr(queue, "write", busy)
        stepping = in_thread(lambda: _step(worker))
        until(made.exists)
        go.touch()
        stepping.join()

    ended = refusals < ATTEMPTS
    assert reload(queue, asked.id).status is (Status.SUCCEEDED if ended else Status.RUNNING)
    assert made.exists() is ended


def _step(worker: Any) -> None:
    with contextlib.suppress(StoreBusyError):
        worker.step()


def test_a_claim_of_an_earlier_attempt_is_void_even_for_the_same_worker(queue: Database) -> None:
    taken: list[Job] = []
    put(queue, "note")
    for _ in range(2):
        due_now(queue)
        found = queue.write(
            lambda connection: claim(connection, worker="x", kinds={"note"}, lease=timedelta(minutes=1), now=now())
        )
        assert found is not None
        taken.append(found)
        if len(taken) == 1:
            expire(queue, found.id)
            queue.write(lambda connection: recover(connection, now()))

    with pytest.raises(ClaimLostError):
        queue.write(lambda connection: succeed(connection, taken[0].claim, result={}, now=now()))
    queue.write(lambda connection: succeed(connection, taken[1].claim, result={}, now=now()))


def test_a_job_that_kills_every_worker_fails_in_the_end(queue: Database) -> None:
    lost = put(queue, "note", max_attempts=2)

    for _ in range(2):
        due_now(queue)
        queue.write(
            lambda connection: claim(connection, worker="x", kinds={"note"}, lease=timedelta(minutes=1), now=now())
        )
        expire(queue, lost.id)
        queue.write(lambda connection: recover(connection, now()))

    ended = reload(queue, lost.id)
    assert ended.status is Status.FAILED
    assert ended.problems is not None
    assert [problem["code"] for problem in ended.problems] == ["worker_lost"]
    assert [payload["status"] for payload in told(queue)] == ["failed"]


def test_a_living_worker_keeps_its_lease(queue: Database, make_worker: MakeWorker, tmp_path: Path) -> None:
    put_job = put(queue, "wait", file=str(tmp_path / "ran"), until=str(tmp_path / "go"), name="x")
    running = in_thread(make_worker("slow", lease_seconds=0.4).step)
    until(lambda: reload(queue, put_job.id).status is Status.RUNNING)

    ends_at = time.monotonic() + 1.0
    while time.monotonic() < ends_at:
        assert queue.write(lambda connection: recover(connection, now())) == 0
        time.sleep(0.05)
    (tmp_path / "go").touch()
    running.join()

    assert reload(queue, put_job.id).status is Status.SUCCEEDED
    assert (tmp_path / "ran").read_text() == "x 1\n"


def test_a_stopping_worker_puts_its_job_back_at_no_cost(
    queue: Database, make_worker: MakeWorker, tmp_path: Path
) -> None:
    put_job = put(queue, "wait", file=str(tmp_path / "ran"), until=str(tmp_path / "go"), name="x")
    worker = make_worker("stopping")
    running = in_thread(worker.step)
    until(lambda: reload(queue, put_job.id).status is Status.RUNNING)

    worker.stop()
    running.join()

    back = reload(queue, put_job.id)
    assert (back.status, back.attempts, back.worker) == (Status.QUEUED, 0, None)
    assert told(queue) == []
    (tmp_path / "go").touch()
    assert make_worker("next").step()
    assert reload(queue, put_job.id).status is Status.SUCCEEDED


def test_a_running_job_stops_soon_after_it_is_cancelled(
    queue: Database, make_worker: MakeWorker, tmp_path: Path
) -> None:
    put_job = put(queue, "wait", file=str(tmp_path / "ran"), until=str(tmp_path / "never"), name="x")
    running = in_thread(make_worker().step)
    until(lambda: reload(queue, put_job.id).status is Status.RUNNING)

    queue.write(lambda connection: ask_to_cancel(connection, put_job))
    running.join(5)

    assert reload(queue, put_job.id).status is Status.CANCELLED
    assert [payload["status"] for payload in told(queue)] == ["cancelled"]


def test_a_waiting_job_that_is_cancelled_never_runs(queue: Database, make_worker: MakeWorker, tmp_path: Path) -> None:
    put_job = put(queue, "note", file=str(tmp_path / "ran"), name="x")

    queue.write(lambda connection: cancel_queued(connection, put_job, now=now()))

    assert not make_worker().step()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("kind", "code"), [("crash", "internal_error"), ("refuse", "nonsense")])
def test_an_error_of_a_handler_fails_its_job_and_the_worker_goes_on(
    queue: Database, make_worker: MakeWorker, tmp_path: Path, kind: str, code: str
) -> None:
    broken = put(queue, kind)
    sound = put(queue, "note", file=str(tmp_path / "ran"), name="x")
    worker = make_worker()

    assert worker.step()
    assert worker.step()

    problems = reload(queue, broken.id).problems
    assert problems is not None
    assert [problem["code"] for problem in problems] == [code]
    assert "唐三" not in str(problems)
    assert reload(queue, sound.id).status is Status.SUCCEEDED


def test_a_job_of_a_kind_that_only_a_newer_program_knows_waits_for_it(queue: Database, make_worker: MakeWorker) -> None:
    later = put(queue, "from_the_future")

    assert not make_worker().step()

    assert reload(queue, later.id).status is Status.QUEUED


def test_the_job_of_somebody_who_left_is_not_done(queue: Database, make_worker: MakeWorker, tmp_path: Path) -> None:
    put_job = put(queue, "note", file=str(tmp_path / "ran"), name="x")
    queue.write(lambda connection: connection.execute(update(actor).values(is_active=False)))

    assert make_worker().step()

    problems = reload(queue, put_job.id).problems
    assert problems is not None
    assert [problem["code"] for problem in problems] == ["requester_gone"]
    assert not (tmp_path / "ran").exists()
