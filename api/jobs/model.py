"""A job as its row tells it, and the claim of the worker that runs it."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from sqlalchemy import RowMapping

from api.caller import CallerKind
from api.jobs.rules import FINAL, Status


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run a job: held by one worker for one attempt, until its lease runs out."""

    job_id: str
    worker: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of long work; `params` and `result` are JSON values, `revision` grows with every change."""

    id: str
    kind: str
    status: Status
    params: Any
    owner_kind: CallerKind
    owner_id: str
    owner_scopes: frozenset[str] | None
    request_id: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    done: int
    total: int | None
    result: Any
    problems: list[dict[str, str]] | None
    attempts: int
    max_attempts: int
    worker: str | None
    cancel_requested: bool
    revision: int

    @classmethod
    def of(cls, row: RowMapping) -> Self:
        scopes = row["owner_scopes"]
        own = {
            **{name: row[name] for name in cls.__slots__},
            "status": Status(row["status"]),
            "owner_scopes": None if scopes is None else frozenset(scopes),
        }
        return cls(**own)

    @property
    def finished(self) -> bool:
        return self.status in FINAL

    @property
    def claim(self) -> Claim:
        assert self.worker is not None, "only a running job is claimed"
        return Claim(self.id, self.worker, self.attempts)


def problem_rows(problems: Any) -> list[dict[str, str]]:
    """Problems as the row keeps them."""
    return [asdict(problem) for problem in problems]
