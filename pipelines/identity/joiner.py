"""Joining units link by link, as far as the limits allow; which units and which links is told in `limits.py`.

Plain Python over few units: only the components that break a limit are joined here.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.identity.model import IdentityConfig

ATTRIBUTES = ("name", "birth_date", "id_number")

Split = tuple[int, int, str]
"""Two recs that an operator told apart, and the id of the row that says so."""


@dataclass(slots=True)
class Group:
    """What the limits look at in a group of units."""

    records: int = 0
    attributes: list[str | None] = field(default_factory=lambda: [None] * len(ATTRIBUTES))
    unionids: frozenset[int] = frozenset()
    merged_unionids: int = 0  # the most that operators joined in one unit
    apart: frozenset[int] = frozenset()  # members that a split names


class Joiner:
    """A union-find over voices and values that refuses a link which would break a limit."""

    def __init__(self, units: dict[int, Group], splits: Sequence[Split], config: IdentityConfig) -> None:
        self._groups = units
        self._parent = {voice: voice for voice in units}
        self._first_of_value: dict[int, tuple[int, int]] = {}  # val → (voice, rec) that brought it in
        self._config = config
        self._apart: Mapping[int, list[tuple[int, str]]] = defaultdict(list)
        for a, b, override_id in splits:
            self._apart[a].append((b, override_id))
            self._apart[b].append((a, override_id))

    def root(self, voice: int) -> int:
        """The unit that stands for the group in which the unit of `voice` is now."""
        while self._parent[voice] != voice:
            self._parent[voice] = self._parent[self._parent[voice]]
            voice = self._parent[voice]
        return voice

    def join(self, voice: int, rec: int, val: int) -> tuple[int | None, str] | None:
        """Tie `rec` to the value; or say which record holds the value and which limit stands against it."""
        left = self.root(voice)
        one = self._groups[left]
        if len(one.unionids) > self._unionids_at_most(one):
            return None, "unionids"
        if val not in self._first_of_value:
            self._first_of_value[val] = (voice, rec)
            return None
        holder, held_by = self._first_of_value[val]
        right = self.root(holder)
        if left == right:
            return None
        other = self._groups[right]
        reason = self._objection(one, other)
        if reason is not None:
            return held_by, reason
        self._parent[left] = right
        # In place: a night joins a hundred thousand times, and new objects cost more here than the union itself.
        other.records += one.records
        other.attributes = [a if a is not None else b for a, b in zip(one.attributes, other.attributes, strict=True)]
        if one.unionids:
            other.unionids |= one.unionids
            other.merged_unionids = max(one.merged_unionids, other.merged_unionids)
        if one.apart:
            other.apart |= one.apart
        return None

    def _objection(self, one: Group, other: Group) -> str | None:
        for attribute, a, b in zip(ATTRIBUTES, one.attributes, other.attributes, strict=True):
            if a is not None and b is not None and a != b:
                return attribute
        # Counting both is an upper bound; only where it is too much does it matter which they share.
        several = len(one.unionids) + len(other.unionids) > self._config.customer_unions
        if several and len(one.unionids | other.unionids) > self._unionids_at_most(one, other):
            return "unionids"
        if one.records + other.records > self._config.customer_records:
            return "records"
        if not one.apart or not other.apart:
            return None
        for rec in sorted(one.apart):
            for partner, override_id in self._apart[rec]:
                if partner in other.apart:
                    return f"split:{override_id}"
        return None

    def _unionids_at_most(self, *groups: Group) -> int:
        """As many as the threshold allows, or as an operator joined already: whoever joins must add none to those."""
        return max(self._config.customer_unions, *(group.merged_unionids for group in groups))
