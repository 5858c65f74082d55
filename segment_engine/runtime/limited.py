"""Work that ends in time, or when somebody says so from another thread.

What is stopped must know how: here it is only told to, as often as it takes.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYetError
from time import perf_counter
from typing import Final, TypeVar

from segment_engine.problems import Problem

T = TypeVar("T")

_NUDGE: Final = 0.05
_GRACE: Final = 0.2
"""How long stopped work is waited for; what does not hear by then ends by itself, and nobody waits for it."""


class QueryTimeoutError(Exception):
    """The work took longer than it may."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"longer than {seconds:g} s / 超过 {seconds:g} 秒")
        self.problem = Problem(
            "query_timeout",
            "",
            f"查询超过 {seconds:g} 秒,已停止;请缩小条件范围或稍后再试",
            f"The query took longer than {seconds:g} s and was stopped; narrow the filter, or try again later.",
        )


class QueryCancelledError(Exception):
    """Somebody stopped the work."""

    def __init__(self) -> None:
        super().__init__("stopped / 已停止")
        self.problem = Problem("query_cancelled", "", "查询已取消", "The query was cancelled.")


class Budget:
    """How long work may take; `cancel` ends it at once, from any thread."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """End the work that has this budget."""
        self._cancelled.set()

    def run(self, work: Callable[[], T], stop: Callable[[], None]) -> T:
        """What the work answers; raises what it raises, QueryTimeoutError, QueryCancelledError.

        stop: tells the work to give up; may be called often, and from another thread
        """
        began = perf_counter()
        answer: Future[T] = Future()
        threading.Thread(target=_run, args=(work, answer), daemon=True, name="budget").start()
        try:
            while not self._cancelled.is_set() and (left := self.seconds - (perf_counter() - began)) > 0:
                if _is_done(answer, min(left, _NUDGE)):
                    return answer.result()
        finally:
            # Also where somebody presses Ctrl-C.
            if not answer.done():
                _end(answer, stop)
        raise QueryCancelledError if self._cancelled.is_set() else QueryTimeoutError(self.seconds)


def _run(work: Callable[[], T], answer: Future[T]) -> None:
    try:
        answer.set_result(work())
    except BaseException as error:  # whoever waits for the answer gets it
        answer.set_exception(error)


def _is_done(answer: Future[T], seconds: float) -> bool:
    try:
        answer.exception(seconds)
    except NotYetError:
        return False
    return True


def _end(answer: Future[T], stop: Callable[[], None]) -> None:
    """An order to stop is lost on a statement that has not begun yet, so it is given again."""
    until = perf_counter() + _GRACE
    stop()
    while perf_counter() < until and not _is_done(answer, _NUDGE):
        stop()
