"""Evaluations that somebody waits for: given up when the client leaves, refused when they take too long."""

import asyncio
import threading
from pathlib import Path

import pytest
from fastapi import Request
from starlette.types import Message

from api.errors import InvalidError, NotReadyError
from api.filters.attended import attended
from api.filters.audiences import NoAudiences
from api.filters.evaluator import FilterEvaluator
from segment_engine.runtime.catalogs import PublishedCatalogs
from segment_engine.runtime.folders import DataFolders
from segment_engine.runtime.limited import Budget
from segment_engine.runtime.published import PublishedReader


@pytest.fixture
def filters(tmp_path: Path) -> FilterEvaluator:
    """Over an empty data directory: what is asked here is no data."""
    folders = DataFolders(tmp_path)
    reader = PublishedReader(folders, timezone="Asia/Shanghai")
    return FilterEvaluator(
        reader, PublishedCatalogs(folders), NoAudiences(), timezone="Asia/Shanghai", seconds=30
    )  # fmt: skip


class Client:
    """The other end of a request: still there, until it leaves."""

    def __init__(self) -> None:
        self.has_left = asyncio.Event()

    @property
    def request(self) -> Request:
        return Request({"type": "http", "method": "POST", "path": "/", "headers": []}, self._receive)

    async def _receive(self) -> Message:
        await self.has_left.wait()
        return {"type": "http.disconnect"}


class Endless:
    """Work that ends when it is told to."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.stopped = threading.Event()

    def __call__(self, budget: Budget) -> None:
        def wait() -> None:
            self.began.set()
            self.stopped.wait(20)

        budget.run(wait, self.stopped.set)


def test_work_is_stopped_when_its_client_leaves(filters: FilterEvaluator) -> None:
    async def scene(work: Endless) -> None:
        client = Client()
        answer = asyncio.create_task(attended(client.request, filters, work))
        while not work.began.is_set():
            await asyncio.sleep(0.01)
        client.has_left.set()
        with pytest.raises(NotReadyError):
            await answer

    work = Endless()

    asyncio.run(scene(work))

    assert work.stopped.wait(5)


def test_a_client_who_leaves_the_queue_takes_nobody_s_turn(filters: FilterEvaluator) -> None:
    async def scene() -> int:
        first, client = Client(), Client()
        busy = [Endless(), Endless()]
        running = [asyncio.create_task(attended(first.request, filters, work)) for work in busy]
        while not all(work.began.is_set() for work in busy):
            await asyncio.sleep(0.01)
        waiting = asyncio.create_task(attended(client.request, filters, Endless()))
        await asyncio.sleep(0.05)
        client.has_left.set()
        with pytest.raises(NotReadyError):
            await waiting
        first.has_left.set()
        await asyncio.gather(*running, return_exceptions=True)
        return await attended(Client().request, filters, lambda _: 7)

    assert asyncio.run(scene()) == 7


def test_what_the_work_raises_is_the_answer(filters: FilterEvaluator) -> None:
    def refuse(_: Budget) -> None:
        raise InvalidError

    with pytest.raises(InvalidError):
        asyncio.run(attended_by(filters, refuse))


async def attended_by(filters: FilterEvaluator, work: object) -> None:
    await attended(Client().request, filters, work)  # type: ignore[arg-type]
