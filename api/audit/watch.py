"""The audit log is walked once a night, so that a change made to it is noticed when nobody asks.

What it finds is told in the log of the process, where the last hash is noted out of the store's reach, and as a metric.
"""

from collections.abc import Callable
from datetime import date, datetime
from zoneinfo import ZoneInfo

import structlog

from api.audit.verify import Verdict, verify
from api.storage.database import Database

FROM_HOUR = 3

log: structlog.stdlib.BoundLogger = structlog.get_logger("cdp.audit")


class AuditWatch:
    """Steps of a background loop of one process; days and hours are the tenant's."""

    def __init__(self, database: Database, zone: ZoneInfo, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._zone = zone
        self._clock = clock
        self._day: date | None = None
        self.verdict: Verdict | None = None  # None until the first night

    def step(self) -> bool:
        """Walk the log unless it was done today, or it is too early; never asks for another step at once."""
        local = self._clock().astimezone(self._zone)
        if local.hour < FROM_HOUR or local.date() == self._day:
            return False
        with self._database.read() as connection:
            self.verdict = verdict = verify(connection)
        self._day = local.date()
        if verdict.ok:
            log.info("audit log stands", rows=verdict.good_rows, head=verdict.head)
        else:
            log.error("audit log is broken", row=verdict.bad_seq, reason=verdict.reason, good_rows=verdict.good_rows)
        return False
