"""Reading jobs: one's own, and how many there are."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, func, select

from api.access.actors import Actor
from api.jobs.model import Job
from api.jobs.rules import Status
from api.keyset import Place, behind
from api.storage.tables.jobs import job


def own_job(connection: Connection, owner: Actor, job_id: str) -> Job | None:
    """A job of this actor; None for one that is not there, or somebody else's."""
    row = connection.execute(select(job).where(job.c.id == job_id, _of(owner))).mappings().one_or_none()
    return None if row is None else Job.of(row)


def own_jobs(connection: Connection, owner: Actor, *, after: Place | None, limit: int) -> list[Job]:
    """Up to `limit` jobs of this actor, newest first."""
    query = select(job).where(_of(owner)).order_by(job.c.created_at.desc(), job.c.id.desc()).limit(limit)
    if after is not None:
        query = query.where(behind(after, job.c.created_at, job.c.id))
    return [Job.of(row) for row in connection.execute(query).mappings()]


def backlog(connection: Connection) -> tuple[dict[str, int], datetime | None]:
    """How many jobs are queued and running, and since when the oldest queued one waits."""
    watched = (Status.QUEUED, Status.RUNNING)
    query = select(job.c.status, func.count(), func.min(job.c.created_at)).where(job.c.status.in_(watched))
    found = {row[0]: (row[1], row[2]) for row in connection.execute(query.group_by(job.c.status))}
    counts = {status.value: found.get(status.value, (0, None))[0] for status in watched}
    return counts, found.get(Status.QUEUED.value, (0, None))[1]


def _of(owner: Actor) -> Any:
    """A narrowed key sees what it asked for itself: what another key of the same person exported may tell more."""
    theirs = and_(job.c.owner_kind == owner.kind, job.c.owner_id == owner.id)
    return theirs if owner.scopes is None else and_(theirs, job.c.owner_scopes == sorted(owner.scopes))
