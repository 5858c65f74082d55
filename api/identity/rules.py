"""What an operator's decision must be made of, by its kind; and how it is shown. Pure.

Whether its identities exist, and whether it contradicts others, is asked by the service.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.access.masking import mask_phone
from api.customers.phones import phone_forms
from api.errors import InvalidError, Problem
from api.identity.names import shown_key
from api.identity.schemas import Members, Override, ValueType
from api.storage.overrides import OF_TWO_KEYS, OverrideKind

PATIENT = "patient:"
UNIONID = re.compile(r"[A-Za-z0-9_-]{1,128}")

# Members that a kind is made of, and the types that its value may have.
_TWO_KEYS = ("key", "other_key")
_VALUE = ("value_type", "value")
MEMBERS: Mapping[OverrideKind, tuple[str, ...]] = {
    OverrideKind.MERGE: _TWO_KEYS,
    OverrideKind.SPLIT: _TWO_KEYS,
    OverrideKind.DETACH: ("key", *_VALUE),
    OverrideKind.OWNER: ("key", *_VALUE),
    OverrideKind.BLOCK: _VALUE,
    OverrideKind.ALLOW: _VALUE,
}
VALUE_TYPES: Mapping[OverrideKind, Sequence[ValueType]] = {
    OverrideKind.DETACH: tuple(ValueType),
    OverrideKind.OWNER: (ValueType.PHONE,),
    OverrideKind.BLOCK: (ValueType.PHONE, ValueType.UNIONID),
    # Only phones are hubs or on a blocked list.
    OverrideKind.ALLOW: (ValueType.PHONE,),
}

NOT_A_PHONE = Problem("not_a_phone", "/value", "不是有效的电话号码", "This is no phone number.")
NOT_A_UNIONID = Problem("not_a_unionid", "/value", "不是有效的 unionid", "This is no unionid.")
VALUE_TWICE = Problem(
    "value_given_twice", "/value_ref", "value 与 value_ref 只能填写一个", "Send the value or its value_ref, not both."
)
UNKNOWN_VALUE = Problem(
    "unknown_value",
    "/value_ref",
    "已发布的数据中没有该待审核取值",
    "The published version holds no value of this value_ref and value_type.",
)
OWN_BINDING = Problem("same_identity", "/value", "两处为同一个身份", "Both sides are the same identity.")
SAME_KEY = Problem("same_identity", "/other_key", "两处为同一个身份", "Both sides are the same identity.")


@dataclass(frozen=True, slots=True)
class Draft:
    """A decision as it will be stored; `keys` says in which members of the request its identity keys stand."""

    kind: OverrideKind
    a: str
    b: str
    value_type: ValueType | None
    keys: Mapping[str, str]


def draft_of(kind: OverrideKind, body: Members, *, named: str | None = None) -> Draft:
    """The decision of a kind that a body tells, `value_ref` naming `named`; raises InvalidError with all problems."""
    given = {name: getattr(body, name) for name in Members.model_fields}
    wanted = MEMBERS[kind]
    takes = (*wanted, "value_ref") if "value" in wanted else wanted
    problems = [_missing(kind, name) for name in wanted if given[name] is None and not _is_named(name, body)]
    problems += [_unwanted(kind, name) for name, one in given.items() if one is not None and name not in takes]
    if "value" in wanted and body.value_ref is not None:
        problems += _wrong_ref(body, named)
    if problems:
        raise InvalidError(*problems)
    if kind in OF_TWO_KEYS:
        return _of_two_keys(kind, body)
    return _about_a_value(kind, body, named)


def _is_named(name: str, body: Members) -> bool:
    return name == "value" and body.value_ref is not None


def _wrong_ref(body: Members, named: str | None) -> list[Problem]:
    if body.value is not None:
        return [VALUE_TWICE]
    return [UNKNOWN_VALUE] if named is None and body.value_type is not None else []


def _of_two_keys(kind: OverrideKind, body: Members) -> Draft:
    assert body.key is not None, "it was asked for"
    assert body.other_key is not None, "it was asked for"
    if body.key == body.other_key:
        raise InvalidError(SAME_KEY)
    # Both ways round it is one decision.
    a, b = sorted((body.key, body.other_key))
    return Draft(kind, a, b, None, {"/key": body.key, "/other_key": body.other_key})


def _about_a_value(kind: OverrideKind, body: Members, named: str | None) -> Draft:
    assert body.value_type is not None, "it was asked for"
    problems = []
    if body.value_type not in VALUE_TYPES[kind]:
        problems.append(_wrong_type(kind))
    # What is named stands in the published version, spelt as evidence spells it.
    value = _spelt(body.value_type, body.value) if body.value is not None else named
    assert value is not None, "it was asked for"
    if isinstance(value, Problem):
        problems.append(value)
    elif body.value_type is ValueType.BINDING and value == body.key:
        problems.append(OWN_BINDING)
    if kind is OverrideKind.OWNER and not str(body.key).startswith(PATIENT):
        problems.append(_no_patient("/key"))
    if problems or isinstance(value, Problem):
        raise InvalidError(*problems)
    keys = {} if body.key is None else {"/key": body.key}
    if body.value_type is ValueType.BINDING:
        keys["/value"] = value
    a, b = (body.key, value) if kind is OverrideKind.DETACH else (value, body.key)
    return Draft(kind, a or "", b or "", body.value_type, keys)


def _spelt(value_type: ValueType, value: str) -> str | Problem:
    """The value as evidence spells it."""
    match value_type:
        case ValueType.PHONE:
            forms = phone_forms(value)
            return NOT_A_PHONE if forms is None else forms[0]
        case ValueType.UNIONID:
            return value if UNIONID.fullmatch(value) else NOT_A_UNIONID
        case ValueType.BINDING:
            return value if value.startswith(PATIENT) else _no_patient("/value")


def shown(row: Mapping[str, Any], *, sees_phones: bool) -> Override:
    """A stored row as an operator reads it, numbers masked for who may not see phones."""
    key, other_key, value = _members(row)
    if value is not None and not sees_phones:
        value = masked_value(row["value_type"], value)
    same = ("id", "kind", "value_type", "reason", "operator", "valid_from", "revoked_at", "revoked_by")
    return Override(
        **{name: row[name] for name in (*same, "revoke_reason", "version")},
        key=key and shown_key(key, sees_phones=sees_phones),
        other_key=other_key and shown_key(other_key, sees_phones=sees_phones),
        value=value,
        in_force=row["revoked_at"] is None,
    )


def _members(row: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
    """Key, other key and value of a stored row."""
    a, b = row["a"], row["b"]
    match row["kind"]:
        case "merge" | "split":
            return a, b, None
        case "detach":
            return a, None, b
        case "owner":
            return b, None, a
    return None, None, a


def masked_value(value_type: str, value: str) -> str | None:
    """A value beside its type for who may not see phones; a binding names a file and stays as it is."""
    return value if value_type == ValueType.BINDING else mask_phone(value)


def _missing(kind: OverrideKind, name: str) -> Problem:
    return Problem("missing", f"/{name}", f"{kind} 类规则缺少必填项", f"An override of kind {kind} needs it.")


def _unwanted(kind: OverrideKind, name: str) -> Problem:
    return Problem(
        "not_for_this_kind", f"/{name}", f"{kind} 类规则不使用该字段", f"An override of kind {kind} has no such member."
    )


def _wrong_type(kind: OverrideKind) -> Problem:
    allowed = ", ".join(VALUE_TYPES[kind])
    return Problem(
        "not_for_this_kind",
        "/value_type",
        f"{kind} 类规则只支持:{allowed}",
        f"For {kind} a value is one of: {allowed}.",
    )


def _no_patient(path: str) -> Problem:
    return Problem("not_a_patient", path, "应为患者档案的身份键", "This should be the key of a patient file.")
