"""From what was checked to what it means: few predicates, plain logic, one form; nothing is counted from a day yet.

not equal → there and not among; no rows → not (rows); 3 to 6 → a range. Filters that mean the same up to order and
nesting become the same formula, which is what fingerprints, caches and shared work rest on. Source: filter-language.md,
Meaning 1 to 5 and Edges.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, TypeVar

from segment_engine.catalog import Field
from segment_engine.checked import Activity, CheckedGroup, CheckedNode, Comparison, Measure, Rows, Sequence
from segment_engine.formula import TRUE, Formula, all_of, any_of, mapped, no
from segment_engine.operators import OPERATORS, FieldType, Operator
from segment_engine.predicates import (
    Among,
    Anniversary,
    Column,
    Compared,
    During,
    Follows,
    Has,
    HasRows,
    Holds,
    InAudience,
    InBucket,
    Likeness,
    Matches,
    Measured,
    OfRows,
    Order,
    Overlap,
    Part,
    PartOf,
    Present,
    RowSet,
    SizeOf,
    Term,
)
from segment_engine.tidy import tidy, within
from segment_engine.tree import Bucket, Combinator, Everyone, Membership
from segment_engine.values import Size, Span, Unit, Value, Window
from segment_engine.windows import RELATIVE, absolute_days


def normalize(checked: CheckedGroup) -> Formula:
    """The formula over customers that a checked filter means."""
    return tidy(_group(checked))


def normalize_node(node: CheckedNode) -> Formula:
    """The same for a part of a filter by itself."""
    return tidy(_node(node))


def _group(group: CheckedGroup) -> Formula:
    parts = (_node(node) for node in group.rules)
    together = all_of(parts) if group.combinator is Combinator.AND else any_of(parts)
    return no(together) if group.negated else together


def _node(node: CheckedNode) -> Formula:
    match node:
        case CheckedGroup():
            return _group(node)
        case Comparison():
            return _comparison(node)
        case Activity():
            return _activity(node)
        case Sequence():
            return _sequence(node)
        case Membership(kind, ids, negated):
            one_of_them = any_of(InAudience(kind, one) for one in ids)
            return no(one_of_them) if negated else one_of_them
        case Bucket(salt, first, end):
            return InBucket(salt, first, end)
        case Everyone():
            return TRUE


def _comparison(node: Comparison) -> Formula:
    column = _column(node.field)
    if node.other is not None:
        return _compared(column, node.operator, _column(node.other), matches_missing=node.matches_missing)
    return predicated(column, node.operator, node.value, matches_missing=node.matches_missing)


def _activity(node: Activity) -> Formula:
    rows = row_set(node.rows)
    if not node.did:
        return no(HasRows(rows))
    measured = [_measure(rows, measure) for measure in node.having]
    return all_of(measured if node.include_zero else [HasRows(rows), *measured])


def _measure(rows: RowSet, measure: Measure) -> Formula:
    said = predicated(measured_by(measure), measure.operator, measure.value, matches_missing=measure.matches_missing)
    return _over(rows, said)


def measured_by(measure: Measure) -> Measured:
    """What is measured."""
    return Measured(measure.metric, None if measure.field is None else _column(measure.field), measure.type)


def _over(rows: RowSet, said: Formula) -> Formula:
    """The formula over a measure as one over customers."""
    return mapped(said, lambda predicate: OfRows(rows, predicate))  # type: ignore[arg-type]


def _sequence(node: Sequence) -> Formula:
    same = None
    if node.same is not None:
        same = _column(node.steps[0].source.fields[node.same])
    follows = Follows(
        steps=tuple(row_set(rows) for rows in node.steps),
        within=_in_base_units(node.within),
        max_gap=None if node.max_gap is None else _in_base_units(node.max_gap),
        without=None if node.without is None else row_set(node.without),
        same=same,
    )
    return follows if node.did else no(follows)


def row_set(rows: Rows) -> RowSet:
    """The rows of a source that a `where` keeps."""
    return RowSet(rows.source.name, TRUE if rows.where is None else tidy(_group(rows.where)))


def _column(field: Field) -> Column:
    return Column(field.name, field.type)


def predicated(term: Term, operator: Operator, value: Value, *, matches_missing: bool = False) -> Formula:
    """What an operator with its value says of a term."""
    if operator.name == "is_set":
        return Present(term)
    if operator.name == "not_set":
        return no(Present(term))
    if operator.is_negative:
        positive = predicated(term, _positive(operator, term), value)
        return no(positive) if matches_missing else all_of([Present(term), no(positive)])
    return _SAYS[operator.name](term, operator.name, value)


_POSITIVES: Final[Mapping[str, str]] = {
    "neq": "eq",
    "not_in": "in",
    "not_contains": "contains",
    "not_regex": "regex",
    "not_between": "between",
    "has_none": "has_any",
    "not_on": "on",
}


def _positive(operator: Operator, term: Term) -> Operator:
    return OPERATORS[term.type][_POSITIVES[operator.name]]


def _compared(column: Column, operator: Operator, other: Column, *, matches_missing: bool) -> Formula:
    positive = _POSITIVES.get(operator.name, operator.name)
    said = Compared(column, _ORDERS[positive], other)
    if not operator.is_negative:
        return said
    return no(said) if matches_missing else all_of([Present(column), Present(other), no(said)])


_ORDERS: Final[Mapping[str, Order]] = {
    "eq": Order.EQ,
    "gt": Order.GT,
    "gte": Order.GTE,
    "lt": Order.LT,
    "lte": Order.LTE,
    "on": Order.EQ,
    "before": Order.LT,
    "after": Order.GT,
}


def _among(term: Term, _: str, value: Value) -> Formula:
    values = value if isinstance(value, tuple) else (value,)
    return Among(term, tuple(sorted(set(values))))  # type: ignore[arg-type]


def _between(term: Term, _: str, value: Value) -> Formula:
    assert isinstance(value, tuple)
    return within(term, *value)


def _from(term: Term, name: str, value: Value) -> Formula:
    return within(term, value, None, includes_low=name == "gte")  # type: ignore[arg-type]


def _to(term: Term, name: str, value: Value) -> Formula:
    return within(term, None, value, includes_high=name == "lte")  # type: ignore[arg-type]


def _holds(term: Term, name: str, _: Value) -> Formula:
    return Holds(term) if name == "is_true" else all_of([Present(term), no(Holds(term))])


def _likeness(term: Term, name: str, value: Value) -> Formula:
    assert isinstance(value, str)
    return Matches(term, Likeness(name), value)


def _has(term: Term, name: str, value: Value) -> Formula:
    assert isinstance(value, tuple)
    values = tuple(sorted({str(one) for one in value}))
    overlap = {"has_any": Overlap.ANY, "has_all": Overlap.ALL, "set_eq": Overlap.SAME}[name]
    # All of one value is any of it.
    return Has(term, Overlap.ANY if overlap is Overlap.ALL and len(values) == 1 else overlap, values)


def _size(term: Term, _: str, value: Value) -> Formula:
    assert isinstance(term, Column | Measured)
    assert isinstance(value, Size)
    operator = OPERATORS[FieldType.INTEGER][value.operator]
    if not operator.is_negative:
        return predicated(SizeOf(term), operator, value.value)
    return all_of([Present(term), no(predicated(SizeOf(term), _positive(operator, SizeOf(term)), value.value))])


def _days(term: Term, name: str, value: Value) -> Formula:
    days = absolute_days(name, value)
    return within(term, days.first, days.last)


def _during(term: Term, name: str, value: Value) -> Formula:
    if isinstance(value, Window):
        return During(term, name, _in_base_units(value))
    if isinstance(value, Span):
        return During(term, name, _in_base_units(value))
    return During(term, "within_past", Window(1, Unit.DAY)) if name == "today" else During(term, name, None)


W = TypeVar("W", Window, Span)


def _in_base_units(window: W) -> W:
    """In days or months: a week is seven days, a year twelve months."""
    times, unit = {Unit.WEEK: (7, Unit.DAY), Unit.YEAR: (12, Unit.MONTH)}.get(window.unit, (1, window.unit))
    if isinstance(window, Window):
        return replace(window, n=window.n * times, unit=unit)
    return replace(window, a=window.a * times, b=window.b * times, unit=unit)


def _anniversary(term: Term, _: str, value: Value) -> Formula:
    assert isinstance(value, int)
    return Anniversary(term, value)


def _part(term: Term, name: str, value: Value) -> Formula:
    assert isinstance(term, Column | Measured)
    return _among(PartOf(term, Part.MONTH if name == "month_in" else Part.DAY), name, value)


_Says = Callable[[Term, str, Value], Formula]

_SAYS: Final[Mapping[str, _Says]] = {
    **dict.fromkeys(("eq", "in"), _among),
    **dict.fromkeys(("gt", "gte"), _from),
    **dict.fromkeys(("lt", "lte"), _to),
    **dict.fromkeys(("contains", "starts_with", "ends_with", "regex"), _likeness),
    **dict.fromkeys(("is_true", "is_false"), _holds),
    **dict.fromkeys(("has_any", "has_all", "set_eq"), _has),
    **dict.fromkeys(("on", "before", "after"), _days),
    **dict.fromkeys(RELATIVE, _during),
    **dict.fromkeys(("month_in", "day_in"), _part),
    "between": _between,
    "size": _size,
    "anniversary_within": _anniversary,
}
