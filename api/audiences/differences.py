"""What is different between two filters: rules added, removed and changed, each as a sentence. Pure.

Rules that mean the same are the same, wherever they stand in their group. Of those left, two about the same thing (the
field, the source, the tags) are one that was changed, and a group is looked into; the rest was added or removed.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from segment_engine.checked import Activity, CheckedGroup, CheckedNode, Comparison, Sequence
from segment_engine.formula import Formula
from segment_engine.normalize import normalize_node
from segment_engine.problems import pointer
from segment_engine.sentences import Sentence
from segment_engine.tree import Combinator, Membership

Tell = Callable[[CheckedNode], Sentence]

_COMBINED: Final = {
    (Combinator.AND, False): Sentence("同时满足以下全部条件", "all of the rules hold"),
    (Combinator.OR, False): Sentence("满足以下任一条件", "any of the rules holds"),
    (Combinator.AND, True): Sentence("不同时满足以下全部条件", "not all of the rules hold"),
    (Combinator.OR, True): Sentence("以下条件均不满足", "none of the rules holds"),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference; before and after are missing where nothing stands.

    `combined`: the rules of a group go together in another way (且/或).
    """

    change: Literal["added", "removed", "changed", "combined"]
    before_path: str | None
    after_path: str | None
    before: Sentence | None
    after: Sentence | None


def differences(before: CheckedGroup, after: CheckedGroup, tell: Tell) -> list[Change]:
    """Everything that is different; nothing where both mean the same."""
    return [] if _meaning(before) == _meaning(after) else list(_of_groups(before, after, tell))


def is_same_meaning(before: CheckedGroup, after: CheckedGroup) -> bool:
    """Whether both select the same customers by their form: up to order and nesting."""
    return _meaning(before) == _meaning(after)


def _meaning(node: CheckedNode) -> Formula:
    return normalize_node(node)


def _of_groups(before: CheckedGroup, after: CheckedGroup, tell: Tell) -> Iterator[Change]:
    old, new = _COMBINED[before.combinator, before.negated], _COMBINED[after.combinator, after.negated]
    if old != new:
        yield Change("combined", pointer(before.place), pointer(after.place), old, new)
    lost, gained = _unmatched(before, after)
    pairs = _pairs(lost, gained)
    for node in lost:
        if id(node) not in pairs:
            yield Change("removed", pointer(node.place), None, tell(node), None)
    origins = {id(heir): node for node in lost if (heir := pairs.get(id(node))) is not None}
    for node in gained:
        origin = origins.get(id(node))
        if origin is None:
            yield Change("added", None, pointer(node.place), None, tell(node))
        else:
            yield from _changed(origin, node, tell)


def _changed(old: CheckedNode, new: CheckedNode, tell: Tell) -> Iterator[Change]:
    if isinstance(old, CheckedGroup) and isinstance(new, CheckedGroup):
        yield from _of_groups(old, new, tell)
    else:
        yield Change("changed", pointer(old.place), pointer(new.place), tell(old), tell(new))


def _unmatched(before: CheckedGroup, after: CheckedGroup) -> tuple[list[CheckedNode], list[CheckedNode]]:
    """The rules of each that the other has not."""
    lost, gained = list(before.rules), []
    meanings = [_meaning(node) for node in lost]
    for node in after.rules:
        meaning = _meaning(node)
        if meaning in meanings:
            place = meanings.index(meaning)
            del lost[place], meanings[place]
        else:
            gained.append(node)
    return lost, gained


def _pairs(lost: list[CheckedNode], gained: list[CheckedNode]) -> dict[int, CheckedNode]:
    """What each of the lost ones has become, by its identity."""
    left = list(gained)
    pairs: dict[int, CheckedNode] = {}
    for node in lost:
        heir = next((one for one in left if _subject(one) == _subject(node)), None)
        if heir is not None:
            pairs[id(node)] = heir
            left = [one for one in left if one is not heir]
    return pairs


def _subject(node: CheckedNode) -> Hashable:
    """What a rule is about, whatever it says of it."""
    match node:
        case Comparison(field=field):
            return "field", field.name
        case Activity(rows=rows):
            return "source", rows.source.name
        case Sequence():
            return "sequence"
        case Membership(kind=kind):
            return "audience", kind
    return type(node).__name__
