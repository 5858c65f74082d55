"""A customer's appointments and bills: the newest few, and all of them by page and filter."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import duckdb

from api.customer360.choices import chosen
from api.customer360.names import names_of
from api.customer360.paging import Cut
from api.customer360.person import Person, find_person
from api.customer360.schemas import (
    Appointment,
    AppointmentPage,
    Bill,
    BillItem,
    BillPage,
    BillQuery,
    DaysQuery,
    Recent,
)
from api.customers.rows import Row, newest, rows_at, rows_where, spots_sql
from api.customers.sight import Sight
from api.keyset import Place
from segment_engine.runtime.published import PublishedReader

RECENT = 4


@dataclass(frozen=True, slots=True)
class Records:
    """A mart of records: what one is called by, when it is, and what is read of it."""

    table: str
    key: str
    moment: str
    columns: tuple[str, ...]


APPOINTMENTS = Records(
    "fct_appointment", "appointment_id", "scheduled_at",
    ("clinic_id", "doctor_id", "created_by_staff_id", "visit_type", "item_name", "channel", "status", "has_arrived",
     "scheduled_at", "arrived_at", "left_at", "cancelled_at", "created_at"),
)  # fmt: skip
BILLS = Records(
    "fct_bill", "bill_id", "billed_at",
    ("clinic_id", "doctor_id", "biller_id", "bill_type", "status", "original_fen", "discount_fen", "receivable_fen",
     "paid_fen", "refunded_fen", "net_paid_fen", "owed_fen", "billed_at"),
)  # fmt: skip
ITEM_COLUMNS = tuple(BillItem.model_fields)


def recent_records(reader: PublishedReader, sight: Sight, one_id: str) -> Recent:
    """The newest four appointments and bills; raises NotFoundError."""
    with reader.cursor() as (cursor, pointer):
        person = find_person(cursor, sight, one_id)
        appointments = _page(cursor, APPOINTMENTS, person, limit=RECENT)
        bills = _page(cursor, BILLS, person, limit=RECENT)
        return Recent(
            version=pointer.version,
            as_of=pointer.as_of,
            one_id=person.one_id,
            appointments=_appointments(cursor, person, appointments.rows),
            bills=_bills(cursor, person, bills.rows),
        )


def customer_appointments(reader: PublishedReader, sight: Sight, one_id: str, query: DaysQuery) -> AppointmentPage:
    """A page of appointments, by the time they are for; raises NotFoundError, InvalidError."""
    after = None if query.cursor is None else Place.decode(query.cursor)
    values = {"first_day": query.first_day or date.min, "last_day": query.last_day or date.max}
    where = "scheduled_on between $first_day and $last_day"
    with reader.cursor() as (cursor, pointer):
        person = find_person(cursor, sight, one_id)
        page = _page(cursor, APPOINTMENTS, person, after=after, limit=query.limit, where=where, values=values)
        return AppointmentPage(
            version=pointer.version,
            as_of=pointer.as_of,
            one_id=person.one_id,
            appointments=_appointments(cursor, person, page.rows),
            next_cursor=page.next_cursor,
        )


def customer_bills(reader: PublishedReader, sight: Sight, one_id: str, query: BillQuery) -> BillPage:
    """A page of bills; raises NotFoundError, InvalidError."""
    after = None if query.cursor is None else Place.decode(query.cursor)
    asked = {"status": chosen(query.status), "bill_type": chosen(query.type)}
    values = {name: named for name, named in asked.items() if named is not None}
    where = " and ".join(f"list_contains(${name}::varchar[], {name})" for name in values) or "true"
    with reader.cursor() as (cursor, pointer):
        person = find_person(cursor, sight, one_id)
        page = _page(cursor, BILLS, person, after=after, limit=query.limit, where=where, values=values)
        return BillPage(
            version=pointer.version,
            as_of=pointer.as_of,
            one_id=person.one_id,
            bills=_bills(cursor, person, page.rows),
            next_cursor=page.next_cursor,
        )


def _page(
    cursor: duckdb.DuckDBPyConnection,
    records: Records,
    person: Person,
    *,
    after: Place | None = None,
    limit: int,
    where: str = "true",
    values: Mapping[str, Any] | None = None,
) -> Cut[Row]:
    spots = newest(
        cursor,
        spots_sql(0, records.table, moment=records.moment, where=f"customer_key = $customer_key and {where}"),
        {"customer_key": person.key, **(values or {})},
        after=_moment(after),
        limit=limit + 1,
    )
    places = [spot.row_id for spot in spots]
    rows = rows_at(cursor, records.table, (records.key, *records.columns), places).values()
    found = [(Place(row[records.moment], row[records.key]), row) for row in rows]
    return Cut(found, after=after, limit=limit)


def _moment(place: Place | None) -> datetime | None:
    return None if place is None else place.created_at


def _appointments(cursor: duckdb.DuckDBPyConnection, person: Person, rows: Sequence[Row]) -> list[Appointment]:
    staff = {row[column] for row in rows for column in ("doctor_id", "created_by_staff_id")}
    names = names_of(cursor, person, clinics={row["clinic_id"] for row in rows}, staff=staff)
    return [
        Appointment(
            **row,
            clinic_name=names.clinic(row["clinic_id"]),
            doctor_name=names.employee(row["doctor_id"]),
            created_by_name=names.employee(row["created_by_staff_id"]),
        )
        for row in rows
    ]


def _bills(cursor: duckdb.DuckDBPyConnection, person: Person, rows: Sequence[Row]) -> list[Bill]:
    staff = {row[column] for row in rows for column in ("doctor_id", "biller_id")}
    names = names_of(cursor, person, clinics={row["clinic_id"] for row in rows}, staff=staff)
    items = _items(cursor, person, [row["bill_id"] for row in rows])
    return [
        Bill(
            **row,
            clinic_name=names.clinic(row["clinic_id"]),
            doctor_name=names.employee(row["doctor_id"]),
            biller_name=names.employee(row["biller_id"]),
            items=items[row["bill_id"]],
        )
        for row in rows
    ]


def _items(cursor: duckdb.DuckDBPyConnection, person: Person, bill_ids: Sequence[str]) -> dict[str, list[BillItem]]:
    """The lines of these bills, in the order of their ids."""
    items: dict[str, list[BillItem]] = defaultdict(list)
    if not bill_ids:
        return items
    columns = ("bill_item_id", "bill_id", *ITEM_COLUMNS)
    where = "customer_key = $customer_key and list_contains($bills::varchar[], bill_id)"
    rows = rows_where(cursor, "fct_bill_item", columns, where, {"customer_key": person.key, "bills": list(bill_ids)})
    for row in sorted(rows, key=lambda row: str(row["bill_item_id"])):
        items[row["bill_id"]].append(BillItem.model_validate({name: row[name] for name in ITEM_COLUMNS}))
    return items
