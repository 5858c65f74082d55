"""The operation log of the customer list (操作日志): who did what with many customers at once, read from the audit log.

A bulk action joins the log with one line of OPERATIONS, once it writes its audit row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Connection, func, or_, select

from api.access.actors import Actor
from api.access.permissions import Permission
from api.audit.viewing import done_by_people_of
from api.shapes import Choice, Input, Moment, QueryInt, Text
from api.storage.tables.audit import audit_log

MAX_PAGE: Final = 200
MAX_SEQ: Final = (1 << 63) - 1


class OperationKind(StrEnum):
    """What was done with many customers."""

    EXPORT = "export"


@dataclass(frozen=True, slots=True)
class Operation:
    """How an operation stands in the audit log: its action, and the member of `after` that counts customers."""

    action: str
    counted: str
    label_zh: str
    label_en: str


OPERATIONS: Final = {
    OperationKind.EXPORT: Operation("export.requested", "rows", "导出客户", "Export customers"),
}
_KINDS: Final = {one.action: kind for kind, one in OPERATIONS.items()}


class OperationQuery(Input):
    """Which operations are asked for; all that is given must fit."""

    limit: Annotated[int, QueryInt(1, MAX_PAGE), Field(description="Rows per page / 每页条数")] = 50
    before: Annotated[
        Annotated[int, QueryInt(1, MAX_SEQ)] | None, Field(description="`next_before` of the page before / 翻页位置")
    ] = None
    kind: Annotated[Choice[OperationKind] | None, Field(description="Did what / 操作类型")] = None
    operator: Annotated[
        Annotated[str, Text(1, 64)] | None, Field(description="Id of who did it, or part of the name / 操作人")
    ] = None
    since: Annotated[Moment | None, Field(description="From this moment on / 开始时间")] = None
    until: Annotated[Moment | None, Field(description="Before this moment / 结束时间")] = None


class OperationRow(BaseModel):
    """One operation; what it was done to stands in the job."""

    seq: int
    at: datetime
    kind: OperationKind
    label_zh: str
    label_en: str
    operator_id: str
    operator_name: str
    customers: int | None = Field(description="How many / 客户数")
    job_id: str | None = Field(description="The job that does it; its owner follows it there / 任务编号")


class OperationPage(BaseModel):
    """One page, newest first; `next_before` is null on the last page."""

    operations: list[OperationRow]
    next_before: int | None


def operation_page(connection: Connection, viewer: Actor, query: OperationQuery) -> OperationPage:
    """What the viewer did, and the people of the clinics whose customers the viewer sees."""
    newest = (
        select(audit_log).where(*_conditions(viewer, query)).order_by(audit_log.c.seq.desc()).limit(query.limit + 1)
    )
    rows = connection.execute(newest).mappings().all()
    page = [_row(dict(row)) for row in rows[: query.limit]]
    return OperationPage(operations=page, next_before=page[-1].seq if len(rows) > query.limit else None)


def _conditions(viewer: Actor, query: OperationQuery) -> Sequence[ColumnElement[bool]]:
    columns = audit_log.c
    kinds = OPERATIONS if query.kind is None else {query.kind: OPERATIONS[query.kind]}
    conditions: list[ColumnElement[bool]] = [columns.action.in_([one.action for one in kinds.values()])]
    theirs = done_by_people_of(viewer.clinics(Permission.CUSTOMER_VIEW))
    if theirs is not None:
        conditions.append(or_((columns.actor_kind == viewer.kind) & (columns.actor_id == viewer.id), theirs))
    if query.operator is not None:
        conditions.append(
            # Both engines fold the case of plain letters alike.
            or_(
                columns.actor_id == query.operator,
                func.lower(columns.actor_name).contains(query.operator.lower(), autoescape=True),
            )
        )
    if query.before is not None:
        conditions.append(columns.seq < query.before)
    if query.since is not None:
        conditions.append(columns.at >= query.since)
    if query.until is not None:
        conditions.append(columns.at < query.until)
    return conditions


def _row(row: dict[str, object]) -> OperationRow:
    kind = _KINDS[str(row["action"])]
    told, after = OPERATIONS[kind], row["after"]
    counted = after.get(told.counted) if isinstance(after, dict) else None
    return OperationRow.model_validate(
        {
            "seq": row["seq"],
            "at": row["at"],
            "kind": kind,
            "label_zh": told.label_zh,
            "label_en": told.label_en,
            "operator_id": row["actor_id"],
            "operator_name": row["actor_name"],
            "customers": counted,
            "job_id": row["target_id"] if row["target_kind"] == "job" else None,
        }
    )
