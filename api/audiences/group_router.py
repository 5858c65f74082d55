"""`/v1/tag-groups`: groups of tags (标签组), static and smart."""

from typing import Annotated

from fastapi import Path, Query, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Connection

from api.access.guard import requires
from api.access.permissions import Permission
from api.audiences import answers as told
from api.audiences import groups, repository
from api.audiences.acting import Asked, CurrentAsked
from api.audiences.schemas import (
    MAX_ID,
    Group,
    GroupDeletion,
    GroupDetail,
    GroupEdit,
    GroupOrder,
    GroupPage,
    GroupQuery,
    NewGroup,
    Order,
    TagDetail,
    TagOrder,
)
from api.audiences.shown import Telling
from api.clock import now
from api.contract import answers
from api.dependencies import CurrentEffects, Store
from api.edge.prefix_router import PrefixRouter
from api.effects import Reply
from api.jobs.router import WakeWorkers
from api.shapes import QueryInt
from api.versions import IfMatch, etag

router = PrefixRouter(prefix="/v1/tag-groups", tags=["audiences"])

GroupId = Annotated[int, Path(), QueryInt(1, MAX_ID)]
EDIT = answers(404, 409, 412, 428)


@router.get("")
@requires(Permission.CUSTOMER_VIEW)
def list_tag_groups(query: Annotated[GroupQuery, Query()], store: Store) -> GroupPage:
    """Groups in their order; a search finds groups by their name and by those of their tags / 标签组列表."""
    with store.read() as connection:
        return groups.group_page(connection, query)


@router.post("", status_code=201, responses=answers(409), response_model=GroupDetail)
@requires(Permission.TAG_MANAGE)
async def create_tag_group(body: NewGroup, asked: CurrentAsked, effects: CurrentEffects, wake: WakeWorkers) -> Response:
    """A group above all others, with its first tags and their rules / 新增标签组."""
    warnings = [await run_in_threadpool(told.warnings_of, asked, tag.filter) for tag in body.tags]

    def work(connection: Connection) -> Reply:
        made = groups.create_group(asked.acting(connection, effects.now), body)
        return group_reply(connection, asked, made, warnings)

    answer = await effects.once(work, slow=True)
    wake()
    return answer


@router.put("/order", response_model=Order)
@requires(Permission.TAG_MANAGE)
def order_tag_groups(body: GroupOrder, asked: CurrentAsked, store: Store) -> Order:
    """Put groups in the order of the body, in the places that they have now / 标签组排序."""
    return Order(ids=store.write(lambda connection: groups.order_groups(asked.acting(connection, now()), body)))


@router.get("/{group_id}", responses=answers(404))
@requires(Permission.CUSTOMER_VIEW)
def read_tag_group(group_id: GroupId, store: Store, response: Response) -> Group:
    """One group, with its ETag / 标签组详情."""
    with store.read() as connection:
        return _shown(connection, group_id, response)


@router.put("/{group_id}", responses=EDIT)
@requires(Permission.TAG_MANAGE)
def rename_tag_group(
    group_id: GroupId, body: GroupEdit, if_match: IfMatch, asked: CurrentAsked, store: Store, response: Response
) -> Group:
    """Another name / 编辑标签组名称."""

    def work(connection: Connection) -> Group:
        groups.rename_group(asked.acting(connection, now()), group_id, if_match, body)
        return _shown(connection, group_id, response)

    return store.write(work)


@router.delete("/{group_id}", status_code=204, responses=EDIT)
@requires(Permission.TAG_MANAGE)
def delete_tag_group(
    group_id: GroupId,
    query: Annotated[GroupDeletion, Query()],
    if_match: IfMatch,
    asked: CurrentAsked,
    store: Store,
) -> None:
    """Delete an empty group, or one with its tags; 409 names the rules that name one of them / 删除标签组."""
    store.write(
        lambda connection: groups.delete_group(
            asked.acting(connection, now()), group_id, if_match, with_tags=query.with_tags
        )
    )


@router.put("/{group_id}/order", responses=answers(404))
@requires(Permission.TAG_MANAGE)
def order_tags(group_id: GroupId, body: TagOrder, asked: CurrentAsked, store: Store) -> Order:
    """Put tags of a group in the order of the body, in the places that they have now / 标签排序."""
    return Order(ids=store.write(lambda connection: groups.order_tags(asked.acting(connection, now()), group_id, body)))


def group_reply(connection: Connection, asked: Asked, made: groups.MadeGroup, warnings: list[told.Warnings]) -> Reply:
    """A new group with its tags; warnings: of each tag's rule, in their order."""
    rows = repository.all_tags(connection, made.id)
    telling = Telling.of(connection, asked, made.tags)
    tags = [telling.detail(row, TagDetail, warnings=told_of) for row, told_of in zip(rows, warnings, strict=True)]
    (group,) = groups.shown_groups(connection, [groups.find_group(connection, made.id)])
    detail = GroupDetail(**group.model_dump(), tags=tags, calculation=made.job_id)
    return Reply(detail, 201, {"ETag": etag(detail.version), "Location": f"/v1/tag-groups/{made.id}"})


def _shown(connection: Connection, group_id: int, response: Response) -> Group:
    (group,) = groups.shown_groups(connection, [groups.find_group(connection, group_id)])
    response.headers["ETag"] = etag(group.version)
    return group
