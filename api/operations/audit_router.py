"""`/v1/audit`: the audit log as those see it who may. Writing to it belongs to `api.audit.log`."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, select

from api.access.actors import Actor
from api.access.guard import CurrentActor, requires
from api.access.permissions import Permission
from api.audit.persons import possible_targets
from api.audit.viewing import done_by_people_of
from api.dependencies import Settings, Store
from api.edge.prefix_router import PrefixRouter
from api.shapes import Input, Moment, QueryInt, Text, Until
from api.storage.tables.audit import audit_log
from segment_engine.runtime.secret import tenant_secret

router = PrefixRouter(prefix="/v1/audit", tags=["operations"])

MAX_PAGE = 200
MAX_SEQ = (1 << 63) - 1
Word = Annotated[str, Text(1, 100)]


class AuditQuery(Input):
    """Which rows are asked for; all that is given must fit."""

    limit: Annotated[int, QueryInt(1, MAX_PAGE), Field(description="Rows per page / 每页条数")] = 50
    before: Annotated[
        Annotated[int, QueryInt(1, MAX_SEQ)] | None, Field(description="`next_before` of the page before / 翻页位置")
    ] = None
    actor_id: Annotated[Word | None, Field(description="Who / 操作人")] = None
    action: Annotated[Word | None, Field(description="Did what / 操作")] = None
    target_kind: Annotated[Word | None, Field(description="To what kind of thing / 对象类型")] = None
    target_id: Annotated[
        Word | None,
        Field(description="To which; of a customer or patient their id, which the log itself digests / 对象编号"),
    ] = None
    since: Annotated[Moment | None, Field(description="From this moment on / 开始时间")] = None
    until: Annotated[Until, Field(description="Before this moment / 结束时间")] = None


class AuditRow(BaseModel):
    """One change; personal data in before and after is masked or digested."""

    seq: int
    at: datetime
    actor_kind: str
    actor_id: str
    actor_name: str
    action: str
    target_kind: str
    target_id: str
    before: Any
    after: Any
    request_id: str | None
    address: str | None
    hash: str


class AuditPage(BaseModel):
    """One page, newest first; `next_before` is null on the last page."""

    rows: list[AuditRow]
    next_before: int | None


@router.get("")
@requires(Permission.AUDIT_VIEW)
def list_audit_rows(
    query: Annotated[AuditQuery, Query()], actor: CurrentActor, store: Store, settings: Settings
) -> AuditPage:
    """Who did what to what, and when; a clinic sees what its own people did / 操作日志."""
    newest = (
        select(audit_log)
        .where(*_seen_by(actor), *_conditions(query, tenant_secret(settings)))
        .order_by(audit_log.c.seq.desc())
        .limit(query.limit + 1)
    )
    with store.read() as connection:
        rows = connection.execute(newest).mappings().all()
    page = [AuditRow.model_validate(dict(row)) for row in rows[: query.limit]]
    return AuditPage(rows=page, next_before=page[-1].seq if len(rows) > query.limit else None)


def _seen_by(viewer: Actor) -> list[ColumnElement[bool]]:
    """All of it at headquarters; elsewhere what was done by people who work at those clinics and nowhere else."""
    theirs = done_by_people_of(viewer.clinics(Permission.AUDIT_VIEW))
    return [] if theirs is None else [theirs]


def _conditions(query: AuditQuery, secret: bytes) -> list[ColumnElement[bool]]:
    columns = audit_log.c
    same = ("actor_id", "action", "target_kind")
    conditions = [columns[name] == value for name in same if (value := getattr(query, name)) is not None]
    if query.target_id is not None:
        conditions.append(columns.target_id.in_(possible_targets(secret, query.target_id)))
    if query.before is not None:
        conditions.append(columns.seq < query.before)
    if query.since is not None:
        conditions.append(columns.at >= query.since)
    if query.until is not None:
        conditions.append(columns.at < query.until)
    return conditions
