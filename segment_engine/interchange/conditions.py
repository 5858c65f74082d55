"""The editor's rule about a field as our condition: operators and values by the type of the field.

Some of its comparisons are no operators of ours; they are said exactly with others: `doesNotBeginWith` and
`doesNotEndWith` with a negated group, `<=` and `>=` of days with the next or previous day, `notBetween` of days with
before or after. Missing values are met by none of these, unless the policy says so.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from segment_engine.catalog import DATED, NUMERIC, Field
from segment_engine.interchange.lists import items_of, number_of
from segment_engine.interchange.names import NOT_STARTING, SHIFTED, known_names, operator_read
from segment_engine.interchange.notes import Json, Notes, kept
from segment_engine.operators import FieldType, Operator, Shape
from segment_engine.tree import NullPolicy, Place

_LISTS: Final = frozenset({Shape.ITEMS, Shape.PAIR, Shape.MONTHS, Shape.DAYS})
_SCALARS: Final = frozenset({Shape.ONE, Shape.WHOLE})
_META: Final = frozenset({"null_policy"})
_TRUTHS: Final = {"true": True, "false": False}


def read_condition(rule: Json, field: Field, base: Json, place: Place, notes: Notes) -> Json | None:
    """The condition, or the group that says the same; `base` are the members that every condition of its kind has."""
    theirs = rule.get("operator")
    meta = notes.meta(rule, _META, place)
    asked = _Asked(rule, field, {**base, "field": field.name}, meta, place, notes)
    if isinstance(theirs, str) and (read := _OTHERWISE.get((field.type, theirs))):
        notes.source_of_value(rule, place)
        told = read(asked, theirs)
        return None if told is None else {**told, **kept(rule)}
    operator = operator_read(field.type, theirs) if isinstance(theirs, str) else None
    if operator is None:
        notes.tell_choice("unknown_operator", (*place, "operator"), known_names(field.type))
        return None
    return _plain(asked, operator)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A rule of the editor, what is known of it, and where it stands."""

    rule: Json
    field: Field
    base: Json
    meta: Json
    place: Place
    notes: Notes

    @property
    def value(self) -> Any:
        """What it is compared with, as it was given."""
        return self.rule.get("value")

    @property
    def at(self) -> Place:
        """Where the value stands."""
        return (*self.place, "value")

    @property
    def matches_missing(self) -> bool:
        """Whether a negation says yes of a missing value."""
        return self.meta.get("null_policy") == NullPolicy.MATCH

    def policy(self, *, is_negative: bool) -> Json:
        """The policy that goes along with an operator."""
        # An editor that changed the operator carries a policy along that says nothing any more.
        return {} if self.matches_missing and not is_negative else self.meta

    def condition(self, operator: str, **members: Any) -> Json:
        """A condition on the field."""
        return {**self.base, "operator": operator, **members}


def _plain(asked: _Asked, operator: Operator) -> Json:
    """One condition with an operator of ours."""
    policy = asked.policy(is_negative=operator.is_negative)
    return {**asked.condition(operator.name), **_value(asked, operator), **policy, **kept(asked.rule)}


def _value(asked: _Asked, operator: Operator) -> Json:
    """The member `value`, if there is to be one."""
    if operator.shape is Shape.NONE or "value" not in asked.rule:
        return {}
    allows_field = operator.shape is Shape.ONE
    source = asked.notes.source_of_value(asked.rule, asked.place, allows_field=allows_field)
    if source != "value":
        return {"value": {"field": asked.value}} if source == "field" else {}
    is_numeric = asked.field.type in NUMERIC or operator.shape in (Shape.MONTHS, Shape.DAYS)
    if operator.shape in _LISTS:
        return {"value": _items(asked, is_numeric=is_numeric)}
    if operator.shape in _SCALARS and is_numeric:
        return {"value": _number(asked.value, asked.at, asked.notes)}
    return {"value": asked.value}


def _items(asked: _Asked, *, is_numeric: bool) -> Any:
    items = items_of(asked.value)
    if not isinstance(items, list) or not is_numeric:
        return items
    is_text = isinstance(asked.value, str)
    places = [asked.at if is_text else (*asked.at, index) for index in range(len(items))]
    return [_number(item, at, asked.notes) for item, at in zip(items, places, strict=True)]


def _number(raw: Any, place: Place, notes: Notes) -> Any:
    """The number that a text says; what is no text is left for others to judge."""
    number = number_of(raw) if isinstance(raw, str) else raw
    if number is None and raw is not None:
        notes.tell_type(place, "数字", "a number")
    return number


def _not_starting(asked: _Asked, theirs: str) -> Json:
    rules = [asked.condition(NOT_STARTING[theirs], value=asked.value)]
    if not asked.matches_missing:
        rules.insert(0, asked.condition("not_set"))
    return {"combinator": "or", "not": True, "rules": rules}


def _outside(asked: _Asked, theirs: str) -> Json | None:
    days = items_of(asked.value)
    if not isinstance(days, list) or len(days) != 2:
        asked.notes.tell_type(asked.at, "两个值的列表", "a list of two values")
        return None
    rules = [asked.condition("before", value=days[0]), asked.condition("after", value=days[1])]
    if asked.matches_missing:
        rules.append(asked.condition("not_set"))
    return {"combinator": "or", "rules": rules}


def _shifted(asked: _Asked, theirs: str) -> Json | None:
    ours, days = SHIFTED[theirs]
    if isinstance(asked.value, str):
        with suppress(ValueError, OverflowError):
            day = date.fromisoformat(asked.value)
            # Python reads other forms of a day too, which are none of ours.
            if day.isoformat() == asked.value:
                return asked.condition(ours, value=(day + timedelta(days=days)).isoformat())
    asked.notes.tell_type(asked.at, "日期 YYYY-MM-DD", "a day, YYYY-MM-DD")
    return None


def _truth(asked: _Asked, theirs: str) -> Json | None:
    truth = _TRUTHS.get(asked.value) if isinstance(asked.value, str) else asked.value
    if not isinstance(truth, bool):
        asked.notes.tell_type(asked.at, "true 或 false", "true or false")
        return None
    return asked.condition("is_true" if truth == (theirs == "=") else "is_false", **asked.policy(is_negative=False))


_OTHERWISE: Final[Mapping[tuple[FieldType, str], Callable[[_Asked, str], Json | None]]] = {
    **{(FieldType.TEXT, name): _not_starting for name in NOT_STARTING},
    **{(kind, name): _shifted for kind in DATED for name in SHIFTED},
    **{(kind, "notBetween"): _outside for kind in DATED},
    **{(FieldType.BOOLEAN, name): _truth for name in ("=", "!=")},
}
