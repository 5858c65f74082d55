"""What the override routes do, each inside one transaction."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from api.access.actors import Actor
from api.access.permissions import Permission
from api.audit.log import Entry, append
from api.caller import Caller
from api.errors import ConflictError, InvalidError, NotFoundError, Problem
from api.identity import repository
from api.identity.repository import Row
from api.identity.rules import Draft, draft_of, masked_value, shown
from api.identity.schemas import NewOverride, Override, OverridePage, OverrideQuery, Revocation
from api.identity.value_refs import value_of_ref
from api.keyset import Place
from api.storage.overrides import OperatorRow, Standing, operator_rows
from api.versions import require_changed, require_version
from segment_engine.runtime.published import PublishedReader
from segment_engine.runtime.secret import person_digest

NO_OVERRIDE = Problem("override_unknown", "/path/override_id", "人工规则不存在", "There is no such override.")
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
    draft = draft_of(body, named=value_of_ref(reader, body, secret=secret))
    with reader.cursor() as (cursor, _):
        known = repository.known_keys(cursor, connection, draft.keys.values(), secret=secret)
    unknown = [_unknown(path) for path, key in draft.keys.items() if key not in known]
    if unknown:
        raise InvalidError(*unknown)
    repository.lock_overrides(connection)
    _require_no_contradiction(connection, draft)
    row = repository.insert_override(connection, draft, reason=body.reason, operator=caller.key, now=now)
    entry = Entry("identity_override.create", "identity_override", row["id"], after=_told(row, draft.keys, secret))
    append(connection, caller, entry, now=now)
    return shown(row, sees_phones=sees_phones(actor))


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
    if row["revoked_at"] is not None:
        raise ConflictError(REVOKED)
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


def override_page(connection: Connection, actor: Actor, query: OverrideQuery) -> OverridePage:
    """One page, newest first."""
    rows = repository.page_of_overrides(connection, query, limit=query.limit + 1)
    page, more = rows[: query.limit], len(rows) > query.limit
    return OverridePage(
        overrides=[shown(row, sees_phones=sees_phones(actor)) for row in page],
        next_cursor=Place(page[-1]["created_at"], page[-1]["id"]).encode() if more else None,
    )


def sees_phones(actor: Actor) -> bool:
    """A number in a decision may be anybody's."""
    return actor.reaches_everybody(Permission.CUSTOMER_PHONE_VIEW)


def _require_no_contradiction(connection: Connection, draft: Draft) -> None:
    standing = Standing(operator_rows(connection, in_force_only=True))
    found = standing.against(OperatorRow("", draft.kind, draft.a, draft.b))
    if found:
        raise ConflictError(*(Problem(one.code, "", one.message_zh, one.message_en) for one in found))


def _told(row: Row, keys: Mapping[str, str], secret: bytes) -> dict[str, Any]:
    """For the audit log, which outlives persons: keys as digests, numbers masked, and no free text."""
    told: dict[str, Any] = {"kind": row["kind"], "identities": sorted(person_digest(secret, k) for k in keys.values())}
    value = row["b"] if row["kind"] == "detach" else row["a"]
    if row["value_type"] in ("phone", "unionid"):
        told |= {"value_type": row["value_type"], "value": masked_value(row["value_type"], value)}
    return told


def _unknown(path: str) -> Problem:
    return Problem(
        "unknown_identity",
        path,
        "已发布的数据中没有该身份",
        "No published identity has this key.",
    )
