"""The outermost layer: a request's id, its line in the log, its headers, and an answer whatever happens inside."""

import asyncio
import re
import secrets
import time
from collections.abc import Iterable
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.edge.answers import crash_answer
from api.edge.routes import route_template

log: structlog.stdlib.BoundLogger = structlog.get_logger("cdp.api")

_SANE_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_NOT_OURS = (asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit)


class RequestMiddleware:
    """Names, times, logs and answers every request; nothing else stands in front of it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        status: int | None = None

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _with_ours(message["headers"], scope["path"], request_id)
            await send(message)

        began = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, watched)
            except _NOT_OURS:
                raise
            except BaseException:  # a panic of a Rust library is no Exception
                log.exception("unexpected error", route=route_template(scope))
                if status is not None:
                    raise  # half an answer is out already: the server must cut it off
                await crash_answer(scope)(scope, receive, watched)
            finally:
                _log_request(scope, status, time.perf_counter() - began)


def _request_id(scope: Scope) -> str:
    """The caller's own id where it is a sane one, to follow a request through several systems."""
    given = [value for name, value in scope["headers"] if name == b"x-request-id"]
    sane = len(given) == 1 and _SANE_ID.fullmatch(given[0])
    return given[0].decode() if sane else secrets.token_hex(16)


def _with_ours(headers: Iterable[tuple[bytes, bytes]], path: str, request_id: str) -> list[tuple[bytes, bytes]]:
    ours = [*headers, (b"x-request-id", request_id.encode()), (b"x-content-type-options", b"nosniff")]
    if path.startswith("/v1/") and all(name != b"cache-control" for name, _ in ours):
        ours.append((b"cache-control", b"no-store"))
    return ours


def _log_request(scope: Scope, status: int | None, seconds: float) -> None:
    """One line without path, query, address or body: they may name a person."""
    fields: dict[str, Any] = {
        "method": scope["method"],
        "route": route_template(scope),
        "status": status,
        "milliseconds": round(seconds * 1000, 1),
    }
    if (actor := scope["state"].get("actor")) is not None:
        fields["actor"] = str(actor)
    (log.info if status is not None and status < 500 else log.error)("request", **fields)
