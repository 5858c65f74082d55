"""How errors become answers: RFC 9457 problem documents with every problem at once and the request's id."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import Scope

from api.edge.further_rules import further_problems
from api.errors import EARLIER_RELEASE, PROBLEM_MEDIA_TYPE, ApiError, NotReadyError
from api.storage.database import StoreBusyError, StoreGoneError
from api.wording import chinese
from segment_engine.problems import Problem, pointer
from segment_engine.runtime.catalogs import DamagedCatalogError
from segment_engine.runtime.published import DamagedPointerError, EarlierReleaseError, NothingPublishedError

log: structlog.stdlib.BoundLogger = structlog.get_logger("cdp.api")

# One body can hold thousands of wrong members; nobody reads on after a hundred.
MAX_PROBLEMS = 100
# Long enough for the names of all columns there are.
MAX_MESSAGE = 1000

NOTHING_PUBLISHED = Problem(
    "nothing_published",
    "",
    "尚无已发布的数据,请先运行夜间任务",
    "Nothing is published yet; run the nightly pipeline first.",
)
DAMAGED_POINTER = Problem(
    "damaged_pointer",
    "",
    "已发布数据的指针已损坏,请运行 cdp doctor",
    "What is published cannot be found: its pointer is damaged; run cdp doctor.",
)
DAMAGED_CATALOGUE = Problem(
    "damaged_catalogue",
    "",
    "当前数据版本的筛选目录缺失、已损坏或由其他版本的程序写成,请运行 cdp nightly --force",
    "The filter catalogue of the published version is missing, damaged or of another release; run cdp nightly --force.",
)
STORE_BUSY = Problem(
    "store_busy",
    "",
    "系统繁忙,未做任何更改,请稍后重试",
    "The store is busy; nothing was changed, try again.",
)
STORE_GONE = Problem(
    "store_unavailable",
    "",
    "业务库暂时不可用,请稍后使用同一 Idempotency-Key 重试",
    "The store cannot be reached or written; try again later, with the same Idempotency-Key.",
)


def install_error_handlers(app: FastAPI) -> None:
    """Turn every expected exception into a problem document; the unexpected are `api.edge.requests`'."""

    @app.exception_handler(ApiError)
    async def _api_error(request: Request, error: ApiError) -> JSONResponse:
        return error_answer(request.scope, error)

    @app.exception_handler(NothingPublishedError)
    async def _nothing_published(request: Request, error: NothingPublishedError) -> JSONResponse:
        return error_answer(request.scope, NotReadyError(NOTHING_PUBLISHED))

    @app.exception_handler(DamagedPointerError)
    async def _damaged_pointer(request: Request, error: DamagedPointerError) -> JSONResponse:
        return error_answer(request.scope, NotReadyError(DAMAGED_POINTER))

    @app.exception_handler(EarlierReleaseError)
    async def _earlier_release(request: Request, error: EarlierReleaseError) -> JSONResponse:
        return error_answer(request.scope, NotReadyError(EARLIER_RELEASE))

    @app.exception_handler(DamagedCatalogError)
    async def _damaged_catalogue(request: Request, error: DamagedCatalogError) -> JSONResponse:
        log.error("the filter catalogue cannot be read", reason=str(error))
        return error_answer(request.scope, NotReadyError(DAMAGED_CATALOGUE))

    @app.exception_handler(StoreBusyError)
    async def _store_busy(request: Request, error: StoreBusyError) -> JSONResponse:
        log.warning("the operational store is busy", reason=str(error))
        return error_answer(request.scope, NotReadyError(STORE_BUSY, headers={"Retry-After": "1"}))

    @app.exception_handler(StoreGoneError)
    async def _store_gone(request: Request, error: StoreGoneError) -> JSONResponse:
        log.error("the operational store is gone", reason=str(error))
        return error_answer(request.scope, NotReadyError(STORE_GONE, headers={"Retry-After": "5"}))

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        findings = error.errors()
        problems = [_problem_of(finding, error.body) for finding in findings]
        problems += further_problems(request.scope, error.body, findings)
        return problem_answer(request.scope, 422, "Invalid request", problems)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        code, message_zh = HTTP_WORDS.get(error.status_code, ("http_error", "请求无法处理"))
        problem = Problem(code, "", message_zh, str(error.detail))
        return problem_answer(request.scope, error.status_code, str(error.detail), (problem,), error.headers)


HTTP_WORDS = {
    400: ("bad_request", "请求无法读取"),
    401: ("not_authenticated", "请先登录"),
    403: ("not_permitted", "没有权限"),
    404: ("not_found", "资源不存在"),
    405: ("method_not_allowed", "不支持该请求方法"),
    413: ("body_too_large", "请求体过大"),
    415: ("unsupported_media_type", "不支持该内容类型"),
}


def error_answer(scope: Scope, error: ApiError) -> JSONResponse:
    """The problem document of an error."""
    return problem_answer(scope, error.status, error.title, error.problems, error.headers)


def problem_answer(
    scope: Scope, status: int, title: str, problems: Sequence[Problem], headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """An RFC 9457 document; of more than MAX_PROBLEMS problems the rest is only counted."""
    shown, more = problems[:MAX_PROBLEMS], len(problems) - MAX_PROBLEMS
    if more > 0:
        shown = (*shown, Problem("more_problems", "", f"另有 {more} 个问题未列出", f"{more} more problems not shown."))
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "request_id": request_id(scope),
        "problems": [asdict(problem) for problem in shown],
    }
    return JSONResponse(body, status_code=status, headers=headers, media_type=PROBLEM_MEDIA_TYPE)


def crash_answer(scope: Scope) -> JSONResponse:
    """The document for an error of ours: nothing but the id under which the log tells what happened."""
    body = {"type": "about:blank", "title": "Internal error", "status": 500, "trace_id": request_id(scope)}
    return JSONResponse(body, status_code=500, media_type=PROBLEM_MEDIA_TYPE)


def request_id(scope: Scope) -> str:
    """The id that `api.edge.requests` gave the request; empty where it does not run."""
    return str(scope.get("state", {}).get("request_id", ""))


def _problem_of(finding: dict[str, Any], body: Any) -> Problem:
    """A finding of pydantic in our words; its `input` and `ctx` stay here, they may hold what no answer can."""
    place, *rest = finding["loc"]
    code = str(finding["type"])
    path = pointer(_within(body, rest, code)) if place == "body" else pointer((place, *rest))
    message = str(finding["msg"]).removeprefix("Value error, ")[:MAX_MESSAGE].encode("utf-8", "replace").decode()
    return Problem(code, path, chinese(code, finding.get("ctx", {})), message)


def _within(body: Any, location: Sequence[int | str], code: str) -> list[int | str]:
    """The parts of a location that are steps into the body; pydantic also names the branches of a union."""
    steps: list[int | str] = []
    here = body
    for index, part in enumerate(location):
        if _has(here, part):
            here = here[part]
        elif code != "missing" or index < len(location) - 1:
            continue
        steps.append(part)
    return steps


def _has(here: Any, part: int | str) -> bool:
    if isinstance(here, list):
        return isinstance(part, int) and part < len(here)
    return isinstance(here, dict) and part in here
