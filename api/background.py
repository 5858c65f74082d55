"""The threads of an API process: which there are, which jobs they know, how they start and stop."""

import time
from datetime import timedelta

import structlog

from api.audiences.calculation import recalculate
from api.audiences.calculation_queue import RECALCULATE
from api.audiences.static_job import change_members
from api.audiences.static_messages import message_customers
from api.audit.watch import AuditWatch
from api.clock import now
from api.customers.export_service import EXPORT_CUSTOMERS, export_customers
from api.filters.evaluator import FilterEvaluator
from api.identity.preview import IDENTITY_PREVIEW, preview_identity
from api.jobs.context import JobKinds, Services
from api.jobs.worker import Worker, worker_name
from api.loop import Loop
from api.outbox.dispatcher import Dispatcher
from api.outbox.transports import transport_of
from api.settings import ApiSettings
from api.storage.audience_quotas import Included
from api.storage.database import Database
from api.storage.forgetting import CHANGE_MEMBERS, MESSAGE_CUSTOMERS
from api.upkeep import keep_quotas, sweep
from segment_engine.runtime.published import PublishedReader

log: structlog.stdlib.BoundLogger = structlog.get_logger("cdp.background")

JOB_KINDS: JobKinds = {
    EXPORT_CUSTOMERS: export_customers,
    IDENTITY_PREVIEW: preview_identity,
    CHANGE_MEMBERS: change_members,
    RECALCULATE: recalculate,
    MESSAGE_CUSTOMERS: message_customers,
}

POLL_SECONDS = 1.0
SWEEP_SECONDS = 60.0
WATCH_SECONDS = 600.0
# Who starts an API waits for answers: what has time comes later.
SWEEP_AFTER_SECONDS = 5.0
WATCH_AFTER_SECONDS = 30.0


class Background:
    """Workers, the outbox's dispatcher, the sweeper and the audit log's watch of one process."""

    def __init__(
        self,
        settings: ApiSettings,
        database: Database,
        reader: PublishedReader,
        filters: FilterEvaluator,
        kinds: JobKinds = JOB_KINDS,
    ) -> None:
        services = Services(database, settings, reader, now, filters)
        lease = timedelta(seconds=settings.job_lease_seconds)
        self._workers = [Worker(kinds, services, name=worker_name(), lease=lease) for _ in range(settings.job_workers)]
        self._worker_loops = [
            Loop(f"jobs-{number}", worker.step, every_seconds=POLL_SECONDS)
            for number, worker in enumerate(self._workers)
        ]
        dispatcher = Dispatcher(database, transport_of(settings), worker=worker_name(), clock=now)

        def swept() -> bool:
            moment = now()
            sweep(database, settings.folders.exports, now=moment)
            today = moment.astimezone(settings.zone).date()
            keep_quotas(database, Included.by(settings), today=today, now=moment)
            return False

        self.audit_watch = AuditWatch(database, settings.zone, now)
        self._loops = [
            *self._worker_loops,
            Loop("outbox", dispatcher.step, every_seconds=POLL_SECONDS),
            Loop("upkeep", swept, every_seconds=SWEEP_SECONDS, after_seconds=SWEEP_AFTER_SECONDS),
            Loop("audit", self.audit_watch.step, every_seconds=WATCH_SECONDS, after_seconds=WATCH_AFTER_SECONDS),
        ]

    def start(self) -> None:
        for loop in self._loops:
            loop.start()

    def wake_workers(self) -> None:
        """A job was put in: look now."""
        for loop in self._worker_loops:
            loop.wake()

    def stop(self, timeout_seconds: float) -> None:
        """Take nothing new, put running jobs back, and wait for that; what takes longer is left to its lease."""
        for loop in self._loops:
            loop.stop()
        for worker in self._workers:
            worker.stop()
        ends_at = time.monotonic() + timeout_seconds
        for loop in self._loops:
            if not loop.join(max(0.0, ends_at - time.monotonic())):
                log.warning("background step still running", loop=loop.name)
