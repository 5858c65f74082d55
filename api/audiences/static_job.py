"""Changing many members as a job: in pieces of one transaction each, so that nobody waits and nothing is lost.

Each piece is written with the counts so far and the last customer it met (`JobContext.advance`): a job that is taken
up after a crash goes on behind that customer. What was done before a job was cancelled stays; its result says how much.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

import duckdb
import numpy as np
from sqlalchemy import Connection

from api.access.actors import Actor
from api.access.guard import missing
from api.audiences.static_change import Counts, Target, change, check_target, note
from api.audiences.static_people import Keys, People, in_chunks
from api.audiences.static_rules import KINDS, Act
from api.audiences.static_selection import SelectionTold, long_budget, pick
from api.audit.log import Entry, append
from api.caller import Caller
from api.errors import NotPermittedError
from api.jobs.context import CancelledError, Finished, JobContext
from api.jobs.model import Job
from api.jobs.queue import enqueue
from api.storage.forgetting import CHANGE_MEMBERS

CHUNK = 20_000
Told = dict[str, Any]


def request_change(
    connection: Connection,
    actor: Actor,
    caller: Caller,
    target: Target,
    selection: SelectionTold,
    *,
    file: Mapping[str, Any] | None = None,
    now: datetime,
) -> Job:
    """Put the change into the queue, and its request into the audit log; raises what `check_target` raises.

    file: what there is to say of the file that the customers were read from
    """
    check_target(connection, target)
    order = {"kind": target.kind.name, "audience_id": target.audience_id, "act": target.act, "how": target.how}
    params = {**order, **selection, "file": None if file is None else dict(file)}
    job = enqueue(connection, kind=CHANGE_MEMBERS, params=params, owner=actor, request_id=caller.request_id, now=now)
    entry = Entry(f"{target.kind.name}.members.requested", "job", job.id, after=order)
    append(connection, caller, entry, now=now)
    return job


def change_members(context: JobContext) -> Finished:
    """The handler: puts everybody of the selection in, or takes them out."""
    params = context.job.params
    target = Target(KINDS[params["kind"]], params["audience_id"], Act(params["act"]), params["how"])
    if not context.actor.may(target.kind.permission):
        raise NotPermittedError(missing(target.kind.permission))
    work = _Work(context, target)
    if not work.is_over:
        with context.services.filters.session(long_budget()) as session:
            picked = pick(context.services, session, context.actor, target.kind.permission, params)
            work.counts = Counts(work.counts.changed, work.counts.unchanged, picked.not_seen)
            try:
                work.through(session.cursor, picked.keys)
            except CancelledError:
                work.note_cancelled()
                raise
    return Finished(work.told())


class _Work:
    """How far one job is: its counts, and the last customer it met."""

    def __init__(self, context: JobContext, target: Target) -> None:
        before = context.job.result or {}
        self.counts = Counts(**before.get("_counts", {}))
        self.is_over = bool(before.get("_is_over", False))
        self._last_key = before.get("_last_key", -1)
        self._context = context
        self._target = target
        self._caller = context.actor.caller(context.job.request_id, None)

    def through(self, cursor: duckdb.DuckDBPyConnection, keys: Keys) -> None:
        """Change those who are left, piece by piece; the last one takes the audit row along."""
        left = keys[np.searchsorted(keys, self._last_key, side="right") :]
        total = self.counts.met + len(left)
        for people in in_chunks(cursor, left, CHUNK):
            self._advance(people, total, is_last=bool(people.last_key == left[-1]))
        if not len(left):
            self._advance(People(last_key=self._last_key), total, is_last=True)

    def told(self) -> Told:
        """What the job's owner is told."""
        file = self._context.job.params.get("file")
        return {**self.counts.told(self._target.act), "not_seen": self.counts.not_seen, **(file or {})}

    def note_cancelled(self) -> None:
        """The audit row of what had been done by then, unless that was everything."""
        if self.is_over:
            return
        services = self._context.services
        told = {**self.told(), "cancelled": True}
        services.database.write(
            lambda connection: note(connection, self._caller, self._target, _counted(told), now=services.clock())
        )

    def _advance(self, people: People, total: int, *, is_last: bool) -> None:
        counts = self.counts

        def work(connection: Connection) -> Told:
            now = self._context.services.clock()
            met = change(connection, self._target, people, by=self._caller.key, now=now)
            self.counts = counts.plus(met)  # from what was before: the store may do this twice
            self.is_over = is_last
            if is_last:
                note(connection, self._caller, self._target, _counted(self.told()), now=now)
            noted = {"_counts": asdict(self.counts), "_last_key": people.last_key, "_is_over": is_last}
            return {**self.told(), **noted}

        self._context.advance(work, done=counts.met + len(people.one_ids), total=total)


def _counted(told: Told) -> Told:
    """Counts only, for the audit log."""
    return {name: value for name, value in told.items() if not isinstance(value, list)}
