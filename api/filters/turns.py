"""Turns at work that only so many may do at once: whoever comes later waits, first come first served, and not for long.

Waiting costs no thread, so that other requests go on while many wait. What is done in a turn is no business of this.
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from api.errors import NotReadyError
from segment_engine.problems import Problem

AT_ONCE: Final = 2
MOST_WAITING: Final = 32
WAIT_SECONDS: Final = 5.0
RETRY_AFTER_SECONDS: Final = 2

BUSY: Final = Problem(
    "filters_busy",
    "",
    "正在进行的筛选计算较多,请稍后重试",
    "Too many filters are being evaluated at this moment; try again soon.",
)


class Turns:
    """So many at once, in any threads; raises NotReadyError for whoever would wait too long, or behind too many."""

    def __init__(
        self, at_once: int = AT_ONCE, *, most_waiting: int = MOST_WAITING, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        self._free = at_once
        self._most_waiting = most_waiting
        self._wait_seconds = wait_seconds
        self._waiting: deque[Future[None]] = deque()
        self._guard = threading.Lock()

    @contextmanager
    def taken(self, wait_seconds: float) -> Iterator[None]:
        """A turn for this thread, which waits for it."""
        turn = self._asked()
        try:
            turn.result(wait_seconds)
        except TimeoutError:
            self._withdraw(turn)
            raise _busy() from None
        try:
            yield
        finally:
            self._give_back()

    @asynccontextmanager
    async def awaited(self) -> AsyncIterator[None]:
        """A turn for a task of an event loop."""
        turn = self._asked()
        try:
            async with asyncio.timeout(self._wait_seconds):
                await asyncio.wrap_future(turn)
        except TimeoutError:
            self._withdraw(turn)
            raise _busy() from None
        except BaseException:  # the task is cancelled: nobody waits any more
            self._withdraw(turn)
            raise
        try:
            yield
        finally:
            self._give_back()

    def _asked(self) -> Future[None]:
        turn: Future[None] = Future()
        with self._guard:
            if self._free:
                self._free -= 1
                turn.set_result(None)
            elif len(self._waiting) >= self._most_waiting:
                raise _busy()
            else:
                self._waiting.append(turn)
        return turn

    def _withdraw(self, turn: Future[None]) -> None:
        with self._guard:
            was_waiting = turn.cancel()
            if was_waiting and turn in self._waiting:
                self._waiting.remove(turn)
        if not was_waiting:  # it was given in the last moment
            self._give_back()

    def _give_back(self) -> None:
        with self._guard:
            while self._waiting:
                turn = self._waiting.popleft()
                if turn.set_running_or_notify_cancel():
                    turn.set_result(None)
                    return
            self._free += 1


def _busy() -> NotReadyError:
    return NotReadyError(BUSY, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
