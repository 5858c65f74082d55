"""Which customers a list or an export holds: quick filters, an advanced filter, tags and segments, cut to who is seen.

What is found out by the evaluator goes into SQL as one value of bits: of a million customers that is the quickest way.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

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


def selected(session: Session, asker: Asker, asked: CustomerSelection, *further: Callable[[], None]) -> Selection:
    """The selection; raises InvalidError, NotPermittedError with every problem, also those that `further` raise."""
    checked: list[CheckedGroup] = []
    quick: list[Conditions] = []
    steps: list[Callable[[], None]] = [
        lambda: quick.append(asker.sight.asked_for(asked.filter, QUICK)),
        lambda: _require_known(asked, asker.known),
    ]
    if asked.advanced is not None:
        steps.append(
            lambda: checked.append(asker.checked(session, asked.advanced, limits=CUSTOMER_LIST, place=ADVANCED))
        )
    refusals = [refusal for step in (*steps, *further) if (refusal := _refusal(step)) is not None]
    if refusals:
        raise all_at_once(refusals)
    return Selection(_among(session, asker, asked, *checked), *quick)


def _refusal(step: Callable[[], None]) -> ApiError | None:
    try:
        step()
    except ApiError as error:
        return error
    return None


def _among(
    session: Session, asker: Asker, asked: CustomerSelection, checked: CheckedGroup | None = None
) -> Bitmap | None:
    among = asker.scope(session, checked, place=ADVANCED)
    for found in _parts(session, asked, checked):
        among = found & session.opened.version.everyone if among is None else among & found
    return among


def _parts(session: Session, asked: CustomerSelection, checked: CheckedGroup | None) -> Iterator[Bitmap]:
    if checked is not None:
        yield session.members(checked, place=ADVANCED)
    for kind, ids in _named(asked).items():
        if ids:
            yield session.any_audience(InAudience(kind, one) for one in ids)


def _named(asked: CustomerSelection) -> dict[AudienceKind, list[int]]:
    return {AudienceKind.TAG: asked.tag_ids, AudienceKind.SEGMENT: asked.segment_ids}


def _require_known(asked: CustomerSelection, known: KnownAudiences) -> None:
    problems = []
    for kind, ids in _named(asked).items():
        there, zh = (known.tags, "标签") if kind is AudienceKind.TAG else (known.segments, "分群")
        problems += [
            Problem(f"unknown_{kind}", f"/{kind}_ids/{place}", f"{zh} {one} 不存在", f"There is no {kind} {one}.")
            for place, one in enumerate(ids)
            if one not in there
        ]
    if problems:
        raise InvalidError(*problems)
