"""Chains of rows: one is found wherever trying every combination finds one, and what is shown of it holds."""

import random
from datetime import datetime, timedelta
from itertools import pairwise, product
from zoneinfo import ZoneInfo

import pytest

from segment_engine.chains import Broken, Limits, Link, find_chain
from segment_engine.values import Unit, Window

ZONE = ZoneInfo("Asia/Shanghai")
START = datetime(2026, 1, 1, 12, tzinfo=ZONE)
STEPS = list[list[Link]]


def at(hours: float, same: str | None = None, row: int = 0) -> Link:
    return Link(START + timedelta(hours=hours), same, row)


def limits(within: Window, max_gap: Window | None = None, *forbidden: float) -> Limits:
    return Limits(within, max_gap, sorted(START + timedelta(hours=hours) for hours in forbidden), ZONE)


HOURS = Window(5, Unit.HOUR)


def drawn(random_: random.Random) -> tuple[STEPS, Limits]:
    steps = [
        [at(random_.randrange(12), random_.choice("ab"), place) for place in range(random_.randrange(5))]
        for _ in range(random_.randrange(2, 4))
    ]
    gap = Window(random_.randrange(1, 6), Unit.HOUR) if random_.random() < 0.5 else None
    forbidden = [random_.randrange(12) for _ in range(random_.choice([0, 0, 1, 2]))]
    return steps, limits(Window(random_.randrange(1, 10), Unit.HOUR), gap, *forbidden)


def holds(chain: tuple[Link, ...], told: Limits) -> bool:
    """The meaning of a sequence, said once more and plainly."""
    in_order = all(one.moment < other.moment and one.same == other.same for one, other in pairwise(chain))
    gap = timedelta(hours=told.max_gap.n if told.max_gap else 1_000)
    near = all(other.moment - one.moment <= gap for one, other in pairwise(chain))
    free = not any(one.moment < moment < other.moment for one, other in pairwise(chain) for moment in told.forbidden)
    return in_order and near and free and chain[-1].moment - chain[0].moment <= timedelta(hours=told.within.n)


def test_a_chain_is_found_where_there_is_one() -> None:
    random_ = random.Random(11)
    found_some = 0
    for _ in range(3_000):
        steps, told = drawn(random_)

        found = find_chain(steps, told)

        exists = any(holds(chain, told) for chain in product(*steps))
        assert isinstance(found, Broken) != exists, (steps, told)
        if not isinstance(found, Broken):
            found_some += 1
            assert holds(tuple(step[place] for step, place in zip(steps, found, strict=True)), told)
    assert 300 < found_some < 2_700


@pytest.mark.parametrize(
    ("steps", "told", "broken"),
    [
        ([[], [at(1)]], limits(HOURS), Broken(1, has_rows=False)),
        ([[at(1)], []], limits(HOURS), Broken(2, has_rows=False)),
        ([[at(1)], [at(1)]], limits(HOURS), Broken(2)),
        ([[at(1)], [at(0)], [at(2)]], limits(HOURS), Broken(2)),
        ([[at(1, "a")], [at(2, "b")]], limits(HOURS), Broken(2)),
        ([[at(1)], [at(4)]], limits(HOURS, None, 2), Broken(2)),
        ([[at(1)], [at(7)]], limits(HOURS), Broken(None)),
    ],
    ids=range(7),
)
def test_where_a_chain_breaks_is_told(steps: STEPS, told: Limits, broken: Broken) -> None:
    assert find_chain(steps, told) == broken


@pytest.mark.parametrize(
    ("hours", "window", "is_whole"),
    [
        (24, Window(1, Unit.DAY), True),
        (24.001, Window(1, Unit.DAY), False),
        (31 * 24, Window(1, Unit.MONTH), True),
        (31 * 24.001, Window(1, Unit.MONTH), False),
        (5, HOURS, True),
    ],
)
def test_both_ends_are_inside(hours: float, window: Window, *, is_whole: bool) -> None:
    found = find_chain([[at(0)], [at(hours)]], limits(window))

    assert found == ((0, 0) if is_whole else Broken(None))


def test_of_several_chains_the_newest_is_shown() -> None:
    steps = [[at(0, row=0), at(3, row=1)], [at(1, row=0), at(4, row=1)]]

    assert find_chain(steps, limits(HOURS)) == (1, 1)
