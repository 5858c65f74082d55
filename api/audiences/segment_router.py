"""`/v1/segments`: segments, static and smart. What they have in common with tags is in `common_routes`."""

from typing import Annotated

from fastapi import Query, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Connection

from api.access.guard import requires
from api.access.permissions import Permission
from api.audiences import answers as told
from api.audiences import creation, repository, service
from api.audiences.acting import CurrentAsked
from api.audiences.common_routes import EDIT, AudienceId, add_common_routes
from api.audiences.cursor import encode_cursor
from api.audiences.kinds import SEGMENT
from api.audiences.schemas import (
    NewSegment,
    Segment,
    SegmentCopy,
    SegmentDetail,
    SegmentEdit,
    SegmentPage,
    SegmentQuery,
)
from api.audiences.shown import Telling
from api.clock import now
from api.contract import answers
from api.dependencies import CurrentEffects, Store
from api.edge.prefix_router import PrefixRouter
from api.effects import Reply
from api.jobs.router import WakeWorkers
from api.versions import IfMatch, etag

router = PrefixRouter(prefix="/v1/segments", tags=["audiences"])


@router.get("")
@requires(Permission.CUSTOMER_VIEW)
def list_segments(query: Annotated[SegmentQuery, Query()], asked: CurrentAsked, store: Store) -> SegmentPage:
    """Segments, the enabled ones first, then the disabled, each newest first / 分群列表."""
    with store.read() as connection:
        rows = repository.page_of_segments(connection, query, limit=query.limit + 1)
        page, more = rows[: query.limit], len(rows) > query.limit
        telling = Telling.of(connection, asked, [row["id"] for row in page])
        cursor = encode_cursor(repository.segment_place(page[-1])) if more else None
        return SegmentPage(segments=[telling.row(row, Segment) for row in page], next_cursor=cursor)


@router.post("", status_code=201, responses=answers(409), response_model=SegmentDetail)
@requires(Permission.SEGMENT_MANAGE)
async def create_segment(body: NewSegment, asked: CurrentAsked, effects: CurrentEffects, wake: WakeWorkers) -> Response:
    """A segment; a smart one with its rule is published and calculated at once / 新建分群."""
    warnings = await run_in_threadpool(told.warnings_of, asked, body.filter)

    def work(connection: Connection) -> Reply:
        made = creation.create_segment(asked.acting(connection, effects.now), body)
        return told.reply(connection, asked, SEGMENT, made.id, status=201, job_id=made.job_id, warnings=warnings)

    answer = await effects.once(work, slow=True)
    wake()
    return answer


@router.put("/{audience_id}", responses=EDIT)
@requires(Permission.SEGMENT_MANAGE)
def edit_segment(
    audience_id: AudienceId, body: SegmentEdit, if_match: IfMatch, asked: CurrentAsked, store: Store,
    wake: WakeWorkers, response: Response,
) -> SegmentDetail:  # fmt: skip
    """Name, description and state; enabling and disabling as by `enable` and `disable` / 编辑分群."""

    def work(connection: Connection) -> SegmentDetail:
        job_id = service.edit(asked.acting(connection, now()), SEGMENT, audience_id, if_match, body)
        shown = told.detail(connection, asked, SEGMENT, audience_id, calculation=job_id)
        assert isinstance(shown, SegmentDetail), "told as what it is"
        return shown

    edited = store.write(work)
    wake()
    response.headers["ETag"] = etag(edited.version)
    return edited


@router.post("/{audience_id}/copy", status_code=201, responses=answers(404, 409), response_model=SegmentDetail)
@requires(Permission.SEGMENT_MANAGE)
async def copy_segment(
    audience_id: AudienceId, body: SegmentCopy, asked: CurrentAsked, effects: CurrentEffects, wake: WakeWorkers
) -> Response:
    """Another segment with the same rule under another name / 复制分群."""
    warnings = await run_in_threadpool(told.warnings_of, asked, body.filter)

    def work(connection: Connection) -> Reply:
        made = creation.copy(asked.acting(connection, effects.now), SEGMENT, audience_id, body)
        return told.reply(connection, asked, SEGMENT, made.id, status=201, job_id=made.job_id, warnings=warnings)

    answer = await effects.once(work, slow=True)
    wake()
    return answer


add_common_routes(router, SEGMENT)
