"""Evaluations that a route waits for: in turn, in a thread, and given up when the client leaves."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from api.filters.evaluator import FilterEvaluator
from api.filters.refusals import given_up
from api.filters.turns import Turns
from segment_engine.runtime.limited import Budget, QueryCancelledError

T = TypeVar("T")

LOOK_SECONDS: Final = 0.1
"""How often it is looked whether the client is still there."""


async def attended(request: Request, filters: FilterEvaluator, work: Callable[[Budget], T]) -> T:
    """What the work answers; raises NotReadyError when its turn does not come, and what the work raises.

    work: asks everything within the budget that it is given
    """
    budget = Budget(filters.seconds)
    task = asyncio.ensure_future(_in_turn(filters.turns, partial(work, budget)))
    try:
        while not await _is_done(task):
            if await request.is_disconnected():
                raise given_up(QueryCancelledError(), "")
        return task.result()
    finally:
        if not task.done():
            # The one ends what runs, the other what waits.
            budget.cancel()
            task.cancel()


async def _in_turn(turns: Turns, work: Callable[[], T]) -> T:
    async with turns.awaited():
        return await run_in_threadpool(work)


async def _is_done(task: "asyncio.Task[T]") -> bool:
    done, _ = await asyncio.wait({task}, timeout=LOOK_SECONDS)
    return bool(done)
