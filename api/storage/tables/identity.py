"""What operators decided about who is one person (人工规则)."""

from sqlalchemy import CheckConstraint, Column, Index, Text, text

from api.storage.tables.base import one_of, table
from api.storage.types import Moment, Whole

# One row per decision, unchanged but for its revocation; a and b are keys or values by kind (api.storage.overrides).
identity_override = table(
    "identity_override",
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("a", Text, nullable=False),
    # Empty where the kind is about one thing: nulls would differ from each other in the index below.
    Column("b", Text, nullable=False),
    Column("value_type", Text),
    Column("reason", Text, nullable=False),
    Column("operator", Text, nullable=False),
    Column("valid_from", Moment, nullable=False),
    Column("revoked_at", Moment),
    Column("revoked_by", Text),
    Column("revoke_reason", Text),
    Column("version", Whole, nullable=False),
    Column("created_at", Moment, nullable=False),
    one_of("kind", "merge", "split", "detach", "block", "allow", "owner"),
    one_of("value_type", "phone", "unionid", "binding"),
    CheckConstraint("(value_type is null) = (kind in ('merge', 'split'))", name="value"),
    CheckConstraint("(b = '') = (kind in ('block', 'allow'))", name="b"),
    CheckConstraint(
        "(revoked_at is null) = (revoked_by is null) and (revoked_at is null) = (revoke_reason is null)", name="revoked"
    ),
    Index(
        "uq_identity_override_in_force",
        "kind",
        "a",
        "b",
        unique=True,
        sqlite_where=text("revoked_at is null"),
        postgresql_where=text("revoked_at is null"),
    ),
)
