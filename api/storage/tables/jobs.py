"""Long work as rows, and the files that exports leave behind."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Text

from api.storage.tables.base import one_of, table
from api.storage.types import Document, Flag, Moment, Whole

# One row per piece of long work. `owner_scopes` are those of the key it was asked with: waiting does not widen a key.
job = table(
    "job",
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("params", Document, nullable=False),
    Column("owner_kind", Text, nullable=False),
    Column("owner_id", Text, nullable=False),
    Column("owner_scopes", Document),
    Column("request_id", Text),
    Column("created_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("finished_at", Moment),
    Column("done", Whole, nullable=False),
    Column("total", Whole),
    Column("result", Document),
    Column("problems", Document),
    Column("attempts", Whole, nullable=False),
    Column("max_attempts", Whole, nullable=False),
    Column("run_after", Moment, nullable=False),
    Column("worker", Text),
    Column("lease_until", Moment),
    Column("cancel_requested", Flag, nullable=False),
    Column("revision", Whole, nullable=False),
    one_of("status", "queued", "running", "succeeded", "failed", "cancelled"),
    CheckConstraint("(status = 'running') = (worker is not null)", name="worker"),
    CheckConstraint("attempts <= max_attempts", name="attempts"),
    Index("ix_job_queue", "status", "run_after"),
    Index("ix_job_owner", "owner_kind", "owner_id", "created_at"),
)

# One row per file that may be fetched by a link; only the hash of the link's token is kept. No path: the file is gone.
export_file = table(
    "export_file",
    Column("id", Text, primary_key=True),
    Column("job_id", Text, ForeignKey("job.id"), nullable=False, index=True),
    Column("token_hash", Text, nullable=False, unique=True),
    Column("path", Text),
    Column("name", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("row_count", Whole, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False, index=True),
    Column("deleted_at", Moment),
)
