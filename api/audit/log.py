"""Writing to the audit log, always inside the transaction of the change it tells of."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from api.caller import Caller
from api.storage.audit_chain import add_row


@dataclass(frozen=True, slots=True)
class Entry:
    """What was done to what; before and after are JSON values in which personal data is masked or digested.

    `target_id` of a customer or patient is what `api.audit.persons.person_target` makes of their id.
    """

    action: str
    target_kind: str
    target_id: str
    before: Any = None
    after: Any = None


def append(connection: Connection, caller: Caller, entry: Entry, *, now: datetime) -> int:
    """Add one row and return its number; call it last in a transaction, since writers queue here until the commit."""
    fields = {
        "actor_kind": caller.kind,
        "actor_id": caller.id,
        "actor_name": caller.name,
        "action": entry.action,
        "target_kind": entry.target_kind,
        "target_id": entry.target_id,
        "before": entry.before,
        "after": entry.after,
        "request_id": caller.request_id,
        "address": caller.address,
    }
    return add_row(connection, fields, now=now)
