"""The CDP service of clinics."""

import sqlalchemy as sa
from alembic import op

from api.storage.types import Day, Moment, Whole

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The CDP service of clinics."""
    op.create_table(
        "clinic_service",
        sa.Column("clinic_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("since", Day(), nullable=False),
        sa.Column("until", Day(), nullable=True),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("changed_at", Moment(), nullable=False),
        sa.Column("version", Whole, nullable=False),
        sa.CheckConstraint("status in ('active', 'initialising', 'ended')", name=op.f("ck_clinic_service_status")),
        sa.CheckConstraint(
            "until is null or (status <> 'ended' and until > since)", name=op.f("ck_clinic_service_until")
        ),
        sa.PrimaryKeyConstraint("clinic_id", name=op.f("pk_clinic_service")),
        sqlite_strict=True,
    )


def downgrade() -> None:
    """Undo it."""
    op.drop_table("clinic_service")
