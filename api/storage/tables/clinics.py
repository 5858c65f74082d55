"""Which clinics the platform serves."""

from sqlalchemy import CheckConstraint, Column, Text

from api.storage.tables.base import one_of, table
from api.storage.types import Day, Moment, Whole

# One row per clinic whose service somebody ever set; no row means served. `until` is the first day after.
clinic_service = table(
    "clinic_service",
    Column("clinic_id", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("since", Day, nullable=False),
    Column("until", Day),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("version", Whole, nullable=False),
    one_of("status", "active", "initialising", "ended"),
    CheckConstraint("until is null or (status <> 'ended' and until > since)", name="until"),
)
