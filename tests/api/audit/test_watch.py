"""The nightly walk over the audit log, and a walk while others write."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from fastapi.testclient import TestClient
from sqlalchemy import Connection, text

from api.audit.log import Entry, append
from api.audit.verify import verify
from api.audit.watch import AuditWatch
from api.caller import Caller
from api.main import create_app
from api.settings import ApiSettings
from api.storage.database import Database
from tests.stores import StoreSettings

ANNA = Caller("staff", "anna", "安娜", "request-1", "10.0.0.1")
ZONE = ZoneInfo("Asia/Shanghai")
EVENING = datetime(2026, 11, 20, 23, 30, tzinfo=ZONE)


def written(database: Database) -> None:
    database.write(lambda connection: append(connection, ANNA, Entry("role.edit", "role", "r"), now=EVENING))


def test_the_log_is_walked_once_a_night_and_not_before_three(database: Database) -> None:
    moment = EVENING.replace(hour=2)
    watch = AuditWatch(database, ZONE, lambda: moment.astimezone(UTC))
    rows: list[int | None] = []

    for hours in (0, 1, 20, 22, 25):  # 2:30, 3:30, 22:30, half past midnight, 3:30 of the next day
        written(database)
        moment = EVENING.replace(hour=2) + timedelta(hours=hours)
        watch.step()
        rows.append(watch.verdict.good_rows if watch.verdict else None)

    assert rows == [None, 2, 2, 2, 5]


def test_a_row_that_was_changed_is_told_by_the_metrics_after_the_next_night(
    store: StoreSettings, tmp_path: Path
) -> None:
    settings = ApiSettings(data_dir=tmp_path / "data", **store)
    moment = EVENING
    with TestClient(create_app(settings)) as client:
        database: Database = client.app.state.database  # type: ignore[attr-defined]
        watch = AuditWatch(database, ZONE, lambda: moment)
        client.app.state.background.audit_watch = watch  # type: ignore[attr-defined]
        before = client.get("/metrics").text
        for _ in range(3):
            written(database)
        watch.step()
        whole = client.get("/metrics").text

        database.write(lambda connection: connection.execute(text("update audit_log set action = 'x' where seq = 2")))
        moment += timedelta(days=1)
        watch.step()
        broken = client.get("/metrics").text

    assert "cdp_audit_chain_ok NaN" in before
    assert "cdp_audit_chain_ok 1.0" in whole
    assert "cdp_audit_chain_ok 0.0" in broken
    assert watch.verdict is not None
    assert watch.verdict.bad_seq == 2


def test_rows_that_are_written_during_a_walk_are_no_break(database: Database) -> None:
    for _ in range(3):
        written(database)

    with database.read() as connection:
        found = verify(Interrupted(connection, database))  # type: ignore[arg-type]

    assert found.ok
    assert found.good_rows == 3


class Interrupted:
    """A connection during whose first query somebody else writes."""

    def __init__(self, connection: Connection, database: Database) -> None:
        self._connection = connection
        self._database = database
        self._has_written = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def execution_options(self, **options: object) -> "Interrupted":
        self._connection = self._connection.execution_options(**options)
        return self

    def execute(self, statement: object) -> object:
        rows = self._connection.execute(statement)  # type: ignore[call-overload]
        if not self._has_written:
            self._has_written = True
            written(self._database)
        return rows
