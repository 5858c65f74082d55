"""Who may come in: staff and machine clients with roles and API keys, patients with accounts and sessions."""

from sqlalchemy import Column, ForeignKey, Index, Text, UniqueConstraint, text

from api.storage.tables.base import one_of, table
from api.storage.types import Document, Flag, Moment, Whole

# One row per staff member or machine client.
actor = table(
    "actor",
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("staff_id", Text, unique=True),
    Column("oidc_subject", Text, unique=True),
    Column("is_active", Flag, nullable=False),
    Column("version", Whole, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    one_of("kind", "staff", "client"),
)

# One row per role: its permission points, and per channel whose customers it may see.
role = table(
    "role",
    Column("id", Text, primary_key=True),
    Column("name_zh", Text, nullable=False, unique=True),
    Column("name_en", Text, nullable=False, unique=True),
    Column("is_builtin", Flag, nullable=False),
    Column("permissions", Document, nullable=False),
    Column("data_scope", Document, nullable=False),
    Column("version", Whole, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
)

# One row per actor, role and clinic; clinic '*' is headquarters, that is every clinic.
actor_role = table(
    "actor_role",
    Column("actor_id", Text, ForeignKey("actor.id"), primary_key=True),
    Column("role_id", Text, ForeignKey("role.id"), primary_key=True),
    Column("clinic_id", Text, primary_key=True),
    Index("ix_actor_role_role_id", "role_id"),
)

# One row per API key; only the hash of its secret is kept.
api_key = table(
    "api_key",
    Column("id", Text, primary_key=True),
    Column("actor_id", Text, ForeignKey("actor.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("secret_hash", Text, nullable=False),
    Column("scopes", Document),
    Column("created_at", Moment, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
    Column("last_used_at", Moment),
)

# One row per mini-program user who ever logged in.
patient_account = table(
    "patient_account",
    Column("id", Text, primary_key=True),
    Column("app_id", Text, nullable=False),
    Column("openid", Text, nullable=False),
    Column("unionid", Text),
    Column("created_at", Moment, nullable=False),
    Column("last_login_at", Moment, nullable=False),
    UniqueConstraint("app_id", "openid"),
)

# One row per time an account was bound to a patient file; at most one of them open. What the source undid, it may redo.
patient_link = table(
    "patient_link",
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("patient_account.id"), nullable=False),
    Column("patient_id", Text, nullable=False, index=True),
    Column("relation", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("linked_at", Moment, nullable=False),
    Column("unlinked_at", Moment),
    Column("unlinked_by", Text),
    Index(
        "uq_patient_link_open",
        "account_id",
        "patient_id",
        unique=True,
        sqlite_where=text("unlinked_at is null"),
        postgresql_where=text("unlinked_at is null"),
    ),
)

# One row per login; the patient is the one the account acts for now (就诊人).
patient_session = table(
    "patient_session",
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("patient_account.id"), nullable=False, index=True),
    Column("secret_hash", Text, nullable=False),
    Column("patient_id", Text),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False, index=True),
    Column("revoked_at", Moment),
    Column("last_used_at", Moment),
)
