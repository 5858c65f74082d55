"""Reading and changing consents in the operational store."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update
from sqlalchemy.exc import IntegrityError

from api.audit.log import Entry, append
from api.audit.persons import person_target
from api.caller import Caller
from api.privacy.schemas import Consent, ConsentChange, Purpose
from api.storage.lists import listed
from api.storage.tables.customers import customer_consent
from api.versions import require_changed, require_version

UNASKED_VERSION = 1
NEVER_ASKED: dict[str, Any] = {
    "granted": None,
    "source": None,
    "changed_by": None,
    "changed_at": None,
    "version": UNASKED_VERSION,
}


def consents_of(connection: Connection, one_ids: Sequence[str]) -> list[Consent]:
    """Every purpose, also those the customer was never asked about; of customers that were merged the latest word."""
    rows = connection.execute(select(customer_consent).where(customer_consent.c.one_id.in_(one_ids))).mappings()
    found = {row["purpose"]: dict(row) for row in sorted(rows, key=_lateness)}
    return [Consent.model_validate({"purpose": purpose, **found.get(purpose, NEVER_ASKED)}) for purpose in Purpose]


def _lateness(row: RowMapping) -> tuple[datetime, bool]:
    """Of two words given at once the refusal counts."""
    return row["changed_at"], not row["granted"]


def consenting(connection: Connection, people: Mapping[str, Collection[str]], purpose: Purpose) -> set[str]:
    """Those customers who allow it by their latest word, said under any of their ids (one_id → all of them).

    Whoever was never asked does not.
    """
    owner_of = {one: one_id for one_id, one_ids in people.items() for one in (one_id, *one_ids)}
    of_purpose = (customer_consent.c.purpose == purpose, customer_consent.c.one_id.in_(listed(connection, owner_of)))
    rows = connection.execute(select(customer_consent).where(*of_purpose)).mappings()
    latest = {owner_of[row["one_id"]]: bool(row["granted"]) for row in sorted(rows, key=_lateness)}
    return {one_id for one_id, granted in latest.items() if granted}


def change_consent(
    connection: Connection,
    caller: Caller,
    one_ids: Sequence[str],
    purpose: Purpose,
    change: ConsentChange,
    *,
    if_match: str | None,
    secret: bytes,
    now: datetime,
) -> Consent:
    """Write one consent and its audit row; raises PreconditionRequiredError, PreconditionFailedError.

    `one_ids` are the customer's, the one of now first; what was said under an older one is changed there.
    """
    there = customer_consent.c.one_id.in_(one_ids) & (customer_consent.c.purpose == purpose)
    rows = connection.execute(select(customer_consent).where(there)).mappings().all()
    row = max(rows, key=_lateness, default=None)
    one_id = one_ids[0] if row is None else row["one_id"]
    place = (customer_consent.c.one_id == one_id) & (customer_consent.c.purpose == purpose)
    version = require_version(row["version"] if row else UNASKED_VERSION, if_match)
    values = {
        "granted": change.granted,
        "source": change.source,
        "changed_by": caller.key,
        "changed_at": now,
        "version": version + 1,
    }
    if row is None:
        require_changed(_inserted(connection, {"one_id": one_id, "purpose": purpose, **values}))
    else:
        same = customer_consent.c.version == version
        require_changed(connection.execute(update(customer_consent).where(place & same).values(values)).rowcount)
    before = None if row is None else {"granted": row["granted"], "source": row["source"]}
    after = {"granted": change.granted, "source": change.source}
    target = person_target(secret, "customer", one_ids[0])
    append(connection, caller, Entry(f"consent.{purpose}", "customer", target, before, after), now=now)
    return Consent.model_validate({"purpose": purpose, **values})


def _inserted(connection: Connection, values: dict[str, Any]) -> int:
    try:
        with connection.begin_nested():
            return connection.execute(insert(customer_consent).values(values)).rowcount
    except IntegrityError:
        return 0
