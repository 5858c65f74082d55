"""The filter as a tree: what a document says, before anybody asks whether the catalogue knows it.

Nodes are values: `parse.py` makes them, later phases read them or make new ones. Fields, operators and values are as
they were written; what they mean together is decided in `validate.py`. Every node knows its place in the document.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class Combinator(StrEnum):
    """How the rules of a group go together (且/或)."""

    AND = "and"
    OR = "or"


class NullPolicy(StrEnum):
    """What a negative operator says of a value that is missing: no (exclude), or yes (match)."""

    EXCLUDE = "exclude"
    MATCH = "match"


class Occurrence(StrEnum):
    """Whether rows are there (有过/做过) or not (没有/未做过)."""

    DID = "did"
    DID_NOT = "did_not"


class Metric(StrEnum):
    """What is measured over the rows that `where` keeps (统计指标)."""

    COUNT = "count"
    DAYS = "days"
    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    DISTINCT = "distinct"
    FIRST = "first"
    LAST = "last"


METRICS_OF_ROWS: Final = frozenset({Metric.COUNT, Metric.DAYS})
"""Metrics that need no field."""


class Missing:
    """The value that was not given; operators such as `is_set` need none."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()

Place = tuple[str | int, ...]
"""The members that lead to a node from the document's root."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A field compared with a value: an attribute of the customer, or of one row inside `where`."""

    field: str
    operator: str
    value: Any | Missing
    null_policy: NullPolicy
    place: Place


@dataclass(frozen=True, slots=True)
class Having:
    """A metric over rows compared with a value; `field` is None for metrics of rows."""

    metric: Metric
    field: str | None
    operator: str
    value: Any | Missing
    null_policy: NullPolicy
    place: Place


@dataclass(frozen=True, slots=True)
class Activity:
    """Rows of a source that `where` keeps, and what must hold of them together."""

    source: str
    occurrence: Occurrence
    where: "Group | None"
    having: tuple[Having, ...]
    include_zero: bool
    place: Place


class AudienceKind(StrEnum):
    """What a membership is in: a tag (标签) or a segment (分群)."""

    TAG = "tag"
    SEGMENT = "segment"


@dataclass(frozen=True, slots=True)
class Membership:
    """Being in any (or, negated, in none) of these tags or segments."""

    kind: AudienceKind
    ids: tuple[int, ...]
    negated: bool
    place: Place


@dataclass(frozen=True, slots=True)
class Everyone:
    """All customers."""

    place: Place


@dataclass(frozen=True, slots=True)
class Bucket:
    """The customers whose hash of salt and `one_id` falls in [first, end) of 100."""

    salt: str
    first: int
    end: int
    place: Place


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a sequence: a row of a source that `where` keeps."""

    source: str
    where: "Group | None"
    place: Place


@dataclass(frozen=True, slots=True)
class Sequence:
    """Steps one after another, in time.

    All lie inside `within`, neighbours inside `max_gap` (as they were written), `without` between no two of them; the
    field `same` is equal in all.
    """

    steps: tuple[Step, ...]
    within: Any
    max_gap: Any | Missing
    without: Step | None
    same: str | None
    occurrence: Occurrence
    place: Place


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that hold together, all or any; negated: the contrary."""

    combinator: Combinator
    rules: "tuple[Node, ...]"
    negated: bool
    place: Place


Rule = Condition | Activity | Membership | Everyone | Bucket | Sequence
Node = Rule | Group


def rules_of(group: Group) -> Iterator[Rule]:
    """The rules of a group and of the groups in it; what stands in a `where` is a filter of its own."""
    for node in group.rules:
        if isinstance(node, Group):
            yield from rules_of(node)
        else:
            yield node
