"""Which clinics are left out on a day, as the store keeps it, on both engines."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from api.settings import ApiSettings
from api.storage.clinic_services import ClinicService, ServiceStatus, clinic_services, excluded_clinics
from api.storage.database import Database
from api.storage.tables.clinics import clinic_service

DAY = date(2026, 12, 1)
BEFORE, AFTER = DAY - timedelta(days=1), DAY + timedelta(days=1)
NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)


def row(clinic_id: str, status: str, since: date, until: date | None = None) -> dict[str, object]:
    return {
        "clinic_id": clinic_id, "status": status, "since": since, "until": until,
        "changed_by": "staff:1", "changed_at": NOW, "version": 2,
    }  # fmt: skip


def keep(database: Database, *rows: dict[str, object]) -> None:
    database.write(lambda connection: connection.execute(insert(clinic_service), list(rows)))


def excluded_on(database: Database) -> Callable[[date], frozenset[str]]:
    def excluded(day: date) -> frozenset[str]:
        with database.read() as connection:
            return excluded_clinics(connection, day)

    return excluded


def test_days_pass_and_nobody_has_to_act(database: Database) -> None:
    keep(
        database,
        row("ended", "ended", DAY),
        row("expires", "active", date(2025, 1, 1), DAY),
        row("starts", "initialising", DAY, AFTER),
        row("loads", "initialising", date(2025, 1, 1), DAY),
        row("stays", "active", DAY),
        row("was served", "active", date(2024, 1, 1), date(2025, 1, 1)),
    )

    excluded = excluded_on(database)

    assert excluded(BEFORE) == {"loads", "was served"}
    assert excluded(DAY) == {"ended", "expires", "starts", "was served"}
    assert excluded(AFTER) == {"ended", "expires", "was served"}


def test_a_clinic_without_a_row_is_served(database: Database) -> None:
    assert excluded_on(database)(DAY) == frozenset()


def test_what_was_kept_is_read_as_it_was_meant(database: Database) -> None:
    keep(database, row("C1", "initialising", DAY, AFTER))

    with database.read() as connection:
        services = clinic_services(connection)

    assert services == {"C1": ClinicService("C1", ServiceStatus.INITIALISING, DAY, AFTER, "staff:1", NOW, 2)}


@pytest.mark.parametrize(
    "wrong",
    [row("C1", "closed", DAY), row("C1", "ended", DAY, AFTER), row("C1", "active", DAY, DAY)],
    ids=["status", "end of an end", "no day"],
)
def test_the_store_itself_refuses_what_makes_no_sense(database: Database, wrong: dict[str, object]) -> None:
    with pytest.raises(IntegrityError):
        keep(database, wrong)


def test_a_store_of_an_earlier_revision_leaves_nobody_out(tmp_path_factory: pytest.TempPathFactory) -> None:
    empty = Database(ApiSettings(data_dir=tmp_path_factory.mktemp("old")))

    assert excluded_on(empty)(DAY) == frozenset()
    empty.close()
