"""The operation log of the customer list (操作日志): who did what with many customers at once, read from the audit log.

A bulk action joins the log with one line of OPERATIONS, once it writes an audit row of what it did.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Connection, and_, func, not_, or_, select, type_coerce
from sqlalchemy import Text as SqlText

from api.access.actors import Actor
from api.access.permissions import Permission
from api.audit.viewing import done_by_people_of
from api.shapes import Choice, Input, Moment, QueryInt, Text, Until
from api.storage.tables.audit import audit_log

MAX_PAGE: Final = 200
MAX_SEQ: Final = (1 << 63) - 1


class OperationKind(StrEnum):
    """What was done with many customers; bulk actions (批量操作) and imports as their routes name them."""

    EXPORT = "export"
    ADD_TAG = "add_tag"
    REMOVE_TAG = "remove_tag"
    ADD_TO_SEGMENT = "add_to_segment"
    REMOVE_FROM_SEGMENT = "remove_from_segment"
    IMPORT_INTO_TAG = "import_into_tag"
    IMPORT_INTO_SEGMENT = "import_into_segment"
    MESSAGE_TASK = "message_task"
    RECALCULATE = "recalculate"


@dataclass(frozen=True, slots=True)
class Operation:
    """How an operation stands in the audit log: its action, and the member of `after` that counts customers.

    counted: None where none are counted; is_import: whether they came out of a file, None where they never do
    """

    action: str
    counted: str | None
    label_zh: str
    label_en: str
    is_import: bool | None = None

    @property
    def condition(self) -> ColumnElement[bool]:
        """Which rows of the audit log are such operations."""
        of_action = audit_log.c.action == self.action
        if self.is_import is None:
            return of_action
        return and_(of_action, _IMPORTED if self.is_import else not_(_IMPORTED))

    def is_of(self, action: str, after: Mapping[str, Any]) -> bool:
        """The same of a row that was read."""
        return action == self.action and self.is_import in (None, after.get("how") == "import")


# JSON is kept in one spelling, so that a member is found by its text; within a value its quotes would be escaped.
_IMPORTED: Final = type_coerce(audit_log.c.after, SqlText).contains('"how":"import"')

OPERATIONS: Final = {
    OperationKind.EXPORT: Operation("export.requested", "rows", "导出客户", "Export customers"),
    OperationKind.ADD_TAG: Operation("tag.members.add", "added", "添加静态标签", "Put a tag on", is_import=False),
    OperationKind.REMOVE_TAG: Operation("tag.members.remove", "removed", "移除静态标签", "Take a tag off"),
    OperationKind.ADD_TO_SEGMENT: Operation(
        "segment.members.add", "added", "添加到静态分群", "Put into a segment", is_import=False
    ),
    OperationKind.REMOVE_FROM_SEGMENT: Operation(
        "segment.members.remove", "removed", "移出静态分群", "Take out of a segment"
    ),
    OperationKind.IMPORT_INTO_TAG: Operation(
        "tag.members.add", "added", "导入客户并添加静态标签", "Put a tag on customers of a file", is_import=True
    ),
    OperationKind.IMPORT_INTO_SEGMENT: Operation(
        "segment.members.add", "added", "导入客户到静态分群", "Put customers of a file into a segment", is_import=True
    ),
    OperationKind.MESSAGE_TASK: Operation("customer.message_task", "messages", "群发消息", "Send messages"),
    OperationKind.RECALCULATE: Operation(
        "audience.recalculate", None, "重新计算标签与分群", "Calculate tags and segments anew"
    ),
}
_AUDIENCES: Final = frozenset({"tag", "segment"})


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
    until: Annotated[Until, Field(description="Before this moment / 结束时间")] = None


class OperationRow(BaseModel):
    """One operation; what it was done to stands in the job."""

    seq: int
    at: datetime
    kind: OperationKind
    label_zh: str
    label_en: str
    operator_id: str
    operator_name: str
    customers: int | None = Field(description="How many; null where none are counted / 客户数")
    job_id: str | None = Field(description="The job that does it; its owner follows it there / 任务编号")
    audience_id: int | None = Field(description="The tag or segment that was changed / 标签或分群编号")


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
    conditions: list[ColumnElement[bool]] = [or_(*(one.condition for one in kinds.values()))]
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


def _row(row: dict[str, Any]) -> OperationRow:
    after = row["after"] if isinstance(row["after"], dict) else {}
    kind, told = next((kind, one) for kind, one in OPERATIONS.items() if one.is_of(row["action"], after))
    return OperationRow.model_validate(
        {
            "seq": row["seq"],
            "at": row["at"],
            "kind": kind,
            "label_zh": told.label_zh,
            "label_en": told.label_en,
            "operator_id": row["actor_id"],
            "operator_name": row["actor_name"],
            "customers": None if told.counted is None else after.get(told.counted),
            "job_id": row["target_id"] if row["target_kind"] == "job" else None,
            "audience_id": int(str(row["target_id"])) if row["target_kind"] in _AUDIENCES else None,
        }
    )
