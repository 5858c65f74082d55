"""Bringing the operational store to where this program needs it: schema, then builtin roles."""

from datetime import datetime

from api.access.builtin_roles import ensure_builtin_roles, outdated_roles
from api.settings import ApiSettings
from api.storage.database import Database
from api.storage.schema import require_newest, upgrade


def upgrade_store(database: Database, *, now: datetime) -> tuple[str | None, str]:
    """Schema and builtin roles at this program's state; does nothing when they are there. Returns (before, after)."""
    revisions = upgrade(database)
    with database.read() as connection:
        outdated = outdated_roles(connection)
    if outdated:
        database.write(lambda connection: ensure_builtin_roles(connection, now))
    return revisions


def open_store(settings: ApiSettings, database: Database, *, now: datetime) -> None:
    """Ready to be used: in development brought there, in production required to be there; StoreUnusableError."""
    database.check()
    if settings.environment == "development":
        upgrade_store(database, now=now)
    require_newest(database)
