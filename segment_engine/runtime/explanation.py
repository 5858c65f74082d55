"""What an explanation of one customer looks like, and how values are shown in it.

How it is found out is `explain.py`'s.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from segment_engine.operators import FieldType
from segment_engine.sentences import Sentence
from segment_engine.tree import AudienceKind

Shown = str | int | Decimal | bool | list[str] | None
"""Money in yuan, dates and moments as ISO texts (moments in the tenant's zone), a missing value as None."""

_CENT: Final = Decimal("0.01")
_DIGITS: Final = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class ShownField:
    """A field with its value; text: the option's label where it has one; is_hidden: the caller may not see it."""

    name: str
    label: Sentence
    value: Shown
    text: str | None = None
    is_hidden: bool = False


@dataclass(frozen=True, slots=True)
class ShownMeasure:
    """One of an activity's `having`: what was measured, and whether it is as asked."""

    path: str
    sentence: Sentence
    holds: bool
    value: Shown
    is_hidden: bool = False


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """A row of a source; step: the one that it is of a sequence, from 1."""

    source: str
    label: Sentence
    fields: tuple[ShownField, ...]
    step: int | None = None


@dataclass(frozen=True, slots=True)
class ShownAudience:
    """Whether the customer is in one of the tags or segments asked for."""

    kind: AudienceKind
    id: int
    name: str | None
    holds: bool


@dataclass(frozen=True, slots=True)
class ExplainedNode:
    """One node of the filter for one customer.

    observed: the fields that a comparison looks at; measures: of an activity; rows: how many `where` kept; evidence:
    the newest of them, or one chain of a sequence; missing: why there is no chain; parts: of a group
    """

    path: str
    kind: str
    sentence: Sentence
    holds: bool
    observed: tuple[ShownField, ...] = ()
    measures: tuple[ShownMeasure, ...] = ()
    rows: int | None = None
    evidence: tuple[EvidenceRow, ...] = ()
    missing: Sentence | None = None
    audiences: tuple[ShownAudience, ...] = ()
    parts: "tuple[ExplainedNode, ...]" = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a customer is among those of a filter at a moment, or is not."""

    key: int
    one_id: str
    as_of: datetime
    root: ExplainedNode

    @property
    def holds(self) -> bool:
        """Whether the filter means the customer."""
        return self.root.holds


def shown(value: Any, kind: FieldType, zone: ZoneInfo) -> Shown:
    """A stored value as people read it."""
    match value:
        case None | "" | []:
            return None
        case datetime():
            return value.astimezone(zone).isoformat()
        case date():
            return value.isoformat()
        case list():
            return sorted({str(one) for one in value})
        case bool() | str():
            return value
    number = Decimal(value)
    if kind is FieldType.MONEY:
        return (number / 100).quantize(_CENT)
    return int(number) if number == number.to_integral_value() and kind is FieldType.INTEGER else _short(number)


def average(total: Any, count: int, kind: FieldType, zone: ZoneInfo) -> Shown:
    """A sum over so many values, as their average."""
    return shown(Decimal(total) / count if count else None, kind, zone)


def _short(number: Decimal) -> Decimal:
    return number if number == number.quantize(_DIGITS) else number.quantize(_DIGITS)
