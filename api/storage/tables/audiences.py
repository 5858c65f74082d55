"""Tags and segments (标签, 分群): what they are, what their rules say, who is in them, how many there may be.

An audience is a tag or a segment. Who is in a smart one stands in files that `audience_version` points to
(`segment_engine.runtime.memberships`); who is in a static one stands here.
"""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Text, text

from api.storage.tables.base import one_of, table
from api.storage.types import Document, Flag, Moment, Whole

_IS_TAG = text("kind = 'tag' and deleted_at is null")
_IS_SEGMENT = text("kind = 'segment' and deleted_at is null")
_IS_THERE = text("deleted_at is null")
_IS_IN = text("removed_at is null")

# One row per group of tags, static or smart; the lowest position comes first.
tag_group = table(
    "tag_group",
    Column("id", Whole, primary_key=True),
    Column("is_smart", Flag, nullable=False),
    Column("name", Text, nullable=False),
    Column("position", Whole, nullable=False),
    # Where tags of systems without groups go; at most one of the static ones.
    Column("is_default", Flag, nullable=False),
    Column("version", Whole, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("deleted_at", Moment),
    Index("uq_tag_group_name", "is_smart", "name", unique=True, sqlite_where=_IS_THERE, postgresql_where=_IS_THERE),
)

# One row per tag or segment. Ids are never used twice: filters and logs name them.
audience = table(
    "audience",
    Column("id", Whole, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("is_smart", Flag, nullable=False),
    Column("group_id", Whole, ForeignKey("tag_group.id"), index=True),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("color", Text),
    Column("position", Whole, nullable=False),
    Column("is_enabled", Flag, nullable=False),
    # Why the platform itself disabled it.
    Column("disabled_because", Text),
    Column("is_preset", Flag, nullable=False),
    # The definition that counts; none for a static one, and for a smart one that was never published.
    Column("definition", Whole),
    Column("draft", Document),
    # What was wrong when it was calculated last; its members are those of the last time that went well.
    Column("problems", Document),
    Column("failed_at", Moment),
    # Grows with every change of a static one's members, and with every calculation of a smart one.
    Column("revision", Whole, nullable=False),
    Column("version", Whole, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("updated_by", Text, nullable=False),
    Column("deleted_at", Moment),
    one_of("kind", "tag", "segment"),
    one_of("disabled_because", "quota"),
    CheckConstraint("(kind = 'tag') = (group_id is not null)", name="group_id"),
    CheckConstraint("is_smart or (definition is null and draft is null)", name="smart"),
    Index("uq_audience_tag_name", "group_id", "name", unique=True, sqlite_where=_IS_TAG, postgresql_where=_IS_TAG),
    Index("uq_audience_segment_name", "name", unique=True, sqlite_where=_IS_SEGMENT, postgresql_where=_IS_SEGMENT),
)

# One row per definition that was ever published; never changed.
audience_definition = table(
    "audience_definition",
    Column("audience_id", Whole, ForeignKey("audience.id"), primary_key=True, autoincrement=False),
    Column("number", Whole, primary_key=True, autoincrement=False),
    Column("filter", Document, nullable=False),
    Column("note", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("created_by", Text, nullable=False),
)

# One row per smart tag or segment that a definition names: what may not be deleted or disabled without asking.
audience_reference = table(
    "audience_reference",
    Column("audience_id", Whole, ForeignKey("audience.id"), primary_key=True, autoincrement=False),
    Column("refers_to", Whole, ForeignKey("audience.id"), primary_key=True, autoincrement=False, index=True),
)

# One row per calculation of a smart one that counts; the highest number is the one that is served.
audience_version = table(
    "audience_version",
    Column("audience_id", Whole, ForeignKey("audience.id"), primary_key=True, autoincrement=False),
    Column("number", Whole, primary_key=True, autoincrement=False),
    Column("definition", Whole, nullable=False),
    # The published version that it was calculated on, and its business day.
    Column("warehouse", Text, nullable=False),
    Column("as_of", Text, nullable=False),
    Column("computed_at", Moment, nullable=False, index=True),
    Column("trigger", Text, nullable=False),
    Column("operator", Text, nullable=False),
    Column("member_count", Whole, nullable=False),
    Column("entered_count", Whole, nullable=False),
    Column("left_count", Whole, nullable=False),
    Column("file", Text, nullable=False, index=True),
    one_of("trigger", "nightly", "manual", "definition"),
)

# One row per time that a customer was put into a static tag or segment; open until the customer is taken out.
audience_member = table(
    "audience_member",
    Column("id", Whole, primary_key=True),
    Column("audience_id", Whole, ForeignKey("audience.id"), nullable=False),
    # As it was when the customer was put in: it leads to whom it is now.
    Column("one_id", Text, nullable=False, index=True),
    Column("added_at", Moment, nullable=False),
    Column("added_by", Text, nullable=False),
    Column("added_how", Text, nullable=False),
    Column("removed_at", Moment),
    Column("removed_by", Text),
    Column("removed_how", Text),
    one_of("added_how", "staff", "bulk", "filter", "import", "sync"),
    one_of("removed_how", "staff", "bulk", "filter", "import", "sync"),
    CheckConstraint(
        "(removed_at is null) = (removed_by is null) and (removed_at is null) = (removed_how is null)", name="removed"
    ),
    Index("uq_audience_member_in", "audience_id", "one_id", unique=True, sqlite_where=_IS_IN, postgresql_where=_IS_IN),
    Index("ix_audience_member_added", "audience_id", "added_at"),
    Index("ix_audience_member_removed", "audience_id", "removed_at"),
)

# One row per purchase of more smart tags or segments (增购), usable through the day `expires_on`.
audience_quota = table(
    "audience_quota",
    Column("id", Whole, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("amount", Whole, nullable=False),
    Column("expires_on", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("revoked_at", Moment),
    one_of("kind", "tag", "segment"),
    CheckConstraint("amount > 0", name="amount"),
)
