"""Candidate values (候选值): what there is to choose from when a filter is written, by field of the catalogue.

Also of the fields of the customer list that are no fields of filters: names of clinics and of those who look after
customers. Counting is `frequencies.py`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import duckdb

from api.access.masking import mask_name, permission_for, permissions_for_class
from api.access.permissions import Permission
from api.catalogue.frequencies import CUSTOMERS, Column, Counted, Naming, most_frequent
from api.catalogue.options import STAFF
from api.catalogue.schemas import CandidateQuery, CandidateValue, CandidateValues, SourceValue, SourceValues
from api.customers.sight import Sight
from api.errors import InvalidError, NotFoundError
from segment_engine.catalog import DATED, Catalog, Field
from segment_engine.operators import FieldType
from segment_engine.problems import Problem
from segment_engine.runtime.catalogs import PublishedCatalogs
from segment_engine.runtime.published import PublishedReader
from segment_engine.texts import normalised

FIELD_PATH: Final = "/path/field"
NO_FIELD: Final = Problem("unknown_field", FIELD_PATH, "没有这个字段", "There is no such field.")
NO_SOURCE: Final = Problem("unknown_source", "/path/source", "没有这个数据源", "There is no such source.")
DATES: Final = Problem(
    "no_candidate_values",
    FIELD_PATH,
    "日期和时间字段没有候选值,请按时间范围筛选",
    "Dates and times are not chosen from values that occur; compare with a day or a window instead.",
)
LIST_FIELDS: Final = (
    "clinic_name", "online_consultant_name", "consultant_name", "last_visit_doctor_name", "responsible_doctor_name",
    "customer_service_name",
)  # fmt: skip
"""Columns of the customer list that filters cannot name."""


@dataclass(frozen=True, slots=True)
class _Asked:
    column: Column
    permissions: frozenset[Permission]


def customer_values(
    reader: PublishedReader, catalogs: PublishedCatalogs, sight: Sight, field: str, query: CandidateQuery
) -> CandidateValues:
    """Of the customers whom the caller sees with this field's own value.

    Raises NotFoundError, NotPermittedError where the caller sees everybody's masked, InvalidError for a date.
    Values of other clinics' customers are not told, nor those that the caller sees masked.
    """
    with reader.cursor() as (cursor, pointer):
        found = _counted(cursor, sight, _of_customer(catalogs.of(pointer), field), query)
    return CandidateValues(
        version=pointer.version,
        as_of=pointer.as_of,
        values=[CandidateValue(**_told(one), customers=one.rows) for one in found[: query.limit]],
        has_more=len(found) > query.limit,
    )


def source_values(
    reader: PublishedReader, catalogs: PublishedCatalogs, sight: Sight, source: str, field: str, query: CandidateQuery
) -> SourceValues:
    """As `customer_values`, of the rows of a source."""
    with reader.cursor() as (cursor, pointer):
        found = _counted(cursor, sight, _of_source(catalogs.of(pointer), source, field), query)
    return SourceValues(
        version=pointer.version,
        as_of=pointer.as_of,
        values=[SourceValue(**_told(one), rows=one.rows) for one in found[: query.limit]],
        has_more=len(found) > query.limit,
    )


def _of_customer(catalog: Catalog, name: str) -> _Asked:
    field = catalog.attributes.get(name)
    if field is not None:
        return _of_field(catalog.customers, field)
    if name not in LIST_FIELDS:
        raise NotFoundError(NO_FIELD)
    permission = permission_for(name)
    return _Asked(Column(CUSTOMERS, name, FieldType.TEXT), frozenset({permission} if permission else ()))


def _of_source(catalog: Catalog, source_name: str, name: str) -> _Asked:
    source = catalog.sources.get(source_name)
    if source is None:
        raise NotFoundError(NO_SOURCE)
    field = source.fields.get(name)
    if field is None:
        raise NotFoundError(NO_FIELD)
    return _of_field(source.table, field)


def _of_field(table: str, field: Field) -> _Asked:
    """A field with several values has them in a table of their own, one per row."""
    at = (table, field.name) if field.child is None else (field.child.table, field.child.column)
    return _Asked(Column(*at, field.type, field.options_from), permissions_for_class(field.permission))


def _counted(cursor: duckdb.DuckDBPyConnection, sight: Sight, asked: _Asked, query: CandidateQuery) -> list[Counted]:
    """One more than asked tells whether there are more."""
    customers = sight.showing(asked.permissions, FIELD_PATH)
    if asked.column.type in DATED:
        raise InvalidError(DATES)
    search = None if query.search is None else normalised(query.search)
    naming = _naming(sight, asked.column)
    return most_frequent(cursor, asked.column, customers, naming, search=search, limit=query.limit + 1)


def _naming(sight: Sight, column: Column) -> Naming:
    """Staff are called by their names where the customers' list shows them: for customers whose names are seen."""
    if column.labels is None or column.labels.table != STAFF:
        return Naming("true", {})
    named = sight.actor.reaches(Permission.CUSTOMER_NAME_VIEW)
    if not named:
        return Naming("false", {})
    if named >= sight.actor.reaches(sight.permission):
        return Naming("true", {})
    granted = sight.granted_names()
    return Naming(granted.predicate, granted.values)


def _told(one: Counted) -> Mapping[str, Any]:
    value = float(one.value) if isinstance(one.value, Decimal) else one.value
    return {"value": value, "label": one.label if one.is_named else mask_name(one.label)}
