"""Somebody who asks filters: what they may name, whom that shows them, which names they are told.

Evaluating is `api.filters.evaluator`'s, seeing customers `sight.py`'s.
"""

from dataclasses import dataclass
from typing import Any

from api.access.masking import visible_classes
from api.customers.sight import Sight
from api.filters.audiences import KnownAudiences
from api.filters.evaluator import FILTER, Session
from api.filters.labels import labels_for
from api.filters.personal import permissions_of
from segment_engine.checked import CheckedGroup
from segment_engine.document import FilterLimits
from segment_engine.runtime.bitmaps import Bitmap
from segment_engine.sentences import OptionLabels


@dataclass(frozen=True, slots=True)
class Asker:
    """A caller with what there is to name at this moment."""

    sight: Sight
    known: KnownAudiences

    @property
    def classes(self) -> frozenset[str]:
        """The personal fields that the caller may name: those it sees of some customers at least."""
        return visible_classes(self.sight.actor)

    def checked(
        self, session: Session, document: Any, *, limits: FilterLimits | None = None, place: str = FILTER
    ) -> CheckedGroup:
        """What a document means; raises InvalidError, NotPermittedError with every problem."""
        return session.checked(document, self.classes, self.known, limits=limits, place=place)

    def scope(self, session: Session, checked: CheckedGroup | None = None, *, place: str = FILTER) -> Bitmap | None:
        """The customers whom the caller sees, and of whom every personal field that the filter names; None is all."""
        needed = frozenset() if checked is None else permissions_of(checked, session.served.catalog)
        conditions = self.sight.showing(needed, place)
        return session.scope(conditions.text, conditions.values) if conditions.parts else None

    def labels(self, session: Session) -> OptionLabels:
        """Labels of options, colleagues masked as the caller sees them."""
        return labels_for(self.sight.actor, session.served.labels, session.served.colleagues)
