"""`/healthz`, `/readyz` and `/metrics`: outside `/v1`, for load balancers and Prometheus."""

from datetime import date, datetime

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from api.clock import now
from api.dependencies import Reader, Settings
from api.errors import NotReadyError, Problem
from api.operations.metrics import Metrics
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
def healthz() -> Health:
    """Whether the process is alive; touches nothing."""
    return Health()


@router.get("/readyz", responses={503: {"model": NotReady, "description": "Nothing is published, or stopping"}})
def readyz(request: Request, reader: Reader) -> Readiness:
    """Whether customers can be served: opens the current version and says how old it is."""
    if request.app.state.shutting_down:
        raise NotReadyError(SHUTTING_DOWN)
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
def metrics(request: Request, settings: Settings) -> Response:
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
    return Response(ours.text(), media_type="text/plain; version=0.0.4")
