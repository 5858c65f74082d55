"""Many filters as one plan: distinct things to find out, each once, whoever asks; then algebra over what was found.

Equal things are equal values, so sharing is a set. Thresholds on one aggregate share its rows, 有过 and 没有 share
one leaf, and a tag or segment that is itself in the plan is finished before those that ask for it. How rows are read
belongs to `runtime/leaves.py`.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field

from segment_engine.formula import Formula, Thing, things_of
from segment_engine.predicates import Follows, HasRows, InAudience, InBucket, OfRows, Predicate, RowSet, measured_in
from segment_engine.references import in_order
from segment_engine.tree import Metric


@dataclass(slots=True)
class Scan:
    """One set of rows, and all that is asked of it; uses: by how many filters."""

    rows: RowSet
    things: dict[HasRows | OfRows, int] = field(default_factory=dict)

    @property
    def uses(self) -> int:
        """How often the plan's filters ask it."""
        return sum(self.things.values())


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be found out for filters, and how they follow from it.

    formulas: by the filter's key, in an order in which each finds the audiences that it refers to finished;
    of_customers: predicates and buckets, with their uses; scans: sets of rows; sequences: with their uses; audiences:
    those that are no filter of this plan
    """

    formulas: Mapping[Hashable, Formula]
    of_customers: Mapping[Predicate | InBucket, int]
    scans: tuple[Scan, ...]
    sequences: Mapping[Follows, int]
    audiences: Mapping[InAudience, int]

    @property
    def leaves(self) -> int:
        """Distinct things."""
        of_rows = sum(len(scan.things) for scan in self.scans)
        return len(self.of_customers) + of_rows + len(self.sequences) + len(self.audiences)

    @property
    def uses(self) -> int:
        """Things as often as filters ask them."""
        counted = (self.of_customers.values(), self.sequences.values(), self.audiences.values())
        return sum(map(sum, counted)) + sum(scan.uses for scan in self.scans)


def plan(formulas: Mapping[Hashable, Formula]) -> Plan:
    """The plan of resolved formulas; a key that is an `InAudience` is what others refer to. Raises CycleError."""
    inside = {key: [one for one in audiences_of(formula) if one in formulas] for key, formula in formulas.items()}
    ordered = {key: formulas[key] for key in in_order(inside)}
    of_customers: dict[Predicate | InBucket, int] = {}
    scans: dict[RowSet, Scan] = {}
    sequences: dict[Follows, int] = {}
    audiences: dict[InAudience, int] = {}
    for thing in (thing for formula in ordered.values() for thing in things_of(formula)):
        match thing:
            case HasRows(rows) | OfRows(rows):
                asked = scans.setdefault(rows, Scan(rows)).things
                asked[thing] = asked.get(thing, 0) + 1
            case Follows():
                sequences[thing] = sequences.get(thing, 0) + 1
            case InAudience() if thing in formulas:
                continue
            case InAudience():
                audiences[thing] = audiences.get(thing, 0) + 1
            case _:
                of_customers[thing] = of_customers.get(thing, 0) + 1  # type: ignore[index, call-overload]
    return Plan(ordered, of_customers, tuple(scans.values()), sequences, audiences)


def audiences_of(formula: Formula) -> Iterable[InAudience]:
    """The tags and segments that a formula asks, each once."""
    return dict.fromkeys(thing for thing in things_of(formula) if isinstance(thing, InAudience))


def is_counted(thing: Thing) -> bool:
    """Whether counting rows by key answers it: having rows, and thresholds on their number."""
    return isinstance(thing, HasRows) or (isinstance(thing, OfRows) and _metric(thing) is Metric.COUNT)


def is_ordered(thing: OfRows) -> bool:
    """Whether the rows' own values are asked for, and not a number made of them."""
    return _metric(thing) in (Metric.FIRST, Metric.LAST, Metric.DISTINCT)


def _metric(thing: OfRows) -> Metric:
    measured = measured_in(thing.predicate.term)
    assert measured is not None
    return measured.metric
