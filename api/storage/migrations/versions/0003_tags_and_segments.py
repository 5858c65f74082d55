"""Tags and segments."""

import sqlalchemy as sa
from alembic import op

from api.storage.types import Document, Flag, Moment, Whole

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Tags and segments."""
    op.create_table(
        "audience_quota",
        sa.Column("id", Whole, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount", Whole, nullable=False),
        sa.Column("expires_on", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("revoked_at", Moment(), nullable=True),
        sa.CheckConstraint("kind in ('tag', 'segment')", name=op.f("ck_audience_quota_kind")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_audience_quota_amount")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audience_quota")),
        sqlite_strict=True,
    )
    op.create_table(
        "tag_group",
        sa.Column("id", Whole, nullable=False),
        sa.Column("is_smart", Flag(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", Whole, nullable=False),
        sa.Column("is_default", Flag(), nullable=False),
        sa.Column("version", Whole, nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.Column("deleted_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tag_group")),
        sqlite_strict=True,
    )
    with op.batch_alter_table("tag_group", schema=None) as batch_op:
        batch_op.create_index(
            "uq_tag_group_name",
            ["is_smart", "name"],
            unique=True,
            sqlite_where=sa.text("deleted_at is null"),
            postgresql_where=sa.text("deleted_at is null"),
        )

    op.create_table(
        "audience",
        sa.Column("id", Whole, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("is_smart", Flag(), nullable=False),
        sa.Column("group_id", Whole, nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("color", sa.Text(), nullable=True),
        sa.Column("position", Whole, nullable=False),
        sa.Column("is_enabled", Flag(), nullable=False),
        sa.Column("disabled_because", sa.Text(), nullable=True),
        sa.Column("is_preset", Flag(), nullable=False),
        sa.Column("definition", Whole, nullable=True),
        sa.Column("draft", Document(), nullable=True),
        sa.Column("problems", Document(), nullable=True),
        sa.Column("failed_at", Moment(), nullable=True),
        sa.Column("revision", Whole, nullable=False),
        sa.Column("version", Whole, nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.Column("deleted_at", Moment(), nullable=True),
        sa.CheckConstraint("(kind = 'tag') = (group_id is not null)", name=op.f("ck_audience_group_id")),
        sa.CheckConstraint("disabled_because in ('quota')", name=op.f("ck_audience_disabled_because")),
        sa.CheckConstraint("kind in ('tag', 'segment')", name=op.f("ck_audience_kind")),
        sa.CheckConstraint("is_smart or (definition is null and draft is null)", name=op.f("ck_audience_smart")),
        sa.ForeignKeyConstraint(["group_id"], ["tag_group.id"], name=op.f("fk_audience_group_id_tag_group")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audience")),
        sqlite_strict=True,
    )
    with op.batch_alter_table("audience", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audience_group_id"), ["group_id"], unique=False)
        batch_op.create_index(
            "uq_audience_segment_name",
            ["name"],
            unique=True,
            sqlite_where=sa.text("kind = 'segment' and deleted_at is null"),
            postgresql_where=sa.text("kind = 'segment' and deleted_at is null"),
        )
        batch_op.create_index(
            "uq_audience_tag_name",
            ["group_id", "name"],
            unique=True,
            sqlite_where=sa.text("kind = 'tag' and deleted_at is null"),
            postgresql_where=sa.text("kind = 'tag' and deleted_at is null"),
        )

    op.create_table(
        "audience_definition",
        sa.Column("audience_id", Whole, autoincrement=False, nullable=False),
        sa.Column("number", Whole, autoincrement=False, nullable=False),
        sa.Column("filter", Document(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["audience_id"], ["audience.id"], name=op.f("fk_audience_definition_audience_id_audience")
        ),
        sa.PrimaryKeyConstraint("audience_id", "number", name=op.f("pk_audience_definition")),
        sqlite_strict=True,
    )
    op.create_table(
        "audience_member",
        sa.Column("id", Whole, nullable=False),
        sa.Column("audience_id", Whole, nullable=False),
        sa.Column("one_id", sa.Text(), nullable=False),
        sa.Column("added_at", Moment(), nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.Column("added_how", sa.Text(), nullable=False),
        sa.Column("removed_at", Moment(), nullable=True),
        sa.Column("removed_by", sa.Text(), nullable=True),
        sa.Column("removed_how", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "added_how in ('staff', 'bulk', 'filter', 'import', 'sync')", name=op.f("ck_audience_member_added_how")
        ),
        sa.CheckConstraint(
            "removed_how in ('staff', 'bulk', 'filter', 'import', 'sync')", name=op.f("ck_audience_member_removed_how")
        ),
        sa.CheckConstraint(
            "(removed_at is null) = (removed_by is null) and (removed_at is null) = (removed_how is null)",
            name=op.f("ck_audience_member_removed"),
        ),
        sa.ForeignKeyConstraint(["audience_id"], ["audience.id"], name=op.f("fk_audience_member_audience_id_audience")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audience_member")),
        sqlite_strict=True,
    )
    with op.batch_alter_table("audience_member", schema=None) as batch_op:
        batch_op.create_index("ix_audience_member_added", ["audience_id", "added_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_audience_member_one_id"), ["one_id"], unique=False)
        batch_op.create_index("ix_audience_member_removed", ["audience_id", "removed_at"], unique=False)
        batch_op.create_index(
            "uq_audience_member_in",
            ["audience_id", "one_id"],
            unique=True,
            sqlite_where=sa.text("removed_at is null"),
            postgresql_where=sa.text("removed_at is null"),
        )

    op.create_table(
        "audience_reference",
        sa.Column("audience_id", Whole, autoincrement=False, nullable=False),
        sa.Column("refers_to", Whole, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["audience_id"], ["audience.id"], name=op.f("fk_audience_reference_audience_id_audience")
        ),
        sa.ForeignKeyConstraint(["refers_to"], ["audience.id"], name=op.f("fk_audience_reference_refers_to_audience")),
        sa.PrimaryKeyConstraint("audience_id", "refers_to", name=op.f("pk_audience_reference")),
        sqlite_strict=True,
    )
    with op.batch_alter_table("audience_reference", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audience_reference_refers_to"), ["refers_to"], unique=False)

    op.create_table(
        "audience_version",
        sa.Column("audience_id", Whole, autoincrement=False, nullable=False),
        sa.Column("number", Whole, autoincrement=False, nullable=False),
        sa.Column("definition", Whole, nullable=False),
        sa.Column("warehouse", sa.Text(), nullable=False),
        sa.Column("as_of", sa.Text(), nullable=False),
        sa.Column("computed_at", Moment(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("member_count", Whole, nullable=False),
        sa.Column("entered_count", Whole, nullable=False),
        sa.Column("left_count", Whole, nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.CheckConstraint("trigger in ('nightly', 'manual', 'definition')", name=op.f("ck_audience_version_trigger")),
        sa.ForeignKeyConstraint(
            ["audience_id"], ["audience.id"], name=op.f("fk_audience_version_audience_id_audience")
        ),
        sa.PrimaryKeyConstraint("audience_id", "number", name=op.f("pk_audience_version")),
        sqlite_strict=True,
    )
    with op.batch_alter_table("audience_version", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audience_version_computed_at"), ["computed_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_audience_version_file"), ["file"], unique=False)


def downgrade() -> None:
    """Undo it."""
    with op.batch_alter_table("audience_version", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_audience_version_file"))
        batch_op.drop_index(batch_op.f("ix_audience_version_computed_at"))

    op.drop_table("audience_version")
    with op.batch_alter_table("audience_reference", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_audience_reference_refers_to"))

    op.drop_table("audience_reference")
    with op.batch_alter_table("audience_member", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_audience_member_in",
            sqlite_where=sa.text("removed_at is null"),
            postgresql_where=sa.text("removed_at is null"),
        )
        batch_op.drop_index("ix_audience_member_removed")
        batch_op.drop_index(batch_op.f("ix_audience_member_one_id"))
        batch_op.drop_index("ix_audience_member_added")

    op.drop_table("audience_member")
    op.drop_table("audience_definition")
    with op.batch_alter_table("audience", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_audience_tag_name",
            sqlite_where=sa.text("kind = 'tag' and deleted_at is null"),
            postgresql_where=sa.text("kind = 'tag' and deleted_at is null"),
        )
        batch_op.drop_index(
            "uq_audience_segment_name",
            sqlite_where=sa.text("kind = 'segment' and deleted_at is null"),
            postgresql_where=sa.text("kind = 'segment' and deleted_at is null"),
        )
        batch_op.drop_index(batch_op.f("ix_audience_group_id"))

    op.drop_table("audience")
    with op.batch_alter_table("tag_group", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_tag_group_name",
            sqlite_where=sa.text("deleted_at is null"),
            postgresql_where=sa.text("deleted_at is null"),
        )

    op.drop_table("tag_group")
    op.drop_table("audience_quota")
