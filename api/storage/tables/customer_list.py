"""What people keep for their work with the customer list: filters they use often, and which columns they look at."""

from sqlalchemy import Column, Index, Text, UniqueConstraint

from api.storage.tables.base import table
from api.storage.types import Document, Flag, Moment, Whole

# One row per saved filter (常用筛选); `owner` is the caller's key, `document` its quick and advanced part.
saved_filter = table(
    "saved_filter",
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("owner_name", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("is_shared", Flag, nullable=False),
    Column("document", Document, nullable=False),
    Column("version", Whole, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    UniqueConstraint("owner", "name"),
    Index("ix_saved_filter_is_shared", "is_shared"),
)

# One row per caller who chose columns (自定义列); `pinned` and `others` are lists of names, in order.
customer_list_columns = table(
    "customer_list_columns",
    Column("owner", Text, primary_key=True),
    Column("pinned", Document, nullable=False),
    Column("others", Document, nullable=False),
    Column("version", Whole, nullable=False),
    Column("updated_at", Moment, nullable=False),
)
