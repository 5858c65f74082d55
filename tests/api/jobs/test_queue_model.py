"""The queue beside a model of it: any order of takings, losses, cancellings and ends leaves the two alike."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import delete, func, select

from api.jobs import queue
from api.jobs.model import Claim, Job
from api.jobs.rules import FINAL, INTERNAL_ERROR, Status
from api.storage.database import Database
from api.storage.tables.jobs import job
from api.storage.tables.outbox import outbox
from tests.api.jobs.handlers import OWNER

LEASE = timedelta(seconds=60)
WORKERS = st.sampled_from(["a", "b"])
CHOICE = st.integers(0, 30)


@dataclass(frozen=True)
class Expected:
    """What the model says of one job."""

    status: Status = Status.QUEUED
    attempts: int = 0
    worker: str | None = None
    lease_until: datetime | None = None
    run_after: datetime | None = None
    cancel_requested: bool = False


class Queue(RuleBasedStateMachine):
    """Every rule does one thing to the store and the same to the model."""

    database: Database

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 11, 20, tzinfo=UTC)
        self.jobs: dict[str, Expected] = {}
        self.claims: list[Claim] = []
        self.database.write(lambda connection: [connection.execute(delete(table)) for table in (outbox, job)])

    def write(self, work: Any) -> Any:
        return self.database.write(work)

    def holds(self, claim: Claim) -> bool:
        told = self.jobs[claim.job_id]
        return (told.status, told.worker, told.attempts) == (Status.RUNNING, claim.worker, claim.attempt)

    def ended(self, job_id: str, status: Status) -> None:
        self.jobs[job_id] = replace(self.jobs[job_id], status=status, worker=None, lease_until=None)

    @rule()
    def enqueue(self) -> None:
        made = self.write(
            lambda connection: queue.enqueue(
                connection, kind="note", params={}, owner=OWNER, request_id=None, now=self.now, max_attempts=2
            )
        )
        self.jobs[made.id] = Expected(run_after=self.now)

    @rule(worker=WORKERS)
    def claim(self, worker: str) -> None:
        due = {
            job_id
            for job_id, told in self.jobs.items()
            if told.status is Status.QUEUED and told.run_after is not None and told.run_after <= self.now
        }
        taken: Job | None = self.write(
            lambda connection: queue.claim(connection, worker=worker, kinds={"note"}, lease=LEASE, now=self.now)
        )
        assert (taken is not None) == bool(due)
        if taken is not None:
            assert taken.id in due
            told = self.jobs[taken.id]
            self.jobs[taken.id] = replace(
                told, status=Status.RUNNING, attempts=told.attempts + 1, worker=worker, lease_until=self.now + LEASE
            )
            assert taken.attempts == self.jobs[taken.id].attempts
            self.claims.append(taken.claim)

    @precondition(lambda self: self.claims)
    @rule(which=CHOICE, how=st.sampled_from(["renew", "report", "succeed", "fail", "give_up", "release"]))
    def holder_writes(self, which: int, how: str) -> None:
        claim = self.claims[which % len(self.claims)]
        held = self.holds(claim)
        calls: dict[str, Any] = {
            "renew": lambda connection: queue.renew(connection, claim, lease=LEASE, now=self.now),
            "report": lambda connection: queue.report(connection, claim, done=1, total=2),
            "succeed": lambda connection: queue.succeed(connection, claim, result={}, now=self.now),
            "fail": lambda connection: queue.fail(connection, claim, [INTERNAL_ERROR], now=self.now),
            "give_up": lambda connection: queue.give_up(connection, claim, now=self.now),
            "release": lambda connection: queue.release(connection, claim, now=self.now),
        }
        try:
            self.write(calls[how])
        except queue.ClaimLostError:
            assert not held
            return
        assert held
        told = self.jobs[claim.job_id]
        match how:
            case "renew":
                self.jobs[claim.job_id] = replace(told, lease_until=self.now + LEASE)
            case "succeed":
                self.ended(claim.job_id, Status.SUCCEEDED)
            case "fail":
                self.ended(claim.job_id, Status.FAILED)
            case "give_up":
                self.ended(claim.job_id, Status.CANCELLED)
            case "release":
                self.ended(claim.job_id, Status.CANCELLED if told.cancel_requested else Status.QUEUED)
                self.jobs[claim.job_id] = replace(
                    self.jobs[claim.job_id], attempts=told.attempts - 1, run_after=self.now
                )

    @precondition(lambda self: self.jobs)
    @rule(which=CHOICE)
    def cancel(self, which: int) -> None:
        job_id = list(self.jobs)[which % len(self.jobs)]
        told = self.jobs[job_id]
        found = self.stored()[job_id]
        if told.status is Status.QUEUED:
            assert self.write(lambda connection: queue.cancel_queued(connection, found, now=self.now)) is not None
            self.ended(job_id, Status.CANCELLED)
        else:
            asked = self.write(lambda connection: queue.ask_to_cancel(connection, found))
            assert (asked is not None) == (told.status is Status.RUNNING)
            if asked is not None:
                self.jobs[job_id] = replace(told, cancel_requested=True)

    @rule(seconds=st.sampled_from([1, 30, 61]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        self.write(lambda connection: queue.recover(connection, self.now))
        for job_id, told in list(self.jobs.items()):
            if told.lease_until is None or told.lease_until > self.now:
                continue
            if told.cancel_requested:
                self.ended(job_id, Status.CANCELLED)
            elif told.attempts == 2:
                self.ended(job_id, Status.FAILED)
            else:
                self.ended(job_id, Status.QUEUED)
                self.jobs[job_id] = replace(self.jobs[job_id], run_after=self.now + timedelta(seconds=1))

    @invariant()
    def store_and_model_agree(self) -> None:
        found = {
            job_id: (one.status, one.attempts, one.worker, one.cancel_requested)
            for job_id, one in self.stored().items()
        }
        assert found == {
            job_id: (told.status, told.attempts, told.worker, told.cancel_requested)
            for job_id, told in self.jobs.items()
        }

    @invariant()
    def every_end_is_told_once(self) -> None:
        with self.database.read() as connection:
            told = connection.execute(select(func.count()).select_from(outbox)).scalar_one()
        assert told == sum(told.status in FINAL for told in self.jobs.values())

    def stored(self) -> dict[str, Job]:
        with self.database.read() as connection:
            return {row["id"]: Job.of(row) for row in connection.execute(select(job)).mappings()}


def test_the_queue_does_what_its_model_says(database: Database) -> None:
    class OnThisStore(Queue):
        pass

    OnThisStore.database = database

    run_state_machine_as_test(
        OnThisStore, settings=settings(max_examples=15, stateful_step_count=25, deadline=None, database=None)
    )
