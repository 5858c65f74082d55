"""`/v1/tags`: single tags, static and smart. What they have in common with segments is in `common_routes`."""

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
from api.audiences.kinds import TAG
from api.audiences.schemas import Move, NewTag, Tag, TagCopy, TagDetail, TagEdit, TagPage, TagQuery
from api.audiences.shown import Telling
from api.clock import now
from api.contract import answers
from api.dependencies import CurrentEffects, Store
from api.edge.prefix_router import PrefixRouter
from api.effects import Reply
from api.jobs.router import WakeWorkers
from api.versions import IfMatch, etag

router = PrefixRouter(prefix="/v1/tags", tags=["audiences"])


@router.get("")
@requires(Permission.CUSTOMER_VIEW)
def list_tags(query: Annotated[TagQuery, Query()], asked: CurrentAsked, store: Store) -> TagPage:
    """Tags in the order of their groups and in their own / 标签列表."""
    with store.read() as connection:
        rows = repository.page_of_tags(connection, query, limit=query.limit + 1)
        page, more = rows[: query.limit], len(rows) > query.limit
        telling = Telling.of(connection, asked, [row["id"] for row in page])
        cursor = encode_cursor(repository.tag_place(page[-1])) if more else None
        return TagPage(tags=[telling.row(row, Tag) for row in page], next_cursor=cursor)


@router.post("", status_code=201, responses=answers(409), response_model=TagDetail)
@requires(Permission.TAG_MANAGE)
async def create_tag(body: NewTag, asked: CurrentAsked, effects: CurrentEffects, wake: WakeWorkers) -> Response:
    """A tag on top of its group; a smart one with its rule is published and calculated at once / 新增标签."""
    warnings = await run_in_threadpool(told.warnings_of, asked, body.filter)

    def work(connection: Connection) -> Reply:
        made = creation.create_tag(asked.acting(connection, effects.now), body)
        return told.reply(connection, asked, TAG, made.id, status=201, job_id=made.job_id, warnings=warnings)

    answer = await effects.once(work, slow=True)
    wake()
    return answer


@router.put("/{audience_id}", responses=EDIT)
@requires(Permission.TAG_MANAGE)
def edit_tag(
    audience_id: AudienceId, body: TagEdit, if_match: IfMatch, asked: CurrentAsked, store: Store, wake: WakeWorkers,
    response: Response,
) -> TagDetail:  # fmt: skip
    """Name, description, colour and state; enabling and disabling as by `enable` and `disable` / 编辑标签."""

    def work(connection: Connection) -> TagDetail:
        job_id = service.edit(asked.acting(connection, now()), TAG, audience_id, if_match, body)
        shown = told.detail(connection, asked, TAG, audience_id, calculation=job_id)
        assert isinstance(shown, TagDetail), "told as what it is"
        return shown

    edited = store.write(work)
    wake()
    response.headers["ETag"] = etag(edited.version)
    return edited


@router.post("/{audience_id}/copy", status_code=201, responses=answers(404, 409), response_model=TagDetail)
@requires(Permission.TAG_MANAGE)
async def copy_tag(
    audience_id: AudienceId, body: TagCopy, asked: CurrentAsked, effects: CurrentEffects, wake: WakeWorkers
) -> Response:
    """Another tag with the same rule under another name, in the same group / 复制标签."""
    warnings = await run_in_threadpool(told.warnings_of, asked, body.filter)

    def work(connection: Connection) -> Reply:
        made = creation.copy(asked.acting(connection, effects.now), TAG, audience_id, body)
        return told.reply(connection, asked, TAG, made.id, status=201, job_id=made.job_id, warnings=warnings)

    answer = await effects.once(work, slow=True)
    wake()
    return answer


@router.post("/{audience_id}/move", responses=answers(404), response_model=TagDetail)
@requires(Permission.TAG_MANAGE)
async def move_tag(audience_id: AudienceId, body: Move, asked: CurrentAsked, effects: CurrentEffects) -> Response:
    """To the top or the bottom of its group / 置顶、置底."""

    def work(connection: Connection) -> Reply:
        service.move(asked.acting(connection, effects.now), audience_id, body)
        return told.reply(connection, asked, TAG, audience_id)

    return await effects.once(work, slow=True)


add_common_routes(router, TAG)
