"""`/v1/tag-templates` and `/v1/segment-templates`; groups of tags made from one."""

from fastapi import APIRouter, Response
from sqlalchemy import Connection

from api.access.guard import requires
from api.access.permissions import Permission
from api.audiences import templates
from api.audiences.acting import CurrentAsked
from api.audiences.group_router import group_reply
from api.audiences.schemas import GroupDetail
from api.audiences.template_schemas import FromTemplate, GroupTemplates, SegmentTemplates
from api.contract import answers
from api.dependencies import CurrentEffects, Store
from api.effects import Reply
from api.jobs.router import WakeWorkers

router = APIRouter(tags=["audiences"])


@router.get("/v1/tag-templates")
@requires(Permission.CUSTOMER_VIEW)
def list_tag_templates(asked: CurrentAsked, store: Store) -> GroupTemplates:
    """Groups of smart tags to start from, each with its rules in words / 智能标签组模板."""
    with store.read() as connection:
        return templates.tag_templates(connection, asked)


@router.get("/v1/segment-templates")
@requires(Permission.CUSTOMER_VIEW)
def list_segment_templates(asked: CurrentAsked, store: Store) -> SegmentTemplates:
    """Smart segments to start from, each with its rule in words / 智能分群模板."""
    with store.read() as connection:
        return templates.segment_templates(connection, asked)


@router.post("/v1/tag-groups/from-template", status_code=201, responses=answers(409), response_model=GroupDetail)
@requires(Permission.TAG_MANAGE)
async def create_from_template(
    body: FromTemplate, asked: CurrentAsked, effects: CurrentEffects, wake: WakeWorkers
) -> Response:
    """A group with all tags of a template, published and calculated at once / 从模板新增标签组."""

    def work(connection: Connection) -> Reply:
        made = templates.make_from_template(asked.acting(connection, effects.now), body)
        return group_reply(connection, asked, made, [None] * len(made.tags))

    answer = await effects.once(work, slow=True)
    wake()
    return answer
