"""What is wrong with the editor's JSON, noted where it is found; all of it is told at once."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from segment_engine.problems import Problem, pointer
from segment_engine.tree import Place

Json = dict[str, Any]

KEPT: Final = ("id", "path")
"""Members by which an editor tells nodes apart; they go along, both ways."""


def kept(members: Mapping[str, Any]) -> Json:
    """Those members that are there."""
    return {name: members[name] for name in KEPT if name in members}


class Notes:
    """Problems in the order in which they were found."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def tell(self, code: str, place: Place, zh: str, en: str) -> None:
        """One problem, in both languages."""
        self.problems.append(Problem(code, pointer(place), zh, en))

    def tell_type(self, place: Place, zh: str, en: str) -> None:
        """Something else should stand there."""
        self.tell("wrong_type", place, f"应为{zh}", f"Must be {en}.")

    def tell_choice(self, code: str, place: Place, known: Iterable[str]) -> None:
        """Something that is none of what is known."""
        listed = ", ".join(known)
        self.tell(code, place, f"应为以下之一:{listed}", f"Must be one of {listed}.")

    def check_members(self, members: Mapping[str, Any], known: frozenset[str], place: Place) -> None:
        """Every member that nobody knows."""
        listed = ", ".join(sorted(known))
        for name in (name for name in members if name not in known):
            told = f"未知成员,可用:{listed}", f"Unknown member; known: {listed}."
            self.tell("unknown_member", (*place, name), *told)

    def meta(self, rule: Mapping[str, Any], known: frozenset[str], place: Place) -> Json:
        """What the editor does not know and carries along."""
        meta = rule.get("meta", {})
        if not isinstance(meta, dict):
            self.tell_type((*place, "meta"), "对象", "an object")
            return {}
        self.check_members(meta, known, (*place, "meta"))
        return meta

    def source_of_value(self, rule: Mapping[str, Any], place: Place, *, allows_field: bool = False) -> str | None:
        """Whether the value is one or names a field; None where neither."""
        known = ("value", "field") if allows_field else ("value",)
        source = rule.get("valueSource", "value")
        if isinstance(source, str) and source in known:
            return source
        self.tell_choice("unknown_value_source", (*place, "valueSource"), known)
        return None
