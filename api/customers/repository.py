"""SQL of the customer routes over the published version; values are always bound."""

from typing import Any

import duckdb

from api.customers.cursor import CustomerCursor
from api.customers.schemas import Channel

COLUMNS = (
    "one_id", "nickname", "name", "phone", "gender", "birth_date", "city", "clinic_id", "clinic_name",
    "medical_record_no", "patient_type", "source_level_1", "source_level_2", "source_level_3", "first_visit_at",
    "last_visit_at", "online_consultant_name", "consultant_name", "last_visit_doctor_name", "responsible_doctor_name",
    "customer_service_name", "created_at",
)  # fmt: skip

FLAGS = {
    Channel.PATIENT: "has_patient_file",
    Channel.OFFICIAL_ACCOUNT_FAN: "is_fan",
    Channel.WECOM_CONTACT: "is_wecom_contact",
    Channel.MINI_PROGRAM_USER: "is_mini_program_user",
    Channel.LEAD: "is_lead",
}


def list_customers(
    cursor: duckdb.DuckDBPyConnection,
    *,
    after: CustomerCursor | None,
    clinic_id: str | None,
    channel: Channel | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit` customers, newest first, from the masked view: COLUMNS, `channels` and `customer_key`."""
    conditions: list[str] = []
    values: dict[str, Any] = {"row_limit": limit}
    if after is not None:
        conditions.append("(created_at, customer_key) < ($created_at, $customer_key)")
        values |= {"created_at": after.created_at, "customer_key": after.customer_key}
    if clinic_id is not None:
        conditions.append("clinic_id = $clinic_id")
        values["clinic_id"] = clinic_id
    if channel is not None:
        conditions.append(FLAGS[channel])
    where = f"where {' and '.join(conditions)}" if conditions else ""
    channels = ", ".join(f"case when {flag} then '{channel.value}' end" for channel, flag in FLAGS.items())
    result = cursor.execute(
        f"""
        select {", ".join(COLUMNS)}, list_filter([{channels}], lambda name: name is not null) as channels, customer_key
        from analyst.dim_customer
        {where}
        order by created_at desc, customer_key desc
        limit $row_limit
        """,
        values,
    )
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
