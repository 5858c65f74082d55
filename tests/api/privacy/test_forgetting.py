"""What the store holds of persons whom only the night finds to be the one who is erased."""

from pathlib import Path

from sqlalchemy import Connection, insert, select, update

from api.access.sessions import make_session
from api.clock import now
from api.jobs.queue import enqueue
from api.patients.repository import keep_account
from api.storage.database import Database
from api.storage.tables.access import patient_account, patient_link, patient_session
from api.storage.tables.jobs import job
from pipelines.erasure.orders import forget_found
from pipelines.settings import PipelineSettings
from tests.api.jobs.handlers import OWNER
from tests.api.privacy.test_erased_messages import AGAIN, put, row_of
from tests.stores import StoreSettings


def log_in(database: Database, openid: str, patient_id: str) -> None:
    """An account of this user, linked with this patient, and a session that acts for them."""

    def work(connection: Connection) -> None:
        account = keep_account(connection, "wx-app", openid, f"u-{openid}", now=now())
        link = {"id": f"l-{openid}", "account_id": account, "relation": "本人", "origin": "source", "linked_at": now()}
        connection.execute(insert(patient_link).values(patient_id=patient_id, **link))
        make_session(connection, account, patient_id, now=now())

    database.write(work)


def test_their_accounts_links_sessions_and_waiting_messages_go_and_nobody_elses(
    database: Database, store: StoreSettings, tmp_path: Path
) -> None:
    log_in(database, "found", "P1")
    log_in(database, "parent", "P2")
    log_in(database, "other", "P3")
    for subject in ("C1", "C2"):
        put(database, AGAIN, subject)
    settings = PipelineSettings(data_dir=tmp_path / "data", **store)

    for _ in range(2):  # a night that was killed finds them again
        forget_found(settings, ["C1"], ["mini_program_user:wx-app:found", "patient:saas:P2", "lead:leads:other"])

    with database.read() as connection:
        accounts = connection.execute(select(patient_account.c.openid).order_by("openid")).scalars().all()
        links = connection.execute(select(patient_link.c.patient_id)).scalars().all()
        sessions = connection.execute(select(patient_session.c.patient_id)).scalars().all()
    assert accounts == ["other", "parent"]
    assert links == ["P3"]
    assert set(sessions) == {None, "P3"}
    assert [row_of(database, subject).status for subject in ("C1", "C2")] == ["dropped", "waiting"]


def test_previews_of_decisions_go_and_other_jobs_stay(database: Database, store: StoreSettings, tmp_path: Path) -> None:
    kinds, key = ("identity.preview", "customers.export"), "patient:saas:P2"

    def work(connection: Connection) -> None:
        ids = [
            enqueue(connection, kind=kind, params={"key": key}, owner=OWNER, request_id=None, now=now()).id
            for kind in kinds
            for _ in range(2)
        ]
        ended = {"status": "succeeded", "result": {"key": key}}
        connection.execute(update(job).where(job.c.id.in_(ids[::2])).values(ended))

    database.write(work)

    forget_found(PipelineSettings(data_dir=tmp_path / "data", **store), [], [key])

    with database.read() as connection:
        columns = (job.c.kind, job.c.status, job.c.params, job.c.result, job.c.cancel_requested)
        left = [tuple(row) for row in connection.execute(select(*columns).order_by(job.c.kind, job.c.status))]
    assert left == [
        ("customers.export", "queued", {"key": key}, None, False),
        ("customers.export", "succeeded", {"key": key}, {"key": key}, False),
        ("identity.preview", "queued", {}, None, True),
        ("identity.preview", "succeeded", {}, None, False),
    ]
