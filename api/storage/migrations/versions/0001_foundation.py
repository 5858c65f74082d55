"""Access, idempotency, jobs, outbox, audit, and what the API itself knows of customers."""

import sqlalchemy as sa
from alembic import op

from api.storage.types import Document, Flag, Moment, Whole

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Foundation."""
    op.create_table(
        "actor",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("staff_id", sa.Text(), nullable=True),
        sa.Column("oidc_subject", sa.Text(), nullable=True),
        sa.Column("is_active", Flag(), nullable=False),
        sa.Column("version", Whole, nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.CheckConstraint("kind in ('staff', 'client')", name=op.f("ck_actor_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_actor")),
        sa.UniqueConstraint("oidc_subject", name=op.f("uq_actor_oidc_subject")),
        sa.UniqueConstraint("staff_id", name=op.f("uq_actor_staff_id")),
        sqlite_strict=True,
    )
    op.create_table(
        "audit_head",
        sa.Column("id", Whole, autoincrement=False, nullable=False),
        sa.Column("seq", Whole, nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_audit_head_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
        sqlite_strict=True,
    )
    op.create_table(
        "audit_log",
        sa.Column("seq", Whole, autoincrement=False, nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("actor_name", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target_kind", sa.Text(), nullable=False),
        sa.Column("target_id", sa.Text(), nullable=False),
        sa.Column("before", Document(), nullable=True),
        sa.Column("after", Document(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("prev_hash", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_log")),
        sqlite_strict=True,
    )
    with op.batch_alter_table("audit_log", schema=None) as batch_op:
        batch_op.create_index("ix_audit_log_actor", ["actor_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_audit_log_at"), ["at"], unique=False)
        batch_op.create_index("ix_audit_log_target", ["target_kind", "target_id"], unique=False)

    op.create_table(
        "customer_consent",
        sa.Column("one_id", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("granted", Flag(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("changed_at", Moment(), nullable=False),
        sa.Column("version", Whole, nullable=False),
        sa.CheckConstraint("purpose in ('marketing', 'public_display')", name=op.f("ck_customer_consent_purpose")),
        sa.PrimaryKeyConstraint("one_id", "purpose", name=op.f("pk_customer_consent")),
        sqlite_strict=True,
    )
    op.create_table(
        "erasure_request",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("one_id", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_at", Moment(), nullable=False),
        sa.Column("applied_at", Moment(), nullable=True),
        sa.Column("applied_run_id", sa.Text(), nullable=True),
        sa.CheckConstraint("status in ('requested', 'applied')", name=op.f("ck_erasure_request_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasure_request")),
        sa.UniqueConstraint("one_id", name=op.f("uq_erasure_request_one_id")),
        sqlite_strict=True,
    )
    op.create_table(
        "idempotency",
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("status", Whole, nullable=True),
        sa.Column("headers", Document(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("target", sa.Text(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("caller", "operation", "key", name=op.f("pk_idempotency")),
        sqlite_strict=True,
    )
    with op.batch_alter_table("idempotency", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_idempotency_expires_at"), ["expires_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_idempotency_target"), ["target"], unique=False)

    op.create_table(
        "job",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("params", Document(), nullable=False),
        sa.Column("owner_kind", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("owner_scopes", Document(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("started_at", Moment(), nullable=True),
        sa.Column("finished_at", Moment(), nullable=True),
        sa.Column("done", Whole, nullable=False),
        sa.Column("total", Whole, nullable=True),
        sa.Column("result", Document(), nullable=True),
        sa.Column("problems", Document(), nullable=True),
        sa.Column("attempts", Whole, nullable=False),
        sa.Column("max_attempts", Whole, nullable=False),
        sa.Column("run_after", Moment(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("lease_until", Moment(), nullable=True),
        sa.Column("cancel_requested", Flag(), nullable=False),
        sa.Column("revision", Whole, nullable=False),
        sa.CheckConstraint("(status = 'running') = (worker is not null)", name=op.f("ck_job_worker")),
        sa.CheckConstraint(
            "status in ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name=op.f("ck_job_status")
        ),
        sa.CheckConstraint("attempts <= max_attempts", name=op.f("ck_job_attempts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sqlite_strict=True,
    )
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.create_index("ix_job_owner", ["owner_kind", "owner_id", "created_at"], unique=False)
        batch_op.create_index("ix_job_queue", ["status", "run_after"], unique=False)

    op.create_table(
        "outbox",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("delivery", sa.Text(), nullable=False),
        sa.Column("dedupe_key", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("payload", Document(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("due_at", Moment(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("sent_at", Moment(), nullable=True),
        sa.Column("attempts", Whole, nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("lease_until", Moment(), nullable=True),
        sa.CheckConstraint("(status = 'sending') = (worker is not null)", name=op.f("ck_outbox_worker")),
        sa.CheckConstraint("delivery in ('at_most_once', 'at_least_once')", name=op.f("ck_outbox_delivery")),
        sa.CheckConstraint(
            "status in ('waiting', 'sending', 'sent', 'failed', 'unknown', 'dropped')", name=op.f("ck_outbox_status")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("kind", "dedupe_key", name=op.f("uq_outbox_kind_dedupe_key")),
        sqlite_strict=True,
    )
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.create_index("ix_outbox_queue", ["status", "due_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_outbox_subject"), ["subject"], unique=False)

    op.create_table(
        "patient_account",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("openid", sa.Text(), nullable=False),
        sa.Column("unionid", sa.Text(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("last_login_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patient_account")),
        sa.UniqueConstraint("app_id", "openid", name=op.f("uq_patient_account_app_id_openid")),
        sqlite_strict=True,
    )
    op.create_table(
        "role",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name_zh", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=False),
        sa.Column("is_builtin", Flag(), nullable=False),
        sa.Column("permissions", Document(), nullable=False),
        sa.Column("data_scope", Document(), nullable=False),
        sa.Column("version", Whole, nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role")),
        sa.UniqueConstraint("name_en", name=op.f("uq_role_name_en")),
        sa.UniqueConstraint("name_zh", name=op.f("uq_role_name_zh")),
        sqlite_strict=True,
    )
    op.create_table(
        "actor_role",
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("role_id", sa.Text(), nullable=False),
        sa.Column("clinic_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["actor_id"], ["actor.id"], name=op.f("fk_actor_role_actor_id_actor")),
        sa.ForeignKeyConstraint(["role_id"], ["role.id"], name=op.f("fk_actor_role_role_id_role")),
        sa.PrimaryKeyConstraint("actor_id", "role_id", "clinic_id", name=op.f("pk_actor_role")),
        sqlite_strict=True,
    )
    with op.batch_alter_table("actor_role", schema=None) as batch_op:
        batch_op.create_index("ix_actor_role_role_id", ["role_id"], unique=False)

    op.create_table(
        "api_key",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("scopes", Document(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=True),
        sa.Column("revoked_at", Moment(), nullable=True),
        sa.Column("last_used_at", Moment(), nullable=True),
        sa.ForeignKeyConstraint(["actor_id"], ["actor.id"], name=op.f("fk_api_key_actor_id_actor")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        sqlite_strict=True,
    )
    with op.batch_alter_table("api_key", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_api_key_actor_id"), ["actor_id"], unique=False)

    op.create_table(
        "erasure_tombstone",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(
            ["request_id"], ["erasure_request.id"], name=op.f("fk_erasure_tombstone_request_id_erasure_request")
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_erasure_tombstone")),
        sqlite_strict=True,
    )
    with op.batch_alter_table("erasure_tombstone", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_erasure_tombstone_request_id"), ["request_id"], unique=False)

    op.create_table(
        "export_file",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("row_count", Whole, nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.Column("deleted_at", Moment(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_export_file_job_id_job")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_export_file")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_export_file_token_hash")),
        sqlite_strict=True,
    )
    with op.batch_alter_table("export_file", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_export_file_expires_at"), ["expires_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_export_file_job_id"), ["job_id"], unique=False)

    op.create_table(
        "patient_link",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("patient_id", sa.Text(), nullable=False),
        sa.Column("relation", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("linked_at", Moment(), nullable=False),
        sa.Column("unlinked_at", Moment(), nullable=True),
        sa.Column("unlinked_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["patient_account.id"], name=op.f("fk_patient_link_account_id_patient_account")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patient_link")),
        sqlite_strict=True,
    )
    with op.batch_alter_table("patient_link", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_patient_link_patient_id"), ["patient_id"], unique=False)
        batch_op.create_index(
            "uq_patient_link_open",
            ["account_id", "patient_id"],
            unique=True,
            sqlite_where=sa.text("unlinked_at is null"),
            postgresql_where=sa.text("unlinked_at is null"),
        )

    op.create_table(
        "patient_session",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("patient_id", sa.Text(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.Column("revoked_at", Moment(), nullable=True),
        sa.Column("last_used_at", Moment(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["patient_account.id"], name=op.f("fk_patient_session_account_id_patient_account")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patient_session")),
        sqlite_strict=True,
    )
    with op.batch_alter_table("patient_session", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_patient_session_account_id"), ["account_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_patient_session_expires_at"), ["expires_at"], unique=False)
    # The chain begins with a hash that no row has.
    op.execute(f"insert into audit_head (id, seq, hash) values (1, 0, '{'0' * 64}')")


def downgrade() -> None:
    """Undo it."""
    with op.batch_alter_table("patient_session", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_patient_session_expires_at"))
        batch_op.drop_index(batch_op.f("ix_patient_session_account_id"))

    op.drop_table("patient_session")
    with op.batch_alter_table("patient_link", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_patient_link_open",
            sqlite_where=sa.text("unlinked_at is null"),
            postgresql_where=sa.text("unlinked_at is null"),
        )
        batch_op.drop_index(batch_op.f("ix_patient_link_patient_id"))

    op.drop_table("patient_link")
    with op.batch_alter_table("export_file", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_export_file_job_id"))
        batch_op.drop_index(batch_op.f("ix_export_file_expires_at"))

    op.drop_table("export_file")
    with op.batch_alter_table("erasure_tombstone", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_erasure_tombstone_request_id"))

    op.drop_table("erasure_tombstone")
    with op.batch_alter_table("api_key", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_api_key_actor_id"))

    op.drop_table("api_key")
    with op.batch_alter_table("actor_role", schema=None) as batch_op:
        batch_op.drop_index("ix_actor_role_role_id")

    op.drop_table("actor_role")
    op.drop_table("role")
    op.drop_table("patient_account")
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_outbox_subject"))
        batch_op.drop_index("ix_outbox_queue")

    op.drop_table("outbox")
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.drop_index("ix_job_queue")
        batch_op.drop_index("ix_job_owner")

    op.drop_table("job")
    with op.batch_alter_table("idempotency", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_idempotency_target"))
        batch_op.drop_index(batch_op.f("ix_idempotency_expires_at"))

    op.drop_table("idempotency")
    op.drop_table("erasure_request")
    op.drop_table("customer_consent")
    with op.batch_alter_table("audit_log", schema=None) as batch_op:
        batch_op.drop_index("ix_audit_log_target")
        batch_op.drop_index(batch_op.f("ix_audit_log_at"))
        batch_op.drop_index("ix_audit_log_actor")

    op.drop_table("audit_log")
    op.drop_table("audit_head")
    op.drop_table("actor")
