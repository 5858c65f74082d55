"""What the operational store orders: whose data must be erased, and who must not come back. Read and reported here.

Taking the orders and hiding the customer at once belong to the API; carrying them out to the steps of the night.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from api.storage.database import StoreBusyError
from api.storage.forgetting import forget_customers, forget_identities, forget_overrides, forget_previews
from api.storage.tables.customers import erasure_request, erasure_tombstone
from pipelines.operational import operational_store
from pipelines.settings import PipelineSettings


@dataclass(frozen=True, slots=True)
class ErasureRequest:
    """A request, and the customer it is about until it is reported as applied."""

    request_id: str
    one_id: str | None


@dataclass(frozen=True, slots=True)
class ErasureOrders:
    """The digests of every erased identity key, and every request: a backup that is put back may need any of them."""

    tombstones: frozenset[str] = frozenset()
    requests: tuple[ErasureRequest, ...] = ()


def read_orders(settings: PipelineSettings) -> ErasureOrders:
    """The orders in the store, requests by id; none when there is no store yet.

    Raises SQLAlchemy's DBAPIError when a store that is configured does not answer: without tombstones nothing may be
    ingested.
    """
    with operational_store(settings) as store:
        if store is None:
            return ErasureOrders()
        with store.read() as con:
            ordered = select(erasure_request.c.id, erasure_request.c.one_id).order_by(erasure_request.c.id)
            return ErasureOrders(
                tombstones=frozenset(con.scalars(select(erasure_tombstone.c.digest))),
                requests=tuple(ErasureRequest(row.id, row.one_id) for row in con.execute(ordered)),
            )


def add_tombstones(settings: PipelineSettings, request_id: str, digests: Collection[str], now: datetime) -> None:
    """Order that these identities, found to be the same customer's, must not come back either."""

    def work(con: Connection) -> None:
        known: set[str] = set(con.scalars(select(erasure_tombstone.c.digest)))
        stamp = {"request_id": request_id, "created_at": now}
        rows = [{"digest": digest, **stamp} for digest in sorted(set(digests) - known)]
        if rows:
            con.execute(insert(erasure_tombstone), rows)

    with operational_store(settings) as store:
        assert store is not None, "there is a request, so there is a store"
        store.write(work)


def forget_found(
    settings: PipelineSettings,
    one_ids: Collection[str],
    identity_keys: Collection[str],
    values: Collection[str] = (),
) -> None:
    """Take out of the store what it holds of the customers and identities found, as the order did with those it named.

    And what names only a value of theirs (a phone, a unionid), which an order does not know.
    Of others too than those that are new: somebody may have logged in again, or a night that found them was killed.
    """

    def work(con: Connection) -> None:
        forget_customers(con, one_ids)
        forget_identities(con, identity_keys)
        forget_overrides(con, {*identity_keys, *values})
        forget_previews(con)

    with operational_store(settings) as store:
        assert store is not None, "there is a request, so there is a store"
        store.write(work)


def mark_applied(settings: PipelineSettings, request_ids: Collection[str], run_id: str, now: datetime) -> bool:
    """Report the requests as carried out by a run and forget whom they were about; others stay as they are.

    False when the store's files still hold what was deleted, because somebody is reading them: to be called again.
    """
    due = erasure_request.c.id.in_(sorted(request_ids)) & (erasure_request.c.status == "requested")
    applied = {"status": "applied", "one_id": None, "applied_at": now, "applied_run_id": run_id}

    def work(con: Connection) -> None:
        con.execute(update(erasure_request).where(due).values(applied))

    with operational_store(settings) as store:
        if store is None:
            return True
        store.write(work)
        try:
            store.scrub()  # also after a run that was killed between the two
        except StoreBusyError:
            return False
    return True
