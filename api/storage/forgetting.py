"""What the operational store holds of somebody who is erased, taken out: by customer, by identity, by value.

The API does it with the order (`api.privacy.erasure`), the night with whom only it finds to be the same person.
"""

from collections.abc import Collection

from sqlalchemy import Connection, and_, case, delete, null, or_, select, update

from api.storage.audience_members import forget_members
from api.storage.overrides import is_there
from api.storage.tables.access import patient_account, patient_link, patient_session
from api.storage.tables.customers import customer_consent
from api.storage.tables.idempotency import idempotency
from api.storage.tables.identity import identity_override
from api.storage.tables.jobs import job
from api.storage.tables.outbox import ERASED, outbox

IDENTITY_PREVIEW = "identity.preview"
"""The kind of the jobs whose parameters and results name identities."""

CHANGE_MEMBERS = "audiences.members"
MESSAGE_CUSTOMERS = "customers.messages"
JOBS_WITH_CUSTOMERS = (CHANGE_MEMBERS, MESSAGE_CUSTOMERS)
"""The kinds of the jobs whose parameters may list customers, as `one_ids`."""


def forget_customers(connection: Connection, one_ids: Collection[str]) -> None:
    """Take out consents, static tags and segments, stored answers and the texts of messages.

    What waits to be sent never leaves.
    """
    connection.execute(delete(customer_consent).where(customer_consent.c.one_id.in_(one_ids)))
    # Jobs first: one that writes members holds its row while it does.
    _forget_in_jobs(connection, frozenset(one_ids))
    forget_members(connection, one_ids)
    targets = [f"customer:{one_id}" for one_id in one_ids]
    connection.execute(delete(idempotency).where(idempotency.c.target.in_(targets)))
    waits, status = outbox.c.status == "waiting", outbox.c.status
    values = {
        "payload": {},
        "status": case((waits, "dropped"), else_=status),
        # What is being sent this moment leaves as it was taken, or not at all (`api.outbox.messages.settle`).
        "reason": case((or_(waits, status == "sending"), ERASED), else_=outbox.c.reason),
    }
    # In one statement: between two a message may come back from a dispatcher and wait, empty.
    connection.execute(update(outbox).where(outbox.c.subject.in_(one_ids)).values(values))


def _forget_in_jobs(connection: Connection, one_ids: frozenset[str]) -> None:
    """Take them out of the lists that jobs still have before them; one that runs leaves them out itself."""
    lists = select(job.c.id, job.c.params).where(job.c.kind.in_(JOBS_WITH_CUSTOMERS)).with_for_update()
    for row in connection.execute(lists):
        named = row.params.get("one_ids", [])
        if not one_ids.isdisjoint(named):
            kept = {**row.params, "one_ids": [one for one in named if one not in one_ids]}
            connection.execute(update(job).where(job.c.id == row.id).values(params=kept))


def forget_identities(connection: Connection, identity_keys: Collection[str]) -> None:
    """Take out accounts, links and sessions; keys are `<kind>:<scope>:<id>`, as `dim_identity` has them."""
    for kind, scope, source_id in (key.split(":", 2) for key in identity_keys):
        if kind == "patient":
            connection.execute(delete(patient_link).where(patient_link.c.patient_id == source_id))
            ours = patient_session.c.patient_id == source_id
            connection.execute(update(patient_session).where(ours).values(patient_id=None))
        elif kind == "mini_program_user":
            _drop_account(connection, scope, source_id)


def forget_overrides(connection: Connection, names: Collection[str]) -> None:
    """Take out the operator rows, also revoked ones, that name one of these identity keys or values."""
    if not is_there(connection):
        return
    columns, named = identity_override.c, set(names)
    rows = connection.execute(select(columns.id, columns.a, columns.b)).all()
    # Looked for here: a person may have more texts than a statement takes.
    found = [row.id for row in rows if row.a in named or row.b in named]
    connection.execute(delete(idempotency).where(idempotency.c.target.in_([override_target(one) for one in found])))
    connection.execute(delete(identity_override).where(columns.id.in_(found)))


def forget_previews(connection: Connection) -> None:
    """Take out what previews of decisions were asked and answered: anybody may stand in them. Who needs one asks again.

    One that waits or runs ends as soon as its worker hears of it.
    """
    has_ended = job.c.status.in_(("succeeded", "failed", "cancelled"))
    values = {
        "params": {},
        "result": null(),
        "cancel_requested": case((has_ended, job.c.cancel_requested), else_=True),
        "revision": job.c.revision + 1,
    }
    connection.execute(update(job).where(job.c.kind == IDENTITY_PREVIEW).values(values))


def override_target(override_id: str) -> str:
    """What `idempotency.target` holds of an answer about an operator row."""
    return f"identity_override:{override_id}"


def _drop_account(connection: Connection, app_id: str, openid: str) -> None:
    found = and_(patient_account.c.app_id == app_id, patient_account.c.openid == openid)
    accounts = select(patient_account.c.id).where(found)
    connection.execute(delete(patient_session).where(patient_session.c.account_id.in_(accounts)))
    connection.execute(delete(patient_link).where(patient_link.c.account_id.in_(accounts)))
    connection.execute(delete(patient_account).where(found))
