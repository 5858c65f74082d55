"""Messages and events that leave the platform, written with the change that causes them."""

from sqlalchemy import CheckConstraint, Column, Index, Text, UniqueConstraint

from api.storage.tables.base import one_of, table
from api.storage.types import Document, Moment, Whole

# The reason of a message that must not go out (again), since its subject was erased.
ERASED = "erased"

# One row per message; (kind, dedupe_key) happens once.
outbox = table(
    "outbox",
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("delivery", Text, nullable=False),
    Column("dedupe_key", Text, nullable=False),
    Column("subject", Text, index=True),
    Column("payload", Document, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("due_at", Moment, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("sent_at", Moment),
    Column("attempts", Whole, nullable=False),
    Column("worker", Text),
    Column("lease_until", Moment),
    UniqueConstraint("kind", "dedupe_key"),
    one_of("delivery", "at_most_once", "at_least_once"),
    one_of("status", "waiting", "sending", "sent", "failed", "unknown", "dropped"),
    CheckConstraint("(status = 'sending') = (worker is not null)", name="worker"),
    Index("ix_outbox_queue", "status", "due_at"),
)
