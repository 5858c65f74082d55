"""Forgetting a customer: what the API does at once. The pipeline does the rest with the next night (pipelines.erasure).

At once: tombstones, so that no ingest brings the person back; the customer is hidden everywhere; consents, sessions,
stored answers, messages and export files that hold them are gone. The audit row names them by digest only.
"""

import contextlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, and_, case, delete, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from api.audit.log import Entry, append
from api.caller import Caller
from api.errors import NotFoundError, Problem
from api.outbox.kinds import CUSTOMER_ERASED
from api.outbox.messages import enqueue
from api.storage.database import Engines
from api.storage.tables.access import patient_account, patient_link, patient_session
from api.storage.tables.customers import customer_consent, erasure_request, erasure_tombstone
from api.storage.tables.idempotency import idempotency
from api.storage.tables.jobs import export_file, job
from api.storage.tables.outbox import ERASED, outbox
from segment_engine.runtime.secret import person_digest

UNKNOWN_CUSTOMER = Problem("customer_unknown", "/path/one_id", "客户不存在", "There is no such customer.")
FINISHED = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Person:
    """Who is to be forgotten: `identity_keys` as `dim_identity` has them, `mini_program_user:<app_id>:<openid>`.

    `former_ids` are those of customers that were merged into this one.
    """

    one_id: str
    identity_keys: tuple[str, ...]
    former_ids: tuple[str, ...] = ()

    @property
    def one_ids(self) -> tuple[str, ...]:
        return (self.one_id, *self.former_ids)


def forget(
    connection: Connection,
    caller: Caller,
    person: Person,
    *,
    reason: str,
    secret: bytes,
    engine: Engines,
    now: datetime,
) -> tuple[dict[str, Any], list[Path]]:
    """Write the request and its audit row; returns the request and the export files to remove after the commit.

    Raises NotFoundError when the person is being forgotten already: for callers they are gone.
    """
    request: dict[str, Any] = {
        "id": f"era_{secrets.token_hex(12)}",
        "status": "requested",
        "reason": reason,
        "requested_by": caller.key,
        "requested_at": now,
        "applied_at": None,
    }
    if engine == "postgresql":
        # Whoever takes an export up from now on waits for us, and then knows whom to leave out.
        connection.execute(text("lock table job in share row exclusive mode"))
    dialect = sqlite if engine == "sqlite" else postgresql
    claim = dialect.insert(erasure_request).values(one_id=person.one_id, **request)
    claim = claim.on_conflict_do_nothing(index_elements=["one_id"]).returning(erasure_request.c.id)
    if connection.execute(claim).first() is None:
        raise NotFoundError(UNKNOWN_CUSTOMER)
    digests = sorted({person_digest(secret, key) for key in person.identity_keys})
    graves = dialect.insert(erasure_tombstone).on_conflict_do_nothing(index_elements=["digest"])
    stamp = {"request_id": request["id"], "created_at": now}
    if digests:
        connection.execute(graves, [{"digest": digest, **stamp} for digest in digests])
    _forget_in_store(connection, person)
    files = _drop_exports(connection, now)
    # Systems that copied the customer know them by this id, which from now on stands for nobody.
    payload = {"one_id": person.one_id, "request_id": request["id"]}
    enqueue(connection, CUSTOMER_ERASED, dedupe_key=request["id"], payload=payload, subject=None, due_at=now, now=now)
    target = person_digest(secret, f"customer::{person.one_id}")
    entry = Entry("customer.erase", "erased_customer", target, after={"request": request["id"], "reason": reason})
    append(connection, caller, entry, now=now)
    return request, files


def remove_files(files: Iterable[Path]) -> None:
    """Remove what the store no longer names; a file that is gone already is as good."""
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            file.unlink()


def _forget_in_store(connection: Connection, person: Person) -> None:
    connection.execute(delete(customer_consent).where(customer_consent.c.one_id.in_(person.one_ids)))
    targets = [f"customer:{one_id}" for one_id in person.one_ids]
    connection.execute(delete(idempotency).where(idempotency.c.target.in_(targets)))
    _drop_messages(connection, person)
    # What is being exported this moment was read before; whoever asked for it asks again.
    running = (job.c.kind == "customers.export") & (job.c.status == "running")
    connection.execute(update(job).where(running).values(cancel_requested=True))
    # A job's parameters may hold a phone that somebody filtered by.
    connection.execute(update(job).where(job.c.status.in_(FINISHED)).values(params={}))
    for kind, scope, source_id in (key.split(":", 2) for key in person.identity_keys):
        if kind == "patient":
            connection.execute(delete(patient_link).where(patient_link.c.patient_id == source_id))
            ours = patient_session.c.patient_id == source_id
            connection.execute(update(patient_session).where(ours).values(patient_id=None))
        elif kind == "mini_program_user":
            _drop_account(connection, scope, source_id)


def _drop_messages(connection: Connection, person: Person) -> None:
    """What waits never leaves; what is being sent this moment leaves as it was taken, or not at all (`settle`)."""
    waits, status = outbox.c.status == "waiting", outbox.c.status
    values = {
        "payload": {},
        "status": case((waits, "dropped"), else_=status),
        "reason": case((or_(waits, status == "sending"), ERASED), else_=outbox.c.reason),
    }
    # In one statement: between two a message may come back from a dispatcher and wait, empty.
    connection.execute(update(outbox).where(outbox.c.subject.in_(person.one_ids)).values(values))


def _drop_account(connection: Connection, app_id: str, openid: str) -> None:
    found = and_(patient_account.c.app_id == app_id, patient_account.c.openid == openid)
    accounts = select(patient_account.c.id).where(found)
    connection.execute(delete(patient_session).where(patient_session.c.account_id.in_(accounts)))
    connection.execute(delete(patient_link).where(patient_link.c.account_id.in_(accounts)))
    connection.execute(delete(patient_account).where(found))


def _drop_exports(connection: Connection, now: datetime) -> list[Path]:
    """Every export that is still there may hold the person; whoever needs one exports again."""
    there = export_file.c.path.is_not(None)
    files = [Path(str(path)) for (path,) in connection.execute(select(export_file.c.path).where(there))]
    connection.execute(update(export_file).where(there).values(path=None, deleted_at=now))
    return files
