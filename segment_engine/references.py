"""Tags and segments that refer to each other: an order in which each comes after those it needs, or the circle.

Diamonds are allowed; only a way back to where it began is a circle.
"""

from collections.abc import Hashable, Iterable, Mapping
from graphlib import CycleError as _Circle
from graphlib import TopologicalSorter
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


class CycleError(Exception):
    """References that lead back to where they began; `path` begins and ends with the same."""

    def __init__(self, path: tuple[Hashable, ...]) -> None:
        super().__init__(" → ".join(map(str, path)))
        self.path = path


def in_order(references: Mapping[K, Iterable[K]]) -> list[K]:
    """Each after all that it refers to; raises CycleError with one circle, each before the one it refers to."""
    try:
        return list(TopologicalSorter(references).static_order())
    except _Circle as circle:
        # graphlib tells it from the referred to its referrers.
        raise CycleError(tuple(reversed(circle.args[1]))) from None


def dependants_of(references: Mapping[K, Iterable[K]], ids: Iterable[K]) -> list[K]:
    """All that refer to one of these, also through others, each after all that it refers to; raises CycleError."""
    given = set(ids)
    reached = set(given)
    for one in in_order(references):
        if not reached.isdisjoint(references.get(one, ())):
            reached.add(one)
    return [one for one in in_order(references) if one in reached and one not in given]


def levels(references: Mapping[K, Iterable[K]]) -> dict[K, int]:
    """How many stand in the longest chain that goes down from each, itself included; raises CycleError."""
    found: dict[K, int] = {}
    for one in in_order(references):
        found[one] = 1 + max((found[other] for other in references.get(one, ())), default=0)
    return found
