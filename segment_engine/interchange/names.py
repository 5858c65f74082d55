"""Names that the editor and the filter language have for the same: operators by type of field, and fields of rules.

An operator of ours that the editor has no word for keeps its name there, as a custom operator.
"""

from collections.abc import Mapping
from typing import Final

from segment_engine.operators import OPERATORS, FieldType, Operator, operator_of

SOURCE: Final = "source:"
"""Before the name of a source, in the field of a rule about its rows."""

TAG: Final = "rule:tag"
SEGMENT: Final = "rule:segment"
EVERYONE: Final = "rule:everyone"
BUCKET: Final = "rule:bucket"
SEQUENCE: Final = "rule:sequence"

EVERY_CUSTOMER: Final = "all"
SHARE: Final = "share"

BEING: Final = {"in": "in", "notIn": "not_in"}
"""The editor's operators of memberships, and ours."""

LISTS: Final = frozenset({"in", "notIn", "between", "notBetween"})
"""Operators under which the editor leaves a list alone; under any other it may keep only the first item."""

NOT_STARTING: Final = {"doesNotBeginWith": "starts_with", "doesNotEndWith": "ends_with"}
"""Negations that we say with a group."""

SHIFTED: Final = {"<=": ("before", 1), ">=": ("after", -1)}
"""Comparisons of days that we say with the next or the previous day."""

_PRESENCE: Final = {"null": "not_set", "notNull": "is_set"}
_EQUALITY: Final = {"=": "eq", "!=": "neq", "in": "in", "notIn": "not_in"}
_TEXT: Final = {
    **_EQUALITY,
    "contains": "contains",
    "doesNotContain": "not_contains",
    "beginsWith": "starts_with",
    "endsWith": "ends_with",
    **_PRESENCE,
}
_NUMBERS: Final = {
    **_EQUALITY,
    ">": "gt",
    ">=": "gte",
    "<": "lt",
    "<=": "lte",
    "between": "between",
    "notBetween": "not_between",
    **_PRESENCE,
}
_DATES: Final = {"=": "on", "!=": "not_on", "<": "before", ">": "after", "between": "between", **_PRESENCE}
_OURS: Final[Mapping[FieldType, Mapping[str, str]]] = {
    FieldType.TEXT: _TEXT,
    FieldType.OPTION: {**_EQUALITY, **_PRESENCE},
    FieldType.OPTIONS: _PRESENCE,
    FieldType.INTEGER: _NUMBERS,
    FieldType.DECIMAL: _NUMBERS,
    FieldType.MONEY: _NUMBERS,
    FieldType.BOOLEAN: _PRESENCE,
    FieldType.DATE: _DATES,
    FieldType.DATETIME: _DATES,
}
_THEIRS: Final = {kind: {ours: theirs for theirs, ours in named.items()} for kind, named in _OURS.items()}
# What a stock editor may say of a field with several values; our own names say it better, and are written.
_OF_SEVERAL: Final = {"in": "has_any", "contains": "has_any", "notIn": "has_none", "doesNotContain": "has_none"}


def operator_read(field_type: FieldType, name: str) -> Operator | None:
    """Our operator for one of the editor, by its own name or by ours; None where the type has none."""
    ours = _OURS[field_type].get(name) or (_OF_SEVERAL.get(name) if field_type is FieldType.OPTIONS else None)
    return operator_of(field_type, ours or name)


def operator_written(field_type: FieldType, operator: Operator) -> str:
    """What the editor calls an operator of ours."""
    if field_type is FieldType.BOOLEAN and operator.name in ("is_true", "is_false"):
        return "="
    return _THEIRS[field_type].get(operator.name, operator.name)


def known_names(field_type: FieldType) -> list[str]:
    """The names that are written for a type, each once, in the order in which operators are offered."""
    return [*dict.fromkeys(operator_written(field_type, one) for one in OPERATORS[field_type].values())]
