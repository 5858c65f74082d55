"""Filters asked without some clinics: those whose CDP service has ended, or whose data is still being initialised.

A row at such a clinic does not exist, and whoever has a file at such clinics only is no customer. What a customer's
attributes sum up over all clinics cannot be told apart. Which clinics these are is known to the operational store.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from segment_engine.catalog import WORDED, Field
from segment_engine.checked import Activity, CheckedGroup, CheckedNode, Comparison, Rows, Sequence
from segment_engine.formula import TRUE, Formula, no
from segment_engine.operators import OPERATORS, FieldType
from segment_engine.predicates import Column, Has, Overlap
from segment_engine.tree import Combinator, Place

CLINIC_OF_ROW: Final = "clinic_id"
"""The field of a source that says where a row happened; a row that does not say so, stays."""

CLINICS_OF_CUSTOMER: Final = "clinic_ids"
"""The field of the customer that lists their clinics; who has none, stays."""


def without_clinics(checked: CheckedGroup, clinics: frozenset[str]) -> CheckedGroup:
    """The filter in a world in which rows at these clinics do not exist; places stay, done twice is done once.

    visits of type 初诊 → visits of type 初诊 that are at none of these clinics. For working out only: people are told
    the filter that they wrote.
    """
    if not clinics:
        return checked
    return replace(checked, rules=tuple(node_without_clinics(rule, clinics) for rule in checked.rules))


def node_without_clinics(node: CheckedNode, clinics: frozenset[str]) -> CheckedNode:
    """The same for a part of a filter by itself."""
    if not clinics:
        return node
    match node:
        case CheckedGroup():
            return without_clinics(node, clinics)
        case Activity(rows, place=place):
            return replace(node, rows=_elsewhere(rows, clinics=clinics, place=place))
        case Sequence(steps, without=without, place=place):
            elsewhere = partial(_elsewhere, clinics=clinics, place=place)
            return replace(
                node,
                steps=tuple(map(elsewhere, steps)),
                without=None if without is None else elsewhere(without),
            )
    return node


def customers_elsewhere(attributes: Mapping[str, Field], clinics: frozenset[str]) -> Formula:
    """Who is a customer without these clinics: whoever has no clinic, or one besides."""
    field = attributes.get(CLINICS_OF_CUSTOMER)
    if not clinics or field is None or field.type is not FieldType.OPTIONS:
        return TRUE
    return no(Has(Column(field.name, field.type), Overlap.ONLY, tuple(sorted(clinics))))


def _elsewhere(rows: Rows, *, clinics: frozenset[str], place: Place) -> Rows:
    field = rows.source.fields.get(CLINIC_OF_ROW)
    if field is None or field.type not in WORDED:
        return rows
    # A node that nobody wrote stands where the `where` does, or would.
    at = (*place, "where") if rows.where is None else rows.where.place
    operator = OPERATORS[field.type]["not_in"]
    elsewhere = Comparison(field, operator, tuple(sorted(clinics)), other=None, matches_missing=True, place=at)
    said = (elsewhere,) if rows.where is None else (elsewhere, rows.where)
    return Rows(rows.source, CheckedGroup(Combinator.AND, said, negated=False, place=at))
