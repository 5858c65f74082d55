"""What a caller is told when something is wrong: RFC 9457 problem documents with every problem at once.

ApiError                 an answer with a status and problems
├── NotFoundError        404
└── NotReadyError        503: nothing is published yet
"""

import logging
import secrets
from dataclasses import asdict, dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from segment_engine.runtime.published import NothingPublishedError

log = logging.getLogger("cdp.api")

PROBLEM_MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a request, and where: `path` is a JSON Pointer into the body, or `/query/<name>`."""

    code: str
    path: str
    message_zh: str
    message_en: str


class ApiError(Exception):
    """An answer other than the one hoped for."""

    status = 400
    title = "Bad request"

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(problem.message_en for problem in problems))
        self.problems = problems


class NotFoundError(ApiError):
    """There is no such thing, or the caller may not know of it."""

    status = 404
    title = "Not found"


class NotReadyError(ApiError):
    """The platform has nothing to serve yet."""

    status = 503
    title = "Not ready"


NOTHING_PUBLISHED = Problem(
    "nothing_published",
    "",
    "尚无已发布的数据,请先运行夜间任务",
    "Nothing is published yet; run the nightly pipeline first.",
)


def install_error_handlers(app: FastAPI) -> None:
    """Turn every exception into a problem document."""

    @app.exception_handler(ApiError)
    async def _api_error(request: Request, error: ApiError) -> JSONResponse:
        return problem_response(error.status, error.title, error.problems)

    @app.exception_handler(NothingPublishedError)
    async def _nothing_published(request: Request, error: NothingPublishedError) -> JSONResponse:
        return problem_response(NotReadyError.status, NotReadyError.title, (NOTHING_PUBLISHED,))

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return problem_response(422, "Invalid request", tuple(_problem_of(item) for item in error.errors()))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        code, message_zh = HTTP_WORDS.get(error.status_code, ("http_error", "请求无法处理"))
        problem = Problem(code, "", message_zh, str(error.detail))
        response = problem_response(error.status_code, str(error.detail), (problem,))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def _ours(request: Request, error: Exception) -> JSONResponse:
        trace_id = secrets.token_hex(8)
        log.error("unexpected error, trace %s", trace_id, exc_info=error)
        return JSONResponse(
            {"type": "about:blank", "title": "Internal error", "status": 500, "trace_id": trace_id},
            status_code=500,
            media_type=PROBLEM_MEDIA_TYPE,
        )


HTTP_WORDS = {
    404: ("not_found", "资源不存在"),
    405: ("method_not_allowed", "不支持该请求方法"),
}


def problem_response(status: int, title: str, problems: tuple[Problem, ...]) -> JSONResponse:
    """An RFC 9457 document."""
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "problems": [asdict(problem) for problem in problems],
    }
    return JSONResponse(body, status_code=status, media_type=PROBLEM_MEDIA_TYPE)


def _problem_of(item: dict[str, Any]) -> Problem:
    place, *rest = item["loc"]
    pointer = "/".join(str(part) for part in rest)
    path = f"/{pointer}" if place == "body" else f"/{place}/{pointer}"
    message = str(item["msg"]).removeprefix("Value error, ")
    return Problem(code=str(item["type"]), path=path, message_zh=ZH.get(item["type"], "取值不正确"), message_en=message)


ZH = {
    "missing": "缺少必填项",
    "extra_forbidden": "不支持的参数",
    "int_parsing": "应为整数",
    "greater_than_equal": "数值过小",
    "less_than_equal": "数值过大",
    "string_too_long": "文本过长",
    "string_too_short": "文本过短",
    "string_pattern_mismatch": "格式不正确",
    "invalid_cursor": "翻页游标无效",
}
