"""What is told about who is in tags and segments: members now and then, calculations, overlaps. Cut to who is seen."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, select

from api.audiences.cursor import decode_cursor, encode_cursor
from api.audiences.member_schemas import (
    CalculationPage,
    CalculationShown,
    MemberPage,
    MemberQuery,
    Overlap,
    OverlapAnswer,
    OverlapRequest,
)
from api.audiences.members import directory_of
from api.audiences.named import NO_AUDIENCE, Named, by_ids, require_audience
from api.customers.asking import Asker
from api.customers.repository import customers_by_key
from api.customers.service import shown
from api.errors import ConflictError, InvalidError
from api.filters.evaluator import Session
from api.keyset import Page
from api.storage.audiences import StoredVersion, current_versions, version_of
from api.storage.database import Database
from api.storage.tables.audiences import audience_version
from segment_engine.problems import Problem
from segment_engine.runtime.bitmaps import Bitmap, nobody
from segment_engine.runtime.memberships import DamagedMembershipsError, read_differences

LOST: Final = Problem(
    "members_lost",
    "",
    "成员文件缺失或已损坏,请重新计算",
    "The file of members is lost; calculate the tag or segment again.",
)


def member_page(session: Session, asker: Asker, store: Database, audience_id: int, query: MemberQuery) -> MemberPage:
    """One page of members whom the caller sees; raises NotFoundError, InvalidError, ConflictError."""
    (after,) = decode_cursor(query.cursor, int) if query.cursor else (-1,)
    with store.read() as connection:
        named = require_audience(connection, audience_id)
    members = members_seen(session, asker, named, query.at)
    keys = members.keys()
    page = keys[np.searchsorted(keys, after, side="right") :][: query.limit + 1].tolist()
    granted = asker.sight.granted()
    rows = customers_by_key(session.cursor, granted, page[: query.limit])
    return MemberPage(
        audience=named.shown(),
        version=session.pointer.version,
        computed_at=_computed_at(store, named, query.at),
        count=len(keys),
        customers=[shown(row, granted) for row in rows],
        next_cursor=encode_cursor([page[query.limit - 1]]) if len(page) > query.limit else None,
    )


def members_seen(session: Session, asker: Asker, named: Named, at: datetime | None) -> Bitmap:
    """The members whom the caller sees, now or at a moment; raises ConflictError where they are lost."""
    scope = asker.scope(session)
    try:
        found = directory_of(session).of(named, session.opened, at)
    except DamagedMembershipsError:
        raise ConflictError(LOST) from None
    return found if scope is None else found & scope


def calculation_page(session: Session, asker: Asker, store: Database, audience_id: int, page: Page) -> CalculationPage:
    """How an audience grew and shrank; raises NotFoundError, InvalidError."""
    before = decode_cursor(page.cursor, int)[0] if page.cursor else None
    with store.read() as connection:
        named = require_audience(connection, audience_id)
        versions = _versions(connection, audience_id, before, page.limit + 1)
    scope = asker.scope(session)
    rows = [_calculation(session, one, scope) for one in versions[: page.limit]]
    more = len(versions) > page.limit
    return CalculationPage(
        audience=named.shown(),
        calculations=rows,
        next_cursor=encode_cursor([rows[-1].number]) if more else None,
    )


def overlap_answer(session: Session, asker: Asker, store: Database, request: OverlapRequest) -> OverlapAnswer:
    """In how many of the audiences customers are at once; raises InvalidError, ConflictError."""
    ids = list(dict.fromkeys(request.ids))
    with store.read() as connection:
        named = by_ids(connection, ids)
    if problems := [_unknown(place) for place, one in enumerate(request.ids) if one not in named]:
        raise InvalidError(*problems)
    found = [members_seen(session, asker, named[one], request.at) for one in ids]
    counts = _exactly(found, session.opened.version.keys)
    parts = [
        Overlap(ids=[one for place, one in enumerate(ids) if pattern >> place & 1], count=count)
        for pattern, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
    return OverlapAnswer(
        version=session.pointer.version,
        audiences=[named[one].shown() for one in ids],
        counts={one: len(bitmap) for one, bitmap in zip(ids, found, strict=True)},
        any=sum(counts.values()),
        all=counts.get((1 << len(ids)) - 1, 0),
        parts=parts,
    )


def _exactly(found: Sequence[Bitmap], keys: int) -> Counter[int]:
    """How many are in exactly these, by the bits of which."""
    pattern = np.zeros(len(nobody(keys).words) * 64, np.uint8)
    for place, bitmap in enumerate(found):
        pattern[bitmap.keys()] |= np.uint8(1 << place)
    numbers, counts = np.unique(pattern[pattern > 0], return_counts=True)
    return Counter(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))


def _calculation(session: Session, one: StoredVersion, scope: Bitmap | None) -> CalculationShown:
    members, entered, left = _counts(session, one, scope)
    return CalculationShown(
        number=one.number,
        computed_at=one.computed_at,
        as_of=one.as_of,
        warehouse=one.warehouse,
        definition=one.definition,
        trigger=one.trigger,
        operator=one.operator,
        member_count=members,
        entered=entered,
        left=left,
    )


def _counts(session: Session, one: StoredVersion, scope: Bitmap | None) -> tuple[int | None, int | None, int | None]:
    if scope is None:
        return one.member_count, one.entered_count, one.left_count
    directory = directory_of(session)
    try:
        members = directory.of_version(one, session.opened) & scope
        changed = read_differences(directory.folder, one.file, [one.audience_id])[one.audience_id]
    except DamagedMembershipsError:
        return None, None, None
    entered, left = (_seen(keys, scope, directory.keys_now()) for keys in (changed.entered, changed.left))
    return len(members), entered, left


def _seen(keys: npt.NDArray[np.integer[Any]], scope: Bitmap, now: Mapping[int, int]) -> int:
    """How many of these, each once, are of customers in scope: whoever was merged away by whom they are now."""
    merged = np.isin(keys, np.fromiter(now, np.int64, len(now)))
    others = np.intersect1d(keys[~merged], scope.keys(), assume_unique=True)
    return len(others) + sum(now[key] in scope for key in keys[merged].tolist())


def _versions(connection: Connection, audience_id: int, before: int | None, limit: int) -> list[StoredVersion]:
    columns = audience_version.c
    query = select(audience_version).where(columns.audience_id == audience_id).order_by(columns.number.desc())
    if before is not None:
        query = query.where(columns.number < before)
    return [version_of(row) for row in connection.execute(query.limit(limit)).mappings()]


def _computed_at(store: Database, named: Named, at: datetime | None) -> datetime | None:
    with store.read() as connection:
        found = current_versions(connection, [named.id], at=at)
    return found[named.id].computed_at if named.id in found else None


def _unknown(place: int) -> Problem:
    return Problem("audience_unknown", f"/ids/{place}", NO_AUDIENCE.message_zh, NO_AUDIENCE.message_en)
