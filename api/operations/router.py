"""`/healthz`, `/readyz` and `/metrics`: outside `/v1`, for load balancers and Prometheus."""

import math
from datetime import date, datetime

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from sqlalchemy import select

from api.access.guard import public
from api.clock import now
from api.dependencies import Reader, Settings, Store
from api.errors import NotReadyError
from api.jobs.repository import backlog
from api.operations.metrics import Metrics
from api.outbox.messages import counts
from api.storage.database import Database, StoreError
from segment_engine.problems import Problem
from segment_engine.runtime.published import NothingPublishedError, read_pointer

router = APIRouter(tags=["operations"])


class Health(BaseModel):
    """The process answers."""

    status: str = "ok"


class Readiness(BaseModel):
    """The version that is served, and how old it is."""

    status: str = "ready"
    version: str
    as_of: date
    published_at: datetime
    age_seconds: int
    rows: dict[str, int]


SHUTTING_DOWN = Problem("shutting_down", "", "服务正在停止", "The service is shutting down.")


class NotReady(BaseModel):
    """Why nothing can be served."""

    type: str
    title: str
    status: int
    request_id: str
    problems: list[dict[str, str]]


@router.get("/healthz")
@public
def healthz() -> Health:
    """Whether the process is alive; touches nothing."""
    return Health()


@router.get("/readyz", responses={503: {"model": NotReady, "description": "No store, nothing published, or stopping"}})
@public
def readyz(request: Request, reader: Reader, store: Store) -> Readiness:
    """Whether customers can be served: asks the store, opens the current version and says how old it is."""
    if request.app.state.shutting_down:
        raise NotReadyError(SHUTTING_DOWN)
    with store.read() as connection:
        connection.execute(select(1))
    with reader.cursor() as (cursor, pointer):
        cursor.execute("select 1").fetchall()
    return Readiness(
        version=pointer.version,
        as_of=pointer.as_of,
        published_at=pointer.published_at,
        age_seconds=int((now() - pointer.published_at).total_seconds()),
        rows=pointer.row_counts,
    )


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
@public
def metrics(request: Request, settings: Settings, store: Store) -> Response:
    """Prometheus metrics."""
    ours: Metrics = request.app.state.metrics
    try:
        pointer = read_pointer(settings.folders)
    except NothingPublishedError:
        ours.published_age.set(-1)
    else:
        ours.published_age.set((now() - pointer.published_at).total_seconds())
        for table, rows in pointer.row_counts.items():
            ours.published_rows.labels(table).set(rows)
    _measure_queues(ours, store)
    verdict = request.app.state.background.audit_watch.verdict
    ours.audit_ok.set(math.nan if verdict is None else verdict.ok)
    return Response(ours.text(), media_type="text/plain; version=0.0.4")


def _measure_queues(ours: Metrics, store: Database) -> None:
    try:
        with store.read() as connection:
            (jobs, oldest), messages = backlog(connection), counts(connection)
    except StoreError:
        # A store that does not answer is no reason to tell nothing else.
        for gauge in (ours.jobs, ours.outbox):
            gauge.clear()
        ours.job_wait.set(math.nan)
        return
    for status, count in jobs.items():
        ours.jobs.labels(status).set(count)
    ours.job_wait.set(0 if oldest is None else (now() - oldest).total_seconds())
    for status, count in messages.items():
        ours.outbox.labels(status).set(count)
