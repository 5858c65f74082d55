"""The states of a job and what moves it from one to the next. Pure.

queued ──claim──▶ running ──▶ succeeded │ failed │ cancelled
   │  ▲              │
   │  └──release─────┤  the worker stops in good order: costs no attempt
   │  └──lease lost──┤  the worker died: costs an attempt; the last one fails the job with `worker_lost`
   └──▶ cancelled    └──▶ cancelled
"""

from datetime import timedelta
from enum import StrEnum

from segment_engine.problems import Problem

MAX_ATTEMPTS = 3
LONGEST_DELAY = timedelta(minutes=5)


class Status(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})

JOB_UNKNOWN = Problem("job_unknown", "", "任务不存在", "There is no such job of yours.")
JOB_FINISHED = Problem("job_finished", "", "任务已结束,无法取消", "The job has ended and cannot be cancelled any more.")
WORKER_LOST = Problem(
    "worker_lost", "", "任务多次因进程中断而未完成,请重新提交", "Every process that ran the job stopped; ask again."
)
REQUESTER_GONE = Problem("requester_gone", "", "提交人已停用", "Whoever asked for this is no longer active.")
INTERNAL_ERROR = Problem(
    "internal_error", "", "任务执行出错,请联系管理员并提供任务编号", "The job failed unexpectedly; report its id."
)


def after_loss(*, attempts: int, max_attempts: int, cancel_requested: bool) -> Status:
    """What a running job becomes when its worker is gone."""
    if cancel_requested:
        return Status.CANCELLED
    return Status.QUEUED if attempts < max_attempts else Status.FAILED


def retry_delay(attempts: int) -> timedelta:
    """How long a job rests after its worker was lost, 1 s, 2 s, 4 s … LONGEST_DELAY: it may be what kills them."""
    return min(timedelta(seconds=2 ** (attempts - 1)), LONGEST_DELAY)
