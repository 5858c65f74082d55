"""Bitmaps are sets: told by trying the same on Python's."""

import random

import numpy as np
import pytest

from segment_engine.formula import FALSE, TRUE, all_of, any_of, no
from segment_engine.runtime.bitmaps import Bitmap, changes, evaluated, nobody, of_flags, of_keys

SIZES = (1, 63, 64, 65, 200)


def drawn(seed: int, size: int) -> tuple[set[int], Bitmap]:
    random_ = random.Random(seed)
    members = {key for key in range(size) if random_.random() < 0.4}
    return members, of_keys(np.array(sorted(members), dtype=np.int64), size)


@pytest.mark.parametrize("size", SIZES)
def test_bitmaps_do_what_sets_do(size: int) -> None:
    (one, left), (other, right) = drawn(1, size), drawn(2, size)

    assert set((left & right).keys().tolist()) == one & other
    assert set((left | right).keys().tolist()) == one | other
    assert set((left - right).keys().tolist()) == one - other
    assert len(left) == len(one)
    assert [key in left for key in range(-1, size + 70)] == [key in one for key in range(-1, size + 70)]
    assert (left == right) == (one == other)


@pytest.mark.parametrize("size", SIZES)
def test_keys_come_in_order_and_only_as_many_as_are_asked(size: int) -> None:
    members, bitmap = drawn(3, size)

    for first in range(size + 2):
        assert bitmap.keys(first=first).tolist() == sorted(members)[:first]


@pytest.mark.parametrize("size", SIZES)
def test_flags_and_keys_make_the_same_bitmap(size: int) -> None:
    members, bitmap = drawn(4, size)

    flags = np.array([key in members for key in range(size)])

    assert of_flags(flags) == bitmap
    assert of_keys(np.array([*members, *members], dtype=np.int32), size) == bitmap


def test_a_bitmap_of_fewer_keys_fits_more() -> None:
    members, bitmap = drawn(5, 65)

    assert set(bitmap.at_most(500).keys().tolist()) == members
    assert len(bitmap.at_most(500).words) == len(nobody(500).words)


def test_who_entered_and_who_left_are_told_apart() -> None:
    (one, before), (other, after) = drawn(6, 200), drawn(7, 200)

    entered, left = changes(before, after)

    assert (entered.tolist(), left.tolist()) == (sorted(other - one), sorted(one - other))


def test_a_formula_of_bitmaps_is_logic_among_everyone() -> None:
    everybody, everyone = drawn(8, 100)
    sets = {name: drawn(seed, 100) for name, seed in (("a", 9), ("b", 10))}
    a, b = (sets[name][0] & everybody for name in "ab")

    def found(formula: object) -> set[int]:
        return set(evaluated(formula, lambda thing: sets[thing][1], everyone).keys().tolist())

    assert found(TRUE) == everybody
    assert found(FALSE) == set()
    assert found(no("a")) == everybody - a
    assert found(all_of(["a", no("b")])) == a - b
    assert found(any_of([all_of(["a", "b"]), no(any_of(["a", "b"]))])) == (a & b) | (everybody - a - b)
