"""Recalculating smart tags and segments on demand (重新计算): the job, which serves what it found or says why not.

The night does the same for all of them (`pipelines.warehouse.audiences`); putting the job into the queue is
`calculation_queue.py`'s.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from sqlalchemy import Connection

from api.access.erased import erased_customers
from api.customers.sight import Sight
from api.errors import EARLIER_RELEASE, ConflictError, NotReadyError
from api.filters.evaluator import Session
from api.jobs.context import Finished, JobContext
from api.storage.audiences import Calculation, Committed, current_versions
from api.storage.calculation import Made, calculate, commit, read_inputs
from segment_engine.problems import Problem
from segment_engine.runtime.bitmaps import Bitmap
from segment_engine.runtime.limited import Budget
from segment_engine.runtime.published import EarlierReleaseError

SECONDS: Final = 600.0
"""A calculation may take longer than anybody would wait for a preview."""

ATTEMPTS: Final = 5
OVERTAKEN = Problem(
    "calculation_overtaken",
    "",
    "其他计算持续更新这些标签或分群,请稍后重试",
    "Other calculations of the same tags or segments kept coming between; try again later.",
)


@dataclass(slots=True)
class _Outcome:
    """What has been served and refused so far."""

    counts: dict[int, dict[str, Any]] = field(default_factory=dict)
    refused: dict[int, Sequence[Problem]] = field(default_factory=dict)
    dropped: list[int] = field(default_factory=list)

    def result(self) -> dict[str, Any]:
        """As the job tells it; counts are of the customers whom the caller sees."""
        return {
            "calculated": [{"id": one, **told} for one, told in sorted(self.counts.items())],
            "refused": [
                {"id": one, "problems": [asdict(problem) for problem in problems]}
                for one, problems in sorted(self.refused.items())
            ],
            "not_wanted": sorted(self.dropped),
        }


def recalculate(context: JobContext) -> Finished:
    """Calculate what the job names on the version that is served, and serve it; raises ConflictError, NotReadyError."""
    ids: Collection[int] = context.job.params["ids"]
    total, outcome = len(ids), _Outcome()
    context.progress(0, total)
    for _ in range(ATTEMPTS):
        ids = _attempt(context, ids, outcome)
        context.progress(total - len(ids), total)
        if not ids:
            return Finished(outcome.result())
    raise ConflictError(OVERTAKEN)


def _attempt(context: JobContext, ids: Collection[int], outcome: _Outcome) -> Sequence[int]:
    """Calculate these; those are returned of which somebody else served members meanwhile."""
    services = context.services
    # First the moment, then what is served then, then the version: whatever comes to count from here on is seen to be
    # newer. The other way round, members of a night that is published meanwhile would be followed by older ones.
    now = services.clock()
    with services.database.read() as connection:
        found = read_inputs(connection, ids)
    with services.filters.session(Budget(SECONDS)) as session:

        def work() -> Made:
            return calculate(found, session.opened, session.cursor, services.settings.folders.audiences, now=now)

        try:
            made = session.within_budget(work)
        except EarlierReleaseError:
            raise NotReadyError(EARLIER_RELEASE) from None
        calculation = Calculation(
            warehouse=session.pointer.version,
            as_of=session.pointer.as_of,
            computed_at=now,
            trigger=context.job.params["trigger"],
            operator=f"{context.job.owner_kind}:{context.job.owner_id}",
        )
        committed = _served(context, made, calculation)
        _note(context, session, made, committed, outcome)
    wanted = {rule.id for rule in found.rules}
    outcome.dropped += [one for one in ids if one not in wanted]
    return committed.behind


def _served(context: JobContext, made: Made, calculation: Calculation) -> Committed:
    """Serve it, if the job is still ours and wanted."""
    told: list[Committed] = []

    def work(connection: Connection) -> None:
        told.append(commit(connection, made, calculation))

    context.record(work)
    # A transaction that was repeated told it twice; the last time counts.
    return told[-1]


def _note(context: JobContext, session: Session, made: Made, committed: Committed, outcome: _Outcome) -> None:
    outcome.refused |= made.refused
    outcome.dropped += committed.dropped
    scope = _scope(context, session)
    with context.services.database.read() as connection:
        served = current_versions(connection, committed.done)
    for one in committed.done:
        members = made.members[one] if scope is None else made.members[one] & scope
        outcome.counts[one] = {"member_count": len(members), "number": served[one].number}


def _scope(context: JobContext, session: Session) -> Bitmap | None:
    with context.services.database.read() as connection:
        sight = Sight(context.actor, erased_customers(connection))
    conditions = sight.showing((), "")
    return session.scope(conditions.text, conditions.values) if conditions.parts else None
