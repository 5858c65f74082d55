"""Candidate values (候选值) of the customer list's fields: what there is to choose from when a filter is written."""

from datetime import date
from enum import StrEnum
from typing import Annotated

import duckdb
from pydantic import BaseModel, Field

from api.customers.repository import Conditions
from api.customers.schemas import MAX_PAGE
from api.customers.sight import Sight
from api.shapes import Input, QueryInt, Text
from segment_engine.runtime.published import PublishedReader

FIELDS = (
    "nickname", "name", "phone", "id_number", "gender", "city", "clinic_id", "clinic_name", "medical_record_no",
    "patient_type", "source_level_1", "source_level_2", "source_level_3", "online_consultant_name", "consultant_name",
    "last_visit_doctor_name", "responsible_doctor_name", "customer_service_name",
)  # fmt: skip
# mypy cannot read members off a table.
CandidateField = StrEnum("CandidateField", {name.upper(): name for name in FIELDS})  # type: ignore[misc]


class CandidateQuery(Input):
    """Which of a field's values."""

    search: Annotated[
        Annotated[str, Text(1, 50)] | None, Field(description="Contains, in either case / 包含(不分大小写)")
    ] = None
    limit: Annotated[int, QueryInt(1, MAX_PAGE), Field(description="Values at most / 最多条数")] = 50


class CandidateValue(BaseModel):
    """One value."""

    value: str
    customers: int = Field(description="How many of the customers that the caller sees have it / 客户数")


class CandidateValues(BaseModel):
    """The values that most customers have, the most frequent first."""

    version: str = Field(description="Published version the values were read from / 数据版本")
    as_of: date
    values: list[CandidateValue]
    has_more: bool = Field(description="There are more than `limit` / 是否还有更多")


def candidate_values(
    reader: PublishedReader, sight: Sight, field: CandidateField, query: CandidateQuery
) -> CandidateValues:
    """Of the customers whom the caller sees with this field's own value; raises NotPermittedError where that is nobody.

    Values of other clinics' customers are not told, nor those that the caller sees masked.
    """
    conditions = sight.showing(field, "/path/field")
    with reader.cursor() as (cursor, pointer):
        rows = _most_frequent(cursor, conditions, field, query)
    return CandidateValues(
        version=pointer.version,
        as_of=pointer.as_of,
        values=[CandidateValue(value=value, customers=customers) for value, customers in rows[: query.limit]],
        has_more=len(rows) > query.limit,
    )


def _most_frequent(
    cursor: duckdb.DuckDBPyConnection, conditions: Conditions, field: CandidateField, query: CandidateQuery
) -> list[tuple[str, int]]:
    """One row more than asked tells whether there are more."""
    if query.search is not None:
        conditions.add(f"contains(lower({field}), lower($search))", {"search": query.search})
    statement = f"""
        select {field} as value, count(*) as customers
        from marts.dim_customer
        where {field} <> '' and {conditions.text}
        group by {field}
        order by customers desc, value
        limit $row_limit
    """
    return cursor.execute(statement, {**conditions.values, "row_limit": query.limit + 1}).fetchall()
