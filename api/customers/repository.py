"""SQL of the customer routes over the published version; values are always bound.

Who may see what comes in as predicates over `marts.dim_customer`; masking is done by the service.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb

from api.access.permissions import Permission
from api.customers.cursor import CustomerCursor
from api.customers.schemas import Channel, Sort

COLUMNS = (
    "one_id", "avatar_url", "nickname", "name", "phone", "gender", "birth_date", "id_number", "city", "clinic_id",
    "clinic_name", "medical_record_no", "patient_type", "source_level_1", "source_level_2", "source_level_3",
    "first_visit_at", "last_visit_at", "online_consultant_name", "consultant_name", "last_visit_doctor_name",
    "responsible_doctor_name", "customer_service_name", "patient_remark", "created_at",
)  # fmt: skip

FLAGS = {
    Channel.PATIENT: "has_patient_file",
    Channel.OFFICIAL_ACCOUNT_FAN: "is_fan",
    Channel.WECOM_CONTACT: "is_wecom_contact",
    Channel.MINI_PROGRAM_USER: "is_mini_program_user",
    Channel.LEAD: "is_lead",
}


@dataclass(slots=True)
class Conditions:
    """Predicates that must all hold, and the values they name."""

    parts: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

    def add(self, predicate: str, values: Mapping[str, Any] | None = None) -> None:
        self.parts.append(predicate)
        self.values |= values or {}

    def extend(self, other: "Conditions") -> None:
        """Those of the other must hold too."""
        self.parts += other.parts
        self.values |= other.values

    @property
    def text(self) -> str:
        return " and ".join(self.parts) or "true"


@dataclass(frozen=True, slots=True)
class Granted:
    """Of which customers a caller sees the personal fields of a permission; predicate and its values."""

    permission: Permission
    predicate: str
    values: Mapping[str, Any]

    @property
    def column(self) -> str:
        return f"granted_{self.permission.value.replace('.', '_')}"


def list_customers(
    cursor: duckdb.DuckDBPyConnection,
    conditions: Conditions,
    granted: tuple[Granted, ...],
    *,
    sort: Sort,
    sort_value: str,
    after: CustomerCursor | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit` customers: COLUMNS, `channels`, a column per permission granted, `sort_value`, `customer_key`.

    `sort_value` is an expression; where it is null the customer comes last.
    """
    order = "asc" if sort is Sort.NAME else "desc"
    further, values = _after(after, ascending=order == "asc")
    statement = f"""
        select *
        from (
            select {_selected(granted)}, ({sort_value}) as sort_value
            from marts.dim_customer
            where {conditions.text}
        )
        where {further}
        order by sort_value {order} nulls last, customer_key {order}
        limit $row_limit
    """
    return _rows(cursor, statement, {**conditions.values, **_values(granted), **values, "row_limit": limit})


def one_customer(
    cursor: duckdb.DuckDBPyConnection, conditions: Conditions, granted: tuple[Granted, ...], *, one_id: str
) -> dict[str, Any] | None:
    """The customer of an id, or of the id it was merged into: as `list_customers`, without `sort_value`."""
    merged = "(select one_id from marts.one_id_alias where old_one_id = $one_id)"
    statement = f"""
        select {_selected(granted)}
        from marts.dim_customer
        where one_id = coalesce({merged}, $one_id) and {conditions.text}
    """
    rows = _rows(cursor, statement, {**conditions.values, **_values(granted), "one_id": one_id})
    return rows[0] if rows else None


def customers_by_key(
    cursor: duckdb.DuckDBPyConnection, granted: tuple[Granted, ...], keys: Sequence[int]
) -> list[dict[str, Any]]:
    """These customers in the order of the keys, as `list_customers` without `sort_value`; who is gone is left out."""
    statement = f"""
        select {_selected(granted)}
        from marts.dim_customer
        where customer_key in (select unnest($keys::integer[]))
    """
    rows = _rows(cursor, statement, {**_values(granted), "keys": list(keys)})
    found = {row["customer_key"]: row for row in rows}
    return [found[key] for key in keys if key in found]


def _selected(granted: tuple[Granted, ...]) -> str:
    channels = ", ".join(f"case when {flag} then '{channel.value}' end" for channel, flag in FLAGS.items())
    permissions = "".join(f", {one.predicate} as {one.column}" for one in granted)
    known = f"list_filter([{channels}], lambda name: name is not null) as channels"
    return f"{', '.join(COLUMNS)}, {known}, customer_key{permissions}"


def _after(cursor: CustomerCursor | None, *, ascending: bool) -> tuple[str, dict[str, Any]]:
    """Rows behind the cursor; a row without a value is behind every row with one."""
    if cursor is None:
        return "true", {}
    sign = ">" if ascending else "<"
    values = {"after_key": cursor.customer_key}
    if cursor.value is None:
        return f"sort_value is null and customer_key {sign} $after_key", values
    behind = f"(sort_value, customer_key) {sign} ($after_value, $after_key)"
    return f"(sort_value is null or {behind})", {**values, "after_value": cursor.value}


def _values(granted: tuple[Granted, ...]) -> dict[str, Any]:
    return {name: value for one in granted for name, value in one.values.items()}


def _rows(cursor: duckdb.DuckDBPyConnection, statement: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    result = cursor.execute(statement, values)
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
