"""An explanation of the engine in the shapes of the API."""

from decimal import Decimal

from api.filters.evaluator import FILTER
from api.filters.schemas import (
    Evidence,
    Node,
    ObservedAudience,
    ObservedField,
    ObservedMeasure,
    Told,
    Value,
)
from segment_engine.runtime.explanation import (
    EvidenceRow,
    ExplainedNode,
    Shown,
    ShownAudience,
    ShownField,
    ShownMeasure,
)
from segment_engine.sentences import Sentence


def told(sentence: Sentence) -> Told:
    """A sentence."""
    return Told(zh=sentence.zh, en=sentence.en)


def told_node(node: ExplainedNode) -> Node:
    """A node with all that is in it."""
    return Node(
        path=f"{FILTER}{node.path}",
        kind=node.kind,
        sentence=told(node.sentence),
        holds=node.holds,
        observed=[_field(one) for one in node.observed],
        measures=[_measure(one) for one in node.measures],
        rows=node.rows,
        evidence=[_row(one) for one in node.evidence],
        missing=None if node.missing is None else told(node.missing),
        audiences=[_audience(one) for one in node.audiences],
        parts=[told_node(one) for one in node.parts],
    )


def _field(one: ShownField) -> ObservedField:
    return ObservedField(
        name=one.name, label=told(one.label), value=_value(one.value), text=one.text, hidden=one.is_hidden
    )


def _measure(one: ShownMeasure) -> ObservedMeasure:
    return ObservedMeasure(
        path=f"{FILTER}{one.path}",
        sentence=told(one.sentence),
        holds=one.holds,
        value=_value(one.value),
        hidden=one.is_hidden,
    )


def _row(one: EvidenceRow) -> Evidence:
    return Evidence(
        source=one.source, label=told(one.label), fields=[_field(field) for field in one.fields], step=one.step
    )


def _audience(one: ShownAudience) -> ObservedAudience:
    return ObservedAudience(kind=one.kind, id=one.id, name=one.name, holds=one.holds)


def _value(value: Shown) -> Value:
    """A number is one of JSON's."""
    return float(value) if isinstance(value, Decimal) else value
