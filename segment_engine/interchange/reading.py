"""From the editor's JSON to a filter document; everything that cannot be read is told with its place in that JSON.

The editor's rules hold here: what is muted is left out (with the combinator before it), what is disabled is only
locked and counts; groups with combinators between their rules read `and` before `or`; a list may be text with commas.
Beyond them nothing is guessed: a group without a rule, a field or an operator that is not known is a problem.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from segment_engine.catalog import Catalog, Field
from segment_engine.document import FilterLimits, document_problems
from segment_engine.interchange.conditions import read_condition
from segment_engine.interchange.lists import items_of, number_of
from segment_engine.interchange.matches import is_muted, read_match, says_nothing
from segment_engine.interchange.names import (
    BEING,
    BUCKET,
    EVERY_CUSTOMER,
    EVERYONE,
    SEGMENT,
    SEQUENCE,
    SHARE,
    SOURCE,
    TAG,
)
from segment_engine.interchange.notes import KEPT, Json, Notes, kept
from segment_engine.problems import InvalidFilterError
from segment_engine.tree import Combinator, Occurrence, Place

_EITHER: Final = frozenset({*KEPT, "disabled", "muted", "combinatorPreceding"})
_GROUP: Final = _EITHER | {"combinator", "rules", "not"}
_RULE: Final = _EITHER | {"field", "operator", "value", "valueSource", "match", "meta"}
_ACTIVITY_META: Final = frozenset({"having", "include_zero"})
_SPECIAL: Final[Mapping[str, tuple[tuple[str, ...], frozenset[str]]]] = {
    EVERYONE: ((EVERY_CUSTOMER,), frozenset()),
    BUCKET: ((SHARE,), frozenset({"salt", "from", "to"})),
    SEQUENCE: (tuple(map(str, Occurrence)), frozenset({"steps", "within", "max_gap", "without", "same"})),
}
"""Operators of what is neither field nor source, and the members of its value."""


def from_react_querybuilder(query: Any, catalog: Catalog, limits: FilterLimits | None = None) -> Json:
    """The filter document; raises InvalidFilterError with everything that cannot be read."""
    if problems := document_problems(query, limits or FilterLimits()):
        raise InvalidFilterError(*problems)
    reader = _Reader(catalog)
    document = reader.group(query, (), _Scope(catalog.attributes, "客户资料 / the customer"))
    if reader.notes.problems or document is None:
        raise InvalidFilterError(*reader.notes.problems)
    return document


@dataclass(frozen=True, slots=True)
class _Scope:
    """The fields that rules may name: those of the customer or, of_rows, of a source."""

    fields: Mapping[str, Field]
    owner: str
    of_rows: bool = False


@dataclass(frozen=True, slots=True)
class _Joined:
    """A rule and the combinator that joins it to what is before it."""

    combinator: Combinator | None
    rule: Any
    place: Place


class _Reader:
    """Reads groups and rules and notes problems; what cannot be read is None."""

    def __init__(self, catalog: Catalog) -> None:
        self.notes = Notes()
        self._catalog = catalog

    def group(self, query: Any, place: Place, scope: _Scope) -> Json | None:
        """A group that has rules."""
        if not isinstance(query, dict) or not isinstance(query.get("rules"), list):
            at = (*place, "rules") if isinstance(query, dict) else place
            self.notes.tell_type(at, "条件组", "a group with rules")
            return None
        self.notes.check_members(query, _GROUP, place)
        if not isinstance(query.get("not", False), bool):
            self.notes.tell_type((*place, "not"), "true 或 false", "true or false")
        rules = self._joined(query, place)
        if rules is None:
            return None
        if not rules:
            told = "条件组不能为空", "A group has one rule or more."
            self.notes.tell("empty_list", (*place, "rules"), *told)
            return None
        return self._combined(query, rules, scope)

    def _joined(self, query: Json, place: Place) -> list[_Joined] | None:
        """The rules that are not muted; None where it cannot be told how they go together."""
        at, rules = (*place, "rules"), query["rules"]
        if query.get("combinator") is None:
            every = self._independent(rules, at)
        elif combinator := self._combinator(query["combinator"], (*place, "combinator")):
            every = [_Joined(combinator, rule, (*at, index)) for index, rule in enumerate(rules)]
        else:
            every = None
        return None if every is None else [one for one in every if not is_muted(one.rule)]

    def _independent(self, rules: Sequence[Any], at: Place) -> list[_Joined] | None:
        """Rules with combinators between them."""
        combinators = [self._combinator(rules[index], (*at, index)) for index in range(1, len(rules), 2)]
        if rules and len(rules) % 2 == 0:
            self.notes.tell_type((*at, len(rules)), "条件或条件组", "a rule or a group, after the combinator")
            return None
        if None in combinators:
            return None
        joining = [None, *combinators]
        return [_Joined(joining[index // 2], rules[index], (*at, index)) for index in range(0, len(rules), 2)]

    def _combinator(self, raw: Any, place: Place) -> Combinator | None:
        if isinstance(raw, str) and raw.lower() in list(Combinator):
            return Combinator(raw.lower())
        self.notes.tell_choice("unknown_combinator", place, Combinator)
        return None

    def _combined(self, query: Json, rules: Sequence[_Joined], scope: _Scope) -> Json:
        """The rules as one group; those that `and` joins are groups of their own where `or` joins others."""
        read = [self._rule(one.rule, one.place, scope) for one in rules]
        joining = {one.combinator for one in rules[1:]}
        if len(joining) > 1:
            combinator, members = Combinator.OR, _and_before_or(rules, read)
        else:
            combinator = next(iter(joining), rules[0].combinator) or Combinator.AND
            members = [one for one in read if one is not None]
        negated = {"not": query["not"]} if "not" in query else {}
        return {"combinator": str(combinator), "rules": members, **negated, **kept(query)}

    def _rule(self, rule: Any, place: Place, scope: _Scope) -> Json | None:
        if not isinstance(rule, dict):
            self.notes.tell_type(place, "条件或条件组", "a rule or a group")
            return None
        if "rules" in rule:
            return self.group(rule, place, scope)
        self.notes.check_members(rule, _RULE, place)
        name = rule.get("field")
        if not isinstance(name, str):
            self.notes.tell_type((*place, "field"), "字段名", "the name of a field")
            return None
        if not scope.of_rows and name.startswith(SOURCE):
            return self._activity(rule, name.removeprefix(SOURCE), place)
        if not scope.of_rows and name.startswith("rule:"):
            return self._special(rule, name, place)
        return self._condition(rule, name, place, scope)

    def _condition(self, rule: Json, name: str, place: Place, scope: _Scope) -> Json | None:
        field = scope.fields.get(name)
        if field is None:
            told = f"{scope.owner} 没有这个字段", f"{scope.owner} has no such field."
            self.notes.tell("unknown_field", (*place, "field"), *told)
            return None
        if "match" in rule:
            self.notes.tell("unexpected_member", (*place, "match"), "match 只用于数据源", "Only a source has a match.")
        base = {} if scope.of_rows else {"kind": "attribute"}
        return read_condition(rule, field, base, place, self.notes)

    def _activity(self, rule: Json, name: str, place: Place) -> Json | None:
        source = self._catalog.sources.get(name)
        if source is None:
            self.notes.tell("unknown_source", (*place, "field"), "没有这个数据源", "There is no such source.")
            return None
        match = read_match(rule.get("match"), (*place, "match"), self.notes)
        meta = self.notes.meta(rule, _ACTIVITY_META, place)
        where = self._where(rule, _Scope(source.fields, source.label_zh, of_rows=True), place)
        if match is None:
            return None
        if match.mode == "all" and where is None:
            told = "“全部满足”需要条件", "What all rows meet must be said."
            self.notes.tell("empty_list", (*place, "value", "rules"), *told)
        return {"kind": "activity", "source": name, **match.members(where, meta), **kept(rule)}

    def _where(self, rule: Json, scope: _Scope, place: Place) -> Json | None:
        """The filter on rows; a sub-group in which nothing counts keeps all of them."""
        group = rule.get("value")
        if isinstance(group, dict) and says_nothing(group) and not group.get("not"):
            return None
        return self.group(group, (*place, "value"), scope)

    def _special(self, rule: Json, name: str, place: Place) -> Json | None:
        """What is neither field nor source."""
        if name in (TAG, SEGMENT):
            return self._membership(rule, name.removeprefix("rule:"), place)
        if name not in _SPECIAL:
            self.notes.tell_choice("unknown_field", (*place, "field"), (TAG, SEGMENT, *_SPECIAL))
            return None
        operators, known = _SPECIAL[name]
        if rule.get("operator") not in operators:
            self.notes.tell_choice("unknown_operator", (*place, "operator"), operators)
            return None
        value = rule.get("value") if known else {}
        if not isinstance(value, dict):
            self.notes.tell_type((*place, "value"), "对象", "an object")
            return None
        self.notes.check_members(value, known, (*place, "value"))
        occurrence = {"occurrence": rule["operator"]} if name == SEQUENCE else {}
        return {"kind": name.removeprefix("rule:"), **value, **occurrence, **kept(rule)}

    def _membership(self, rule: Json, kind: str, place: Place) -> Json | None:
        operator = rule.get("operator")
        if not isinstance(operator, str) or operator not in BEING:
            self.notes.tell_choice("unknown_operator", (*place, "operator"), BEING)
            return None
        self.notes.source_of_value(rule, place)
        ids = items_of(rule.get("value"))
        if not isinstance(ids, list):
            self.notes.tell_type((*place, "value"), "列表", "a list")
            return None
        numbers = [number_of(one) if isinstance(one, str) else one for one in ids]
        if None in numbers:
            self.notes.tell_type((*place, "value"), "编号的列表", "a list of numbers")
        return {"kind": kind, "operator": BEING[operator], f"{kind}_ids": numbers, **kept(rule)}


def _and_before_or(rules: Sequence[_Joined], read: Sequence[Json | None]) -> list[Json]:
    """The members of the `or` that rules with both combinators between them are."""
    chains: list[list[Json]] = []
    for one, node in zip(rules, read, strict=True):
        if not chains or one.combinator is Combinator.OR:
            chains.append([])
        if node is not None:
            chains[-1].append(node)
    return [chain[0] if len(chain) == 1 else {"combinator": "and", "rules": chain} for chain in chains if chain]
