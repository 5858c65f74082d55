"""What readers remember: shared by threads, bounded, and never missed in the middle of an answer."""

import numpy as np

from segment_engine.runtime.audiences import LeafMemory
from segment_engine.runtime.bitmaps import of_keys

LEAF = of_keys(np.array([1]), 640)


def test_the_longest_unused_leaves_are_forgotten_first() -> None:
    memory = LeafMemory(most=2 * LEAF.words.nbytes)
    memory.keep({"a": LEAF})
    memory.keep({"b": LEAF})
    memory.get("a")

    memory.keep({"c": LEAF})

    assert [memory.get(name) is not None for name in "abc"] == [True, False, True]


def test_a_leaf_kept_twice_counts_once() -> None:
    memory = LeafMemory(most=2 * LEAF.words.nbytes)

    for _ in range(5):
        memory.keep({"a": LEAF})
    memory.keep({"b": LEAF})

    assert memory.get("a") is not None
    assert memory.get("b") is not None
