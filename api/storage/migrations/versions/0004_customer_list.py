"""Saved filters and columns of the customer list; the audit log is read by action."""

import sqlalchemy as sa
from alembic import op

from api.storage.types import Document, Flag, Moment, Whole

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Saved filters and columns of the customer list; the audit log is read by action."""
    op.create_table(
        "saved_filter",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("owner_name", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("is_shared", Flag(), nullable=False),
        sa.Column("document", Document(), nullable=False),
        sa.Column("version", Whole, nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_filter")),
        sa.UniqueConstraint("owner", "name", name=op.f("uq_saved_filter_owner_name")),
        sqlite_strict=True,
    )
    with op.batch_alter_table("saved_filter", schema=None) as batch_op:
        batch_op.create_index("ix_saved_filter_is_shared", ["is_shared"], unique=False)
    op.create_table(
        "customer_list_columns",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("pinned", Document(), nullable=False),
        sa.Column("others", Document(), nullable=False),
        sa.Column("version", Whole, nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("owner", name=op.f("pk_customer_list_columns")),
        sqlite_strict=True,
    )
    with op.batch_alter_table("audit_log", schema=None) as batch_op:
        batch_op.create_index("ix_audit_log_action", ["action", "seq"], unique=False)


def downgrade() -> None:
    """Undo it."""
    with op.batch_alter_table("audit_log", schema=None) as batch_op:
        batch_op.drop_index("ix_audit_log_action")
    op.drop_table("customer_list_columns")
    with op.batch_alter_table("saved_filter", schema=None) as batch_op:
        batch_op.drop_index("ix_saved_filter_is_shared")
    op.drop_table("saved_filter")
