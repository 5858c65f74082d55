"""When a key was last used: written late, never backwards, never lost at the end."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import event, select

from api.access.last_used import LastUsed
from api.storage.database import Database, StoreBusyError
from api.storage.tables.access import api_key
from tests.api.access.people import key_id, store_of
from tests.api.conftest import MakeClient, make_actor

NOON = datetime(2026, 11, 20, 4, tzinfo=UTC)


def last_used(database: Database, key: str) -> Any:
    with database.read() as connection:
        return connection.execute(select(api_key.c.last_used_at).where(api_key.c.id == key)).scalar_one()


def test_many_uses_are_one_write_of_the_last(database: Database) -> None:
    key = make_actor(database).split("_")[1]
    used, writes = LastUsed(database), []
    event.listen(database.engine, "before_cursor_execute", lambda *told: writes.append(told[2]))

    for second in range(100):
        used.note("key", key, NOON + timedelta(seconds=second))
    used.flush()
    used.flush()

    assert last_used(database, key) == NOON + timedelta(seconds=99)
    assert sum(statement.startswith("UPDATE") for statement in writes) == 1


def test_another_process_that_was_later_is_not_set_back(database: Database) -> None:
    key = make_actor(database).split("_")[1]
    early, late = LastUsed(database), LastUsed(database)

    late.note("key", key, NOON + timedelta(minutes=5))
    late.flush()
    early.note("key", key, NOON)
    early.flush()

    assert last_used(database, key) == NOON + timedelta(minutes=5)


def test_a_busy_store_costs_nothing_that_was_remembered(database: Database, monkeypatch: Any) -> None:
    key = make_actor(database).split("_")[1]
    used = LastUsed(database)
    used.note("key", key, NOON)

    def busy(work: Any) -> None:
        raise StoreBusyError

    with monkeypatch.context() as patch:
        patch.setattr(database, "write", busy)
        used.stop()
    used.stop()

    assert last_used(database, key) == NOON


def test_it_is_written_while_the_api_runs_and_when_it_stops(database: Database) -> None:
    key = make_actor(database).split("_")[1]
    used = LastUsed(database, seconds=0.01)
    used.start()
    used.note("key", key, NOON)
    for _ in range(500):
        if last_used(database, key) is not None:
            break
    running = last_used(database, key)
    used.note("key", key, NOON + timedelta(seconds=1))
    used.stop()

    assert running == NOON
    assert last_used(database, key) == NOON + timedelta(seconds=1)


def test_a_request_is_remembered_and_writes_nothing(make_client: MakeClient) -> None:
    client = make_client()
    key = key_id({"Authorization": client.headers["authorization"]})

    client.get("/v1/me")
    before = last_used(store_of(client), key)
    client.app.state.credentials.last_used.flush()  # type: ignore[attr-defined]

    assert before is None
    assert last_used(store_of(client), key) is not None
