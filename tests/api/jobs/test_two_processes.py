"""Two API processes on one queue, one of which is killed."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
from sqlalchemy import select

from api.access.keys import key_owner
from api.clock import now
from api.jobs.queue import enqueue
from api.storage.database import Database
from api.storage.tables.jobs import job
from tests.api.conftest import bearer, make_actor
from tests.stores import StoreSettings

LEASE_SECONDS = "1"


@contextmanager
def api_process(data_dir: Path, store: StoreSettings) -> Iterator[subprocess.Popen[str]]:
    told = {"CDP_DATA_DIR": str(data_dir), "CDP_JOB_LEASE_SECONDS": LEASE_SECONDS}
    if "database_url" in store:
        told["CDP_DATABASE_URL"] = store["database_url"]
    command = [sys.executable, "-m", "tests.api.jobs.handlers"]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), **told}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return f"http://127.0.0.1:{process.stdout.readline().strip()}"


def running_in(database: Database, job_id: str) -> int:
    """The process that runs the job, once one does."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with database.read() as connection:
            worker = connection.execute(select(job.c.worker).where(job.c.id == job_id)).scalar_one()
        if worker is not None:
            return int(worker.split(":")[1])
        time.sleep(0.02)
    raise AssertionError("nobody took the job")


def test_the_job_of_a_killed_process_is_done_by_the_other(
    database: Database, store: StoreSettings, tmp_path: Path
) -> None:
    key = make_actor(database)
    owner = asyncio.run(key_owner(database, key, now=now()))
    assert owner is not None
    params = {"file": str(tmp_path / "ran"), "until": str(tmp_path / "go"), "name": "x"}

    with ExitStack() as stack:
        processes = [stack.enter_context(api_process(tmp_path / "data", store)) for _ in range(2)]
        addresses = {process.pid: address(process) for process in processes}
        made = database.write(
            lambda connection: enqueue(connection, kind="wait", params=params, owner=owner, request_id=None, now=now())
        )
        victim = running_in(database, made.id)
        (survivor,) = (place for pid, place in addresses.items() if pid != victim)
        told: list[str] = []
        with httpx2.stream("GET", f"{survivor}/v1/jobs/{made.id}/events", headers=bearer(key), timeout=20) as answer:
            lines = answer.iter_lines()
            told.append(next(line for line in lines if line.startswith("event")))
            os.kill(victim, signal.SIGKILL)
            (tmp_path / "go").touch()
            told += [line for line in lines if line.startswith("event")]
        ended = httpx2.get(f"{survivor}/v1/jobs/{made.id}", headers=bearer(key)).json()

    assert (told[0], told[-1]) == ("event: progress", "event: done")
    assert ended["status"] == "succeeded"
    assert (tmp_path / "ran").read_text() == "x 1\nx 2\n"
