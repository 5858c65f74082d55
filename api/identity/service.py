"""What the override routes do, each inside one transaction."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from api.access.actors import Actor
from api.access.permissions import Permission
from api.audit.log import Entry, append
from api.caller import Caller
from api.errors import ConflictError, InvalidError, NotFoundError
from api.identity import repository
from api.identity.names import is_masked
from api.identity.repository import Row
from api.identity.rules import Draft, draft_of, identity_keys, masked_value, problems_of, shown
from api.identity.schemas import Members, NewOverride, Override, OverridePage, OverrideQuery, Revocation, ValueType
from api.identity.value_refs import value_of_ref
from api.keyset import Place
from api.storage.overrides import OperatorRow, OverrideKind, Standing, operator_rows
from api.versions import require_changed, require_version
from segment_engine.problems import Problem
from segment_engine.runtime.published import PublishedReader
from segment_engine.runtime.secret import person_digest

NO_OVERRIDE = Problem("override_unknown", "/path/override_id", "人工规则不存在", "There is no such override.")
UNKNOWN_VALUE = Problem(
    "unknown_value",
    "/value_ref",
    "已发布的数据中没有该待审核取值",
    "The published version holds no value of this value_ref and value_type.",
)
REVOKED = Problem("override_revoked", "", "该人工规则已撤销", "The override is revoked already.")


def create_override(
    connection: Connection,
    reader: PublishedReader,
    actor: Actor,
    caller: Caller,
    body: NewOverride,
    *,
    secret: bytes,
    now: datetime,
) -> Override:
    """Write the decision and its audit row; raises InvalidError, or ConflictError naming what it contradicts."""
    draft = known_draft(connection, reader, body.kind, body, secret=secret)
    repository.lock_overrides(connection)
    require_no_contradiction(connection, draft)
    row = repository.insert_override(connection, draft, reason=body.reason, operator=caller.key, now=now)
    entry = Entry("identity_override.create", "identity_override", row["id"], after=told_of(draft, secret))
    append(connection, caller, entry, now=now)
    return shown(row, sees_phones=sees_phones(actor))


def known_draft(
    connection: Connection, reader: PublishedReader, kind: OverrideKind, body: Members, *, secret: bytes
) -> Draft:
    """The decision that a body tells, about identities that are there; raises InvalidError with all problems."""
    named = value_of_ref(reader, body, secret=secret)
    problems = problems_of(kind, body)
    told = {one.path for one in problems}
    keys = identity_keys(body)
    with reader.cursor() as (cursor, _):
        known = repository.known_keys(cursor, connection, keys.values(), secret=secret)
    unknown = [_unknown(path) for path, key in keys.items() if key not in known]
    if named is None and body.value_ref is not None and body.value_type is not None:
        unknown.append(UNKNOWN_VALUE)
    # Of a member that makes no sense, nobody needs to hear that it is unknown as well.
    problems += [one for one in unknown if one.path not in told]
    if problems:
        raise InvalidError(*problems)
    return draft_of(kind, body, named=named)


def revoke_override(
    connection: Connection,
    actor: Actor,
    caller: Caller,
    override_id: str,
    if_match: str | None,
    body: Revocation,
    *,
    now: datetime,
) -> Override:
    """From the night of this day on it is as if the decision had not been made; what it was stays readable."""
    row = find_override(connection, override_id)
    require_version(row["version"], if_match)
    require_in_force(row)
    revoked, met = repository.revoke_override(connection, row, reason=body.reason, by=caller.key, now=now)
    require_changed(met)
    entry = Entry("identity_override.revoke", "identity_override", override_id, before={"kind": row["kind"]})
    append(connection, caller, entry, now=now)
    return shown(revoked, sees_phones=sees_phones(actor))


def find_override(connection: Connection, override_id: str) -> Row:
    """The stored row; raises NotFoundError."""
    row = repository.one_override(connection, override_id)
    if row is None:
        raise NotFoundError(NO_OVERRIDE)
    return row


def require_in_force(row: Row) -> None:
    """Raise ConflictError for a decision that was taken back."""
    if row["revoked_at"] is not None:
        raise ConflictError(REVOKED)


def override_page(connection: Connection, actor: Actor, query: OverrideQuery) -> OverridePage:
    """One page, newest first."""
    phones = sees_phones(actor)
    if query.key is not None and is_masked(query.key, sees_phones=phones):
        # Nobody was told this key; an answer would confirm a number they see masked.
        return OverridePage(overrides=[], next_cursor=None)
    rows = repository.page_of_overrides(connection, query, limit=query.limit + 1)
    page, more = rows[: query.limit], len(rows) > query.limit
    return OverridePage(
        overrides=[shown(row, sees_phones=phones) for row in page],
        next_cursor=Place(page[-1]["created_at"], page[-1]["id"]).encode() if more else None,
    )


def sees_phones(actor: Actor) -> bool:
    """A number in a decision may be anybody's."""
    return actor.reaches_everybody(Permission.CUSTOMER_PHONE_VIEW)


def require_no_contradiction(connection: Connection, draft: Draft) -> None:
    """Raise ConflictError naming every decision in force that speaks against this one."""
    standing = Standing(operator_rows(connection, in_force_only=True))
    found = standing.against(OperatorRow("", draft.kind, draft.a, draft.b))
    if found:
        raise ConflictError(*(Problem(one.code, "", one.message_zh, one.message_en) for one in found))


def told_of(draft: Draft, secret: bytes) -> dict[str, Any]:
    """For the audit log, which outlives persons: keys as digests, numbers masked, and no free text."""
    identities = sorted(person_digest(secret, key) for key in draft.keys.values())
    told: dict[str, Any] = {"kind": draft.kind.value, "identities": identities}
    value = draft.b if draft.kind is OverrideKind.DETACH else draft.a
    if draft.value_type in (ValueType.PHONE, ValueType.UNIONID):
        told |= {"value_type": draft.value_type.value, "value": masked_value(draft.value_type, value)}
    return told


def _unknown(path: str) -> Problem:
    return Problem(
        "unknown_identity",
        path,
        "已发布的数据中没有该身份",
        "No published identity has this key.",
    )
