"""What is done when a time is over: files, answers and sessions are thrown away, what is over quota is disabled.

Every step is conditional and may be repeated: any number of processes sweep.
"""

from datetime import date, datetime
from pathlib import Path

import structlog
from sqlalchemy import Connection, delete

from api.files.store import sweep_files
from api.storage.audience_quotas import Included, disable_over_quota, is_over_quota
from api.storage.database import Database
from api.storage.tables.access import patient_session
from api.storage.tables.idempotency import idempotency

log: structlog.stdlib.BoundLogger = structlog.get_logger("cdp.upkeep")


def sweep(database: Database, exports: Path, *, now: datetime) -> None:
    """Delete everything that expired before `now`."""

    def work(connection: Connection) -> tuple[int, int]:
        answers = connection.execute(delete(idempotency).where(idempotency.c.expires_at <= now)).rowcount
        sessions = connection.execute(delete(patient_session).where(patient_session.c.expires_at <= now)).rowcount
        return answers, sessions

    files = sweep_files(database, exports, now=now)
    answers, sessions = database.write(work)
    if files or answers or sessions:
        log.info("swept", files=files, answers=answers, sessions=sessions)


def keep_quotas(database: Database, included: Included, *, today: date, now: datetime) -> None:
    """Disable the smart tags and segments that are too many; today: the tenant's calendar day."""
    with database.read() as connection:
        if not is_over_quota(connection, today=today, included=included):
            return
    gone = database.write(lambda connection: disable_over_quota(connection, today, now, included=included))
    log.info("disabled over quota", audiences=gone)
