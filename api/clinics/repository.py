"""Rows of published clinics, and of what was set for their service."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import duckdb
from sqlalchemy import Connection, insert, update
from sqlalchemy.exc import IntegrityError

from api.storage.clinic_services import ClinicService
from api.storage.tables.clinics import clinic_service as table

Row = Mapping[str, Any]

_COLUMNS = ("clinic_id", "clinic_name", "is_headquarters", "cdp_status", "cdp_expires_on")


def published_clinics(cursor: duckdb.DuckDBPyConnection) -> list[Row]:
    """Every clinic of the served version, headquarters first, then by name."""
    order = "is_headquarters desc, clinic_name, clinic_id"
    rows = cursor.execute(f"select {', '.join(_COLUMNS)} from marts.dim_clinic order by {order}").fetchall()
    return [dict(zip(_COLUMNS, row, strict=True)) for row in rows]


def insert_service(connection: Connection, service: ClinicService) -> int:
    """The first row of a clinic; 0 rows where somebody else was faster."""
    try:
        with connection.begin_nested():
            return connection.execute(insert(table).values(_values(service))).rowcount
    except IntegrityError:
        return 0


def update_service(connection: Connection, service: ClinicService) -> int:
    """The row anew, where it still has the version before; the number of rows changed."""
    read = (table.c.clinic_id == service.clinic_id, table.c.version == service.version - 1)
    return connection.execute(update(table).where(*read).values(_values(service))).rowcount


def _values(service: ClinicService) -> dict[str, Any]:
    return asdict(service) | {"status": service.status.value}
