"""Writing to the audit log, always inside the transaction of the change it tells of."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from api.audit.chain import row_hash
from api.caller import Caller
from api.storage.tables.audit import audit_head, audit_log

_HEAD = select(audit_head.c.seq, audit_head.c.hash).where(audit_head.c.id == 1).with_for_update()
# Built once: building a statement costs more than running it.
_INSERT = insert(audit_log)
_MOVE = update(audit_head).where(audit_head.c.id == 1).values(seq=bindparam("new_seq"), hash=bindparam("new_hash"))


@dataclass(frozen=True, slots=True)
class Entry:
    """What was done to what; before and after are JSON values in which personal data is masked or digested."""

    action: str
    target_kind: str
    target_id: str
    before: Any = None
    after: Any = None


def append(connection: Connection, caller: Caller, entry: Entry, *, now: datetime) -> int:
    """Add one row and return its number; call it last in a transaction, since writers queue here until the commit."""
    head = connection.execute(_HEAD).one()
    row: dict[str, Any] = {
        "seq": int(head.seq) + 1,
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
        "prev_hash": head.hash,
    }
    row["hash"] = row_hash(row)
    connection.execute(_INSERT, row)
    connection.execute(_MOVE, {"new_seq": row["seq"], "new_hash": row["hash"]})
    return int(row["seq"])
