"""What the job routes do: look at one's jobs, cancel one, follow one."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime

import anyio
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import ServerSentEvent
from sqlalchemy import Connection

from api.access.actors import Actor
from api.errors import ConflictError, NotFoundError
from api.jobs.model import Job
from api.jobs.queue import ask_to_cancel, cancel_queued
from api.jobs.repository import own_job
from api.jobs.rules import JOB_FINISHED, JOB_UNKNOWN, Status
from api.jobs.schemas import job_answer
from api.storage.database import Database, StoreError

POLL_SECONDS = 0.5
# Then the client comes back by itself, and shows its key again.
LONGEST_STREAM_SECONDS = 600

EVENTS = {
    Status.QUEUED: "progress",
    Status.RUNNING: "progress",
    Status.SUCCEEDED: "done",
    Status.FAILED: "failed",
    Status.CANCELLED: "cancelled",
}


def require_own(connection: Connection, owner: Actor, job_id: str) -> Job:
    """A job of this actor; raises NotFoundError."""
    found = own_job(connection, owner, job_id)
    if found is None:
        raise NotFoundError(JOB_UNKNOWN)
    return found


def cancel(connection: Connection, owner: Actor, job_id: str, *, now: datetime) -> Job:
    """Cancel a queued job, or ask the worker of a running one to; raises NotFoundError, ConflictError when it ended."""
    while True:
        found = require_own(connection, owner, job_id)
        if found.finished:
            raise ConflictError(JOB_FINISHED)
        waiting = found.status is Status.QUEUED
        changed = cancel_queued(connection, found, now=now) if waiting else ask_to_cancel(connection, found)
        # Otherwise a worker was quicker, and the job is in another state now.
        if changed is not None:
            return changed


async def follow(
    database: Database,
    owner: Actor,
    job: Job,
    *,
    seen: int,
    secret: bytes,
    ending: Callable[[], bool],
) -> AsyncIterator[ServerSentEvent]:
    """The job's changes as events, `id` being the revision, from the one after `seen` to the last one."""
    ends_at = anyio.current_time() + LONGEST_STREAM_SECONDS
    while not ending() and anyio.current_time() < ends_at:
        if job.revision > seen:
            seen = job.revision
            answer = job_answer(job, secret)
            yield ServerSentEvent(event=EVENTS[job.status], id=str(seen), data=answer)
        if job.finished:
            return
        await anyio.sleep(POLL_SECONDS)
        job = await run_in_threadpool(_again, database, owner, job)


def _again(database: Database, owner: Actor, job: Job) -> Job:
    try:
        with database.read() as connection:
            return own_job(connection, owner, job.id) or job
    except StoreError:
        return job
