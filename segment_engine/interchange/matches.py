"""The editor's `match`: how many rows of a source meet its sub-group; and what is muted.

some = did, none = did_not, atLeast and exactly n = did with that count, atMost n = did with that count and zero
included, for it holds of an empty list too. all = did_not of the contrary: it holds for who has no row at all.
Source: `processMatchMode`, `isRuleOrGroupValid` of packages/core, and the documentation of subqueries.
"""

from dataclasses import dataclass
from typing import Any, Final

from segment_engine.interchange.lists import number_of
from segment_engine.interchange.notes import Json, Notes
from segment_engine.tree import Occurrence, Place

_MODES: Final = ("all", "some", "none", "atLeast", "atMost", "exactly")
_COUNTS: Final = {"atLeast": "gte", "atMost": "lte", "exactly": "eq"}


@dataclass(frozen=True, slots=True)
class Match:
    """A mode, and the number of rows where it has one."""

    mode: str
    count: int = 0

    def members(self, where: Json | None, meta: Json) -> Json:
        """The members of our rule that say this of the rows that `where` keeps."""
        if self.mode == "all" and where is not None:
            where = {**where, "not": not where.get("not", False)}
        kept = {} if where is None else {"where": where}
        if self.mode in ("none", "all"):
            return {"occurrence": str(Occurrence.DID_NOT), **kept, **meta}
        return {"occurrence": str(Occurrence.DID), **kept, **meta, **self._counted(meta)}

    def _counted(self, meta: Json) -> Json:
        """The count before what else must hold of the rows."""
        if self.mode == "some":
            return {}
        counted = {"metric": "count", "operator": _COUNTS[self.mode], "value": self.count}
        further = meta.get("having", [])
        zero = {"include_zero": True} if self.mode == "atMost" else {}
        return {"having": [counted, *(further if isinstance(further, list) else [further])], **zero}


def read_match(match: Any, place: Place, notes: Notes) -> Match | None:
    """What is asked; a count of none is the mode `none`."""
    named = match.get("mode") if isinstance(match, dict) else None
    modes = {mode.lower(): mode for mode in _MODES}
    mode = modes.get(named.lower()) if isinstance(named, str) else None
    if mode is None:
        notes.tell_choice("unknown_match_mode", (*place, "mode") if isinstance(match, dict) else place, _MODES)
        return None
    if mode not in _COUNTS:
        return Match(mode)
    count = _threshold(match.get("threshold"))
    # Below one the editor means a share of the rows, which we cannot say; at least none is no condition.
    least = 1 if mode == "atLeast" else 0
    if count is None or count < least:
        notes.tell_type((*place, "threshold"), f"不小于 {least} 的整数", f"a whole number of {least} or more")
        return None
    return Match(mode, count) if count else Match("none")


def _threshold(raw: Any) -> int | None:
    number = number_of(raw) if isinstance(raw, str) else raw
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def is_muted(rule: Any) -> bool:
    """Whether a rule is left out: it is muted, or a group of which everything is."""
    if not isinstance(rule, dict):
        return False
    return rule.get("muted") is True or (bool(rule.get("rules")) and says_nothing(rule))


def says_nothing(group: Json) -> bool:
    """Whether a group has no rule that counts."""
    rules = group.get("rules")
    if group.get("muted") is True or not isinstance(rules, list):
        return group.get("muted") is True
    members = [rule for rule in rules if not isinstance(rule, str)]
    return all(map(is_muted, members)) and (bool(members) or not rules)
