"""Group commit: what the event loop has to write is written together, with one flush of the disk.

The statements of everybody who waits run one after the other, each writer's in a savepoint of its own. On SQLite the
event loop runs them itself: they take microseconds, and two threads that share one interpreter would spend more on
taking turns; only what may take long, waiting for the lock and flushing the disk, is done in a thread. On PostgreSQL,
where each statement waits for the network, a thread does it all. Nobody is told of success before the commit, so it is
as if each had been alone.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

BUSY_SECONDS = 5  # for which who writes waits for others who do
# More would make the last of a group wait for too many others.
GROUP = 32
REPEATS = 3
# After which nobody else is begun: what holds one writer up would hold up the next ones too.
LONGEST_SECONDS = 1
T = TypeVar("T")
Work = Callable[[Connection], Any]


class WaitedTooLongError(Exception):
    """The writers before us took longer than we may wait; our work was not begun."""


class Transactions(Protocol):
    """The one write transaction there can be, in which writers come one after the other."""

    @property
    def is_remote(self) -> bool:
        """Whether its statements wait for a network."""

    def begin(self, *, wait: bool) -> Connection | None:
        """Open it for the first writer; None where `wait` is not allowed and somebody else is writing."""

    def keep_one(self, *, last: bool) -> None:
        """What a writer did stays if this commits, or raise; the next one may begin unless this was the `last`."""

    def undo_one(self) -> None:
        """What a writer did is undone; the next one may begin."""

    def may_be_repeated(self, error: BaseException) -> bool:
        """Whether the engine undid a writer for reasons of its own."""

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
    repeats: int = 0
    is_late: bool = False

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
        ticket.is_late = True
        if ticket in self._waiting:  # else it has been begun, and will be told
            self._waiting.remove(ticket)
            ticket.error = WaitedTooLongError()
            ticket.tell()

    def _put_back(self, tickets: list[_Ticket]) -> None:
        """Before all others, but for those who were begun when their patience ended."""
        self._waiting.extendleft(reversed(tickets))
        for ticket in tickets:
            if ticket.is_late:
                self._give_up(ticket)

    async def _serve(self) -> None:
        while self._waiting:
            if self._transactions.is_remote:
                await self._serve_in_thread()
            else:
                await self._serve_here()

    async def _serve_in_thread(self) -> None:
        group = self._take()
        if not group:
            return
        try:
            left = await self._in_thread(partial(_write_all, self._transactions, group))
        except Exception as error:
            _tell_all(group, error)
            return
        except BaseException as error:  # whatever it is, nobody waits for ever
            _tell_all(group, error)
            raise
        again = left + [ticket for ticket in group if self._comes_again(ticket)]
        self._put_back(again)
        for ticket in group:
            if ticket not in again:
                ticket.tell()

    def _comes_again(self, ticket: _Ticket) -> bool:
        """In the next group, since the engine may have undone them for locks that this one held."""
        if ticket.error is None or ticket.repeats == REPEATS or not self._transactions.may_be_repeated(ticket.error):
            return False
        ticket.repeats += 1
        ticket.error = None
        return True

    async def _serve_here(self) -> None:
        try:
            connection = self._transactions.begin(wait=False) or await self._begun()
        except Exception as error:  # told to all of them: none was begun
            _tell_all(self._take(), error)
            return
        group = self._take()
        try:
            await self._write(connection, group)
        except BaseException as error:
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
        taken = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
        return [ticket for ticket in taken if not ticket.told.done()]  # else who asked is gone, or was told

    async def _write(self, connection: Connection, group: list[_Ticket]) -> None:
        try:
            left = _write_each(self._transactions, connection, group)
        except BaseException as error:  # not one writer's: the engine gave the whole transaction up
            _tell_all(group, error)
            self._transactions.rollback()
            return
        if not group:  # everybody gave up
            self._transactions.rollback()
            return
        self._put_back(left)
        begun = group[: len(group) - len(left)]
        try:
            await self._in_thread(self._transactions.commit)
        except Exception as error:
            _tell_all(begun, error)
            return
        for ticket in begun:
            ticket.tell()


def _write_each(transactions: Transactions, connection: Connection, group: list[_Ticket]) -> list[_Ticket]:
    """One after the other; raises what undid them all. Returns those not begun, since others held somebody up."""
    ends_at = time.monotonic() + LONGEST_SECONDS
    for at, ticket in enumerate(group):
        if time.monotonic() > ends_at:
            return group[at:]
        try:
            ticket.result = ticket.work(connection)
            transactions.keep_one(last=ticket is group[-1])
        except BaseException as error:
            try:
                transactions.undo_one()
            except Exception:
                raise error from None  # for this reason nothing is left to go back to
            ticket.error = error
    return []


def _write_all(transactions: Transactions, group: list[_Ticket]) -> list[_Ticket]:
    """Begin, write and commit; raises what undid them all. Returns those not begun."""
    connection = transactions.begin(wait=True)
    assert connection is not None, "waiting ends with a connection or an error"
    try:
        left = _write_each(transactions, connection, group)
    except BaseException:
        transactions.rollback()
        raise
    transactions.commit()
    return left


def _tell_all(group: list[_Ticket], error: BaseException) -> None:
    """What undid them all; what one was refused for may have been undone with its neighbours."""
    for ticket in group:
        ticket.error = error
        ticket.tell()
