"""Who is in static tags and segments (静态标签, 静态分群): putting customers in, taking them out, telling who is in.

A row keeps the one_id that the customer had when it was put in, so that it follows the customer through merges and
comes back to its own when a merge is undone. Which ids were merged into which customer is told by the published version
(`segment_engine.runtime.former_ids`), and handed in as `former`. Who may change what belongs to `api.audiences`.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, delete, func, inspect, literal, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from api.storage.erasures import hold_erasures
from api.storage.lists import COUNTED, listed
from api.storage.tables.audiences import audience, audience_member
from api.storage.types import Moment

How = Literal["staff", "bulk", "filter", "import", "sync"]
Former = Mapping[str, Collection[str]]

_MEMBER = audience_member.c
_IS_IN = _MEMBER.removed_at.is_(None)


@dataclass(frozen=True, slots=True)
class Membership:
    """One customer in one static tag or segment now; one_id as it was when the customer was put in."""

    audience_id: int
    one_id: str
    added_at: datetime
    added_by: str
    added_how: How


def add_members(
    connection: Connection,
    audience_id: int,
    one_ids: Iterable[str],
    *,
    how: How,
    by: str,
    now: datetime,
    former: Former | None = None,
) -> int:
    """Put customers in; returns how many were not in before. Who must be forgotten is left out.

    former: of a customer, the ids that were merged into it: who is in under one of them is in.
    """
    erased = hold_erasures(connection)
    _lock(connection, audience_id)
    wanted = _newcomers(connection, audience_id, dict.fromkeys(one_ids), former or {}, erased)
    if not wanted:
        return 0
    rows = select(
        literal(audience_id), listed(connection, wanted).subquery().c.value, literal(now, Moment()), literal(by),
        literal(how),
    )  # fmt: skip
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    put = dialect.insert(audience_member).from_select(
        ["audience_id", "one_id", "added_at", "added_by", "added_how"], rows.where(text("true"))
    )
    added = connection.execute(put.on_conflict_do_nothing(), execution_options=COUNTED).rowcount
    _note_change(connection, audience_id, added)
    return added


def remove_members(
    connection: Connection,
    audience_id: int,
    one_ids: Iterable[str],
    *,
    how: How,
    by: str,
    now: datetime,
    former: Former | None = None,
) -> int:
    """Take customers out, whichever of their ids they were put in under; returns how many were in."""
    _lock(connection, audience_id)
    owner_of = {old: one_id for one_id in one_ids for old in (one_id, *(former or {}).get(one_id, ()))}
    ours = (_MEMBER.audience_id == audience_id, _IS_IN, _MEMBER.one_id.in_(listed(connection, owner_of)))
    ended = update(audience_member).where(*ours).values(removed_at=now, removed_by=by, removed_how=how)
    left = {owner_of[one_id] for one_id in connection.scalars(ended.returning(_MEMBER.one_id))}
    _note_change(connection, audience_id, len(left))
    return len(left)


def static_members(
    connection: Connection, audience_ids: Collection[int], *, at: datetime | None = None
) -> dict[int, list[str]]:
    """The one_ids in each static audience now, or as it was at a moment; of a customer that was merged maybe several.

    An audience without anybody has an empty list. Lists are in no order.
    """
    gather = func.json_group_array if connection.dialect.name == "sqlite" else func.json_agg
    query = select(_MEMBER.audience_id, gather(_MEMBER.one_id)).where(_MEMBER.audience_id.in_(audience_ids))
    if at is None:
        query = query.where(_IS_IN)
    else:
        query = query.where(_MEMBER.added_at <= at, or_(_IS_IN, _MEMBER.removed_at > at))
    found: dict[int, list[str]] = {one: [] for one in audience_ids}
    for row in connection.execute(query.group_by(_MEMBER.audience_id)):
        # One text per audience: rows one by one cost ten times as much.
        found[row[0]] = json.loads(row[1]) if isinstance(row[1], str) else row[1]
    return found


def members_of_customer(connection: Connection, one_ids: Collection[str]) -> list[Membership]:
    """The static audiences that a customer is in, by its id and those merged into it; each once, by the first row."""
    rows = (
        select(_MEMBER.audience_id, _MEMBER.one_id, _MEMBER.added_at, _MEMBER.added_by, _MEMBER.added_how)
        .where(_IS_IN, _MEMBER.one_id.in_(one_ids))
        .order_by(_MEMBER.audience_id, _MEMBER.added_at, _MEMBER.id)
    )
    found: dict[int, Membership] = {}
    for row in connection.execute(rows).mappings():
        found.setdefault(row["audience_id"], Membership(**row))
    return list(found.values())


def forget_members(connection: Connection, one_ids: Collection[str]) -> None:
    """Take out every row, also ended ones, of customers who must be forgotten."""
    if not inspect(connection).has_table(audience_member.name):
        return  # a night on a store of an earlier release
    gone = delete(audience_member).where(_MEMBER.one_id.in_(one_ids)).returning(_MEMBER.audience_id)
    touched: set[int] = set(connection.scalars(gone))
    for audience_id in sorted(touched):
        _note_change(connection, audience_id, 1)


def _lock(connection: Connection, audience_id: int) -> None:
    """One change of an audience at a time; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(audience.c.id).where(audience.c.id == audience_id).with_for_update())


def _newcomers(
    connection: Connection, audience_id: int, one_ids: Collection[str], former: Former, erased: frozenset[str]
) -> list[str]:
    """Those who are neither in under a former id nor to be forgotten."""
    merged = {old for one_id in one_ids for old in former.get(one_id, ())}
    left_out = erased
    if merged:
        there = (_MEMBER.audience_id == audience_id, _IS_IN, _MEMBER.one_id.in_(listed(connection, merged)))
        left_out |= frozenset(connection.scalars(select(_MEMBER.one_id).where(*there)))
    if not left_out:
        return list(one_ids)
    return [one for one in one_ids if one not in left_out and left_out.isdisjoint(former.get(one, ()))]


def _note_change(connection: Connection, audience_id: int, changed: int) -> None:
    if changed:
        grown = update(audience).where(audience.c.id == audience_id).values(revision=audience.c.revision + 1)
        connection.execute(grown)
