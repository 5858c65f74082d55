"""What the API itself knows of customers: consents, and whom it must forget."""

from sqlalchemy import Column, ForeignKey, Text

from api.storage.tables.base import one_of, table
from api.storage.types import Flag, Moment, Whole

# One row per customer and purpose; no row means never asked.
customer_consent = table(
    "customer_consent",
    Column("one_id", Text, primary_key=True),
    Column("purpose", Text, primary_key=True),
    Column("granted", Flag, nullable=False),
    Column("source", Text, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("version", Whole, nullable=False),
    one_of("purpose", "marketing", "public_display"),
)

# One row per customer who must be forgotten; one_id goes once the pipeline has done its part.
erasure_request = table(
    "erasure_request",
    Column("id", Text, primary_key=True),
    Column("one_id", Text, unique=True),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("requested_at", Moment, nullable=False),
    Column("applied_at", Moment),
    Column("applied_run_id", Text),
    one_of("status", "requested", "applied"),
)

# One row per identity of a forgotten customer: HMAC only (segment_engine.runtime.secret.person_digest).
erasure_tombstone = table(
    "erasure_tombstone",
    Column("digest", Text, primary_key=True),
    Column("request_id", Text, ForeignKey("erasure_request.id"), nullable=False, index=True),
    Column("created_at", Moment, nullable=False),
)
