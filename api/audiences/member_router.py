"""`/v1/audiences`: calculating tags and segments, who is in them, the customer log; and those of one customer."""

from typing import Annotated, Any

from fastapi import Path, Query, Request, Response
from sqlalchemy import Connection

from api.access.guard import CurrentActor, for_staff, requires
from api.access.permissions import Permission
from api.audiences.log_service import log_page
from api.audiences.member_schemas import (
    MAX_ID,
    CalculationPage,
    LogPage,
    LogQuery,
    MemberPage,
    MemberQuery,
    OverlapAnswer,
    OverlapRequest,
    OwnAudiences,
    RecalculationRequest,
    WhyAnswer,
)
from api.audiences.member_service import calculation_page, member_page, overlap_answer
from api.audiences.own_audiences import own_audiences, why_answer
from api.audiences.recalculation import request_recalculation
from api.clock import now
from api.contract import answers
from api.customers.current import CurrentAsker
from api.dependencies import CurrentEffects, Filters, Settings, Store
from api.edge.prefix_router import PrefixRouter
from api.effects import Reply
from api.filters.attended import attended
from api.jobs.router import WakeWorkers
from api.jobs.schemas import JobAnswer, job_answer
from api.keyset import Page
from api.shapes import QueryInt, Text
from segment_engine.runtime.limited import Budget
from segment_engine.runtime.secret import tenant_secret

router = PrefixRouter(prefix="/v1/audiences", tags=["audiences"])
of_customers = PrefixRouter(prefix="/v1/customers", tags=["audiences"])

STARTED: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "The job that calculates / 计算任务",
        "model": JobAnswer,
        "headers": {"Location": {"description": "Where the job is followed / 任务地址", "schema": {"type": "string"}}},
    },
    **answers(409),
}
AudienceId = Annotated[int, Path(), QueryInt(1, MAX_ID)]
OneId = Annotated[str, Path(), Text(1, 64)]


@router.post("/recalculation", status_code=202, response_class=Response, responses=STARTED)
@for_staff
async def recalculate_audiences(
    body: RecalculationRequest, actor: CurrentActor, effects: CurrentEffects, settings: Settings, wake: WakeWorkers
) -> Response:
    """Calculate smart tags and segments now, each after those it refers to / 重新计算.

    Needs the permission to manage each of them. The job's result tells what was calculated and what was refused.
    """
    secret = tenant_secret(settings)

    def work(connection: Connection) -> Reply:
        job = request_recalculation(connection, actor, effects.caller, body.ids, now=effects.now)
        return Reply(job_answer(job, secret), 202, {"Location": f"/v1/jobs/{job.id}"})

    answer = await effects.once(work)
    wake()
    return answer


@router.get("/log", responses=answers(404))
@requires(Permission.CUSTOMER_VIEW)
async def read_log(
    query: Annotated[LogQuery, Query()], request: Request, filters: Filters, asker: CurrentAsker, store: Store
) -> LogPage:
    """Who entered and left which tags and segments, by what and whom, newest first / 客户日志."""

    def work(budget: Budget) -> LogPage:
        with filters.session(budget) as session, store.read() as connection:
            return log_page(session, asker, connection, query, now=now())

    return await attended(request, filters, work)


@router.post("/overlap", responses=answers(409))
@requires(Permission.CUSTOMER_VIEW)
async def overlap(
    body: OverlapRequest, request: Request, filters: Filters, asker: CurrentAsker, store: Store
) -> OverlapAnswer:
    """How many customers are in several tags and segments at once, and in exactly which / 人群重合."""

    def work(budget: Budget) -> OverlapAnswer:
        with filters.session(budget) as session:
            return overlap_answer(session, asker, store, body)

    return await attended(request, filters, work)


@router.get("/{audience_id}/calculations", responses=answers(404))
@requires(Permission.CUSTOMER_VIEW)
async def list_calculations(
    audience_id: AudienceId,
    query: Annotated[Page, Query()],
    request: Request,
    filters: Filters,
    asker: CurrentAsker,
    store: Store,
) -> CalculationPage:
    """How a smart tag or segment grew and shrank, newest first / 客户数变化."""

    def work(budget: Budget) -> CalculationPage:
        with filters.session(budget) as session:
            return calculation_page(session, asker, store, audience_id, query)

    return await attended(request, filters, work)


@router.get("/{audience_id}/members", responses=answers(404, 409))
@requires(Permission.CUSTOMER_VIEW)
async def list_members(
    audience_id: AudienceId,
    query: Annotated[MemberQuery, Query()],
    request: Request,
    filters: Filters,
    asker: CurrentAsker,
    store: Store,
) -> MemberPage:
    """Who is in a tag or segment, or was at a moment / 成员列表.

    Filters, sorting and columns: `POST /v1/customers/search` with `tag_ids` or `segment_ids`.
    """

    def work(budget: Budget) -> MemberPage:
        with filters.session(budget) as session:
            return member_page(session, asker, store, audience_id, query)

    return await attended(request, filters, work)


@of_customers.get("/{one_id}/audiences", responses=answers(404))
@requires(Permission.CUSTOMER_VIEW)
async def read_own_audiences(
    one_id: OneId, request: Request, filters: Filters, asker: CurrentAsker, store: Store
) -> OwnAudiences:
    """Tags and segments of one customer, static and smart ones told apart / 客户的标签与分群."""

    def work(budget: Budget) -> OwnAudiences:
        with filters.session(budget) as session, store.read() as connection:
            return own_audiences(session, asker, connection, one_id)

    return await attended(request, filters, work)


@of_customers.get("/{one_id}/audiences/{audience_id}/explanation", responses=answers(404, 409))
@requires(Permission.CUSTOMER_VIEW)
async def explain_membership(
    one_id: OneId, audience_id: AudienceId, request: Request, filters: Filters, asker: CurrentAsker, store: Store
) -> WhyAnswer:
    """Why one customer is in a smart tag or segment, or is not / 命中原因."""

    def work(budget: Budget) -> WhyAnswer:
        with filters.session(budget) as session, store.read() as connection:
            return why_answer(session, asker, connection, one_id, audience_id)

    return await attended(request, filters, work)
