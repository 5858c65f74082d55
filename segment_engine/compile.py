"""The phases in their order: document → tree → checked → formula → resolved → SQL, or a plan of many.

Each phase lives in a room of its own; nothing is decided here.
"""

from collections.abc import Hashable, Mapping
from datetime import datetime
from typing import Any

from segment_engine.catalog import Catalog
from segment_engine.checked import CheckedGroup
from segment_engine.clinics import without_clinics
from segment_engine.document import FilterLimits
from segment_engine.emit import Dialect
from segment_engine.normalize import normalize
from segment_engine.parse import parse
from segment_engine.plan import Plan, plan
from segment_engine.relations import Relations, Statement
from segment_engine.resolve import resolve
from segment_engine.statements import select_customers
from segment_engine.validate import Asking, validate


def check(document: Any, catalog: Catalog, asking: Asking, limits: FilterLimits | None = None) -> CheckedGroup:
    """What a document means by the catalogue; raises InvalidFilterError with everything that is wrong."""
    return validate(parse(document, limits), catalog, asking, limits)


def compile_one(
    checked: CheckedGroup, as_of: datetime, relations: Relations, dialect: Dialect = Dialect.DUCKDB
) -> Statement:
    """One filter as SQL that an analyst can read and run: the keys of its customers, without excluded clinics."""
    meant = without_clinics(checked, relations.excluded_clinics)
    return select_customers(resolve(normalize(meant), as_of), relations, dialect)


def compile_many(
    filters: Mapping[Hashable, CheckedGroup], as_of: datetime, known: Mapping[str, datetime] | None = None
) -> Plan:
    """Many filters as one plan, in which equal things are found out once; raises CycleError.

    A key that is an `InAudience` is a tag or segment that others may refer to. known: see `resolve`. Where clinics are
    excluded, the filters are to come from `without_clinics`.
    """
    return plan({key: resolve(normalize(checked), as_of, known) for key, checked in filters.items()})
