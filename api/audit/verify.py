"""Walking the audit log from its first row: is the chain whole, and if not, where does it break?"""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from api.storage.audit_chain import GENESIS, row_hash
from api.storage.tables.audit import audit_head, audit_log

CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Verdict:
    """Rows that stand, the last good hash (note it elsewhere: it vouches for all before), and the first bad row."""

    good_rows: int
    head: str
    bad_seq: int | None = None
    reason: str | None = None

    @property
    def ok(self) -> bool:
        return self.bad_seq is None


def verify(connection: Connection) -> Verdict:
    """Read every row once, in order; constant memory. A row that is missing is named by the number it should have.

    To be called first in a transaction: all of it is to see one moment of the store, while others go on writing.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("set transaction isolation level repeatable read")
    expected, prev_hash = 1, GENESIS
    rows = connection.execution_options(yield_per=CHUNK).execute(select(audit_log).order_by(audit_log.c.seq))
    for row in rows.mappings():
        reason = None
        if row["seq"] != expected:
            return Verdict(expected - 1, prev_hash, expected, "row is missing / 记录缺失")
        if row["prev_hash"] != prev_hash:
            reason = "does not follow the row before it / 与上一条记录不衔接"
        elif row["hash"] != row_hash(dict(row)):
            reason = "was changed after it was written / 写入后被修改"
        if reason:
            return Verdict(expected - 1, prev_hash, row["seq"], reason)
        expected, prev_hash = expected + 1, row["hash"]
    last = connection.execute(select(audit_head.c.seq, audit_head.c.hash)).one()
    seq, head = int(last.seq), str(last.hash)
    if seq >= expected:
        return Verdict(expected - 1, prev_hash, expected, "row is missing at the end / 末尾记录缺失")
    if (seq, head) != (expected - 1, prev_hash):
        return Verdict(expected - 1, prev_hash, seq + 1, "is not what the head of the chain says / 与链首不符")
    return Verdict(expected - 1, prev_hash)
