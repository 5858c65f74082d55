"""Group commit for SQLite: writers who come while one is writing are written together, with one flush of the disk.

The first to come leads: it does the work of everybody who waits, each in a savepoint of its own, in the order in which
they came, and commits once. Nobody is told of success before that commit, so it is as if each had been alone.
"""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

# More would make the last of a group wait for too many others.
GROUP = 16
Work = Callable[[Connection], Any]
Transaction = Callable[[], AbstractContextManager[Connection]]


class WaitedTooLongError(Exception):
    """The writers before us took longer than we may wait; our work was not begun."""


@dataclass(eq=False, slots=True)
class _Ticket:
    """One writer's work and what became of it; woken either as leader or when all is done."""

    work: Work
    woken: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    result: Any = None
    error: BaseException | None = None

    def outcome(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.result


class CommitGroup:
    """The writers of one process; `transaction` opens a write transaction and commits it on leaving."""

    def __init__(self, transaction: Transaction, *, timeout_seconds: float) -> None:
        self._transaction = transaction
        self._timeout = timeout_seconds
        self._guard = threading.Lock()
        self._waiting: deque[_Ticket] = deque()
        self._led = False

    def write(self, work: Work) -> Any:
        """Do the work; returns after the commit. Raises WaitedTooLongError, what the work raises, or the commit."""
        ours = _Ticket(work)
        with self._guard:
            self._waiting.append(ours)
            ours.leads, self._led = not self._led, True
        if not ours.leads:
            self._wait(ours)
        if ours.leads:
            self._lead()
        return ours.outcome()

    def _wait(self, ours: _Ticket) -> None:
        if ours.woken.wait(self._timeout):
            return
        with self._guard:
            if ours in self._waiting and not ours.leads:
                self._waiting.remove(ours)
                raise WaitedTooLongError
        # A leader has taken our work already: it will tell us.
        ours.woken.wait()

    def _lead(self) -> None:
        """Write the group, ours first, then make the next in line the leader."""
        with self._guard:
            group = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
        try:
            with self._transaction() as connection:
                for ticket in group:
                    _do(connection, ticket, alone=len(group) == 1)
        except BaseException as error:
            for ticket in group:
                ticket.error = ticket.error or error
        with self._guard:
            self._led = bool(self._waiting)
            if self._waiting:
                self._waiting[0].leads = True
                self._waiting[0].woken.set()
        for ticket in group:
            ticket.woken.set()


def _do(connection: Connection, ticket: _Ticket, *, alone: bool) -> None:
    if alone:  # its error may undo the whole transaction
        ticket.result = ticket.work(connection)
        return
    try:
        with connection.begin_nested():
            ticket.result = ticket.work(connection)
    except BaseException as error:
        ticket.error = error
