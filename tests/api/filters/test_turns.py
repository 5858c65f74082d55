"""Turns: so many at once, first come first served, and nobody waits for ever."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from api.errors import NotReadyError
from api.filters.turns import Turns


@contextmanager
def held(turns: Turns, times: int) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(times):
            stack.enter_context(turns.taken(1))
        yield


def test_a_third_waits_until_one_of_two_is_done() -> None:
    turns = Turns(2)
    order: list[str] = []

    def third() -> None:
        with turns.taken(5):
            order.append("third")

    with held(turns, 2):
        thread = threading.Thread(target=third)
        thread.start()
        time.sleep(0.05)
        order.append("first two")
    thread.join()

    assert order == ["first two", "third"]


def test_whoever_waits_too_long_is_told_when_to_come_back() -> None:
    turns = Turns(1)

    with held(turns, 1), pytest.raises(NotReadyError) as refused, turns.taken(0.01):
        pass

    assert refused.value.problems[0].code == "filters_busy"
    assert int(refused.value.headers["Retry-After"]) > 0


def test_behind_too_many_nobody_waits_at_all() -> None:
    turns = Turns(1, most_waiting=1)
    waiting = threading.Thread(target=lambda: held(turns, 1).__enter__())

    with held(turns, 1):
        waiting.start()
        time.sleep(0.05)
        began = time.monotonic()
        with pytest.raises(NotReadyError), turns.taken(5):
            pass
        seconds = time.monotonic() - began
    waiting.join()

    assert seconds < 1


def test_a_task_that_gives_up_waiting_leaves_its_place_to_the_next() -> None:
    async def scene() -> list[str]:
        turns = Turns(1)
        entered: list[str] = []

        async def wait(name: str) -> None:
            async with turns.awaited():
                entered.append(name)

        async with turns.awaited():
            gives_up, stays = asyncio.create_task(wait("gives up")), asyncio.create_task(wait("stays"))
            await asyncio.sleep(0.01)
            gives_up.cancel()
            await asyncio.sleep(0.01)
        await stays
        # What was given back is there again.
        async with asyncio.timeout(1), turns.awaited():
            entered.append("last")
        return entered

    assert asyncio.run(scene()) == ["stays", "last"]


def test_a_turn_that_is_given_while_its_task_is_cancelled_is_not_lost() -> None:
    async def scene() -> None:
        turns = Turns(1)

        async def wait() -> None:
            async with turns.awaited():
                pass

        async with turns.awaited():
            task = asyncio.create_task(wait())
            await asyncio.sleep(0.01)
        # Given by now, and the task has not heard of it.
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(1), turns.awaited():
            pass

    asyncio.run(scene())


def test_an_error_in_a_turn_gives_it_back() -> None:
    turns = Turns(1)

    with pytest.raises(ZeroDivisionError), turns.taken(1):
        1 / 0  # noqa: B018

    with turns.taken(0.1):
        pass
