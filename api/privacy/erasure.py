"""Forgetting a customer: what the API does at once. The pipeline does the rest with the next night (pipelines.erasure).

At once: tombstones, so that no ingest brings the person back; the customer is hidden everywhere; consents, sessions,
stored answers, messages and export files that hold them are gone. The audit row names them by digest only.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text, update
from sqlalchemy.dialects import postgresql, sqlite

from api.audit.log import Entry, append
from api.audit.persons import person_target
from api.caller import Caller
from api.errors import NotFoundError
from api.files.store import give_up_files
from api.outbox.kinds import CUSTOMER_ERASED
from api.outbox.messages import enqueue
from api.storage.database import Engines
from api.storage.forgetting import forget_customers, forget_identities, forget_overrides, forget_previews
from api.storage.tables.customers import erasure_request, erasure_tombstone
from api.storage.tables.jobs import job
from segment_engine.problems import Problem
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
    forget_customers(connection, person.one_ids)
    forget_identities(connection, person.identity_keys)
    forget_overrides(connection, person.identity_keys)
    forget_previews(connection)
    files = _drop_exports(connection, now)
    # Systems that copied the customer know them by this id, which from now on stands for nobody.
    payload = {"one_id": person.one_id, "request_id": request["id"]}
    enqueue(connection, CUSTOMER_ERASED, dedupe_key=request["id"], payload=payload, subject=None, due_at=now, now=now)
    target = person_target(secret, "customer", person.one_id)
    entry = Entry("customer.erase", "erased_customer", target, after={"request": request["id"], "reason": reason})
    append(connection, caller, entry, now=now)
    return request, files


def _drop_exports(connection: Connection, now: datetime) -> list[Path]:
    """Every export that is still there, or written this moment, may hold the person; whoever needs one asks again."""
    running = (job.c.kind == "customers.export") & (job.c.status == "running")
    connection.execute(update(job).where(running).values(cancel_requested=True))
    # A job's parameters may hold a phone that somebody filtered by.
    connection.execute(update(job).where(job.c.status.in_(FINISHED)).values(params={}))
    return give_up_files(connection, now=now)
