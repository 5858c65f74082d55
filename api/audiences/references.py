"""What tags and segments a rule may name (引用): those that are in use, in no circle and not too deep. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from api.storage.audience_rules import WORDS, Named, place_of
from segment_engine.naming import not_enabled
from segment_engine.problems import Problem
from segment_engine.references import CycleError, in_order, levels
from segment_engine.tree import Membership

MAX_LEVELS: Final = 5
"""So many tags and segments may stand in one chain, the one at its end included."""

References = Mapping[int, frozenset[int]]


@dataclass(frozen=True, slots=True)
class Standing:
    """All tags and segments, and whom each published definition names."""

    known: Mapping[int, Named]
    references: References


def named_by(rules: list[Membership], known: Mapping[int, Named]) -> frozenset[int]:
    """The tags and segments there are that rules name; a tag's id names no segment."""
    return frozenset(one for rule in rules for one in rule.ids if _is_there(known.get(one), rule))


def reference_problems(rules: list[Membership], standing: Standing, own_id: int | None) -> Iterator[Problem]:
    """What is wrong with those that the rules name and that exist; own_id: whose rules they are, None for a new one."""
    named = named_by(rules, standing.known)
    below = _below(standing, own_id)
    above = _above(standing.references, own_id)
    for rule in rules:
        for one in (one for one in rule.ids if one in named):
            other = standing.known[one]
            if one == own_id:
                yield _circle(rule, (one, one), standing.known)
            elif (path := _way_back(standing.references, own_id, one)) is not None:
                yield _circle(rule, path, standing.known)
            elif not other.is_enabled:
                yield _disabled(rule, other)
            elif (depth := above + below.get(one, 1)) > MAX_LEVELS:
                yield _too_deep(rule, other, depth)


def referrers(standing: Standing, ids: frozenset[int], *, enabled_only: bool) -> list[Named]:
    """Those outside `ids` whose published rule names one of them, by id."""
    found = (
        standing.known[one]
        for one, named in standing.references.items()
        if one not in ids and not named.isdisjoint(ids)
    )
    return sorted((one for one in found if one.is_enabled or not enabled_only), key=lambda one: one.id)


def referred_to_by(referrer: Named) -> Problem:
    """Why something cannot be deleted or disabled."""
    zh, en = WORDS[referrer.kind]
    return Problem(
        "referenced",
        "",
        f"被{zh}「{referrer.name}」(编号 {referrer.id})的规则引用",
        f"The rule of the {en} “{referrer.name}” ({referrer.id}) names it.",
    )


def _is_there(named: Named | None, rule: Membership) -> bool:
    return named is not None and named.kind is rule.kind and not named.is_deleted


def _below(standing: Standing, own_id: int | None) -> dict[int, int]:
    """Of each that names others the longest chain down from it, without what the own rule names so far."""
    return levels({one: named for one, named in standing.references.items() if one != own_id})


def _above(references: References, own_id: int | None) -> int:
    """The longest chain that ends at the own one, itself included."""
    if own_id is None:
        return 1
    upwards: dict[int, set[int]] = {}
    for one, named in references.items():
        for other in named:
            upwards.setdefault(other, set()).add(one)
    return levels(upwards).get(own_id, 1)


def _way_back(references: References, own_id: int | None, one: int) -> tuple[int, ...] | None:
    """From the own one over `one` back to it, where references lead so."""
    if own_id is None:
        return None
    try:
        in_order({**references, own_id: frozenset({one})})
    except CycleError as circle:
        path = [int(str(step)) for step in circle.path[:-1]]
        start = path.index(own_id)
        return (*path[start:], *path[:start], own_id)
    return None


def _circle(rule: Membership, path: tuple[int, ...], known: Mapping[int, Named]) -> Problem:
    told = " → ".join(f"{known[one].name}({one})" for one in path)
    return Problem(
        "reference_cycle", place_of(rule), f"规则循环引用:{told}", f"The rules refer to each other in a circle: {told}."
    )


def _disabled(rule: Membership, other: Named) -> Problem:
    return Problem(f"{other.kind}_disabled", place_of(rule), *not_enabled(other.kind, other.id, other.name))


def _too_deep(rule: Membership, other: Named, depth: int) -> Problem:
    zh, en = WORDS[other.kind]
    return Problem(
        "references_too_deep",
        place_of(rule),
        f"引用{zh}「{other.name}」(编号 {other.id})后引用层级为 {depth},最多 {MAX_LEVELS} 层",
        f"With the {en} “{other.name}” ({other.id}) rules refer to each other {depth} deep; at most {MAX_LEVELS}.",
    )
