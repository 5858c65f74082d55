"""The hash chain of the audit log: each row's hash covers its fields and the hash before it.

Here a row is put at its end. What an entry says of a change, and who made it, is said in `api.audit.log`; the store's
own acts, of which nobody asked for one, are told by those who do them.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from api.storage.prepared import Prepared
from api.storage.tables.audit import audit_head, audit_log
from api.storage.types import canonical_json, moment_text

GENESIS = "0" * 64
HASHED = (
    "seq", "at", "actor_kind", "actor_id", "actor_name", "action", "target_kind", "target_id", "before", "after",
    "request_id", "address", "prev_hash",
)  # fmt: skip

_HEAD = Prepared(select(audit_head.c.seq, audit_head.c.hash).where(audit_head.c.id == 1).with_for_update())
_INSERT = insert(audit_log).values({column.name: bindparam(column.name) for column in audit_log.c})
_MOVE = update(audit_head).where(audit_head.c.id == 1).values(seq=bindparam("seq"), hash=bindparam("hash"))
# One way over the network where the engine can.
_ADD = {
    "sqlite": (Prepared(_INSERT), Prepared(_MOVE)),
    "postgresql": (Prepared(_INSERT.add_cte(_MOVE.cte("moved"))),),
}


def row_hash(row: Mapping[str, Any]) -> str:
    """SHA-256 (hex) over HASHED of one audit row; `at` is in UTC, before and after are JSON values."""
    fields = {name: _spelt(row[name]) for name in HASHED}
    return hashlib.sha256(canonical_json(fields).encode()).hexdigest()


def add_row(connection: Connection, fields: Mapping[str, Any], *, now: datetime) -> int:
    """Add one row and return its number; fields: HASHED without what the chain itself tells.

    Call it last in a transaction, since writers queue here until the commit.
    """
    ((seq, before),) = _HEAD.run(connection, {})
    row: dict[str, Any] = {**fields, "seq": int(seq) + 1, "at": now.astimezone(UTC), "prev_hash": before}
    row["hash"] = row_hash(row)
    for statement in _ADD[connection.dialect.name]:
        statement.run(connection, row)
    return int(row["seq"])


def _spelt(value: Any) -> Any:
    return moment_text(value) if isinstance(value, datetime) else value
