"""A thread that takes one step after another until it is told to stop; an error is logged and the next step follows.

What a step does belongs to jobs, outbox and upkeep.
"""

import threading
from collections.abc import Callable

import structlog

log: structlog.stdlib.BoundLogger = structlog.get_logger("cdp.background")


class Loop:
    """Repeats `step`; after a step that found nothing to do it rests for `every_seconds`, or until it is woken.

    The first step is taken `after_seconds`, or when it is woken.
    """

    def __init__(
        self, name: str, step: Callable[[], bool], *, every_seconds: float, after_seconds: float = 0.0
    ) -> None:
        self.name = name
        self._after_seconds = after_seconds
        self._step = step
        self._every_seconds = every_seconds
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._failing: str | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        """Ask it to take no further step."""
        self._stopping.set()
        self._wake.set()

    def join(self, timeout_seconds: float) -> bool:
        """Wait for the step in hand; whether it ended in time."""
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        self._wake.wait(self._after_seconds)
        while not self._stopping.is_set():
            # Before the step: what comes while it runs is looked at next.
            self._wake.clear()
            if not self._stopping.is_set() and not self._step_or_log():
                self._wake.wait(self._every_seconds)

    def _step_or_log(self) -> bool:
        try:
            more = self._step()
        except BaseException as error:  # a panic of a Rust library is no Exception, and the thread must live
            # A store that is away for an hour is one line, not 3600.
            if self._failing != type(error).__name__:
                log.exception("background step failed", loop=self.name)
            self._failing = type(error).__name__
            return False
        self._failing = None
        return more
