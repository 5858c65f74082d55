"""What is true or false of a row, of rows together, of a customer: the things that formulas are made of.

All are values with names and constants, and false where what they look at is missing, but for `Present`, which asks
just that. Negative operators are not here: they are `No` of these, with `Present` where a missing value is to be left
out. How SQL says them belongs to `emit.py`.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from segment_engine.formula import TRUE, Formula
from segment_engine.operators import FieldType
from segment_engine.tree import AudienceKind, Metric
from segment_engine.values import Span, Window

Bound = int | Decimal | date | datetime | str
"""Of a range: a number, a moment, or a day; a day of a moment's column is that whole day in the tenant's zone."""


@dataclass(frozen=True, slots=True)
class Column:
    """A field of the row, or of the customer."""

    name: str
    type: FieldType


@dataclass(frozen=True, slots=True)
class SizeOf:
    """How many different values a field with several has; missing where it has none."""

    column: "Column | Measured"

    @property
    def type(self) -> FieldType:
        return FieldType.INTEGER


class Part(StrEnum):
    """Of a date: its month (1 to 12), its day of the month, or both as month × 100 + day."""

    MONTH = "month"
    DAY = "day"
    YEARLY = "yearly"


@dataclass(frozen=True, slots=True)
class PartOf:
    """A part of a date, in the tenant's zone; missing where the date is."""

    column: "Column | Measured"
    part: Part

    @property
    def type(self) -> FieldType:
        return FieldType.INTEGER


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric over rows; over none, count and days are 0 and everything else is missing."""

    metric: Metric
    column: Column | None
    type: FieldType


Term = Column | SizeOf | PartOf | Measured


def measured_in(term: Term) -> Measured | None:
    """The metric that a term looks at, itself or a part of it; None for a field."""
    inner = term.column if isinstance(term, SizeOf | PartOf) else term
    return inner if isinstance(inner, Measured) else None


@dataclass(frozen=True, slots=True)
class Present:
    """The term has a value: not null, no empty text, no empty list."""

    term: Term


@dataclass(frozen=True, slots=True)
class Among:
    """The term is one of these, which are sorted and different."""

    term: Term
    values: tuple[Bound, ...]


@dataclass(frozen=True, slots=True)
class Within:
    """The term lies between two bounds; None is open, and an end that is not included says so."""

    term: Term
    low: Bound | None
    high: Bound | None
    includes_low: bool = True
    includes_high: bool = True


class Likeness(StrEnum):
    """How a text is like another."""

    CONTAINS = "contains"
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    REGEX = "regex"


@dataclass(frozen=True, slots=True)
class Matches:
    """The text is like this one."""

    term: Term
    likeness: Likeness
    text: str


@dataclass(frozen=True, slots=True)
class Holds:
    """The boolean is true."""

    term: Term


class Overlap(StrEnum):
    """How a field with several values meets a list: one of it, all of it, nothing besides, it and nothing else."""

    ANY = "any"
    ALL = "all"
    ONLY = "only"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Has:
    """The values of the field meet these."""

    term: Term
    overlap: Overlap
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bits:
    """Of values that are kept as bits of a number: one of the mask's is there, or all of them are."""

    term: "Column"
    overlap: Overlap
    mask: int


class Order(StrEnum):
    """How one field stands to another."""

    EQ = "eq"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"


@dataclass(frozen=True, slots=True)
class Compared:
    """A field stands so to another of the same row; moments by their days."""

    term: Term
    order: Order
    other: Column


@dataclass(frozen=True, slots=True)
class During:
    """A date lies where an operator says, counted from a day that is not known yet."""

    term: Term
    operator: str
    value: Window | Span | None


@dataclass(frozen=True, slots=True)
class Anniversary:
    """A date's anniversary falls on one of the n days that begin on a day that is not known yet."""

    term: Term
    n: int


Predicate = Present | Among | Within | Matches | Holds | Has | Bits | Compared | During | Anniversary


@dataclass(frozen=True, slots=True)
class RowSet:
    """Rows of a source that a formula over their predicates keeps, and that were known by then."""

    source: str
    where: Formula = TRUE
    known_by: datetime | None = None


@dataclass(frozen=True, slots=True)
class HasRows:
    """The customer has such a row."""

    rows: RowSet


@dataclass(frozen=True, slots=True)
class OfRows:
    """What is measured over the customer's rows is so."""

    rows: RowSet
    predicate: Predicate


@dataclass(frozen=True, slots=True)
class InAudience:
    """The customer is in this tag or segment."""

    kind: AudienceKind
    id: int


@dataclass(frozen=True, slots=True)
class InBucket:
    """The customer's hash of salt and `one_id` falls in [first, end) of 100."""

    salt: str
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Follows:
    """The customer's rows hold such a sequence: one row per step, strictly one after another.

    within: from the first to the last; max_gap: between neighbours; without: none of these between neighbours; same:
    the column that is equal in all
    """

    steps: tuple[RowSet, ...]
    within: Window
    max_gap: Window | None
    without: RowSet | None
    same: Column | None


CustomerThing = Predicate | HasRows | OfRows | InAudience | InBucket | Follows

COUNT: Final = Measured(Metric.COUNT, None, FieldType.INTEGER)
