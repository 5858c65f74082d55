"""Identity overrides."""

import sqlalchemy as sa
from alembic import op

from api.storage.types import Moment, Whole

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Identity overrides."""
    op.create_table(
        "identity_override",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("a", sa.Text(), nullable=False),
        sa.Column("b", sa.Text(), nullable=False),
        sa.Column("value_type", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("valid_from", Moment(), nullable=False),
        sa.Column("revoked_at", Moment(), nullable=True),
        sa.Column("revoked_by", sa.Text(), nullable=True),
        sa.Column("revoke_reason", sa.Text(), nullable=True),
        sa.Column("version", Whole, nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.CheckConstraint("(b = '') = (kind in ('block', 'allow'))", name=op.f("ck_identity_override_b")),
        sa.CheckConstraint(
            "(value_type is null) = (kind in ('merge', 'split'))", name=op.f("ck_identity_override_value")
        ),
        sa.CheckConstraint(
            "kind in ('merge', 'split', 'detach', 'block', 'allow', 'owner')", name=op.f("ck_identity_override_kind")
        ),
        sa.CheckConstraint(
            "value_type in ('phone', 'unionid', 'binding')", name=op.f("ck_identity_override_value_type")
        ),
        sa.CheckConstraint(
            "(revoked_at is null) = (revoked_by is null) and (revoked_at is null) = (revoke_reason is null)",
            name=op.f("ck_identity_override_revoked"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_override")),
        sqlite_strict=True,
    )
    with op.batch_alter_table("identity_override", schema=None) as batch_op:
        batch_op.create_index(
            "uq_identity_override_in_force",
            ["kind", "a", "b"],
            unique=True,
            sqlite_where=sa.text("revoked_at is null"),
            postgresql_where=sa.text("revoked_at is null"),
        )


def downgrade() -> None:
    """Undo it."""
    with op.batch_alter_table("identity_override", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_identity_override_in_force",
            sqlite_where=sa.text("revoked_at is null"),
            postgresql_where=sa.text("revoked_at is null"),
        )

    op.drop_table("identity_override")
