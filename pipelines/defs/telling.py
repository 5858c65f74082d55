"""Keeping cell values out of what Dagster stores for good: its event log, its run storage and its compute logs.

What may be told of an error decides `pipelines.telling`; here are the two ways by which errors reach Dagster.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

from dagster_dbt import DbtCliInvocation

from pipelines.telling import told, without_values

OTHER_OUTPUT = "output.log"


class StepFailedError(Exception):
    """A step failed; the message has no value of a cell."""


@contextmanager
def values_kept_back() -> Iterator[None]:
    """Raise errors of the block as StepFailedError without the values they quote; Dagster's own pass."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] in {"dagster", "dagster_dbt"}:
            raise
        # From None: Dagster stores an error with its cause and its context.
        raise StepFailedError(told(error)).with_traceback(error.__traceback__) from None


def without_values_of(invocation: DbtCliInvocation) -> DbtCliInvocation:
    """The invocation, its output cleared of values before dagster-dbt reads, prints and stores it."""
    output = invocation.process.stdout
    assert output is not None
    invocation.process.stdout = cast("IO[bytes]", _Told(output, invocation.target_path / OTHER_OUTPUT))
    return invocation


class _Told:
    """A program's output whose lines are JSON events; all other lines (a crash's) go to a file beside dbt's log."""

    def __init__(self, output: IO[bytes], others: Path) -> None:
        self._output, self._others = output, others

    @property
    def closed(self) -> bool:
        return self._output.closed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._output.close()

    def __iter__(self) -> Iterator[bytes]:
        for line in self._output:
            event = _event(line)
            if event is not None:
                yield json.dumps(_cleared(event), ensure_ascii=False).encode() + b"\n"
                continue
            if not self._others.exists():
                self._others.parent.mkdir(parents=True, exist_ok=True)
                yield f"what dbt says beside its events is in {self._others}\n".encode()
            with self._others.open("ab") as sink:
                sink.write(line)


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "info" in event else None


def _cleared(value: Any) -> Any:
    if isinstance(value, str):
        return without_values(value)
    if isinstance(value, dict):
        return {name: _cleared(item) for name, item in value.items()}
    return [_cleared(item) for item in value] if isinstance(value, list) else value
