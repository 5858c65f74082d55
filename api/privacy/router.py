"""`/v1/customers/{one_id}/consents`, `/v1/customers/{one_id}/erasure` and `/v1/erasures`."""

from pathlib import Path as FilePath
from typing import Annotated

from fastapi import Path, Query, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import ColumnElement, Connection, select

from api.access.actors import EVERY_CLINIC, Actor
from api.access.erased import erased_customers
from api.access.guard import CurrentActor, requires
from api.access.permissions import Permission
from api.caller import Caller
from api.clock import now
from api.contract import answers
from api.dependencies import CurrentCaller, CurrentEffects, Reader, Settings, Store
from api.edge.prefix_router import PrefixRouter
from api.effects import Reply
from api.errors import NotFoundError
from api.exports.target import remove_target
from api.privacy.consents import change_consent, consents_of
from api.privacy.erasure import UNKNOWN_CUSTOMER, forget
from api.privacy.repository import find_anybody, find_person
from api.privacy.schemas import (
    Consent,
    ConsentChange,
    Consents,
    Erasure,
    ErasureOrder,
    ErasureQuery,
    Erasures,
    Purpose,
)
from api.storage.tables.customers import erasure_request
from api.versions import IfMatch, etag
from segment_engine.problems import Problem
from segment_engine.runtime.secret import tenant_secret

router = PrefixRouter(prefix="/v1/customers", tags=["privacy"])
erasures = PrefixRouter(prefix="/v1/erasures", tags=["privacy"])

UNKNOWN_ERASURE = Problem("erasure_unknown", "/path/erasure_id", "没有该删除记录", "There is no such erasure.")

OneId = Annotated[str, Path(min_length=1, max_length=64, description="The customer, also by an older id / 客户编号")]


@router.get("/{one_id}/consents", responses=answers(404))
@requires(Permission.CUSTOMER_VIEW)
def read_consents(one_id: OneId, actor: CurrentActor, reader: Reader, store: Store) -> Consents:
    """What the customer allowed; never asked is no consent / 客户授权."""
    with store.read() as connection:
        person = find_person(reader, connection, actor, one_id, Permission.CUSTOMER_VIEW)
        return Consents(one_id=person.one_id, consents=consents_of(connection, person.one_ids))


@router.put("/{one_id}/consents/{purpose}", responses=answers(404, 412, 428))
@requires(Permission.CUSTOMER_CONSENT_EDIT)
def write_consent(
    one_id: OneId,
    purpose: Purpose,
    body: ConsentChange,
    if_match: IfMatch,
    actor: CurrentActor,
    caller: CurrentCaller,
    reader: Reader,
    store: Store,
    settings: Settings,
    response: Response,
) -> Consent:
    """Note that the customer gave or withdrew a consent / 维护客户授权."""
    # Found before the store is held: writers wait for nobody's query.
    with store.read() as connection:
        person = find_person(reader, connection, actor, one_id, Permission.CUSTOMER_CONSENT_EDIT)
    secret = tenant_secret(settings)

    def work(connection: Connection) -> Consent:
        if person.one_id in erased_customers(connection):
            raise NotFoundError(UNKNOWN_CUSTOMER)
        return change_consent(
            connection, caller, person.one_ids, purpose, body, if_match=if_match, secret=secret, now=now()
        )

    consent = store.write(work)
    response.headers["ETag"] = etag(consent.version)
    return consent


@router.post("/{one_id}/erasure", status_code=202, response_model=Erasure, responses=answers(404))
@requires(Permission.CUSTOMER_ERASE)
async def erase_customer(
    one_id: OneId,
    body: ErasureOrder,
    actor: CurrentActor,
    caller: CurrentCaller,
    effects: CurrentEffects,
    reader: Reader,
    settings: Settings,
) -> Response:
    """Forget a customer (个人信息删除): hidden at once, and gone from every file with the next nightly run.

    Marketing data is erased; records that the law makes clinics keep stay without name under a pseudonym, outside every
    list, segment, export and message. Synchronising does not bring the person back. There is no way back.
    """
    doomed: list[FilePath] = []

    def work(connection: Connection) -> Reply:
        person = find_anybody(reader, connection, actor, one_id, Permission.CUSTOMER_ERASE)
        request, files = forget(
            connection,
            caller,
            person,
            reason=body.reason,
            secret=tenant_secret(settings),
            engine=effects.database.kind,
            now=effects.now,
        )
        doomed[:] = files
        return Reply(Erasure.model_validate(request), 202, {"Location": f"/v1/erasures/{request['id']}"})

    answer = await effects.once(work, slow=True)
    for file in doomed:
        await run_in_threadpool(remove_target, file)
    return answer


@erasures.get("")
@requires(Permission.CUSTOMER_ERASE)
def list_erasures(
    query: Annotated[ErasureQuery, Query()], actor: CurrentActor, caller: CurrentCaller, store: Store
) -> Erasures:
    """Who asked when that somebody be forgotten, and whether it is done; a clinic's own requests / 删除记录."""
    newest = (
        select(erasure_request)
        .where(*_seen_by(actor, caller))
        .order_by(erasure_request.c.requested_at.desc(), erasure_request.c.id.desc())
    )
    with store.read() as connection:
        if query.after is not None:
            last = select(erasure_request.c.requested_at).where(erasure_request.c.id == query.after).scalar_subquery()
            older = erasure_request.c.requested_at < last
            same = (erasure_request.c.requested_at == last) & (erasure_request.c.id < query.after)
            newest = newest.where(older | same)
        rows = connection.execute(newest.limit(query.limit + 1)).mappings().all()
    shown = [Erasure.model_validate(dict(row)) for row in rows[: query.limit]]
    return Erasures(erasures=shown, next_after=shown[-1].id if len(rows) > query.limit else None)


@erasures.get("/{erasure_id}", responses=answers(404))
@requires(Permission.CUSTOMER_ERASE)
def read_erasure(
    erasure_id: Annotated[str, Path(max_length=64)], actor: CurrentActor, caller: CurrentCaller, store: Store
) -> Erasure:
    """One request to forget somebody / 删除进度."""
    with store.read() as connection:
        found = select(erasure_request).where(erasure_request.c.id == erasure_id, *_seen_by(actor, caller))
        row = connection.execute(found).mappings().first()
    if row is None:
        raise NotFoundError(UNKNOWN_ERASURE)
    return Erasure.model_validate(dict(row))


def _seen_by(actor: Actor, caller: Caller) -> list[ColumnElement[bool]]:
    """All of them at headquarters, elsewhere one's own: whose clinic an erased person was of is not kept."""
    is_headquarters = EVERY_CLINIC in actor.clinics(Permission.CUSTOMER_ERASE)
    return [] if is_headquarters else [erasure_request.c.requested_by == caller.key]
