"""Asking for smart tags and segments to be calculated: a job in the transaction of what made it necessary.

What such a job does is the calculation's business.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from api.access.actors import Actor
from api.caller import Caller
from api.jobs.model import Job
from api.jobs.queue import enqueue

RECALCULATE = "audiences.recalculate"


def enqueue_calculation(
    connection: Connection,
    actor: Actor,
    caller: Caller,
    ids: Sequence[int],
    trigger: str = "definition",
    *,
    now: datetime,
) -> Job | None:
    """Put in a job that calculates these, each after those it refers to; None where there is nothing to calculate."""
    if not ids:
        return None
    params = {"ids": list(ids), "trigger": trigger}
    return enqueue(connection, kind=RECALCULATE, params=params, owner=actor, request_id=caller.request_id, now=now)
