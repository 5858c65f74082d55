"""Jobs to test the queue with; run as a program, an API process that knows them."""

import socket
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import uvicorn
from sqlalchemy import Connection

from api import background
from api.access.actors import Actor
from api.clock import now
from api.errors import InvalidError
from api.filters.audiences import NoAudiences
from api.filters.evaluator import FilterEvaluator
from api.jobs.context import Finished, JobContext, JobKinds, Services
from api.jobs.model import Job
from api.jobs.queue import enqueue
from api.jobs.worker import Worker
from api.main import create_app
from api.settings import ApiSettings
from api.storage.database import Database
from segment_engine.problems import Problem
from segment_engine.runtime.catalogs import PublishedCatalogs
from segment_engine.runtime.published import PublishedReader

OWNER = Actor("staff", "owner-1", "张三")


def note(context: JobContext) -> Finished:
    """Appends a line to a file: what ran, and which attempt."""
    with Path(context.job.params["file"]).open("a") as file:
        file.write(f"{context.job.params['name']} {context.job.attempts}\n")
    return Finished({"name": context.job.params["name"]})


def wait(context: JobContext) -> Finished:
    """Notes that it began, then works until `params["until"]` is there."""
    note(context)
    done = 0
    while not Path(context.job.params["until"]).exists():
        done += 1
        context.progress(done, None)
        time.sleep(0.01)
    return Finished({"done": done})


def make(context: JobContext) -> Finished:
    """Makes a file, during which the test may do what it likes: it waits until `params["until"]` is there."""
    made = Path(context.job.params["file"])
    made.touch()
    while not Path(context.job.params["until"]).exists():
        time.sleep(0.01)
    return Finished({}, discard=made.unlink)


def crash(context: JobContext) -> Finished:
    raise RuntimeError("a secret of 唐三")


def refuse(context: JobContext) -> Finished:
    raise InvalidError(Problem("nonsense", "/x", "不行", "No."))


KINDS: JobKinds = {"note": note, "wait": wait, "make": make, "crash": crash, "refuse": refuse}


def put(database: Database, kind: str, *, max_attempts: int = 3, **params: Any) -> Job:
    def work(connection: Connection) -> Job:
        return enqueue(
            connection, kind=kind, params=params, owner=OWNER, request_id=None, now=now(), max_attempts=max_attempts
        )

    return database.write(work)


def worker(database: Database, settings: ApiSettings, name: str, *, lease_seconds: float = 60) -> Worker:
    reader = PublishedReader(settings.folders, timezone=settings.timezone)
    filters = FilterEvaluator(reader, PublishedCatalogs(settings.folders), NoAudiences(), timezone=settings.timezone)
    services = Services(database, settings, reader, now, filters)
    return Worker(KINDS, services, name=name, lease=timedelta(seconds=lease_seconds))


def in_thread(step: Any) -> threading.Thread:
    thread = threading.Thread(target=step)
    thread.start()
    return thread


def main() -> None:
    """`python -m tests.api.jobs.handlers`: prints its port and serves until it is killed."""
    background.JOB_KINDS.update(KINDS)  # type: ignore[attr-defined]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        config = uvicorn.Config(create_app(ApiSettings()), log_config=None, access_log=False)
        uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main()
