"""`/v1/jobs`: one's own long work, by polling or by server-sent events."""

import re
from collections.abc import AsyncIterator, Callable
from typing import Annotated

from fastapi import Depends, Header, Path, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy import Connection

from api.access.guard import CurrentActor, for_staff
from api.clock import now
from api.contract import answers
from api.dependencies import CurrentEffects, Settings, Store
from api.edge.prefix_router import PrefixRouter
from api.effects import Reply
from api.jobs import service
from api.jobs.model import Job
from api.jobs.repository import own_jobs
from api.jobs.schemas import JobAnswer, JobPage, job_answer
from api.keyset import Page, Place
from segment_engine.runtime.secret import tenant_secret

router = PrefixRouter(prefix="/v1/jobs", tags=["jobs"])

# Seconds after which looking again makes sense.
POLL_HINT = "1"
_REVISION = re.compile(r"[0-9]{1,15}")

JobId = Annotated[str, Path(max_length=64, description="From the answer that started it / 任务编号")]


def wake_workers(request: Request) -> Callable[[], None]:
    """Call it after the commit of an enqueued job, so that it starts now and not at the next look."""
    wake: Callable[[], None] = request.app.state.background.wake_workers
    return wake


WakeWorkers = Annotated[Callable[[], None], Depends(wake_workers)]


def job_of_path(job_id: JobId, actor: CurrentActor, store: Store) -> Job:
    """The job that the path names; raises NotFoundError for one that is not the caller's."""
    with store.read() as connection:
        return service.require_own(connection, actor, job_id)


JobOfPath = Annotated[Job, Depends(job_of_path)]


@router.get("")
@for_staff
def list_jobs(query: Annotated[Page, Query()], actor: CurrentActor, store: Store, settings: Settings) -> JobPage:
    """The caller's jobs, newest first / 我的任务."""
    after = None if query.cursor is None else Place.decode(query.cursor)
    with store.read() as connection:
        jobs = own_jobs(connection, actor, after=after, limit=query.limit + 1)
    page = jobs[: query.limit]
    last = page[-1] if len(jobs) > query.limit else None
    secret = tenant_secret(settings)
    return JobPage(
        jobs=[job_answer(job, secret) for job in page],
        next_cursor=Place(last.created_at, last.id).encode() if last else None,
    )


@router.get("/{job_id}", responses={304: {"description": "As before / 无变化"}, **answers(404)})
@for_staff
def read_job(
    job: JobOfPath,
    response: Response,
    settings: Settings,
    if_none_match: Annotated[str | None, Header(description="The ETag seen last")] = None,
) -> JobAnswer:
    """One job; `Retry-After` says when to look again, `ETag` whether anything changed / 任务进度."""
    etag = f'"{job.revision}"'
    headers = {"ETag": etag} if job.finished else {"ETag": etag, "Retry-After": POLL_HINT}
    if if_none_match == etag:
        return Response(status_code=304, headers=headers)  # type: ignore[return-value]
    response.headers.update(headers)
    return job_answer(job, tenant_secret(settings))


@router.post("/{job_id}/cancel", responses=answers(404, 409))
@for_staff
async def cancel_job(job_id: JobId, actor: CurrentActor, effects: CurrentEffects, settings: Settings) -> JobAnswer:
    """Cancel a job: a waiting one at once, a running one as soon as its worker hears of it / 取消任务."""
    secret = tenant_secret(settings)

    def work(connection: Connection) -> Reply:
        return Reply(job_answer(service.cancel(connection, actor, job_id, now=now()), secret))

    return await effects.once(work)  # type: ignore[return-value]


@router.get("/{job_id}/events", response_class=EventSourceResponse, responses=answers(404))
@for_staff
async def follow_job(
    job: JobOfPath,
    actor: CurrentActor,
    request: Request,
    store: Store,
    settings: Settings,
    last_event_id: Annotated[str | None, Header(description="Sent by browsers that reconnect")] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Events `progress`, then one of `done`, `failed`, `cancelled`, each with the job as data / 任务进度推送."""
    seen = int(last_event_id) if last_event_id and _REVISION.fullmatch(last_event_id) else 0
    state = request.app.state
    stream = service.follow(
        store, actor, job, seen=seen, secret=tenant_secret(settings), ending=lambda: state.shutting_down
    )
    async for event in stream:
        yield event
