"""What a caller is told when something is wrong: problems, and the errors that carry them with an HTTP status.

How an error becomes an answer is said in `api.edge.answers`; Chinese texts of pydantic's findings in `api.wording`.

ApiError                       an answer with a status and problems
├── BadRequestError            400: cannot be read at all
├── NotAuthenticatedError      401: nobody known is asking
├── NotPermittedError          403: not with this role
├── NotFoundError              404: there is no such thing, or the caller may not know of it
├── ConflictError              409: does not fit what is stored
├── PreconditionFailedError    412: has changed since it was read
├── TooLargeError              413: more bytes than allowed
├── UnsupportedMediaTypeError  415: not JSON
├── InvalidError               422: can be read and makes no sense
├── PreconditionRequiredError  428: must say which version was read
├── TooManyRequestsError       429: later, please
└── NotReadyError              503: nothing to serve yet, or any more
"""

import math
from collections.abc import Mapping
from typing import ClassVar

from segment_engine.problems import Problem

PROBLEM_MEDIA_TYPE = "application/problem+json"

EARLIER_RELEASE = Problem(
    "earlier_release",
    "",
    "当前数据版本由旧版程序发布,缺少所需内容,请先运行夜间任务",
    "An earlier release published what is served, without what this needs; run the nightly pipeline first.",
)


class ApiError(Exception):
    """An answer other than the one hoped for."""

    status: ClassVar[int] = 400
    title: ClassVar[str] = "Bad request"

    def __init__(self, *problems: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__("; ".join(problem.message_en for problem in problems))
        self.problems = problems
        self.headers = dict(headers or {})


class BadRequestError(ApiError):
    """The request cannot be read."""


class NotAuthenticatedError(ApiError):
    """Nobody known is asking."""

    status = 401
    title = "Not authenticated"

    def __init__(self, *problems: Problem, challenge: str = "Bearer") -> None:
        super().__init__(*problems, headers={"WWW-Authenticate": challenge})


class NotPermittedError(ApiError):
    """The caller is known and may not do this."""

    status = 403
    title = "Not permitted"


class NotFoundError(ApiError):
    """There is no such thing, or the caller may not know of it."""

    status = 404
    title = "Not found"


class ConflictError(ApiError):
    """The request does not fit what is stored."""

    status = 409
    title = "Conflict"


class PreconditionFailedError(ApiError):
    """What the caller read has changed since."""

    status = 412
    title = "Precondition failed"


class TooLargeError(ApiError):
    """More bytes than allowed."""

    status = 413
    title = "Content too large"


class UnsupportedMediaTypeError(ApiError):
    """The body is not in a form that is read here."""

    status = 415
    title = "Unsupported media type"


class InvalidError(ApiError):
    """The request can be read and makes no sense."""

    status = 422
    title = "Invalid request"


class PreconditionRequiredError(ApiError):
    """A change must name the version it was made from."""

    status = 428
    title = "Precondition required"


class TooManyRequestsError(ApiError):
    """The caller asks too often; may ask again in `wait_seconds`."""

    status = 429
    title = "Too many requests"

    def __init__(self, wait_seconds: float) -> None:
        # Whole seconds, and never 0: a client that comes back at once would be refused again.
        seconds = max(1, math.ceil(wait_seconds))
        problem = Problem(
            "too_many_requests",
            "",
            f"请求过于频繁,请在 {seconds} 秒后重试",
            f"Too many requests; try again in {seconds} s.",
        )
        super().__init__(problem, headers={"Retry-After": str(seconds)})


class NotReadyError(ApiError):
    """The platform has nothing to serve yet, or any more."""

    status = 503
    title = "Not ready"
