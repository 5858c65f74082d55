"""Several threads that do the same thing at the same moment."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def at_once(act: Callable[[T], R], things: Sequence[T]) -> list[R]:
    """Call `act` for each thing in a thread of its own; none begins before all are there. Raises what one raises."""
    start = Barrier(len(things))

    def begin(thing: T) -> R:
        start.wait()
        return act(thing)

    with ThreadPoolExecutor(len(things)) as pool:
        return list(pool.map(begin, things))
