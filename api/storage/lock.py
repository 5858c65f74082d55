"""The queue in front of SQLite's one write lock: first come, first served, between threads and between processes.

SQLite's own busy handler sleeps and guesses; under load the unlucky wait a second. Whoever queues here never meets it.
"""

import fcntl
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class QueueTimeoutError(Exception):
    """The writers before us took longer than we may wait."""


class WriteQueue:
    """One place in the queue per call of `turn`; a process that dies gives its place up."""

    def __init__(self, file: Path, *, timeout_seconds: float) -> None:
        self._timeout = timeout_seconds
        self._file = file.open("ab")
        self._guard = threading.Lock()
        self._held = False
        self._waiting: deque[threading.Event] = deque()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for our turn, and give it to the next one afterwards; raises QueueTimeoutError."""
        self._enter()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)
        finally:
            self._leave()

    def close(self) -> None:
        self._file.close()

    def _enter(self) -> None:
        ours = threading.Event()
        with self._guard:
            if not self._held:
                self._held = True
                return
            self._waiting.append(ours)
        if ours.wait(self._timeout):
            return
        with self._guard:
            if ours in self._waiting:
                self._waiting.remove(ours)
                raise QueueTimeoutError
        # Our turn came in the very moment in which we gave up: it is ours.

    def _leave(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._held = False
