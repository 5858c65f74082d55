"""`/v1/exports`."""

from typing import Any

from fastapi import Request, Response
from sqlalchemy import Connection

from api.access.guard import CurrentActor, requires
from api.access.permissions import Permission
from api.clock import now
from api.customers.current import asker_of
from api.customers.export import ExportRequest
from api.customers.export_service import count_rows, request_export
from api.dependencies import CurrentCaller, CurrentEffects, Filters, Settings
from api.edge.prefix_router import PrefixRouter
from api.effects import Reply
from api.filters.attended import attended
from api.jobs.router import WakeWorkers
from api.jobs.schemas import JobAnswer, job_answer
from segment_engine.runtime.limited import Budget
from segment_engine.runtime.secret import tenant_secret

router = PrefixRouter(prefix="/v1/exports", tags=["customers"])

ANSWERS: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "The job that writes the file / 导出任务",
        "model": JobAnswer,
        "headers": {"Location": {"description": "Where the job is followed / 任务地址", "schema": {"type": "string"}}},
    },
}


@router.post("", status_code=202, response_class=Response, responses=ANSWERS)
@requires(Permission.CUSTOMER_EXPORT)
async def start_export(
    body: ExportRequest,
    actor: CurrentActor,
    caller: CurrentCaller,
    effects: CurrentEffects,
    filters: Filters,
    settings: Settings,
    request: Request,
    wake: WakeWorkers,
) -> Response:
    """Export customers as XLSX or CSV; the job's result has a link to the file / 导出客户."""
    if (before := await effects.answered()) is not None:
        return before

    def counted(budget: Budget) -> int:
        asker = asker_of(actor, effects.database, filters.audiences, Permission.CUSTOMER_EXPORT)
        return count_rows(filters, asker, body, budget)

    # Counted before the store is held: writers wait for nobody's query.
    rows = await attended(request, filters, counted)
    secret = tenant_secret(settings)

    def work(connection: Connection) -> Reply:
        job = request_export(connection, actor, caller, body, rows=rows, now=now())
        return Reply(job_answer(job, secret), status=202, headers={"Location": f"/v1/jobs/{job.id}"})

    answer = await effects.once(work)
    wake()
    return answer
