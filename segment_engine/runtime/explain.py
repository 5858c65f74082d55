"""Why one customer is among those of a filter, or is not: the document's tree with true or false at every node.

Truths come from the same leaves that everybody's do, read from copies of the customer's own rows, so the root is true
exactly where the filter selects the customer. How many customers a filter means is `preview.py`'s.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from segment_engine.checked import Activity, CheckedGroup, CheckedNode, Comparison, Measure, Rows, Sequence
from segment_engine.clinics import node_without_clinics, without_clinics
from segment_engine.depends import depends_on
from segment_engine.describe import describe_measure, describe_rule
from segment_engine.emit import COUNT_OF, measure_name
from segment_engine.formula import Formula
from segment_engine.normalize import measured_by, normalize_node, row_set
from segment_engine.plan import Plan, plan
from segment_engine.predicates import Follows, HasRows, InAudience, RowSet
from segment_engine.problems import Problem, pointer
from segment_engine.relations import Statement
from segment_engine.resolve import resolve
from segment_engine.runtime.bitmaps import Bitmap, evaluated
from segment_engine.runtime.evidence import Viewer, chain_of, newest_rows
from segment_engine.runtime.explanation import (
    ExplainedNode,
    Explanation,
    Shown,
    ShownAudience,
    ShownField,
    ShownMeasure,
    average,
    shown,
)
from segment_engine.runtime.leaves import LeafReader
from segment_engine.runtime.limited import Budget
from segment_engine.runtime.own_rows import ALONE, OwnRows, alone_if, own_rows
from segment_engine.runtime.preview import SECONDS, below
from segment_engine.runtime.version import Opened
from segment_engine.sentences import AudienceNames, OptionLabels, Sentence
from segment_engine.statements import select_values
from segment_engine.tree import METRICS_OF_ROWS, Bucket, Everyone, Membership, Metric
from segment_engine.validate import Asking


class NotACustomerThenError(Exception):
    """On that day the customer was none yet."""

    def __init__(self, key: int) -> None:
        super().__init__("not a customer on that day / 当天还不是客户")
        self.key = key
        self.problem = Problem(
            "not_a_customer_then", "", "该客户在当天尚不存在", "On that day there was no such customer yet."
        )


class OfExcludedClinicsError(Exception):
    """Every clinic of the customer is excluded, so that no filter is asked of them."""

    def __init__(self, key: int) -> None:
        super().__init__("of excluded clinics only / 所属门诊均不参与计算")
        self.key = key
        self.problem = Problem(
            "of_excluded_clinics",
            "",
            "该客户的门诊均已到期或正在初始化,不参与筛选和重新计算",
            "All clinics of this customer have ended their CDP service or are initialising: filters leave them out.",
        )


@dataclass(frozen=True, slots=True)
class Telling:
    """Who is told, and with which words: permissions of `asking` show masked fields."""

    asking: Asking = field(default_factory=Asking)
    names: AudienceNames = field(default_factory=dict)
    labels: OptionLabels = field(default_factory=dict)


def explain(
    checked: CheckedGroup,
    opened: Opened,
    connection: duckdb.DuckDBPyConnection,
    key: int,
    *,
    audiences: Callable[[InAudience], Bitmap],
    telling: Telling | None = None,
    budget: Budget | None = None,
) -> Explanation:
    """The explanation of a filter, as it was written, for a customer.

    Raises NotACustomerThenError, OfExcludedClinicsError, QueryTimeoutError, QueryCancelledError, duckdb.Error. budget:
    SECONDS where none is given
    """
    if opened.left_out is not None and key in opened.left_out:
        raise OfExcludedClinicsError(key)
    if key not in opened.version.everyone:
        raise NotACustomerThenError(key)
    memberships = _Memberships(key, audiences)
    cursor = connection.cursor()
    try:
        return (budget or Budget(SECONDS)).run(
            lambda: _explained(checked, opened, cursor, memberships, telling or Telling()), cursor.interrupt
        )
    finally:
        cursor.close()


@dataclass(frozen=True, slots=True)
class _Memberships:
    """The tags and segments of the customer."""

    key: int
    audiences: Callable[[InAudience], Bitmap]

    def holds(self, one: InAudience) -> bool:
        return self.key in self.audiences(one)


def _explained(
    checked: CheckedGroup,
    opened: Opened,
    cursor: duckdb.DuckDBPyConnection,
    memberships: _Memberships,
    telling: Telling,
) -> Explanation:
    own = own_rows(cursor, opened, memberships.key, depends_on(checked).sources)
    (values,) = own.read(Statement(f"select * from {own.relations.customers}", {}))
    truths = _truths(checked, opened, own, memberships)
    teller = _Teller(opened, own, values, telling, truths, memberships)
    return Explanation(memberships.key, str(values["one_id"]), opened.as_of, teller.node(checked))


def _truths(checked: CheckedGroup, opened: Opened, own: OwnRows, memberships: _Memberships) -> Mapping[Hashable, bool]:
    """Of every node and measure, by its place."""
    meant = without_clinics(checked, opened.excluded_clinics)
    formulas: dict[Hashable, Formula] = {
        node.place: resolve(normalize_node(node), opened.as_of, opened.known) for node in _judged(meant)
    }
    made = plan(formulas)
    reader = LeafReader(own.cursor, own.version)
    found = _leaves(made, reader) | {one: alone_if(memberships.holds(one)) for one in made.audiences}
    return {
        place: 0 in evaluated(formula, lambda thing: found[thing], ALONE) for place, formula in made.formulas.items()
    }


def _leaves(made: Plan, reader: LeafReader) -> dict[Hashable, Bitmap]:
    found: dict[Hashable, Bitmap] = reader.of_customers([*made.of_customers])
    for scan in made.scans:
        found |= reader.of_rows(scan)
    for sequence in made.sequences:
        found |= reader.of_sequence(sequence)
    return found


def _judged(checked: CheckedGroup) -> Iterator[CheckedNode]:
    """Every node; each measure as an activity of its own, whatever else is measured."""
    yield checked
    for node in below(checked):
        yield node
        if isinstance(node, Activity):
            for measure in node.having:
                yield replace(node, having=(measure,), include_zero=True, place=measure.place)


@dataclass(frozen=True, slots=True)
class _Teller:
    """Tells nodes of one customer."""

    opened: Opened
    own: OwnRows
    values: Mapping[str, Any]
    telling: Telling
    truths: Mapping[Hashable, bool]
    memberships: _Memberships

    def node(self, node: CheckedNode) -> ExplainedNode:
        """A node with all that is in it."""
        told = ExplainedNode(pointer(node.place), _kind(node), self._sentence(node), self.truths[node.place])
        if isinstance(node, CheckedGroup):
            return replace(told, parts=tuple(map(self.node, node.rules)))
        # Sentences say what was written; the rows that speak for it are those that exist.
        match node_without_clinics(node, self.opened.excluded_clinics):
            case Comparison() as meant:
                return replace(told, observed=self._observed(meant))
            case Activity() as meant:
                return self._activity(meant, told)
            case Sequence() as meant:
                return self._sequence(meant, told)
            case Membership() as meant:
                return replace(told, audiences=self._audiences(meant))
        return told

    @property
    def _viewer(self) -> Viewer:
        return Viewer(ZoneInfo(self.own.relations.zone), self.telling.asking.permissions, self.telling.labels)

    def _sentence(self, node: CheckedNode) -> Sentence:
        return describe_rule(node, self.telling.names, self.opened.as_of, labels=self.telling.labels)

    def _observed(self, node: Comparison) -> tuple[ShownField, ...]:
        fields = [one for one in (node.field, node.other) if one is not None]
        return tuple(self._viewer.field(one, self.values[one.name]) for one in fields)

    def _activity(self, node: Activity, told: ExplainedNode) -> ExplainedNode:
        rows = self._rows(node.rows)
        count, evidence = (0, ()) if rows is None else newest_rows(self.own, node.rows.source, rows, self._viewer)
        return replace(told, measures=self._measures(node, rows), rows=count, evidence=evidence)

    def _rows(self, rows: Rows) -> RowSet | None:
        """The rows that are meant then; None where none can be."""
        meant = self._resolved(HasRows(row_set(rows)))
        return meant.rows if isinstance(meant, HasRows) else None

    def _resolved(self, formula: Formula) -> Formula:
        return resolve(formula, self.opened.as_of, self.opened.known)

    def _measures(self, node: Activity, rows: RowSet | None) -> tuple[ShownMeasure, ...]:
        if not node.having:
            return ()
        terms = [measured_by(measure) for measure in node.having]
        read = [] if rows is None else self.own.read(select_values(rows, [*dict.fromkeys(terms)], self.own.relations))
        return tuple(self._measure(measure, node, read[0] if read else {}) for measure in node.having)

    def _measure(self, measure: Measure, node: Activity, read: Mapping[str, Any]) -> ShownMeasure:
        sentence = describe_measure(measure, node.rows.source, self.opened.as_of, labels=self.telling.labels)
        holds, path = self.truths[measure.place], pointer(measure.place)
        if measure.field is not None and not self._viewer.sees(measure.field):
            return ShownMeasure(path, sentence, holds, None, is_hidden=True)
        return ShownMeasure(path, sentence, holds, _value(measure, read, self._viewer.zone))

    def _sequence(self, node: Sequence, told: ExplainedNode) -> ExplainedNode:
        follows = self._resolved(normalize_node(replace(node, did=True)))
        assert isinstance(follows, Follows)
        sources = [rows.source for rows in node.steps]
        evidence, missing = chain_of(self.own, sources, follows, self._viewer)
        return replace(told, evidence=evidence, missing=missing)

    def _audiences(self, node: Membership) -> tuple[ShownAudience, ...]:
        return tuple(
            ShownAudience(
                node.kind,
                one,
                self.telling.names.get((node.kind, one)),
                self.memberships.holds(InAudience(node.kind, one)),
            )
            for one in node.ids
        )


def _value(measure: Measure, read: Mapping[str, Any], zone: ZoneInfo) -> Shown:
    """What was measured; over no rows, counts are 0 and everything else is missing."""
    term = measured_by(measure)
    if not read:
        return 0 if measure.metric in METRICS_OF_ROWS else None
    value = read[measure_name(term)]
    if measure.metric is not Metric.AVG or value is None:
        return shown(value, measure.type, zone)
    assert term.column is not None
    return average(value, read[COUNT_OF.format(term.column.name)], measure.type, zone)


def _kind(node: CheckedNode) -> str:
    if isinstance(node, Membership):
        return str(node.kind)
    return _KINDS[type(node)]


_KINDS: Mapping[type, str] = {
    CheckedGroup: "group",
    Comparison: "attribute",
    Activity: "activity",
    Sequence: "sequence",
    Everyone: "everyone",
    Bucket: "bucket",
}
