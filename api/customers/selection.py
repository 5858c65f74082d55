"""Which customers a list or an export holds: quick filters, an advanced filter, tags and segments, cut to who is seen.

What is found out by the evaluator goes into SQL as one value of bits: of a million customers that is the quickest way.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import duckdb

from api.customers.asking import Asker
from api.customers.repository import Conditions
from api.customers.schemas import CustomerSelection
from api.errors import ApiError, InvalidError
from api.filters.audiences import KnownAudiences
from api.filters.evaluator import Session
from api.filters.refusals import all_at_once
from segment_engine.checked import CheckedGroup
from segment_engine.document import CUSTOMER_LIST
from segment_engine.naming import not_enabled, not_there
from segment_engine.predicates import InAudience
from segment_engine.problems import Problem
from segment_engine.runtime.bitmaps import Bitmap
from segment_engine.tree import AudienceKind

QUICK: Final = "/filter"
ADVANCED: Final = "/advanced"
_AMONG: Final = "(get_bit($selected::blob::bit, customer_key) = 1)"


@dataclass(frozen=True, slots=True)
class Selection:
    """Who is meant and seen: `among` these, None for everybody, and as the quick filters say."""

    among: Bitmap | None
    quick: Conditions

    @property
    def conditions(self) -> Conditions:
        """As predicates over `marts.dim_customer`."""
        both = Conditions()
        if self.among is not None:
            both.add(_AMONG, {"selected": self.among.to_bits()})
        both.extend(self.quick)
        return both

    def count(self, cursor: duckdb.DuckDBPyConnection) -> int:
        """How many they are."""
        if self.among is not None and not self.quick.parts:
            return len(self.among)
        conditions = self.conditions
        text = f"select count(*) from marts.dim_customer where {conditions.text}"
        ((found,),) = cursor.execute(text, conditions.values).fetchall()
        return int(found)


@dataclass(frozen=True, slots=True)
class Meant:
    """What a selection means to one caller, before anybody is looked for.

    place: where the filter `advanced` stands in the request; audiences: by where they stand, in one of each place;
    by_rule: smart ones by their rules now, and not by their last run
    """

    quick: Conditions
    advanced: CheckedGroup | None
    place: str
    audiences: Mapping[str, Sequence[InAudience]] = field(default_factory=dict)
    by_rule: bool = False

    def selection(self, session: Session, asker: Asker) -> Selection:
        """Who it is; raises InvalidError where that takes too long, NotPermittedError, NotReadyError."""
        among = asker.scope(session, self.advanced, place=self.place)
        for found in self._parts(session, asker.known):
            among = found & session.opened.version.everyone if among is None else among & found
        return Selection(among, self.quick)

    def _parts(self, session: Session, known: KnownAudiences) -> Iterator[Bitmap]:
        if self.advanced is not None:
            yield session.members(self.advanced, place=self.place)
        for place, several in self.audiences.items():
            if self.by_rule:
                yield session.any_by_rule(several, known, place=place)
            else:
                yield session.any_audience(several, place=place)


def selected(session: Session, asker: Asker, asked: CustomerSelection, *further: Callable[[], None]) -> Selection:
    """The selection; raises InvalidError, NotPermittedError with every problem, also those that `further` raise."""
    return meant(session, asker, asked, *further).selection(session, asker)


def meant(
    session: Session, asker: Asker, asked: CustomerSelection, *further: Callable[[], None], place: str = ""
) -> Meant:
    """What is asked for; raises as `selected`. `place` is where it stands in the request."""
    checked: list[CheckedGroup] = []
    quick: list[Conditions] = []
    advanced = f"{place}{ADVANCED}"
    steps: list[Callable[[], None]] = [
        lambda: quick.append(asker.sight.asked_for(asked.filter, f"{place}{QUICK}")),
        lambda: _require_known(asked, asker.known, place),
    ]
    if asked.advanced is not None:
        steps.append(
            lambda: checked.append(asker.checked(session, asked.advanced, limits=CUSTOMER_LIST, place=advanced))
        )
    refusals = [refusal for step in (*steps, *further) if (refusal := _refusal(step)) is not None]
    if refusals:
        raise all_at_once(refusals)
    named = {kind: ids for kind, ids in _named(asked).items() if ids}
    audiences = {f"{place}/{kind}_ids": [InAudience(kind, one) for one in ids] for kind, ids in named.items()}
    return Meant(quick[0], next(iter(checked), None), advanced, audiences, asked.by_rule)


def meant_by_filter(session: Session, asker: Asker, document: Any, *, place: str) -> Meant:
    """What a filter alone means, however many conditions it has; raises InvalidError, NotPermittedError."""
    return Meant(Conditions(), asker.checked(session, document, place=place), place)


def _refusal(step: Callable[[], None]) -> ApiError | None:
    try:
        step()
    except ApiError as error:
        return error
    return None


def _named(asked: CustomerSelection) -> dict[AudienceKind, list[int]]:
    return {AudienceKind.TAG: asked.tag_ids, AudienceKind.SEGMENT: asked.segment_ids}


def _require_known(asked: CustomerSelection, known: KnownAudiences, place: str) -> None:
    problems = []
    for kind, ids in _named(asked).items():
        there = known.tags if kind is AudienceKind.TAG else known.segments
        problems += [
            _unusable(kind, one, known, f"{place}/{kind}_ids/{number}")
            for number, one in enumerate(ids)
            if one not in there
        ]
    if problems:
        raise InvalidError(*problems)


def _unusable(kind: AudienceKind, one: int, known: KnownAudiences, path: str) -> Problem:
    name = known.disabled.get((kind, one))
    if name is None:
        return Problem(f"unknown_{kind}", path, *not_there(kind, one))
    return Problem(f"{kind}_disabled", path, *not_enabled(kind, one, name))
