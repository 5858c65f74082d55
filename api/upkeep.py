"""What is thrown away when its time is over: files of expired links, stored answers, patients' sessions.

Every step is conditional and may be repeated: any number of processes sweep.
"""

from datetime import datetime
from pathlib import Path

import structlog
from sqlalchemy import Connection, delete

from api.files.store import sweep_files
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
