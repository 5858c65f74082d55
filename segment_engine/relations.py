"""Where things are: the physical names and times that statements are written for. Nothing here is a filter's.

The logical tables are the marts; a past day's customers are the versions of the attribute history that held then.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Final

from segment_engine.catalog import Catalog, Child, Source
from segment_engine.clinics import customers_elsewhere
from segment_engine.formula import TRUE, Formula
from segment_engine.predicates import Column

ATTRIBUTE_HISTORY: Final = "marts.customer_attribute_history"
CREATED_AT: Final = "created_at"
"""When a customer came: the column of every table of customers."""

AUDIENCE_MEMBERS: Final = "marts.audience_members"


@dataclass(frozen=True, slots=True)
class RowTable:
    """A source's table, with the columns that say when a row happened and when it became known."""

    table: str
    time: Column
    known_at: Column | None
    children: Mapping[str, Child] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Relations:
    """What a statement reads.

    zone: the tenant's, by which moments have days; customers: a table with one row per customer, or, with
    history_on, one with a row per customer and stretch of time, of which only those who are customers still (who are in
    `present`) are meant; created_by: leaves out customers who came later; excluded_clinics: those whose rows do not
    exist, and then universe: what holds of everybody who is a customer
    """

    zone: str
    customers: str
    sources: Mapping[str, RowTable]
    audience_members: str = AUDIENCE_MEMBERS
    history_on: date | None = None
    children: Mapping[str, Child] = field(default_factory=dict)
    present: str | None = None
    created_by: datetime | None = None
    excluded_clinics: frozenset[str] = frozenset()
    universe: Formula = TRUE

    @property
    def of_all_clinics(self) -> "Relations":
        """The same with everybody in it."""
        return replace(self, excluded_clinics=frozenset(), universe=TRUE)


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL text with the values of its parameters, by name; run together, never pasted."""

    text: str
    values: Mapping[str, Any]


def relations_of(
    catalog: Catalog,
    zone: str,
    *,
    history_on: date | None = None,
    created_by: datetime | None = None,
    excluded_clinics: frozenset[str] = frozenset(),
) -> Relations:
    """The marts of a catalogue; with history_on, customers as they were on that day, with created_by, those of then.

    excluded_clinics: their rows, and the customers of no other clinic, are left out
    """
    return Relations(
        zone=zone,
        customers=catalog.customers if history_on is None else ATTRIBUTE_HISTORY,
        sources={name: _row_table(source) for name, source in catalog.sources.items()},
        history_on=history_on,
        children={name: one.child for name, one in catalog.attributes.items() if one.child is not None},
        present=None if history_on is None else catalog.customers,
        created_by=created_by,
        excluded_clinics=excluded_clinics,
        universe=customers_elsewhere(catalog.attributes, excluded_clinics),
    )


def _row_table(source: Source) -> RowTable:
    return RowTable(
        table=source.table,
        time=Column(source.time, source.fields[source.time].type),
        known_at=None if source.known_at is None else Column(source.known_at, source.fields[source.known_at].type),
        children={name: one.child for name, one in source.fields.items() if one.child is not None},
    )
