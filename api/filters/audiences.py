"""What filters must know of tags and segments: which there are, what they are called, who is in them.

Where they come from is decided in `api.main`, in one place; how they are kept belongs to whoever keeps them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol

from sqlalchemy import Connection

from segment_engine.predicates import InAudience
from segment_engine.runtime.bitmaps import Bitmap
from segment_engine.runtime.version import Opened
from segment_engine.sentences import AudienceNames
from segment_engine.tree import AudienceKind


@dataclass(frozen=True, slots=True)
class KnownAudiences:
    """The tags and segments that filters may name now.

    computed_at: when the members of a smart one were last found out; a static one has no such moment
    disabled: what those are called that exist and may not be named, since they are out of use
    """

    tags: frozenset[int] = frozenset()
    segments: frozenset[int] = frozenset()
    names: AudienceNames = field(default_factory=dict)
    computed_at: Mapping[tuple[AudienceKind, int], datetime] = field(default_factory=dict)
    disabled: AudienceNames = field(default_factory=dict)


class AudienceDirectory(Protocol):
    """Tags and segments, as filters ask for them."""

    def known(self, connection: Connection) -> KnownAudiences:
        """Those that exist; `connection` is to the operational store."""

    def rule(self, one: InAudience) -> Any | None:
        """The filter by which a smart one is calculated; None for a static one."""

    def excluded_clinics(self, day: date) -> frozenset[str]:
        """Clinics of which filters know nothing on this business day."""

    def members(self, one: InAudience, opened: Opened, moment: datetime | None) -> Bitmap:
        """Who is in one of them by its last run, over the version's keys; at a moment in the past, who was then."""
