"""Message tasks (群发任务): one message for each customer of a selection who allows marketing, put into the outbox.

Whoever is connected to the outbox delivers them (`api.outbox.transports`): an SMS gateway, WeCom. They know the
customer by `one_id`; no number stands in a message. The rows are the task's audience as it was: nobody is added later,
and each customer gets a task's message at most once.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from api.access.actors import Actor
from api.access.guard import missing
from api.access.permissions import Permission
from api.audiences.static_people import People, in_chunks
from api.audiences.static_schemas import MessageTask
from api.audiences.static_selection import SelectionTold, long_budget, pick
from api.audit.log import Entry, append
from api.caller import Caller
from api.errors import NotPermittedError
from api.jobs.context import Finished, JobContext
from api.jobs.model import Job
from api.jobs.queue import enqueue
from api.outbox.kinds import CUSTOMER_MESSAGE_TASK
from api.outbox.messages import enqueue_all
from api.privacy.consents import consenting
from api.privacy.schemas import Purpose
from api.storage.erasures import hold_erasures
from api.storage.forgetting import MESSAGE_CUSTOMERS

CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class Counts:
    """How many customers of a task get a message, do not allow marketing, are not seen by its requester."""

    messages: int = 0
    no_consent: int = 0
    not_seen: int = 0


def request_task(
    connection: Connection, actor: Actor, caller: Caller, task: MessageTask, selection: SelectionTold, *, now: datetime
) -> Job:
    """Put the task into the queue, and its request into the audit log."""
    params = {"name": task.name, "text": task.text, **selection}
    job = enqueue(connection, kind=MESSAGE_CUSTOMERS, params=params, owner=actor, request_id=caller.request_id, now=now)
    entry = Entry("customer.message_task.requested", "job", job.id, after={"name": task.name, "text": task.text})
    append(connection, caller, entry, now=now)
    return job


def message_customers(context: JobContext) -> Finished:
    """The handler: a message for everybody of the selection who allows it."""
    if not context.actor.may(Permission.CUSTOMER_MESSAGE):
        raise NotPermittedError(missing(Permission.CUSTOMER_MESSAGE))
    before = context.job.result or {}
    if before.get("_is_over"):
        return Finished(_told(context, Counts(**before["_counts"])))
    with context.services.filters.session(long_budget()) as session:
        params, permission = context.job.params, Permission.CUSTOMER_MESSAGE
        picked = pick(context.services, session, context.actor, permission, params)
        left = picked.keys[picked.keys > before.get("_last_key", -1)]
        had = Counts(**before.get("_counts", {}))
        counts = Counts(had.messages, had.no_consent, picked.not_seen)
        total = counts.messages + counts.no_consent + len(left)
        chunks = [*in_chunks(session.cursor, left, CHUNK)] or [People(last_key=before.get("_last_key", -1))]
    for number, people in enumerate(chunks, start=1):
        counts = _advance(context, people, counts, total, is_last=number == len(chunks))
    return Finished(_told(context, counts))


def _advance(context: JobContext, people: People, counts: Counts, total: int, *, is_last: bool) -> Counts:
    reached = counts

    def work(connection: Connection) -> dict[str, Any]:
        nonlocal reached
        now = context.services.clock()
        reached = _put(connection, context, people, counts, now)
        told = _told(context, reached)
        if is_last:
            caller = context.actor.caller(context.job.request_id, None)
            append(connection, caller, Entry("customer.message_task", "job", context.job.id, after=told), now=now)
        return {**told, "_counts": asdict(reached), "_last_key": people.last_key, "_is_over": is_last}

    done = counts.messages + counts.no_consent + len(people.one_ids)
    context.advance(work, done=done, total=total)
    return reached


def _put(connection: Connection, context: JobContext, people: People, counts: Counts, now: datetime) -> Counts:
    erased = hold_erasures(connection)
    allowed = consenting(connection, {one: people.ids_of(one) for one in people.one_ids}, Purpose.MARKETING)
    wanted = [one for one in people.one_ids if one in allowed and erased.isdisjoint(people.ids_of(one))]
    said = {"task_id": context.job.id, "name": context.job.params["name"], "text": context.job.params["text"]}
    messages = {one: {**said, "one_id": one} for one in wanted}
    put = enqueue_all(connection, CUSTOMER_MESSAGE_TASK, messages, task=context.job.id, due_at=now, now=now)
    refused = len(people.one_ids) - len(wanted)
    return Counts(counts.messages + put, counts.no_consent + refused, counts.not_seen)


def _told(context: JobContext, counts: Counts) -> dict[str, Any]:
    return {"task_id": context.job.id, **asdict(counts)}
