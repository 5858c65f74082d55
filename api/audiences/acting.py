"""What a request that changes tags or segments works with, inside its transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import Depends
from sqlalchemy import Connection

from api.access.actors import Actor
from api.access.guard import CurrentActor
from api.audiences.calculation_queue import enqueue_calculation
from api.audiences.filters import Filters
from api.audiences.references import Standing
from api.audit.log import Entry, append
from api.caller import Caller
from api.dependencies import Catalogs, CurrentCaller, Reader, Settings
from api.dependencies import Filters as FilterEvaluation
from api.filters.evaluator import FilterEvaluator
from api.storage.audience_quotas import Included
from api.storage.audience_rules import lock_audiences, named_audiences, references
from segment_engine.references import dependants_of


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, and by what the filters of the request are read."""

    actor: Actor
    caller: Caller
    filters: Filters
    evaluator: FilterEvaluator
    included: Included
    zone: ZoneInfo

    def acting(self, connection: Connection, now: datetime) -> "Acting":
        """In a transaction, from here on the only one that changes tags and segments."""
        lock_audiences(connection)
        return Acting(self, connection, now)


@dataclass(frozen=True, slots=True)
class Acting:
    """One change of tags or segments; nobody else makes one until it is committed."""

    asked: Asked
    connection: Connection
    now: datetime

    @property
    def by(self) -> str:
        """Whose change it is."""
        return self.asked.caller.key

    @property
    def today(self) -> date:
        """The tenant's calendar day."""
        return self.now.astimezone(self.asked.zone).date()

    def standing(self) -> Standing:
        """All tags and segments, and who names whom, as they are now."""
        return Standing(named_audiences(self.connection), references(self.connection))

    def calculate(self, ids: Sequence[int]) -> str | None:
        """Have these calculated, and all that name them, where they are enabled; returns the job's id."""
        standing = self.standing()
        wanted = [*ids, *dependants_of(standing.references, ids)]
        live = [one for one in wanted if standing.known[one].is_smart and standing.known[one].is_enabled]
        job = enqueue_calculation(self.connection, self.asked.actor, self.asked.caller, live, now=self.now)
        return None if job is None else job.id

    def tell(self, action: str, target_kind: str, target_id: object, *, before: Any = None, after: Any = None) -> None:
        """The audit row; the last thing of a transaction."""
        entry = Entry(action, target_kind, str(target_id), before=before, after=after)
        append(self.connection, self.asked.caller, entry, now=self.now)


async def current_asked(
    actor: CurrentActor,
    caller: CurrentCaller,
    reader: Reader,
    catalogs: Catalogs,
    evaluator: FilterEvaluation,
    settings: Settings,
) -> Asked:
    """Who asks, for routes that change tags or segments or show their rules."""
    filters = Filters(reader, catalogs, actor, settings.zone)
    return Asked(actor, caller, filters, evaluator, Included.by(settings), settings.zone)


CurrentAsked = Annotated[Asked, Depends(current_asked)]
