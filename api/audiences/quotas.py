"""What the routes of quotas do: tell them, note purchases, take purchases back."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from api.audiences.acting import Acting
from api.audiences.cursor import decode_cursor, encode_cursor
from api.audiences.quota_schemas import (
    ExpiringShown,
    NewPurchase,
    Purchase,
    PurchasePage,
    PurchaseQuery,
    Quotas,
    QuotaShown,
    Revoked,
)
from api.audiences.quota_words import prompt
from api.errors import ConflictError, InvalidError, NotFoundError
from api.storage.audience_quotas import Included, Quota, disable_over_quota, quota_of
from api.storage.tables.audiences import audience_quota
from segment_engine.problems import Problem
from segment_engine.tree import AudienceKind

OVER: Final = Problem("already_expired", "/expires_on", "到期日不能早于今天", "It would have expired already.")
UNKNOWN: Final = Problem("purchase_unknown", "/path/purchase_id", "增购记录不存在", "There is no such purchase.")
REVOKED: Final = Problem("purchase_revoked", "", "该增购已撤销", "The purchase is revoked already.")


def quotas(connection: Connection, *, today: date, included: Included) -> Quotas:
    """Numbers and prompts of both kinds."""
    tags, segments = (
        _shown(quota_of(connection, kind, today=today, included=included))
        for kind in (AudienceKind.TAG, AudienceKind.SEGMENT)
    )
    return Quotas(tags=tags, segments=segments)


def purchase_page(connection: Connection, query: PurchaseQuery, *, today: date) -> PurchasePage:
    """One page of purchases, newest first, also what is over."""
    rows = select(audience_quota).order_by(audience_quota.c.id.desc()).limit(query.limit + 1)
    if query.cursor is not None:
        (last_id,) = decode_cursor(query.cursor, int)
        rows = rows.where(audience_quota.c.id < last_id)
    found = connection.execute(rows).mappings().all()
    page, more = found[: query.limit], len(found) > query.limit
    return PurchasePage(
        purchases=[_purchase(dict(row), today) for row in page],
        next_cursor=encode_cursor((page[-1]["id"],)) if more else None,
    )


def purchase(acting: Acting, body: NewPurchase) -> Purchase:
    """More room, at once; raises InvalidError for a day that is over."""
    if body.expires_on < acting.today:
        raise InvalidError(OVER)
    values = {**body.model_dump(), "kind": body.kind.value, "expires_on": body.expires_on.isoformat()}
    stamps = {"created_at": acting.now, "created_by": acting.by}
    made = insert(audience_quota).values(**values, **stamps).returning(audience_quota)
    row = acting.connection.execute(made).mappings().one()
    acting.tell("audience_quota.purchase", "audience_quota", row["id"], after=values)
    return _purchase(dict(row), acting.today)


def revoke(acting: Acting, purchase_id: int) -> Revoked:
    """The room goes, at once; what is then too many is disabled. Raises NotFoundError, ConflictError."""
    ours = audience_quota.c.id == purchase_id
    row = acting.connection.execute(select(audience_quota).where(ours)).mappings().one_or_none()
    if row is None:
        raise NotFoundError(UNKNOWN)
    if row["revoked_at"] is not None:
        raise ConflictError(REVOKED)
    acting.connection.execute(update(audience_quota).where(ours).values(revoked_at=acting.now))
    gone = disable_over_quota(acting.connection, acting.today, acting.now, included=acting.asked.included)
    told = {"kind": row["kind"], "amount": row["amount"], "expires_on": row["expires_on"]}
    acting.tell("audience_quota.revoke", "audience_quota", purchase_id, before=told, after={"disabled": gone})
    revoked = _purchase({**row, "revoked_at": acting.now}, acting.today)
    return Revoked(**revoked.model_dump(), disabled=gone)


def _shown(quota: Quota) -> QuotaShown:
    told = prompt(quota)
    expiring = None if quota.expiring is None else ExpiringShown(amount=quota.expiring.amount, on=quota.expiring.on)
    return QuotaShown(
        total=quota.total,
        enabled=quota.enabled,
        available=quota.available,
        expiring=expiring,
        message_zh=told.zh,
        message_en=told.en,
    )


def _purchase(row: Mapping[str, Any], today: date) -> Purchase:
    expires_on = date.fromisoformat(row["expires_on"])
    is_usable = row["revoked_at"] is None and expires_on >= today
    return Purchase.model_validate({**row, "expires_on": expires_on, "is_usable": is_usable})
