"""The store itself: settings, writes, retries, schema."""

from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from api.settings import ApiSettings
from api.storage.database import Database, StoreUnusableError
from api.storage.schema import current_revision, head_revision, require_newest, upgrade
from api.storage.tables import METADATA


def test_every_connection_has_the_settings_that_durability_needs(database: Database) -> None:
    database.check()


def test_the_migrations_make_exactly_the_tables_that_the_program_knows(database: Database) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        difference = compare_metadata(context, METADATA)

    assert difference == []


def test_upgrading_twice_changes_nothing(database: Database) -> None:
    assert upgrade(database) == (head_revision(), head_revision())


def test_an_old_store_is_refused_with_the_command_that_mends_it(tmp_path: Path) -> None:
    database = Database(ApiSettings(data_dir=tmp_path))

    with pytest.raises(StoreUnusableError, match="cdp db upgrade"):
        require_newest(database)

    upgrade(database)
    require_newest(database)
    assert current_revision(database) == head_revision()


def test_a_failed_write_leaves_nothing(database: Database) -> None:
    def work(connection: Connection) -> None:
        connection.execute(text("update audit_head set seq = 7"))
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        database.write(work)

    with database.read() as connection:
        assert connection.execute(text("select seq from audit_head")).scalar() == 0


@pytest.mark.parametrize("address", ["nonsense", "mysql://root@h/db", "postgresql://h"])
def test_an_address_that_is_no_store_is_refused_in_words(tmp_path: Path, address: str) -> None:
    with pytest.raises(StoreUnusableError, match=r"CDP_DATABASE_URL"):
        Database(ApiSettings(data_dir=tmp_path, database_url=address))


def test_a_server_that_is_not_there_is_told_without_the_password(tmp_path: Path) -> None:
    address = f"postgresql://cdp:geheim99@/cdp?host={tmp_path}"

    with pytest.raises(StoreUnusableError, match="does not answer") as told:
        Database(ApiSettings(data_dir=tmp_path, database_url=address)).check()

    assert "geheim99" not in str(told.value)


def test_a_file_that_is_no_store_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "operational.sqlite").write_bytes(b"no database at all" * 100)

    with pytest.raises(StoreUnusableError, match="not a database"):
        Database(ApiSettings(data_dir=tmp_path)).check()


def test_what_the_engine_undid_is_done_again(postgres_stores: Any, tmp_path: Path) -> None:
    with postgres_stores.new(tmp_path) as settings:
        database = Database(ApiSettings(data_dir=tmp_path, **settings))
        tries = []

        def work(connection: Connection) -> str:
            tries.append(1)
            if len(tries) < 3:
                connection.execute(text("do $$ begin raise exception 'again' using errcode = '40001'; end $$"))
            return "done"

        assert database.write(work) == "done"
        assert len(tries) == 3
        database.close()


def test_what_was_deleted_is_in_no_file_after_scrubbing(sqlite_stores: Any, tmp_path: Path) -> None:
    with sqlite_stores.new(tmp_path):
        database = Database(ApiSettings(data_dir=tmp_path))
        row = {"one_id": "canary-4711", "now": "2026-11-20T00:00:00.000000Z"}
        added = text("insert into customer_consent values (:one_id, 'marketing', 1, 'paper', 'x', :now, 1)")
        database.write(lambda connection: connection.execute(added, row))
        assert any(b"canary-4711" in file.read_bytes() for file in tmp_path.iterdir())

        database.write(lambda connection: connection.execute(text("delete from customer_consent")))
        database.scrub()

        assert not any(b"canary-4711" in file.read_bytes() for file in tmp_path.iterdir())
        database.write(lambda connection: connection.execute(added, row))
        database.close()


def test_scrubbing_leaves_a_store_that_works(database: Database) -> None:
    database.scrub()

    database.write(lambda connection: connection.execute(text("update audit_head set seq = 3")))
    with database.read() as connection:
        assert connection.execute(text("select seq from audit_head")).scalar_one() == 3
