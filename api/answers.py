"""What routes tell the OpenAPI document about their refusals: `responses=problems(401, 404)`."""

from typing import Any

from api.errors import PROBLEM_MEDIA_TYPE

MEANINGS = {
    400: "The request cannot be read, or has no Idempotency-Key / 请求无法读取",
    401: "Nobody known is asking / 未登录",
    403: "Not with this role / 没有权限",
    404: "No such thing, or not for this caller / 不存在",
    409: "Does not fit what is stored / 与现有数据冲突",
    413: "The body is too large / 请求体过大",
    415: "The body is not JSON / 请求体不是 JSON",
    422: "Every problem of the request / 请求内容有误",
    429: "Too many requests / 请求过于频繁",
    503: "Nothing to serve yet, or the store is busy / 暂不可用",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem documents that a route may answer with."""
    return {status: {"description": MEANINGS[status], "content": {PROBLEM_MEDIA_TYPE: {}}} for status in statuses}
