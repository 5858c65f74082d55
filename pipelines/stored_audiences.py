"""Tags and segments of the operational store, as the commands `cdp audience …` ask for them and calculate them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol

import duckdb

from api.storage.audience_members import static_members
from api.storage.audience_snapshot import read_snapshot
from api.storage.audiences import (
    Calculation,
    Committed,
    StoredAudience,
    StoredVersion,
    current_versions,
    is_there,
)
from api.storage.calculation import FormerMembers, Made, calculate, commit, read_inputs
from api.storage.database import Database
from pipelines.clock import Clock
from pipelines.operational import operational_store
from pipelines.settings import PipelineSettings
from segment_engine.predicates import InAudience
from segment_engine.problems import Problem
from segment_engine.runtime.bitmaps import Bitmap, nobody
from segment_engine.runtime.memberships import read_merges
from segment_engine.runtime.published import Pointer
from segment_engine.runtime.version import Opened, customers_of
from segment_engine.sentences import AudienceNames
from segment_engine.tree import AudienceKind

OPERATOR = "system:cdp"
ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class StoredAudiences:
    """What filters may name on a day, and which clinics they leave out; nothing where there is no store."""

    usable: Sequence[StoredAudience] = ()
    excluded_clinics: frozenset[str] = frozenset()
    versions: Mapping[int, StoredVersion] = field(default_factory=dict)
    static: Mapping[int, Sequence[str]] = field(default_factory=dict)

    def ids(self, kind: AudienceKind) -> frozenset[int]:
        """Those of a kind."""
        return frozenset(one.id for one in self.usable if one.kind == kind)

    @property
    def names(self) -> AudienceNames:
        """What they are called."""
        return {(AudienceKind(one.kind), one.id): one.name for one in self.usable}

    def members(
        self, one: InAudience, opened: Opened, connection: duckdb.DuckDBPyConnection, settings: PipelineSettings
    ) -> Bitmap:
        """Who is in one of them; raises DamagedMembershipsError."""
        keys = opened.version.keys
        if one.id in self.static:
            return customers_of(connection, opened.catalog, self.static[one.id], keys)
        if one.id not in self.versions:
            return nobody(keys)
        return FormerMembers(settings.folders.audiences, read_merges(connection), keys).now(self.versions[one.id])


def stored_audiences(settings: PipelineSettings, day: date, moment: datetime | None) -> StoredAudiences:
    """One moment of the store, for a business day; moment: of the members, None is now."""
    with _store(settings) as store:
        if store is None:
            return StoredAudiences()
        with store.read() as connection:
            found = read_snapshot(connection, day)
            static = [one.id for one in found.usable if not one.is_smart]
            return StoredAudiences(
                found.usable,
                frozenset(found.excluded_clinics),
                current_versions(connection, at=moment),
                static_members(connection, static, at=moment) if static else {},
            )


class ServedVersion(Protocol):
    """The version that is served, open to be asked."""

    @property
    def connection(self) -> duckdb.DuckDBPyConnection: ...
    @property
    def pointer(self) -> Pointer: ...
    @property
    def opened(self) -> Opened: ...


Opening = Callable[[], AbstractContextManager[ServedVersion]]


@dataclass(frozen=True, slots=True)
class Recalculated:
    """What came of a calculation: members by audience, and why the others have none.

    overtaken: those of which something newer is served, or that were disabled or edited meanwhile
    """

    counts: Mapping[int, int]
    refused: Mapping[int, Sequence[Problem]]
    overtaken: Sequence[int]
    unknown: Sequence[int]


def recalculate(settings: PipelineSettings, ids: Sequence[int], opening: Opening, clock: Clock) -> Recalculated:
    """Calculate these and serve them; those that are not smart, enabled and published are unknown."""
    counts: dict[int, int] = {}
    refused: dict[int, Sequence[Problem]] = {}
    with _store(settings) as store:
        if store is None:
            return Recalculated({}, {}, [], list(ids))
        left, calculated = list(ids), set[int]()
        for _ in range(ATTEMPTS):
            made, committed = _once(settings, store, left, opening, clock.now())
            refused |= made.refused
            counts |= {one: len(made.members[one]) for one in committed.done}
            calculated |= made.members.keys()
            left = list(committed.behind)
            if not left:
                break
    overtaken = sorted(calculated - counts.keys() - refused.keys())
    return Recalculated(
        counts, refused, overtaken, [one for one in ids if one not in calculated and one not in refused]
    )


def _once(
    settings: PipelineSettings, store: Database, ids: Sequence[int], opening: Opening, now: datetime
) -> tuple[Made, Committed]:
    # First what is served, then the version: whatever a night serves from here on is seen to be newer.
    with store.read() as reading:
        found = read_inputs(reading, ids)
    with opening() as served:
        made = calculate(found, served.opened, served.connection, settings.folders.audiences, now=now)
        calculation = Calculation(served.pointer.version, served.pointer.as_of, now, "manual", OPERATOR)
    return made, store.write(lambda writing: commit(writing, made, calculation))


@contextmanager
def _store(settings: PipelineSettings) -> Iterator[Database | None]:
    """The store, if it knows tags and segments."""
    with operational_store(settings) as store:
        if store is None:
            yield None
            return
        with store.read() as connection:
            known = is_there(connection)
        yield store if known else None
