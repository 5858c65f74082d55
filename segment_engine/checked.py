"""The filter as it means something: names resolved by the catalogue, operators and values of their types.

`validate.py` makes these nodes from those of `tree.py`; what follows reads nothing else. Nodes without names are the
tree's own: `Membership`, `Everyone`, `Bucket`.
"""

from dataclasses import dataclass

from segment_engine.catalog import Field, Source
from segment_engine.operators import FieldType, Operator
from segment_engine.tree import Bucket, Combinator, Everyone, Membership, Metric, Place
from segment_engine.values import Value, Window


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field compared; `other` is the field on the right where one stands there, and `value` is None then."""

    field: Field
    operator: Operator
    value: Value
    other: Field | None
    matches_missing: bool
    place: Place


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric over rows compared; `type` is that of what is measured."""

    metric: Metric
    field: Field | None
    type: FieldType
    operator: Operator
    value: Value
    matches_missing: bool
    place: Place


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a source, all or those that `where` keeps."""

    source: Source
    where: "CheckedGroup | None"


@dataclass(frozen=True, slots=True)
class Activity:
    """Customers who have (did) or lack such rows; `having` measures them together."""

    rows: Rows
    did: bool
    having: tuple[Measure, ...]
    include_zero: bool
    place: Place


@dataclass(frozen=True, slots=True)
class Sequence:
    """Steps strictly one after another; `same` is equal in all."""

    steps: tuple[Rows, ...]
    within: Window
    max_gap: Window | None
    without: Rows | None
    same: str | None
    did: bool
    place: Place


@dataclass(frozen=True, slots=True)
class CheckedGroup:
    """Rules that hold together, all or any; negated: the contrary."""

    combinator: Combinator
    rules: "tuple[CheckedNode, ...]"
    negated: bool
    place: Place


CheckedRule = Comparison | Activity | Sequence | Membership | Everyone | Bucket
CheckedNode = CheckedRule | CheckedGroup
