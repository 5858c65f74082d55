"""Which revision of the schema the store has, and how it gets to the newest: `cdp db upgrade`."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from api.storage.database import Database, StoreUnusableError

MIGRATIONS = Path(__file__).parent / "migrations"
# Any two processes that upgrade at once agree on this number.
UPGRADE_LOCK = 7_201_120_261


def current_revision(database: Database) -> str | None:
    """The revision the store is at; None when it is empty."""
    with database.read() as connection:
        return MigrationContext.configure(connection).get_current_revision()


@cache
def head_revision() -> str:
    """The revision this program was written for; all migrations are read to find it, so once for each process."""
    head = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    assert head is not None, "the tree of migrations has one head"
    return head


def upgrade(database: Database) -> tuple[str | None, str]:
    """Bring the store to the newest revision; does nothing when it is there. Returns (before, after)."""

    def work(connection: Connection) -> tuple[str | None, str]:
        if database.kind == "postgresql":
            connection.exec_driver_sql(f"select pg_advisory_xact_lock({UPGRADE_LOCK})")
        # Read again inside: another process may have upgraded while we waited.
        before = MigrationContext.configure(connection).get_current_revision()
        if before != head_revision():
            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        return before, head_revision()

    if current_revision(database) == head_revision():
        return head_revision(), head_revision()
    return database.write(work)


def require_newest(database: Database) -> None:
    """Raise StoreUnusableError with a hint when the store is not at this program's revision."""
    found, wanted = current_revision(database), head_revision()
    if found != wanted:
        raise StoreUnusableError(
            f"the operational store is at revision {found or 'none'}, this program needs {wanted}: "
            f"run `cdp db upgrade` / 业务库版本为 {found or '空'},需要 {wanted}:请运行 cdp db upgrade"
        )
