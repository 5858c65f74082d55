"""What was answered to which Idempotency-Key."""

from sqlalchemy import Column, Text

from api.storage.tables.base import table
from api.storage.types import Document, Moment, Whole

# One row per caller, operation and key; written in the transaction of the effect.
idempotency = table(
    "idempotency",
    Column("caller", Text, primary_key=True),
    Column("operation", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("status", Whole),
    Column("headers", Document),
    Column("body", Text),
    Column("target", Text, index=True),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False, index=True),
)
