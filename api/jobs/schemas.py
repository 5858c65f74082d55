"""Shapes of the job routes."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from api.files.links import file_url
from api.jobs.model import Job
from api.jobs.rules import Status


class ProblemShown(BaseModel):
    """Why a job failed."""

    code: str
    path: str
    message_zh: str
    message_en: str


class JobAnswer(BaseModel):
    """One piece of long work, as its owner sees it."""

    id: str
    kind: str
    status: Status
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    done: int = Field(description="Units of work done / 已完成数量")
    total: int | None = Field(description="Units of work in all, once known / 总数量")
    cancel_requested: bool
    result: dict[str, Any] | None = Field(
        description="What came of it; of an export `url`, `expires_at`, `rows`, `name` / 任务结果"
    )
    problems: list[ProblemShown] | None
    links: dict[str, str]


class JobPage(BaseModel):
    """One page, newest jobs first; `next_cursor` is null on the last page."""

    jobs: list[JobAnswer]
    next_cursor: str | None


def job_answer(job: Job, secret: bytes) -> JobAnswer:
    """A job as it is answered; the link to its file is signed here and kept nowhere."""
    place = f"/v1/jobs/{job.id}"
    links = {"self": place, "events": f"{place}/events"}
    if not job.finished:
        links["cancel"] = f"{place}/cancel"
    result = job.result
    if result is not None:
        # What a job notes for its own next attempt is nobody else's.
        result = {name: value for name, value in result.items() if not name.startswith("_")}
    if result is not None and "file_id" in result:
        url = file_url(secret, result["file_id"], result["expires_at"])
        links["file"] = url
        result = {**{name: value for name, value in result.items() if name != "file_id"}, "url": url}
    return JobAnswer(
        id=job.id,
        kind=job.kind,
        status=job.status,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        done=job.done,
        total=job.total,
        cancel_requested=job.cancel_requested,
        result=result,
        problems=None if job.problems is None else [ProblemShown.model_validate(problem) for problem in job.problems],
        links=links,
    )
