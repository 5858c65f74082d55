"""Writing to the audit log, always inside the transaction of the change it tells of."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from api.audit.chain import row_hash
from api.caller import Caller
from api.storage.prepared import Prepared
from api.storage.tables.audit import audit_head, audit_log

_HEAD = Prepared(select(audit_head.c.seq, audit_head.c.hash).where(audit_head.c.id == 1).with_for_update())
_INSERT = insert(audit_log).values({column.name: bindparam(column.name) for column in audit_log.c})
_MOVE = update(audit_head).where(audit_head.c.id == 1).values(seq=bindparam("seq"), hash=bindparam("hash"))
# One way over the network where the engine can.
_ADD = {
    "sqlite": (Prepared(_INSERT), Prepared(_MOVE)),
    "postgresql": (Prepared(_INSERT.add_cte(_MOVE.cte("moved"))),),
}


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
    ((seq, before),) = _HEAD.run(connection, {})
    row: dict[str, Any] = {
        "seq": int(seq) + 1,
        "at": now.astimezone(UTC),
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
        "prev_hash": before,
    }
    row["hash"] = row_hash(row)
    for statement in _ADD[connection.dialect.name]:
        statement.run(connection, row)
    return int(row["seq"])
