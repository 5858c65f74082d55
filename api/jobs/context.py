"""What the handler of a job is given, and what it gives back. How a job is taken and ended belongs to `worker`."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection

from api.access.actors import Actor
from api.filters.evaluator import FilterEvaluator
from api.jobs.model import Claim, Job
from api.jobs.queue import ClaimLostError, note, renew, report
from api.settings import ApiSettings
from api.storage.database import Database
from segment_engine.runtime.published import PublishedReader

log: structlog.stdlib.BoundLogger = structlog.get_logger("cdp.jobs")

REPORT_SECONDS = 0.5
# So many chances to renew a lease before it runs out.
BEATS_PER_LEASE = 4


class CancelledError(Exception):
    """Somebody asked to cancel the job; raised by `progress` and `check` of a context."""


class StoppingError(Exception):
    """The process stops; the job goes back into the queue."""


@dataclass(frozen=True, slots=True)
class Services:
    """What a handler works with."""

    database: Database
    settings: ApiSettings
    reader: PublishedReader
    clock: Callable[[], datetime]
    filters: FilterEvaluator


@dataclass(frozen=True, slots=True)
class Finished:
    """A job's result (a JSON value, without secrets); `discard` undoes it when it comes too late to count."""

    result: Any
    discard: Callable[[], None] = lambda: None


class JobContext:
    """One attempt at one job. While it is entered, a thread keeps the claim alive."""

    def __init__(
        self, job: Job, actor: Actor, services: Services, *, lease: timedelta, stopping: threading.Event
    ) -> None:
        self.job = job
        self.actor = actor
        self.services = services
        self._lease = lease
        self._stopping = stopping
        self._cancelled = threading.Event()
        self._lost = threading.Event()
        self._left = threading.Event()
        self._reported_at = -REPORT_SECONDS
        self._beat = threading.Thread(target=self._keep_alive, name=f"lease-{job.id}", daemon=True)

    @property
    def claim(self) -> Claim:
        return self.job.claim

    def check(self) -> None:
        """Raise CancelledError, StoppingError or ClaimLostError when the work is to stop; call it often."""
        if self._lost.is_set():
            raise ClaimLostError(self.job.id)
        if self._cancelled.is_set():
            raise CancelledError
        if self._stopping.is_set():
            raise StoppingError

    def progress(self, done: int, total: int | None) -> None:
        """Tell how far the work is, as often as one likes: it is written twice a second. Raises what `check` raises."""
        self.check()
        at = time.monotonic()
        if at - self._reported_at < REPORT_SECONDS:
            return
        self._reported_at = at
        self._write(lambda connection: report(connection, self.claim, done=done, total=total))
        self.check()

    def record(self, work: Callable[[Connection], object]) -> None:
        """Write something of the attempt's own while the job is claimed and wanted; raises what `check` raises."""

        def recorded(connection: Connection) -> bool:
            # First, since it holds the job's row: who cancels from now on finds what is written.
            is_cancelled = self._renewed(connection)
            work(connection)
            return is_cancelled

        self._write(recorded)
        self.check()

    def advance(self, work: Callable[[Connection], Any], *, done: int, total: int | None) -> None:
        """Do a piece of the work for good, while the job is claimed and wanted; raises what `check` raises.

        What `work` returns is the job's result so far, kept in one transaction with the piece: whoever takes the job up
        after a crash finds it in `job.result` and goes on from there, and it stays when the job is cancelled or fails.
        """

        def advanced(connection: Connection) -> bool:
            # First, since it holds the job's row: who cancels from now on finds the piece done.
            is_cancelled = self._renewed(connection)
            if not is_cancelled:
                note(connection, self.claim, result=work(connection), done=done, total=total)
            return is_cancelled

        self._write(advanced)
        self.check()

    def check_now(self) -> None:
        """`check` that asks the store, not only what was heard of it last."""
        self._write(self._renewed)
        self.check()

    def __enter__(self) -> "JobContext":
        self._beat.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._beat.join()

    def _keep_alive(self) -> None:
        while not self._left.wait(self._lease.total_seconds() / BEATS_PER_LEASE):
            try:
                self._write(self._renewed)
            except ClaimLostError:
                return
            except Exception:
                # The next beat tries again; if none succeeds, the claim is lost and the end of the job finds out.
                log.exception("lease not renewed", job_id=self.job.id)

    def _renewed(self, connection: Connection) -> bool:
        return renew(connection, self.claim, lease=self._lease, now=self.services.clock())

    def _write(self, work: Callable[[Connection], bool]) -> None:
        """Write as the holder of the claim, and learn whether it still is one and whether to stop."""
        try:
            if self.services.database.write(work):
                self._cancelled.set()
        except ClaimLostError:
            self._lost.set()
            raise


Handler = Callable[[JobContext], Finished]
JobKinds = Mapping[str, Handler]
