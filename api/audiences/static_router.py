"""`/v1/tags/{tag_id}/members` and `/v1/segments/{segment_id}/members`: changes of static ones, by hand."""

from typing import Annotated

from fastapi import Request, Response

from api.access.guard import requires
from api.access.permissions import Permission
from api.audiences.static_change import Target
from api.audiences.static_doors import CHANGED, QUEUED, TABLE_BODY, AudienceId, changes_at, require_table
from api.audiences.static_rules import SEGMENT, TAG, Act, Kind
from api.audiences.static_schemas import Selection
from api.audiences.static_service import Changes
from api.clock import now
from api.dependencies import CurrentCaller, CurrentEffects, Store
from api.edge.prefix_router import PrefixRouter
from api.effects import IdempotencyKey, effects_of
from api.uploads.spool import spooled

tag_members = PrefixRouter(prefix="/v1/tags", tags=["tags"])
segment_members = PrefixRouter(prefix="/v1/segments", tags=["segments"])

CurrentChanges = Annotated[Changes, changes_at()]


@tag_members.post("/{tag_id}/members", response_class=Response, responses=CHANGED)
@requires(Permission.CUSTOMER_TAG)
async def add_to_tag(tag_id: AudienceId, body: Selection, effects: CurrentEffects, changes: CurrentChanges) -> Response:
    """Put a static tag on customers: those named at once, all of a filter or search as a job / 批量打标签."""
    return await changes.members(effects, _target(TAG, tag_id, Act.ADD, body), body)


@tag_members.post("/{tag_id}/members/remove", response_class=Response, responses=CHANGED)
@requires(Permission.CUSTOMER_TAG)
async def remove_from_tag(
    tag_id: AudienceId, body: Selection, effects: CurrentEffects, changes: CurrentChanges
) -> Response:
    """Take a static tag off customers / 批量移除标签."""
    return await changes.members(effects, _target(TAG, tag_id, Act.REMOVE, body), body)


@tag_members.post(
    "/{tag_id}/members/import", status_code=202, response_class=Response, responses=QUEUED, openapi_extra=TABLE_BODY
)
@requires(Permission.CUSTOMER_TAG)
async def import_into_tag(
    tag_id: AudienceId,
    request: Request,
    store: Store,
    caller: CurrentCaller,
    changes: CurrentChanges,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Put a static tag on the customers of a table, XLSX or CSV / 导入打标签."""
    require_table(request)
    async with spooled(request) as upload:
        request.state.body_digest = upload.digest
        effects = effects_of(request, store, caller, key=idempotency_key, operation="import_into_tag", now=now())
        return await changes.upload(effects, _imported(TAG, tag_id), upload)


@segment_members.post("/{segment_id}/members", response_class=Response, responses=CHANGED)
@requires(Permission.SEGMENT_MANAGE)
async def add_to_segment(
    segment_id: AudienceId, body: Selection, effects: CurrentEffects, changes: CurrentChanges
) -> Response:
    """Put customers into a static segment: those named at once, others as a job / 添加客户到静态分群."""
    return await changes.members(effects, _target(SEGMENT, segment_id, Act.ADD, body), body)


@segment_members.post("/{segment_id}/members/remove", response_class=Response, responses=CHANGED)
@requires(Permission.SEGMENT_MANAGE)
async def remove_from_segment(
    segment_id: AudienceId, body: Selection, effects: CurrentEffects, changes: CurrentChanges
) -> Response:
    """Take customers out of a static segment / 从静态分群移除客户."""
    return await changes.members(effects, _target(SEGMENT, segment_id, Act.REMOVE, body), body)


@segment_members.post(
    "/{segment_id}/members/import", status_code=202, response_class=Response, responses=QUEUED, openapi_extra=TABLE_BODY
)
@requires(Permission.SEGMENT_MANAGE)
async def import_into_segment(
    segment_id: AudienceId,
    request: Request,
    store: Store,
    caller: CurrentCaller,
    changes: CurrentChanges,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Put the customers of a table into a static segment, XLSX or CSV / 导入客户到静态分群."""
    require_table(request)
    async with spooled(request) as upload:
        request.state.body_digest = upload.digest
        effects = effects_of(request, store, caller, key=idempotency_key, operation="import_into_segment", now=now())
        return await changes.upload(effects, _imported(SEGMENT, segment_id), upload)


def _target(kind: Kind, audience_id: int, act: Act, body: Selection) -> Target:
    return Target(kind, audience_id, act, body.how, f"/path/{kind.name}_id")


def _imported(kind: Kind, audience_id: int) -> Target:
    return Target(kind, audience_id, Act.ADD, "import", f"/path/{kind.name}_id")
