"""A customer's identities and their history out of the published version, as one caller sees them.

The customer is found as by `/v1/customers/{one_id}`: within the caller's reach, also by an id they had before. A change
may name an identity, or an id, of somebody else; it is told only to who sees that customer too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from api.access.permissions import Permission
from api.customers.repository import Granted, one_customer
from api.customers.service import NO_CUSTOMER
from api.customers.sight import Sight
from api.errors import NotFoundError
from api.identity.archive_schemas import (
    CustomerIdentities,
    CustomerIdentity,
    EventQuery,
    IdentityEvent,
    IdentityEvents,
    MatchReason,
)
from api.identity.event_cursor import EventPlace
from api.identity.names import shown_id, shown_key
from segment_engine.runtime.published import PublishedReader

BINDING = "binding"
ONE_IDS = ("from_one_id", "to_one_id")


def customer_identities(reader: PublishedReader, sight: Sight, one_id: str) -> CustomerIdentities:
    """Every identity of the customer, the first seen first; raises NotFoundError."""
    with reader.cursor() as (cursor, pointer):
        customer = _customer(cursor, sight, one_id)
        rows = _rows(
            cursor,
            """
            select
                identity_key, kind, scope, source_id, first_seen_at, is_present,
                reason_value_type as value_type, reason_value_masked as value, reason_via_key as via_key
            from marts.dim_identity
            where customer_key = $customer_key
            order by first_seen_at nulls last, identity_key
            """,
            {"customer_key": customer["customer_key"]},
        )
        names = _Names.of(cursor, sight, rows)
    identities = [
        CustomerIdentity(
            key=shown_key(row["identity_key"], sees_phones=names.sees_phones[row["identity_key"]]),
            channel=row["kind"],
            scope=row["scope"],
            source_id=shown_id(row["source_id"], sees_phones=names.sees_phones[row["identity_key"]]),
            first_seen_at=row["first_seen_at"],
            is_present=row["is_present"],
            reason=names.reason(row),
        )
        for row in rows
    ]
    return CustomerIdentities(
        version=pointer.version, as_of=pointer.as_of, one_id=customer["one_id"], identities=identities
    )


def customer_events(reader: PublishedReader, sight: Sight, one_id: str, query: EventQuery) -> IdentityEvents:
    """What happened to the customer's identities and ids, newest first; raises NotFoundError, InvalidError."""
    after = None if query.cursor is None else EventPlace.decode(query.cursor)
    with reader.cursor() as (cursor, pointer):
        customer = _customer(cursor, sight, one_id)
        rows = _events(cursor, customer["one_id"], after=after, limit=query.limit + 1)
        names = _Names.of(cursor, sight, rows)
        one_ids = _seen_one_ids(cursor, sight, rows)
    page = rows[: query.limit]
    events = [
        IdentityEvent(
            **{name: row[name] for name in ("night", "seq", "event", "override_id")},
            **{name: row[name] if row[name] in one_ids else None for name in ONE_IDS},
            key=names.shown(row["identity_key"]),
            cause=names.reason(row),
        )
        for row in page
    ]
    return IdentityEvents(
        version=pointer.version,
        as_of=pointer.as_of,
        one_id=customer["one_id"],
        events=events,
        next_cursor=EventPlace(page[-1]["night"], page[-1]["seq"]).encode() if len(rows) > query.limit else None,
    )


def _customer(cursor: duckdb.DuckDBPyConnection, sight: Sight, one_id: str) -> Mapping[str, Any]:
    row = one_customer(cursor, sight.conditions(), (), one_id=one_id)
    if row is None:
        raise NotFoundError(NO_CUSTOMER)
    return row


def _events(
    cursor: duckdb.DuckDBPyConnection, one_id: str, *, after: EventPlace | None, limit: int
) -> list[dict[str, Any]]:
    """Changes from or to the customer's id, or one that they had before."""
    further = "true" if after is None else "(night, seq) < ($night, $seq)"
    values = {} if after is None else {"night": after.night, "seq": after.seq}
    return _rows(
        cursor,
        f"""
        with ids as (
            select $one_id as one_id
            union all
            select old_one_id from marts.one_id_alias where one_id = $one_id
        )
        select
            night, seq, event, identity_key, from_one_id, to_one_id, cause_value_type as value_type,
            cause_value_masked as value, via_identity_key as via_key, override_id
        from marts.identity_event
        where (from_one_id in (from ids) or to_one_id in (from ids)) and {further}
        order by night desc, seq desc
        limit $row_limit
        """,
        {"one_id": one_id, "row_limit": limit, **values},
    )


def _seen_one_ids(cursor: duckdb.DuckDBPyConnection, sight: Sight, rows: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The ids in rows that lead to a customer whom the caller sees.

    An id that nobody holds today was somebody's, nobody knows of which clinic: it is for who reaches everybody.
    """
    conditions = sight.conditions()
    found = cursor.execute(
        f"""
        select asked.one_id
        from (select unnest($one_ids::varchar[]) as one_id) as asked
        left join marts.one_id_alias as alias on asked.one_id = alias.old_one_id
        where
            coalesce(alias.one_id, asked.one_id) in (select one_id from marts.dim_customer where {conditions.text})
            or ($everybody and coalesce(alias.one_id, asked.one_id) not in (select one_id from marts.dim_customer))
        """,
        {
            **conditions.values,
            "one_ids": list({row[name] for row in rows for name in ONE_IDS} - {None}),
            "everybody": sight.actor.reaches_everybody(sight.permission),
        },
    )
    return frozenset(one_id for (one_id,) in found.fetchall())


@dataclass(frozen=True, slots=True)
class _Names:
    """The identity keys that the caller may read, each with whether its customer's phones are shown as they are."""

    sees_phones: Mapping[str, bool]

    @classmethod
    def of(cls, cursor: duckdb.DuckDBPyConnection, sight: Sight, rows: Iterable[Mapping[str, Any]]) -> "_Names":
        """For the keys that stand in rows."""
        keys = {row[name] for row in rows for name in ("identity_key", "via_key")}
        keys |= {row["value"] for row in rows if row["value_type"] == BINDING}
        conditions, phones = sight.conditions(), _phones(sight)
        found = cursor.execute(
            f"""
            select identities.identity_key, seen.sees_phones
            from marts.dim_identity as identities
            inner join (
                select customer_key, {phones.predicate} as sees_phones
                from marts.dim_customer
                where {conditions.text}
            ) as seen using (customer_key)
            where list_contains($keys::varchar[], identities.identity_key)
            """,
            {**conditions.values, **phones.values, "keys": [key for key in keys if key is not None]},
        )
        return cls(dict(found.fetchall()))

    def shown(self, key: str | None) -> str | None:
        """The key as the caller reads it; None where it is somebody's whom they do not see."""
        if key is None or key not in self.sees_phones:
            return None
        return shown_key(key, sees_phones=self.sees_phones[key])

    def reason(self, row: Mapping[str, Any]) -> MatchReason | None:
        """What ties, or tied; values are masked already, but a binding's is an identity key."""
        if row["value_type"] is None:
            return None
        value = self.shown(row["value"]) if row["value_type"] == BINDING else row["value"]
        return MatchReason(value_type=row["value_type"], value=value, via_key=self.shown(row["via_key"]))


def _phones(sight: Sight) -> Granted:
    return next(one for one in sight.granted() if one.permission is Permission.CUSTOMER_PHONE_VIEW)


def _rows(cursor: duckdb.DuckDBPyConnection, statement: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    result = cursor.execute(statement, values)
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
