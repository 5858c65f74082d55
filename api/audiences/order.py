"""Putting things in an order by hand: those that are named change places among themselves. Pure."""

from collections.abc import Mapping, Sequence

from segment_engine.problems import Problem


def order_problems(ids: Sequence[int], positions: Mapping[int, int]) -> list[Problem]:
    """What is wrong with an order: ids that are not there, or named twice."""
    problems = []
    for index, one in enumerate(ids):
        if one not in positions:
            told = f"编号 {one} 不在该列表中", f"{one} is not in this list."
            problems.append(Problem("not_in_list", f"/ids/{index}", *told))
        elif one in ids[:index]:
            problems.append(Problem("repeated_item", f"/ids/{index}", "每项只能出现一次", "Each can be named once."))
    return problems


def reordered(ids: Sequence[int], positions: Mapping[int, int]) -> dict[int, int]:
    """New positions of the named: the places that they have now, in the order in which they are named.

    A page of a list can so be put in order without what stands on other pages.
    """
    places = sorted(positions[one] for one in ids)
    return dict(zip(ids, places, strict=True))
