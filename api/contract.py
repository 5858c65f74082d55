"""The OpenAPI document: which answers besides the good one an operation can give, and which operations are open.

`answers` is for what only some routes answer. What the edge, the guard and the store may answer on every route is added
here, from what the route declares.
"""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from api.access.guard import Access, access_of
from api.edge.body import WITHOUT_BODY
from api.errors import PROBLEM_MEDIA_TYPE

WORDS = {
    400: "The request cannot be read / 请求无法读取",
    401: "Nobody known is asking / 未登录或凭证无效",
    403: "Not with this role / 没有权限",
    404: "There is no such thing, or not for this caller / 不存在或不可见",
    409: "Does not fit what is stored / 与现有数据冲突",
    410: "Was there and is gone / 已失效",
    412: "Changed since it was read / 内容已被修改",
    413: "More bytes than allowed / 请求体过大",
    415: "Not JSON / 不支持的内容类型",
    422: "Every problem of the request / 请求中的全部问题",
    428: "An edit must name the version it was made from / 缺少 If-Match",
    429: "Too many requests / 请求过于频繁",
    500: "An error of ours; the log has it under the trace_id / 服务内部错误",
    503: "Not now: nothing is published, or the store is busy / 暂不可用",
}

PROBLEM_DOCUMENT = {
    "type": "object",
    "title": "ProblemDocument",
    "description": "RFC 9457, with every problem at once / 问题说明",
    "required": ["type", "title", "status", "request_id", "problems"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "request_id": {"type": "string"},
        "problems": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["code", "path", "message_zh", "message_en"],
                "properties": {
                    "code": {"type": "string", "description": "Stable, for machines / 稳定的机器码"},
                    "path": {"type": "string", "description": "JSON Pointer, or /query/… /header/… /path/…"},
                    "message_zh": {"type": "string"},
                    "message_en": {"type": "string"},
                },
            },
        },
    },
}
CRASH_DOCUMENT = {
    "type": "object",
    "title": "CrashDocument",
    "required": ["type", "title", "status", "trace_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "trace_id": {"type": "string"},
    },
}


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route that can refuse in these ways; the common ones need not be named."""
    return {status: {"description": WORDS[status], "content": _content(status)} for status in statuses}


def install_contract(app: FastAPI) -> None:
    """Complete the OpenAPI document of the application; call it once, whenever routes are added."""
    plain = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = plain()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas |= {"ProblemDocument": PROBLEM_DOCUMENT, "CrashDocument": CRASH_DOCUMENT}
            document["components"]["securitySchemes"] = {"HTTPBearer": {"type": "http", "scheme": "bearer"}}
            for path, method, access in declared(app):
                operation = document["paths"].get(path, {}).get(method.lower())
                if operation is not None and access is not None:
                    _complete(operation, method, access)
        return app.openapi_schema or {}

    app.openapi = complete  # type: ignore[method-assign]


def declared(app: FastAPI) -> Iterator[tuple[str, str, Access | None]]:
    """Every operation of the application that is ours (path, method), and what access it declares."""
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in sorted(route.methods or ()):
                yield str(context.path), method, access_of(route.endpoint)


def _complete(operation: dict[str, Any], method: str, access: Access) -> None:
    statuses = [400, 422, 429, 500, 503]
    if access.public:
        operation.pop("security", None)
    else:
        operation["security"] = [{"HTTPBearer": []}]
        statuses += [401, 403]
    if method not in WITHOUT_BODY:
        statuses += [413, 415]
    for status in sorted(statuses):
        operation["responses"].setdefault(str(status), {"description": WORDS[status], "content": _content(status)})
    # FastAPI's own guess of what a 422 looks like.
    if "application/json" in operation["responses"]["422"].get("content", {}):
        operation["responses"]["422"] = {"description": WORDS[422], "content": _content(422)}


def _content(status: int) -> dict[str, Any]:
    name = "CrashDocument" if status == 500 else "ProblemDocument"
    return {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{name}"}}}
