"""Group commit for SQLite: what the event loop has to write is written together, with one flush of the disk.

The statements of everybody who waits run on the event loop itself, one after the other, each writer's in a savepoint of
its own: they take microseconds, and two threads that share one interpreter would spend more on taking turns. What may
take long, waiting for the lock and flushing the disk, is done in a thread, while the loop goes on. Nobody is told of
success before the commit, so it is as if each had been alone.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

# More would make the last of a group wait for too many others.
GROUP = 32
T = TypeVar("T")
Work = Callable[[Connection], Any]


class WaitedTooLongError(Exception):
    """The writers before us took longer than we may wait; our work was not begun."""


class Transactions(Protocol):
    """The one write transaction there can be."""

    def begin(self, *, wait: bool) -> Connection | None:
        """Open it; None where `wait` is not allowed and somebody else is writing."""

    def commit(self) -> None:
        """Commit it, or raise with everything undone."""

    def rollback(self) -> None:
        """Undo it."""


@dataclass(eq=False, slots=True)
class _Ticket:
    """One writer's work and, once it is committed or undone, what became of it."""

    work: Work
    told: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None

    def tell(self) -> None:
        if self.told.done():  # who asked is gone
            return
        if self.error is None:
            self.told.set_result(self.result)
        elif isinstance(self.error, StopIteration):  # which no future carries
            self.told.set_exception(RuntimeError("a work ended an iteration that it had not begun"))
        else:
            self.told.set_exception(self.error)


class CommitGroup:
    """The writers of one event loop at a time; `transactions` is used by nobody else."""

    def __init__(self, transactions: Transactions, *, timeout_seconds: float) -> None:
        self._transactions = transactions
        self._timeout = timeout_seconds
        self._waiting: deque[_Ticket] = deque()
        self._serving: asyncio.Task[None] | None = None
        self._thread: ThreadPoolExecutor | None = None

    async def write(self, work: Work) -> Any:
        """Do the work; returns after the commit. Raises WaitedTooLongError, what the work raises, or the commit."""
        loop = asyncio.get_running_loop()
        ticket = _Ticket(work, loop.create_future())
        self._waiting.append(ticket)
        if self._serving is None or self._serving.done():
            self._serving = loop.create_task(self._serve())
        patience = loop.call_later(self._timeout, self._give_up, ticket)
        try:
            return await ticket.told
        finally:
            patience.cancel()
            if ticket in self._waiting:  # who asked is gone
                self._waiting.remove(ticket)

    async def finish(self) -> None:
        """Wait for what is being written."""
        if self._serving is not None:
            await asyncio.wait({self._serving}, timeout=self._timeout)

    def close(self) -> None:
        """End the thread, once it has done what it is doing; the next writer starts another."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown()

    def _give_up(self, ticket: _Ticket) -> None:
        if ticket in self._waiting:  # else it has been begun, and will be told
            self._waiting.remove(ticket)
            ticket.error = WaitedTooLongError()
            ticket.tell()

    async def _serve(self) -> None:
        while self._waiting:
            try:
                connection = self._transactions.begin(wait=False) or await self._begun()
            except Exception as error:  # told to all of them: none was begun
                _tell_all(self._take(), error)
                continue
            group = self._take()
            try:
                await self._write(connection, group)
            except BaseException as error:  # whatever it is, nobody waits for ever
                _tell_all(group, error)
                raise

    async def _begun(self) -> Connection:
        """Begin in the thread; if we are cancelled meanwhile, whoever comes second undoes it."""
        guard, handed, abandoned = threading.Lock(), False, False

        def begin() -> Connection:
            nonlocal handed
            connection = self._transactions.begin(wait=True)
            assert connection is not None, "waiting ends with a connection or an error"
            with guard:
                handed = not abandoned
            if not handed:
                self._transactions.rollback()
            return connection

        try:
            return await self._in_thread(begin)
        except asyncio.CancelledError:
            with guard:
                abandoned = True
            if handed:
                self._transactions.rollback()
            raise

    def _in_thread(self, call: Callable[[], T]) -> asyncio.Future[T]:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        return asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _take(self) -> list[_Ticket]:
        return [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]

    async def _write(self, connection: Connection, group: list[_Ticket]) -> None:
        try:
            for ticket in group:
                _write_one(connection, ticket)
        except BaseException as error:  # not one writer's: the engine gave the whole transaction up
            _tell_all(group, error)
            self._transactions.rollback()
            return
        if not group:  # everybody gave up
            self._transactions.rollback()
            return
        try:
            await self._in_thread(self._transactions.commit)
        except Exception as error:
            _tell_all(group, error)
            return
        for ticket in group:
            ticket.tell()


def _write_one(connection: Connection, ticket: _Ticket) -> None:
    driver = connection.connection.cursor()  # SQLAlchemy's own savepoints cost as much as the work
    driver.execute("savepoint one_writer")
    try:
        ticket.result = ticket.work(connection)
    except BaseException as error:
        try:
            driver.execute("rollback to one_writer")
        except Exception:
            raise error from None  # for this reason nothing is left to go back to
        ticket.error = error
    driver.execute("release one_writer")


def _tell_all(group: list[_Ticket], error: BaseException) -> None:
    """What undid them all; what one was refused for may have been undone with its neighbours."""
    for ticket in group:
        ticket.error = error
        ticket.tell()
