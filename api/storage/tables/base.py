"""The metadata that every table belongs to, and how a table is declared."""

from typing import Any

from sqlalchemy import CheckConstraint, MetaData, Table
from sqlalchemy.schema import SchemaItem

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def table(name: str, *items: SchemaItem, **options: Any) -> Table:
    """A table that checks its types on SQLite too."""
    return Table(name, METADATA, *items, sqlite_strict=True, **options)


def one_of(column: str, *values: str) -> CheckConstraint:
    """The column holds one of these words; the words come from code."""
    words = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} in ({words})", name=column)
