"""The process-wide evaluator: filters asked on what is published, each in its turn and within its time.

Who asks, and whose customers that shows, is `asker.py`'s; which version is served, `served.py`'s.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from functools import reduce
from operator import or_
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

import duckdb

from api.errors import InvalidError
from api.filters.audiences import AudienceDirectory, KnownAudiences
from api.filters.refusals import given_up, members_lost, refused
from api.filters.served import Served, ServedVersions
from api.filters.turns import Turns
from segment_engine.checked import CheckedGroup
from segment_engine.clinics import without_clinics
from segment_engine.compile import check, compile_many
from segment_engine.document import FilterLimits
from segment_engine.predicates import InAudience
from segment_engine.problems import InvalidFilterError, Problem
from segment_engine.runtime.audiences import AudienceReader, LeafMemory
from segment_engine.runtime.bitmaps import Bitmap, nobody
from segment_engine.runtime.catalogs import PublishedCatalogs
from segment_engine.runtime.explain import Telling, explain
from segment_engine.runtime.explanation import Explanation
from segment_engine.runtime.limited import Budget, QueryCancelledError, QueryTimeoutError
from segment_engine.runtime.memberships import DamagedMembershipsError
from segment_engine.runtime.preview import SECONDS, Preview, Sight, preview
from segment_engine.runtime.published import Pointer, PublishedReader
from segment_engine.runtime.version import Opened, asking_for

T = TypeVar("T")

WORKERS: Final = 2
"""Cursors that read leaves of one filter side by side."""

FILTER: Final = "/filter"
"""Where a filter stands in a body, unless somebody says otherwise."""

_ONE: Final = "filter"


@dataclass(frozen=True, slots=True)
class Session:
    """A cursor on one version, asked about one day. For one thread.

    day: the one in the past that is asked about, None for the version's own
    """

    served: Served
    opened: Opened
    cursor: duckdb.DuckDBPyConnection
    audiences: AudienceDirectory
    budget: Budget
    day: date | None = None

    @property
    def pointer(self) -> Pointer:
        """Of the version."""
        return self.served.pointer

    def checked(
        self,
        document: Any,
        classes: frozenset[str],
        known: KnownAudiences,
        *,
        limits: FilterLimits | None = None,
        place: str = FILTER,
    ) -> CheckedGroup:
        """What a document means, for who sees these classes of fields; raises InvalidError, NotPermittedError."""
        asking = asking_for(
            self.opened, permissions=classes, tags=known.tags, segments=known.segments, disabled=known.disabled
        )
        try:
            return check(document, self.served.catalog, asking, limits)
        except InvalidFilterError as error:
            raise refused(error, place) from None

    def members(self, checked: CheckedGroup, *, place: str = FILTER) -> Bitmap:
        """Everybody whom a filter means, whoever asks.

        Raises InvalidError where that takes too long, NotReadyError where the members of a tag or segment are lost.
        """
        meant = without_clinics(checked, self.opened.excluded_clinics)
        made = compile_many({_ONE: meant}, self.opened.as_of, self.opened.known)
        reader = AudienceReader(self.cursor, self.opened.version, self.audience, memory=self._memory, workers=WORKERS)
        with _answered(place):
            return self.budget.run(lambda: reader.read(made), reader.stop).members[_ONE]

    def preview(self, checked: CheckedGroup, sight: Sight, *, sample: int) -> Preview:
        """Count, sample and branches, of the customers in sight."""
        with _answered(FILTER):
            return preview(
                checked,
                self.opened,
                self.cursor,
                audiences=self.audience,
                sight=sight,
                sample=sample,
                memory=self._memory,
                budget=self.budget,
                workers=WORKERS,
            )

    def explain(self, checked: CheckedGroup, key: int, telling: Telling) -> Explanation:
        """Why a customer is among those of a filter, or is not.

        Raises NotACustomerThenError, OfExcludedClinicsError.
        """
        with _answered(FILTER):
            return explain(
                checked,
                self.opened,
                self.cursor,
                key,
                audiences=self.audience,
                telling=telling,
                budget=self.budget,
            )

    def within_budget(self, work: Callable[[], T]) -> T:
        """What the work answers, which asks no database; raises InvalidError where that takes too long."""
        with _answered(FILTER):
            return self.budget.run(work, _nothing)

    def audience(self, one: InAudience) -> Bitmap:
        """Who is in a tag or segment by its last run, or was on the day in the past."""
        moment: datetime | None = None if self.day is None else self.opened.as_of
        return self.audiences.members(one, self.opened, moment).at_most(self.opened.version.keys)

    def any_audience(self, several: Iterable[InAudience], *, place: str = FILTER) -> Bitmap:
        """Who is in one of these at least; raises NotReadyError where the members of one are lost."""
        with _answered(place):
            return reduce(or_, map(self.audience, several), nobody(self.opened.version.keys))

    def any_by_rule(self, several: Iterable[InAudience], known: KnownAudiences, *, place: str = FILTER) -> Bitmap:
        """Who is in one of these at least by their rules now; of one without a rule, whoever is in it.

        Raises InvalidError where a rule means nothing any more or takes too long, NotReadyError.
        """
        found = nobody(self.opened.version.keys)
        for one in several:
            document = self.audiences.rule(one)
            if document is None:
                found = found | self.any_audience([one], place=place)
                continue
            # Whoever wrote the rule saw the fields that it names; being in it is no secret, its values are.
            checked = self.checked(document, self.served.catalog.permissions, known, place=place)
            found = found | self.members(checked, place=place)
        return found

    def scope(self, predicate: str, values: Mapping[str, Any]) -> Bitmap:
        """The customers for whom a predicate over `marts.dim_customer` holds."""
        return self.served.scope(self.cursor, predicate, values)

    @property
    def _memory(self) -> LeafMemory | None:
        """What is remembered is of the version's own day."""
        return self.served.memory if self.day is None else None


class FilterEvaluator:
    """Opens sessions; `turns` says when. Thread-safe."""

    def __init__(
        self,
        reader: PublishedReader,
        catalogs: PublishedCatalogs,
        audiences: AudienceDirectory,
        *,
        timezone: str,
        seconds: float = SECONDS,
    ) -> None:
        self.audiences = audiences
        self.turns = Turns()
        self.seconds = seconds
        self._reader = reader
        self._versions = ServedVersions(catalogs, ZoneInfo(timezone))

    @contextmanager
    def session(self, budget: Budget | None = None, day: date | None = None) -> Iterator[Session]:
        """A session on the version that is served now.

        Raises NothingPublishedError, DamagedCatalogError, InvalidError for a day after the version's.
        """
        with self._reader.cursor() as (cursor, pointer):
            if day is not None and day > pointer.as_of:
                raise InvalidError(_not_yet(pointer.as_of))
            served = self._versions.of(cursor, pointer, self.audiences.excluded_clinics(pointer.as_of))
            is_past = day is not None and day < pointer.as_of
            opened = served.opened_on(cursor, day) if is_past and day is not None else served.opened
            yield Session(
                served, opened, cursor, self.audiences, budget or Budget(self.seconds), day if is_past else None
            )


def _nothing() -> None:
    """Work in memory cannot be stopped: it ends by itself, and nobody waits for it."""


@contextmanager
def _answered(place: str) -> Iterator[None]:
    try:
        yield
    except (QueryTimeoutError, QueryCancelledError) as error:
        raise given_up(error, place) from None
    except DamagedMembershipsError:
        raise members_lost(place) from None


def _not_yet(published_on: date) -> Problem:
    return Problem(
        "as_of_not_published",
        "/as_of",
        f"该日期晚于已发布数据的业务日 {published_on}",
        f"The published data ends on {published_on}.",
    )
