"""How long each step of a night takes."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


class Watch:
    """Seconds per step; one that is entered again goes on."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time the block as part of the step."""
        start = perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0) + perf_counter() - start
