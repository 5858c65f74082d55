"""What the routes of static members share: whom they change for, what they answer, which files they take."""

from typing import Annotated, Any

from fastapi import Depends, Path, Request

from api.access.guard import CurrentActor
from api.audiences.static_schemas import MembersChanged
from api.audiences.static_service import Changes
from api.clock import now
from api.contract import answers
from api.dependencies import Filters, Reader, Settings, Store
from api.errors import UnsupportedMediaTypeError
from api.jobs.context import Services
from api.jobs.router import WakeWorkers
from api.jobs.schemas import JobAnswer
from segment_engine.problems import Problem

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# What browsers say of tables; which it is, is seen by its content.
TABLES = ("text/csv", XLSX, "application/vnd.ms-excel", "application/octet-stream")
NOT_A_TABLE = Problem(
    "unsupported_media_type",
    "/header/Content-Type",
    f"应为 {'、'.join(TABLES)} 之一",
    f"Must be one of {', '.join(TABLES)}.",
)

_JOB: dict[str, Any] = {
    "description": "The job that does it / 后台任务",
    "model": JobAnswer,
    "headers": {"Location": {"description": "Where the job is followed / 任务地址", "schema": {"type": "string"}}},
}
CHANGED: dict[int | str, dict[str, Any]] = {
    200: {"description": "Customers that were named: done / 已完成", "model": MembersChanged},
    202: _JOB,
    **answers(404, 409),
}
QUEUED: dict[int | str, dict[str, Any]] = {202: _JOB, **answers(404, 409)}
TABLE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A table headed 客户编号, 病历号 or 手机号码: at most 20 MB, 100,000 rows / 客户名单文件",
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in (XLSX, "text/csv")},
    }
}

AudienceId = Annotated[int, Path(ge=1, le=(1 << 63) - 1)]


def changes_at(path: str = "") -> Any:
    """The changes of a request whose selection stands at this place in its body."""

    def current(
        store: Store,
        settings: Settings,
        reader: Reader,
        filters: Filters,
        actor: CurrentActor,
        wake: WakeWorkers,
    ) -> Changes:
        return Changes(Services(store, settings, reader, now, filters), actor, wake, path)

    return Depends(current)


def require_table(request: Request) -> None:
    """Raise UnsupportedMediaTypeError for what does not say that it is a table."""
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type not in TABLES:
        raise UnsupportedMediaTypeError(NOT_A_TABLE)
