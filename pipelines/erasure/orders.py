"""What the operational store orders: whose data must be erased, and who must not come back. Read and reported here.

Taking the orders and hiding the customer at once belong to the API, which owns the tables; carrying them out belongs to
the steps of the night. The tables are read as they are, so a store that has none of them orders nothing.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, MetaData, NullPool, Table, create_engine, insert, inspect, select, update

from pipelines.settings import PipelineSettings

REQUESTS, TOMBSTONES = "erasure_request", "erasure_tombstone"
REQUESTED, APPLIED = "requested", "applied"
LOCK_WAIT_SECONDS = 30
# How the store spells moments where it has no type for them.
MOMENT_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


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
    """The orders in the store, requests by id; none when there is no store or it has no such tables.

    Raises sqlalchemy's DBAPIError when a store that is configured does not answer: without tombstones nothing may be
    ingested.
    """
    with _store(settings) as store:
        if store is None:
            return ErasureOrders()
        con, requests, tombstones = store
        ordered = select(requests.c.id, requests.c.one_id).order_by(requests.c.id)
        return ErasureOrders(
            tombstones=frozenset(con.scalars(select(tombstones.c.digest))),
            requests=tuple(ErasureRequest(str(row.id), row.one_id) for row in con.execute(ordered)),
        )


def add_tombstones(settings: PipelineSettings, request_id: str, digests: Collection[str], now: datetime) -> None:
    """Order that these identities, found to be the same customer's, must not come back either."""
    with _store(settings) as store:
        assert store is not None, "there is a request, so there is a store"
        con, _, tombstones = store
        known: set[str] = set(con.scalars(select(tombstones.c.digest)))
        rows = [
            {"digest": digest, "request_id": request_id, "created_at": _moment(tombstones.c.created_at, now)}
            for digest in sorted(set(digests) - known)
        ]
        if rows:
            con.execute(insert(tombstones), rows)


def mark_applied(settings: PipelineSettings, request_ids: Collection[str], run_id: str, now: datetime) -> None:
    """Report the requests as carried out by a run and forget whom they were about; others stay as they are."""
    with _store(settings) as store:
        if store is None:
            return
        con, requests, _ = store
        con.execute(
            update(requests)
            .where(requests.c.id.in_(sorted(request_ids)), requests.c.status == REQUESTED)
            .values(status=APPLIED, one_id=None, applied_at=_moment(requests.c.applied_at, now), applied_run_id=run_id)
        )


@contextmanager
def _store(settings: PipelineSettings) -> Iterator[tuple[Connection, Table, Table] | None]:
    """A transaction in the store and its two tables."""
    file = settings.folders.operational
    if settings.database_url is None and not file.exists():
        yield None
        return
    url = settings.database_url.get_secret_value() if settings.database_url else f"sqlite:///{file.resolve()}"
    waiting = {"timeout": LOCK_WAIT_SECONDS} if url.startswith("sqlite") else {}
    engine = create_engine(url, poolclass=NullPool, connect_args=waiting)
    with engine.begin() as con:
        there = inspect(con)
        if not (there.has_table(REQUESTS) and there.has_table(TOMBSTONES)):
            yield None
            return
        tables = MetaData()
        yield con, Table(REQUESTS, tables, autoload_with=con), Table(TOMBSTONES, tables, autoload_with=con)


def _moment(column: Any, now: datetime) -> datetime | str:
    moment = now.astimezone(UTC)
    return moment if column.type.python_type is datetime else moment.strftime(MOMENT_FORMAT)
