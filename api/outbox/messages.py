"""The outbox table: putting messages in, taking them out to send, noting what became of them.

Sending itself belongs to `transports`, what follows from its outcome to `rules`.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, case, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from api.keyset import Place, behind
from api.outbox.kinds import Delivery, MessageKind
from api.outbox.rules import Status, after_doubt, retry_delay
from api.storage.lists import COUNTED
from api.storage.tables.outbox import ERASED, outbox


@dataclass(frozen=True, slots=True)
class Message:
    """A message that one dispatcher has taken; `attempts` counts this one."""

    id: str
    kind: str
    delivery: Delivery
    dedupe_key: str
    payload: Any
    created_at: datetime
    worker: str
    attempts: int


def enqueue(
    connection: Connection,
    kind: MessageKind,
    *,
    dedupe_key: str,
    payload: Mapping[str, Any],
    subject: str | None,
    due_at: datetime,
    now: datetime,
) -> bool:
    """Put a message in, in the transaction of its cause; False when (kind, dedupe_key) is there already.

    `subject` is the one_id of whom it is about, so that erasure finds it.
    """
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    row = {
        "id": secrets.token_hex(16),
        "kind": kind.name,
        "delivery": kind.delivery.value,
        "dedupe_key": dedupe_key,
        "subject": subject,
        "payload": dict(payload),
        "status": Status.WAITING.value,
        "due_at": due_at,
        "created_at": now,
        "attempts": 0,
    }
    put = dialect.insert(outbox).values(row).on_conflict_do_nothing(index_elements=["kind", "dedupe_key"])
    return connection.execute(put.returning(outbox.c.id)).first() is not None


def enqueue_all(
    connection: Connection,
    kind: MessageKind,
    messages_of: Mapping[str, Mapping[str, Any]],
    *,
    task: str,
    due_at: datetime,
    now: datetime,
) -> int:
    """Put one message for each customer (one_id → payload) of a task in; returns how many were not there already."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    same = {
        "kind": kind.name,
        "delivery": kind.delivery.value,
        "status": Status.WAITING.value,
        "due_at": due_at,
        "created_at": now,
        "attempts": 0,
    }
    rows = [
        {
            **same,
            "id": secrets.token_hex(16),
            "dedupe_key": f"{task}:{one_id}",
            "subject": one_id,
            "payload": dict(payload),
        }
        for one_id, payload in messages_of.items()
    ]
    put = dialect.insert(outbox).on_conflict_do_nothing(index_elements=["kind", "dedupe_key"])
    return connection.execute(put, rows, execution_options=COUNTED).rowcount if rows else 0


def look(connection: Connection, now: datetime) -> bool:
    """Whether anything is due or left behind; a read, so that an idle dispatcher keeps nobody waiting."""
    due = and_(outbox.c.status == Status.WAITING, outbox.c.due_at <= now)
    query = select(outbox.c.id).where(or_(due, _left_behind(now))).limit(1)
    return connection.execute(query).first() is not None


def claim(connection: Connection, *, worker: str, lease: timedelta, now: datetime) -> Message | None:
    """Take the message that is due longest; once committed it counts as being sent, whatever happens next."""
    due = (
        select(outbox.c.id)
        .where(outbox.c.status == Status.WAITING, outbox.c.due_at <= now)
        .order_by(outbox.c.due_at, outbox.c.created_at, outbox.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    taken = (
        update(outbox)
        .where(outbox.c.id == due.scalar_subquery(), outbox.c.status == Status.WAITING)
        .values(status=Status.SENDING, worker=worker, attempts=outbox.c.attempts + 1, lease_until=now + lease)
        .returning(outbox)
    )
    row = connection.execute(taken).mappings().one_or_none()
    return None if row is None else _message(row)


def settle(connection: Connection, message: Message, status: Status, *, reason: str | None, now: datetime) -> bool:
    """Note what became of a message; False when its lease ran out meanwhile and others decided.

    One that would wait to be sent again is dropped when its subject was erased meanwhile.
    """
    values = {**_settled(status, message.attempts, now), "reason": reason}
    if status is Status.WAITING:
        erased = outbox.c.reason == ERASED
        values["status"] = case((erased, Status.DROPPED), else_=status)
        values["reason"] = case((erased, ERASED), else_=reason)
    ours = (outbox.c.id == message.id, outbox.c.worker == message.worker, outbox.c.attempts == message.attempts)
    return connection.execute(update(outbox).where(*ours).values(values)).rowcount == 1


def recover(connection: Connection, now: datetime) -> int:
    """Decide about messages whose dispatcher died while sending; returns how many."""
    rows = connection.execute(select(outbox).where(_left_behind(now)).with_for_update(skip_locked=True)).mappings()
    left = [_message(row) for row in rows.all()]
    for message in left:
        status = after_doubt(message.delivery, message.attempts)
        settle(connection, message, status, reason="dispatcher_lost", now=now)
    return len(left)


def messages(connection: Connection, *, status: Status | None, after: Place | None, limit: int) -> list[dict[str, Any]]:
    """Up to `limit` messages, newest first, without their payloads."""
    columns = [column for column in outbox.columns if column.name not in ("payload", "worker", "lease_until")]
    query = select(*columns).order_by(outbox.c.created_at.desc(), outbox.c.id.desc()).limit(limit)
    if status is not None:
        query = query.where(outbox.c.status == status)
    if after is not None:
        query = query.where(behind(after, outbox.c.created_at, outbox.c.id))
    return [dict(row) for row in connection.execute(query).mappings()]


def counts(connection: Connection) -> dict[str, int]:
    """How many messages are in each state that somebody may have to look at."""
    watched = (Status.WAITING, Status.SENDING, Status.UNKNOWN, Status.FAILED)
    query = select(outbox.c.status, func.count()).where(outbox.c.status.in_(watched)).group_by(outbox.c.status)
    found: dict[str, int] = {row[0]: row[1] for row in connection.execute(query)}
    return {status.value: found.get(status.value, 0) for status in watched}


def _left_behind(now: datetime) -> Any:
    return and_(outbox.c.status == Status.SENDING, outbox.c.lease_until <= now)


def _settled(status: Status, attempts: int, now: datetime) -> dict[str, Any]:
    values: dict[str, Any] = {"status": status, "worker": None, "lease_until": None}
    if status is Status.SENT:
        values["sent_at"] = now
    if status is Status.WAITING:
        values["due_at"] = now + retry_delay(attempts)
    return values


def _message(row: RowMapping) -> Message:
    return Message(
        id=row["id"],
        kind=row["kind"],
        delivery=Delivery(row["delivery"]),
        dedupe_key=row["dedupe_key"],
        payload=row["payload"],
        created_at=row["created_at"],
        worker=row["worker"],
        attempts=row["attempts"],
    )
