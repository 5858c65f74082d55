"""A customer's identities and their history out of the published version, as one caller sees them.

The customer is found as by `/v1/customers/{one_id}`: within the caller's reach, also by an id they had before. A change
may name an identity, or an id, of somebody else; it is told only to who sees that customer too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from api.access.permissions import Permission
from api.customers.repository import Granted, one_customer
from api.customers.rows import among, rows_at, rows_where
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
# What ties an identity, or tied it: as the marts name it → as the answers do.
REASON_COLUMNS = {
    "reason_value_type": "value_type",
    "reason_value_masked": "value",
    "reason_via_key": "via_key",
}
CAUSE_COLUMNS = {"cause_value_type": "value_type", "cause_value_masked": "value", "via_identity_key": "via_key"}
IDENTITY_COLUMNS = (
    "identity_key", "kind", "scope", "source_id", "first_seen_at", "is_present", *REASON_COLUMNS,
)  # fmt: skip
EVENT_COLUMNS = (
    "night", "seq", "event", "identity_key", "from_one_id", "to_one_id", "override_id", *CAUSE_COLUMNS,
)  # fmt: skip


def customer_identities(reader: PublishedReader, sight: Sight, one_id: str) -> CustomerIdentities:
    """Every identity of the customer, the first seen first; raises NotFoundError."""
    with reader.cursor() as (cursor, pointer):
        customer = _customer(cursor, sight, one_id)
        rows = _identities(cursor, customer["customer_key"])
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


def _identities(cursor: duckdb.DuckDBPyConnection, customer_key: int) -> list[dict[str, Any]]:
    """The customer's identities, the first seen first."""
    values = {"customer_key": customer_key}
    rows = rows_where(cursor, "dim_identity", IDENTITY_COLUMNS, "customer_key = $customer_key", values)
    renamed = [{REASON_COLUMNS.get(name, name): value for name, value in row.items()} for row in rows]
    return sorted(renamed, key=lambda row: (row["first_seen_at"] is None, row["first_seen_at"], row["identity_key"]))


def _events(
    cursor: duckdb.DuckDBPyConnection, one_id: str, *, after: EventPlace | None, limit: int
) -> list[dict[str, Any]]:
    """Changes from or to the customer's id, or one that they had before, newest first."""
    ids = [one_id, *_former_ids(cursor, one_id)]
    further = "true" if after is None else "(night, seq) < ($night, $seq)"
    values: dict[str, Any] = {} if after is None else {"night": after.night, "seq": after.seq}
    (left, of_left), (right, of_right) = among("from_one_id", ids), among("to_one_id", ids)
    statement = f"""
        select distinct night, seq, place
        from (
            select night, seq, rowid as place from marts.identity_event where {left} and {further}
            union all
            select night, seq, rowid from marts.identity_event where {right} and {further}
        )
        order by night desc, seq desc
        limit $row_limit
    """
    found = cursor.execute(statement, {**of_left, **of_right, **values, "row_limit": limit}).fetchall()
    rows = rows_at(cursor, "identity_event", EVENT_COLUMNS, [place for _, _, place in found])
    return [{CAUSE_COLUMNS.get(name, name): told for name, told in rows[place].items()} for _, _, place in found]


def _former_ids(cursor: duckdb.DuckDBPyConnection, one_id: str) -> list[str]:
    statement = "select old_one_id from marts.one_id_alias where one_id = $one_id order by all"
    return [old for (old,) in cursor.execute(statement, {"one_id": one_id}).fetchall()]


def _seen_one_ids(cursor: duckdb.DuckDBPyConnection, sight: Sight, rows: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The ids in rows that lead to a customer whom the caller sees.

    An id that nobody holds today was somebody's, nobody knows of which clinic: it is for who reaches everybody.
    """
    asked = sorted({row[name] for row in rows for name in ONE_IDS} - {None})
    if not asked:
        return frozenset()
    of_old, values = among("old_one_id", asked)
    aliases = dict(
        cursor.execute(f"select old_one_id, one_id from marts.one_id_alias where {of_old}", values).fetchall()
    )
    today = {one_id: aliases.get(one_id, one_id) for one_id in asked}
    conditions = sight.conditions()
    of_id, values = among("one_id", sorted(set(today.values())))
    statement = f"select one_id, {conditions.text} as is_seen from marts.dim_customer where {of_id}"
    seen = dict(cursor.execute(statement, {**conditions.values, **values}).fetchall())
    of_nobody = sight.actor.reaches_everybody(sight.permission)
    return frozenset(one_id for one_id, now in today.items() if seen.get(now, of_nobody))


@dataclass(frozen=True, slots=True)
class _Names:
    """The identity keys that the caller may read, each with whether its customer's phones are shown as they are."""

    sees_phones: Mapping[str, bool]

    @classmethod
    def of(cls, cursor: duckdb.DuckDBPyConnection, sight: Sight, rows: Iterable[Mapping[str, Any]]) -> "_Names":
        """For the keys that stand in rows."""
        keys = {row[name] for row in rows for name in ("identity_key", "via_key")}
        keys |= {row["value"] for row in rows if row["value_type"] == BINDING}
        asked = sorted(keys - {None})
        if not asked:
            return cls({})
        of_key, values = among("identity_key", asked)
        statement = f"select identity_key, customer_key from marts.dim_identity where {of_key}"
        customers = dict(cursor.execute(statement, values).fetchall())
        sees_phones = cls._sees_phones(cursor, sight, sorted(set(customers.values())))
        return cls({key: sees_phones[customer] for key, customer in customers.items() if customer in sees_phones})

    @staticmethod
    def _sees_phones(cursor: duckdb.DuckDBPyConnection, sight: Sight, customers: Sequence[int]) -> dict[int, bool]:
        """The customers among these whom the caller sees, each with whether their phones are shown as they are."""
        if not customers:
            return {}
        conditions, phones = sight.conditions(), _phones(sight)
        of_customer, values = among("customer_key", customers)
        statement = f"""
            select customer_key, {phones.predicate}
            from marts.dim_customer
            where {of_customer} and {conditions.text}
        """
        return dict(cursor.execute(statement, {**conditions.values, **phones.values, **values}).fetchall())

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
