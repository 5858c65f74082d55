"""Runs jobs, one at a time per worker: takes one, calls its handler, notes what became of it.

An ApiError of a handler fails the job with its problems; any other error fails it with `internal_error` and is logged.
"""

import os
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import Connection

from api.access.owners import actor_now
from api.errors import ApiError
from api.jobs.context import CancelledError, Finished, JobContext, JobKinds, Services, StoppingError
from api.jobs.model import Job
from api.jobs.queue import ClaimLostError, claim, fail, give_up, look, recover, release, renew, succeed
from api.jobs.rules import INTERNAL_ERROR, REQUESTER_GONE
from api.storage.database import StoreBusyError
from api.storage.insist import insist
from segment_engine.problems import Problem

log: structlog.stdlib.BoundLogger = structlog.get_logger("cdp.jobs")


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a job ends: what is to be written, and how to throw away what it made when that cannot be written."""

    write: Callable[[Connection], object]
    discard: Callable[[], None] = lambda: None


def worker_name() -> str:
    """A name that no other worker has, of this process or any other; it says where to look."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


class Worker:
    """Runs one job at a time."""

    def __init__(self, kinds: JobKinds, services: Services, *, name: str, lease: timedelta) -> None:
        self._kinds = kinds
        self._services = services
        self._name = name
        self._lease = lease
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Ask the running job to stop; it goes back into the queue."""
        self._stopping.set()

    def step(self) -> bool:
        """Bring back what others left behind and run one job; False when there was nothing to do."""
        services = self._services
        with services.database.read() as connection:
            if not look(connection, kinds=self._kinds, now=services.clock()):
                return False
        job = services.database.write(self._taken)
        if job is not None:
            self._run(job)
        return True

    def _taken(self, connection: Connection) -> Job | None:
        now = self._services.clock()
        recover(connection, now)
        return claim(connection, worker=self._name, kinds=self._kinds, lease=self._lease, now=now)

    def _run(self, job: Job) -> None:
        with structlog.contextvars.bound_contextvars(job_id=job.id, kind=job.kind, request_id=job.request_id):
            log.info("job started", attempt=job.attempts)
            try:
                ending = self._outcome(job)
                self._end(ending)
            except ClaimLostError:
                log.warning("job lost to another worker: this attempt counts for nothing", attempt=job.attempts)
            else:
                log.info("job ended")

    def _end(self, ending: _Ending) -> None:
        """Write how the job ended; what it made is thrown away when that cannot be written."""
        try:
            # To lose this write would mean to do the whole job again.
            insist(self._services.database, ending.write)
        except (StoreBusyError, ClaimLostError):
            ending.discard()
            raise

    def _outcome(self, job: Job) -> _Ending:
        """Do the work; returns how it ends, still to be written. Raises ClaimLostError."""
        services = self._services
        with services.database.read() as connection:
            actor = actor_now(connection, job.owner_kind, job.owner_id, scopes=job.owner_scopes)
        if actor is None:
            return self._failed(job, [REQUESTER_GONE])
        try:
            with JobContext(job, actor, services, lease=self._lease, stopping=self._stopping) as context:
                finished = self._kinds[job.kind](context)
        except CancelledError:
            return _Ending(lambda connection: give_up(connection, job.claim, now=services.clock()))
        except StoppingError:
            return _Ending(lambda connection: release(connection, job.claim, now=services.clock()))
        except ClaimLostError:
            raise
        except ApiError as error:
            return self._failed(job, error.problems)
        except BaseException:  # a panic of a Rust library is no Exception
            log.exception("job failed")
            return self._failed(job, [INTERNAL_ERROR])
        return self._succeeded(job, finished)

    def _succeeded(self, job: Job, finished: Finished) -> _Ending:
        def write(connection: Connection) -> None:
            now = self._services.clock()
            # Holds the row: who cancels has been heard now, or finds the job ended.
            if renew(connection, job.claim, lease=self._lease, now=now):
                give_up(connection, job.claim, now=now)
                finished.discard()
                return
            succeed(connection, job.claim, result=finished.result, now=now)

        return _Ending(write, finished.discard)

    def _failed(self, job: Job, problems: Sequence[Problem]) -> _Ending:
        return _Ending(lambda connection: fail(connection, job.claim, problems, now=self._services.clock()))
