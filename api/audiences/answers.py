"""Single tags and segments as routes answer them."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from api.audiences import repository
from api.audiences.acting import Asked
from api.audiences.kinds import Sort
from api.audiences.schemas import AudienceDetail
from api.audiences.shown import Telling
from api.effects import Reply
from api.errors import NotFoundError
from api.jobs.schemas import ProblemShown
from api.versions import etag

Warnings = list[ProblemShown] | None


def detail(connection: Connection, asked: Asked, sort: Sort, audience_id: int, **further: Any) -> AudienceDetail:
    """One with its rule and draft; raises NotFoundError."""
    row = repository.one_audience(connection, sort.kind, audience_id)
    if row is None:
        raise NotFoundError(sort.unknown)
    telling = Telling.of(connection, asked, [audience_id])
    return telling.detail(row, sort.detail, **further)


def reply(
    connection: Connection,
    asked: Asked,
    sort: Sort,
    audience_id: int,
    *,
    status: int = 200,
    job_id: str | None = None,
    warnings: Warnings = None,
) -> Reply:
    """The answer of a route that made or changed one."""
    shown = detail(connection, asked, sort, audience_id, calculation=job_id, warnings=warnings)
    headers: Mapping[str, str] = {"ETag": etag(shown.version)}
    if status == 201:
        headers = {**headers, "Location": f"{sort.path}/{audience_id}"}
    return Reply(shown, status, headers)


def warnings_of(asked: Asked, document: Any) -> Warnings:
    """What is odd about the rule that a request brought; found out before its transaction, for it may take long."""
    return None if document is None else asked.filters.warnings(document)
