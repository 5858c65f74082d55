"""What an operator's decision must be made of, by its kind; and how it is shown. Pure.

Whether its identities exist, and whether it contradicts others, is asked by the service.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.access.masking import mask_phone
from api.customers.phones import phone_forms
from api.identity.names import shown_key
from api.identity.schemas import Members, Override, OverridePreview, ValueType
from api.storage.overrides import OF_TWO_KEYS, OverrideKind
from segment_engine.problems import Problem

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
NO_KIND = Problem("missing", "/kind", "请填写 kind 或 revoke", "Either kind or revoke is needed.")
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


def problems_of(kind: OverrideKind, body: Members, *, unreadable: Collection[str] = ()) -> list[Problem]:
    """All that a decision of a kind lacks, or has too much or wrong.

    `unreadable` members were sent too but had no shape, which is told elsewhere: `body` is without them.
    """
    wanted, sent = MEMBERS[kind], _sent(body, unreadable)
    takes = (*wanted, "value_ref") if "value" in wanted else wanted
    told = sent | {"value"} if "value_ref" in sent else sent
    problems = [_missing(kind, name) for name in wanted if name not in told]
    problems += [_unwanted(kind, name) for name in Members.model_fields if name in sent and name not in takes]
    if kind in OF_TWO_KEYS:
        return problems + ([SAME_KEY] if body.key is not None and body.key == body.other_key else [])
    if {"value", "value_ref"} <= sent:
        problems.append(VALUE_TWICE)
    return problems + _about_a_value(kind, body)


def problems_of_new(members: Mapping[str, Any], unreadable: Collection[str]) -> list[Problem]:
    """What its kind makes of a new decision that lacks its shape; see `api.edge.further_rules`."""
    body = OverridePreview.model_validate(members)  # where all may be missing
    return [] if body.kind is None else problems_of(body.kind, body, unreadable=unreadable)


def problems_of_preview(members: Mapping[str, Any], unreadable: Collection[str]) -> list[Problem]:
    """The same of the request for a preview."""
    body = OverridePreview.model_validate(members)
    if body.revoke is not None or "revoke" in unreadable:
        return beside_revoke(body, unreadable=unreadable)
    if body.kind is None:
        return [] if "kind" in unreadable else [NO_KIND]
    return problems_of(body.kind, body, unreadable=unreadable)


def beside_revoke(body: OverridePreview, *, unreadable: Collection[str] = ()) -> list[Problem]:
    """Everything that stands beside `revoke` and must not."""
    sent = _sent(body, unreadable)
    return [
        Problem("not_for_this_kind", f"/{name}", "与 revoke 不能同时使用", "It cannot stand beside revoke.")
        for name in ("kind", *Members.model_fields)
        if name in sent
    ]


def identity_keys(body: Members) -> dict[str, str]:
    """The identity keys of a body, by where they stand."""
    bound = body.value if body.value_type is ValueType.BINDING else None
    keys = {"/key": body.key, "/other_key": body.other_key, "/value": bound}
    return {path: key for path, key in keys.items() if key is not None}


def draft_of(kind: OverrideKind, body: Members, *, named: str | None = None) -> Draft:
    """The decision of a kind that a body without problems tells; its `value_ref` names `named`."""
    key, keys = body.key or "", identity_keys(body)
    if kind in OF_TWO_KEYS:
        # Both ways round it is one decision.
        a, b = sorted((key, body.other_key or ""))
        return Draft(kind, a, b, None, keys)
    assert body.value_type is not None, "it was asked for"
    # What is named stands in the published version, spelt as evidence spells it.
    value = named if body.value is None else _spelt(body.value_type, body.value)
    assert isinstance(value, str), "it was asked for"
    a, b = (key, value) if kind is OverrideKind.DETACH else (value, key)
    return Draft(kind, a, b, body.value_type, keys)


def _sent(body: Members, unreadable: Collection[str]) -> set[str]:
    return body.model_dump(exclude_none=True).keys() | set(unreadable)


def _about_a_value(kind: OverrideKind, body: Members) -> list[Problem]:
    problems = []
    if body.value_type is not None and body.value_type not in VALUE_TYPES[kind]:
        problems.append(_wrong_type(kind))
    if body.value_type is not None and body.value is not None:
        value = _spelt(body.value_type, body.value)
        if isinstance(value, Problem):
            problems.append(value)
        elif body.value_type is ValueType.BINDING and value == body.key:
            problems.append(OWN_BINDING)
    if kind is OverrideKind.OWNER and body.key is not None and not body.key.startswith(PATIENT):
        problems.append(_no_patient("/key"))
    return problems


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
