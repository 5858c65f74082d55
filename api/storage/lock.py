"""The lock in front of SQLite's one write lock: processes queue here, in the kernel, and never meet a busy database.

SQLite's own busy handler sleeps and guesses; under load the unlucky wait a second.
"""

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class FileLock:
    """Held by one thread of one process at a time; a process that dies gives it up."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("ab")
        # flock knows processes only: threads share the open file.
        self._threads = threading.Lock()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the lock, and give it up afterwards."""
        with self._threads:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        self._file.close()
