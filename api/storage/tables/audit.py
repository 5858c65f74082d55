"""The audit log (操作日志) and the head of its hash chain."""

from sqlalchemy import CheckConstraint, Column, Index, Text

from api.storage.tables.base import table
from api.storage.types import Document, Moment, Whole

# One row per change; never updated, never deleted.
audit_log = table(
    "audit_log",
    Column("seq", Whole, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False, index=True),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("actor_name", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target_kind", Text, nullable=False),
    Column("target_id", Text, nullable=False),
    Column("before", Document),
    Column("after", Document),
    Column("request_id", Text),
    Column("address", Text),
    Column("prev_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Index("ix_audit_log_target", "target_kind", "target_id"),
    Index("ix_audit_log_actor", "actor_id"),
    Index("ix_audit_log_action", "action", "seq"),
)

# One row: the last number and hash, so that a cut-off end is noticed too.
audit_head = table(
    "audit_head",
    Column("id", Whole, primary_key=True, autoincrement=False),
    Column("seq", Whole, nullable=False),
    Column("hash", Text, nullable=False),
    CheckConstraint("id = 1", name="single"),
)
