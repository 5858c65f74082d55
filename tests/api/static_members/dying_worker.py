"""A worker that the machine takes away in the middle of a job, after so many pieces of it are done.

`python -m tests.api.static_members.dying_worker DATA_DIR PIECES [DATABASE_URL]`
"""

import os
import signal
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from api.audiences import static_job
from api.audiences.members import Members
from api.background import JOB_KINDS
from api.clock import now
from api.filters.evaluator import FilterEvaluator
from api.jobs.context import Services
from api.jobs.worker import Worker
from api.settings import ApiSettings
from api.storage.database import Database
from segment_engine.runtime.catalogs import PublishedCatalogs
from segment_engine.runtime.published import PublishedReader
from tests.api.static_members.static import PIECE


def main() -> None:
    """Run one job, and die with `kill -9` before the piece after the last."""
    data_dir, pieces = Path(sys.argv[1]), int(sys.argv[2])
    address = {"database_url": sys.argv[3]} if len(sys.argv) > 3 else {}
    settings = ApiSettings(data_dir=data_dir, **address)
    chunks = static_job.in_chunks

    def dying(*asked: Any) -> Iterator[Any]:
        for number, people in enumerate(chunks(*asked)):
            if number == pieces:
                os.kill(os.getpid(), signal.SIGKILL)
            yield people

    static_job.CHUNK = PIECE  # type: ignore[misc]
    static_job.in_chunks = dying  # type: ignore[assignment]
    database, reader = Database(settings), PublishedReader(settings.folders, timezone=settings.timezone)
    members = Members(database, reader, settings.folders)
    filters = FilterEvaluator(reader, PublishedCatalogs(settings.folders), members, timezone=settings.timezone)
    services = Services(database, settings, reader, now, filters)
    Worker(JOB_KINDS, services, name="dying", lease=timedelta(seconds=60)).step()


if __name__ == "__main__":
    main()
