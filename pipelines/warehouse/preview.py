"""What operator rows would change in the customers of the last night: `pipelines.identity.preview` over the warehouse.

The warehouse is only read. It is read under the writer lock all the same, for a night cannot open a file that another
process reads; whoever finds the lock taken is told to come back.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

import duckdb

from api.storage.overrides import OperatorRow
from pipelines.identity.model import IdentityConfig, IdentityNightError
from pipelines.identity.overrides import Override
from pipelines.identity.preview import Difference, Event, LastNight, Refused, preview
from pipelines.ingest.normalise import quote_literal
from pipelines.settings import PipelineSettings
from pipelines.warehouse.built import Stage, read_built
from pipelines.warehouse.connection import set_up
from pipelines.warehouse.lock import WarehouseBusy, writer_lock
from pipelines.warehouse.overrides import read_overrides, standing_overrides, take_overrides
from pipelines.warehouse.proposal import Proposal, keys_of, proposed_rows

SHOWN: Final = 200
_LAST_NIGHT: Final = LastNight(
    "warehouse.identity",
    "warehouse.intermediate.int_identity",
    "warehouse.intermediate.int_identity_evidence",
    "warehouse.intermediate.int_blocked_value",
)


@dataclass(frozen=True, slots=True)
class Preview:
    """How the rows would change `night`, the first one after `last_night`, if nothing else changed until then."""

    last_night: date
    night: date
    difference: Difference

    def told(self) -> dict[str, Any]:
        """As a JSON value: of events and conflicts the first 200 each, and how many there are of every kind."""
        found = self.difference
        return {
            "last_night": self.last_night.isoformat(),
            "night": self.night.isoformat(),
            "event_counts": _counts(found.events),
            "events": _first(found.events),
            "gone_event_counts": _counts(found.events_gone),
            "gone_events": _first(found.events_gone),
            "conflict_count": len(found.conflicts),
            "conflicts": _first(found.conflicts),
            "gone_conflict_count": len(found.conflicts_gone),
            "gone_conflicts": _first(found.conflicts_gone),
        }


def preview_overrides(settings: PipelineSettings, proposal: Proposal, *, now: datetime) -> Preview:
    """What the night after the last would log with the proposal and not without it, and the other way round.

    What was decided since the last night is taken to stand. Raises InvalidProposalError for what saving refuses,
    IdentityNightError when there is no whole night to start from, WarehouseBusy.
    """
    made = read_overrides(settings)
    if not settings.folders.warehouse.exists():
        raise _night_needed()
    with _last_night(settings) as con:
        row = con.execute(f"select max(night) from {_LAST_NIGHT.schema}.night").fetchone()
        if row is None or row[0] is None:
            raise _night_needed()
        last = row[0]
        night = max(now.astimezone(settings.zone).date(), last + timedelta(days=1))
        con.execute("create schema ingest")
        take_overrides(con, made)
        standing = standing_overrides(con, night).rows
        proposed = proposed_rows(standing, proposal, _known(con, proposal))
        found = preview(
            con,
            _LAST_NIGHT,
            night=night,
            config=IdentityConfig(),
            standing=_as_resolved(standing),
            proposed=_as_resolved(proposed),
        )
    return Preview(last, night, found)


@contextmanager
def _last_night(settings: PipelineSettings) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory with the warehouse beside it, as the last night left it."""
    folders = settings.folders
    with (
        writer_lock(folders, wait_seconds=settings.lock_wait_seconds, owner="cdp identity preview"),
        duckdb.connect() as con,
    ):
        built = read_built(folders)
        if built is None or built.stage < Stage.IDENTITY:
            raise _night_needed()
        set_up(con, settings)
        try:
            con.execute(f"attach {quote_literal(str(folders.warehouse))} as warehouse (read_only)")
        except duckdb.IOException as error:
            if "lock" not in str(error):
                raise
            raise WarehouseBusy({}) from None
        yield con


def _known(con: duckdb.DuckDBPyConnection, proposal: Proposal) -> set[str]:
    query = f"select key from {_LAST_NIGHT.schema}.assignment where present and list_contains($keys::varchar[], key)"
    return {key for (key,) in con.execute(query, {"keys": sorted(keys_of(proposal))}).fetchall()}


def _as_resolved(rows: Sequence[OperatorRow]) -> list[Override]:
    return [Override(row.id, row.kind, row.a, row.b) for row in rows]


def _night_needed() -> IdentityNightError:
    return IdentityNightError(
        "night_needed",
        "没有已完成的夜间任务可供预览,请先运行一次夜间任务",
        "there is no finished night to start from: run a night first",
    )


def _first(rows: Sequence[Event] | Sequence[Refused]) -> list[dict[str, Any]]:
    return [row._asdict() for row in rows[:SHOWN]]


def _counts(events: Sequence[Event]) -> dict[str, int]:
    return dict(sorted(Counter(event.event for event in events).items()))
