"""The lock in front of SQLite's one write lock: processes queue here, in the kernel, and never meet a busy database.

SQLite's own busy handler sleeps and guesses; under load the unlucky wait a second.
"""

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


class LockedTooLongError(Exception):
    """Another thread of this process did not give the lock up in time."""


class FileLock:
    """Held by one holder in one process at a time; a process that dies gives it up."""

    def __init__(self, file: Path, *, timeout_seconds: float) -> None:
        self._path = file
        self._file: BinaryIO | None = None
        self._timeout = timeout_seconds
        # flock knows processes only: threads share the open file.
        self._threads = threading.Lock()

    def acquire(self, *, wait: bool) -> bool:
        """Take the lock; False where `wait` is not allowed and somebody has it. Raises LockedTooLongError."""
        if not self._threads.acquire(blocking=wait, timeout=self._timeout if wait else -1):
            if wait:
                raise LockedTooLongError
            return False
        try:
            if self._file is None:
                self._file = self._path.open("ab")
            fcntl.flock(self._file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._threads.release()
            return False
        except BaseException:
            self._threads.release()
            raise
        return True

    def release(self) -> None:
        """Give it up; not necessarily in the thread that took it."""
        assert self._file is not None, "only what was taken is given up"
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self._threads.release()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the lock, and give it up afterwards. Raises LockedTooLongError."""
        self.acquire(wait=True)
        try:
            yield
        finally:
            self.release()

    def close(self) -> None:
        """Close the file; the next holder opens it again."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
