"""The queue: every change of a job is one conditional UPDATE, so that any number of processes may share it.

Whoever runs a job holds a claim (worker and attempt). What a worker writes after it lost its claim changes nothing.
Reading jobs belongs to `repository`, running them to `worker`.
"""

import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, insert, or_, select, update

from api.access.actors import Actor
from api.jobs.model import Claim, Job, problem_rows
from api.jobs.rules import MAX_ATTEMPTS, WORKER_LOST, Status, after_loss, retry_delay
from api.outbox.kinds import JOB_FINISHED
from api.outbox.messages import enqueue as put_message
from api.storage.tables.jobs import job
from segment_engine.problems import Problem


class ClaimLostError(Exception):
    """The lease ran out and the job went on without this worker; nothing of what it did may count."""


def enqueue(
    connection: Connection,
    *,
    kind: str,
    params: Any,
    owner: Actor,
    request_id: str | None,
    now: datetime,
    max_attempts: int = MAX_ATTEMPTS,
) -> Job:
    """Put a job in, in the transaction of its cause; wake the workers after the commit (`WakeJobs`)."""
    row = {
        "id": secrets.token_hex(16),
        "kind": kind,
        "status": Status.QUEUED,
        "params": params,
        "owner_kind": owner.kind,
        "owner_id": owner.id,
        "owner_scopes": None if owner.scopes is None else sorted(owner.scopes),
        "request_id": request_id,
        "created_at": now,
        "done": 0,
        "attempts": 0,
        "max_attempts": max_attempts,
        "run_after": now,
        "cancel_requested": False,
        "revision": 1,
    }
    return Job.of(connection.execute(insert(job).values(row).returning(job)).mappings().one())


def look(connection: Connection, *, kinds: Collection[str], now: datetime) -> bool:
    """Whether a job is due or was left behind; a read, so that an idle worker keeps nobody waiting."""
    return (
        connection.execute(select(job.c.id).where(or_(_due(kinds, now), _left_behind(now))).limit(1)).first()
        is not None
    )


def claim(
    connection: Connection, *, worker: str, kinds: Collection[str], lease: timedelta, now: datetime
) -> Job | None:
    """Take the job that has waited longest, of a kind this process knows; None when there is none."""
    due = (
        select(job.c.id)
        .where(_due(kinds, now))
        .order_by(job.c.run_after, job.c.created_at, job.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)  # on SQLite writers take turns anyway
    )
    taken = (
        update(job)
        .where(job.c.id == due.scalar_subquery(), job.c.status == Status.QUEUED)
        .values(
            status=Status.RUNNING,
            worker=worker,
            attempts=job.c.attempts + 1,
            lease_until=now + lease,
            started_at=now,
            done=0,
            revision=job.c.revision + 1,
        )
        .returning(job)
    )
    row = connection.execute(taken).mappings().one_or_none()
    return None if row is None else Job.of(row)


def renew(connection: Connection, claim: Claim, *, lease: timedelta, now: datetime) -> bool:
    """Keep a claim alive; returns whether somebody asked to cancel. Raises ClaimLostError."""
    return _change(connection, claim, lease_until=now + lease).cancel_requested


def report(connection: Connection, claim: Claim, *, done: int, total: int | None) -> bool:
    """Note progress; returns whether somebody asked to cancel. Raises ClaimLostError."""
    return _change(connection, claim, done=done, total=total, revision=job.c.revision + 1).cancel_requested


def note(connection: Connection, claim: Claim, *, result: Any, done: int, total: int | None) -> None:
    """Keep what came of the job so far: it outlives this attempt. Raises ClaimLostError."""
    _change(connection, claim, result=result, done=done, total=total, revision=job.c.revision + 1)


def succeed(connection: Connection, claim: Claim, *, result: Any, now: datetime) -> None:
    """The job is done. Raises ClaimLostError: then the transaction, and what else is in it, must not be."""
    done = func.coalesce(job.c.total, job.c.done)
    changed = _change(connection, claim, **_ended(Status.SUCCEEDED, now), result=result, done=done)
    _tell(connection, changed, now)


def fail(connection: Connection, claim: Claim, problems: Sequence[Problem], *, now: datetime) -> None:
    """The job cannot be done. Raises ClaimLostError."""
    _tell(connection, _change(connection, claim, **_ended(Status.FAILED, now), problems=problem_rows(problems)), now)


def give_up(connection: Connection, claim: Claim, *, now: datetime) -> None:
    """The worker heard that the job is cancelled, and stopped. Raises ClaimLostError."""
    _tell(connection, _change(connection, claim, **_ended(Status.CANCELLED, now)), now)


def release(connection: Connection, claim: Claim, *, now: datetime) -> None:
    """The worker stops and another shall begin anew: costs no attempt. Raises ClaimLostError.

    A job whose cancelling was asked for is cancelled instead.
    """
    values = {"status": Status.QUEUED, "worker": None, "lease_until": None, "run_after": now, "done": 0}
    changed = _change(connection, claim, **values, attempts=job.c.attempts - 1, revision=job.c.revision + 1)
    if changed.cancel_requested:
        cancel_queued(connection, changed, now=now)


def cancel_queued(connection: Connection, waiting: Job, *, now: datetime) -> Job | None:
    """Cancel a job that no worker has; None when one has taken it meanwhile."""
    changed = _update(
        connection, and_(job.c.id == waiting.id, job.c.status == Status.QUEUED), **_ended(Status.CANCELLED, now)
    )
    if changed is not None:
        _tell(connection, changed, now)
    return changed


def ask_to_cancel(connection: Connection, running: Job) -> Job | None:
    """Tell the worker of a running job to stop; None when it has ended meanwhile."""
    still = and_(job.c.id == running.id, job.c.status == Status.RUNNING)
    return _update(connection, still, cancel_requested=True, revision=job.c.revision + 1)


def recover(connection: Connection, now: datetime) -> int:
    """Queue again, or give up, the jobs whose workers are gone; returns how many."""
    rows = connection.execute(select(job).where(_left_behind(now)).with_for_update(skip_locked=True)).mappings().all()
    for lost in map(Job.of, rows):
        status = after_loss(
            attempts=lost.attempts, max_attempts=lost.max_attempts, cancel_requested=lost.cancel_requested
        )
        if status is Status.QUEUED:
            later = now + retry_delay(lost.attempts)
            values = {"status": status, "worker": None, "lease_until": None, "run_after": later, "done": 0}
            _change(connection, lost.claim, **values, revision=job.c.revision + 1)
        else:
            told = problem_rows([WORKER_LOST]) if status is Status.FAILED else None
            _tell(connection, _change(connection, lost.claim, **_ended(status, now), problems=told), now)
    return len(rows)


def _due(kinds: Collection[str], now: datetime) -> ColumnElement[bool]:
    return and_(job.c.status == Status.QUEUED, job.c.run_after <= now, job.c.kind.in_(sorted(kinds)))


def _left_behind(now: datetime) -> ColumnElement[bool]:
    return and_(job.c.status == Status.RUNNING, job.c.lease_until <= now)


def _ended(status: Status, now: datetime) -> dict[str, Any]:
    return {
        "status": status,
        "params": {},  # nobody needs them any more, and they may name a person
        "worker": None,
        "lease_until": None,
        "finished_at": now,
        "revision": job.c.revision + 1,
    }


def _change(connection: Connection, claim: Claim, **values: Any) -> Job:
    ours = and_(job.c.id == claim.job_id, job.c.worker == claim.worker, job.c.attempts == claim.attempt)
    changed = _update(connection, ours, **values)
    if changed is None:
        raise ClaimLostError(claim.job_id)
    return changed


def _update(connection: Connection, condition: ColumnElement[bool], **values: Any) -> Job | None:
    row = connection.execute(update(job).where(condition).values(values).returning(job)).mappings().one_or_none()
    return None if row is None else Job.of(row)


def _tell(connection: Connection, ended: Job, now: datetime) -> None:
    payload = {
        "job_id": ended.id,
        "kind": ended.kind,
        "status": ended.status,
        "owner": f"{ended.owner_kind}:{ended.owner_id}",
    }
    put_message(connection, JOB_FINISHED, dedupe_key=ended.id, payload=payload, subject=None, due_at=now, now=now)
