"""`/v1/identity/overrides`: what operators decide by hand about who is one person.

A decision may concern customers of any clinic, so it is made, and read, by those who reach every customer.
"""

from typing import Annotated, Any

from fastapi import Path, Query, Response
from sqlalchemy import Connection

from api.access.guard import CurrentActor, require_everybody, requires
from api.access.permissions import Permission
from api.contract import answers
from api.dependencies import CurrentEffects, Reader, Settings, Store
from api.edge.further_rules import further_rules
from api.edge.prefix_router import PrefixRouter
from api.effects import Reply
from api.identity import preview, service
from api.identity.rules import problems_of_new, problems_of_preview, shown
from api.identity.schemas import NewOverride, Override, OverridePage, OverridePreview, OverrideQuery, Revocation
from api.jobs.router import WakeWorkers
from api.jobs.schemas import JobAnswer, job_answer
from api.shapes import Text
from api.storage.forgetting import override_target
from api.versions import IfMatch, etag
from segment_engine.runtime.secret import tenant_secret

router = PrefixRouter(prefix="/v1/identity", tags=["identity"])

PREVIEW_ANSWERS: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "The job whose result is the preview / 预览任务",
        "model": JobAnswer,
        "headers": {"Location": {"description": "Where the job is followed / 任务地址", "schema": {"type": "string"}}},
    },
    **answers(404, 409),
}

OverrideId = Annotated[str, Path(), Text(1, 64)]


@router.get("/overrides")
@requires(Permission.IDENTITY_VIEW)
def list_overrides(query: Annotated[OverrideQuery, Query()], actor: CurrentActor, store: Store) -> OverridePage:
    """Decisions by hand, newest first, revoked ones too / 人工规则列表."""
    require_everybody(actor, Permission.IDENTITY_VIEW)
    with store.read() as connection:
        return service.override_page(connection, actor, query)


@router.post("/overrides", status_code=201, responses=answers(409), response_model=Override)
@requires(Permission.IDENTITY_MANAGE)
@further_rules(problems_of_new)
async def create_override(
    body: NewOverride, actor: CurrentActor, effects: CurrentEffects, reader: Reader, settings: Settings
) -> Response:
    """Decide by hand who is one person; the night of this day applies it / 新建人工规则.

    Refused when it contradicts a decision that stands (409, naming it): revoke that one first.
    """
    require_everybody(actor, Permission.IDENTITY_MANAGE)

    def work(connection: Connection) -> Reply:
        secret = tenant_secret(settings)
        made = service.create_override(connection, reader, actor, effects.caller, body, secret=secret, now=effects.now)
        location = f"/v1/identity/overrides/{made.id}"
        return Reply(made, 201, {"ETag": etag(made.version), "Location": location}, target=override_target(made.id))

    return await effects.once(work, slow=True)


@router.post("/overrides/preview", status_code=202, response_class=Response, responses=PREVIEW_ANSWERS)
@requires(Permission.IDENTITY_MANAGE)
@further_rules(problems_of_preview)
async def preview_override(
    body: OverridePreview,
    actor: CurrentActor,
    effects: CurrentEffects,
    reader: Reader,
    settings: Settings,
    wake: WakeWorkers,
) -> Response:
    """Start a job that shows what a decision, or revoking one, would change; nothing is kept / 预览人工规则的效果.

    Its result: events and refused links that the next night would have (`events`, `conflicts`) or no longer have
    (`gone_events`, `gone_conflicts`), at most 200 each, and how many there are.
    """
    require_everybody(actor, Permission.IDENTITY_MANAGE)

    def work(connection: Connection) -> Reply:
        secret = tenant_secret(settings)
        job = preview.request_preview(connection, reader, actor, effects.caller, body, secret=secret, now=effects.now)
        return Reply(job_answer(job, secret), 202, {"Location": f"/v1/jobs/{job.id}"})

    answer = await effects.once(work, slow=True)
    wake()
    return answer


@router.get("/overrides/{override_id}", responses=answers(404))
@requires(Permission.IDENTITY_VIEW)
def read_override(override_id: OverrideId, actor: CurrentActor, store: Store, response: Response) -> Override:
    """One decision, with its ETag / 人工规则详情."""
    require_everybody(actor, Permission.IDENTITY_VIEW)
    with store.read() as connection:
        found = shown(service.find_override(connection, override_id), sees_phones=service.sees_phones(actor))
    response.headers["ETag"] = etag(found.version)
    return found


@router.post("/overrides/{override_id}/revocation", responses=answers(404, 409, 412, 428), response_model=Override)
@requires(Permission.IDENTITY_MANAGE)
async def revoke_override(
    override_id: OverrideId, body: Revocation, if_match: IfMatch, actor: CurrentActor, effects: CurrentEffects
) -> Response:
    """Take a decision back / 撤销人工规则.

    The night of this day restores the former customers, each with the id it had, where nothing else changed since.
    """
    require_everybody(actor, Permission.IDENTITY_MANAGE)

    def work(connection: Connection) -> Reply:
        revoked = service.revoke_override(
            connection, actor, effects.caller, override_id, if_match, body, now=effects.now
        )
        return Reply(revoked, headers={"ETag": etag(revoked.version)}, target=override_target(override_id))

    return await effects.once(work)
