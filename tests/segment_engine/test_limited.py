"""Work within a budget: it answers, fails or is stopped, and nobody waits for what does not hear."""

import threading
from time import perf_counter, sleep

import pytest

from segment_engine.runtime.limited import Budget, QueryCancelledError, QueryTimeoutError


def test_work_in_time_answers() -> None:
    assert Budget(5).run(lambda: 7, lambda: None) == 7


def test_what_the_work_raises_is_raised() -> None:
    def fail() -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        Budget(5).run(fail, lambda: None)


def test_work_is_told_to_stop_when_its_time_is_over() -> None:
    stopped = threading.Event()

    with pytest.raises(QueryTimeoutError):
        Budget(0.05).run(lambda: stopped.wait(60), stopped.set)

    assert stopped.is_set()


def test_an_order_to_stop_is_given_until_it_is_heard() -> None:
    orders = threading.Semaphore(0)

    def hears_the_third() -> None:
        for _ in range(3):
            orders.acquire()

    with pytest.raises(QueryTimeoutError):
        Budget(0.05).run(hears_the_third, orders.release)


def test_nobody_waits_for_work_that_does_not_hear() -> None:
    began = perf_counter()

    with pytest.raises(QueryTimeoutError):
        Budget(0.05).run(lambda: sleep(3), lambda: None)

    assert perf_counter() - began < 1


def test_a_cancelled_budget_ends_its_work() -> None:
    budget, stopped = Budget(60), threading.Event()
    threading.Timer(0.05, budget.cancel).start()

    with pytest.raises(QueryCancelledError):
        budget.run(lambda: stopped.wait(60), stopped.set)
