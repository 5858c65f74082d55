"""The outermost layer: a request's id, its line in the log, its headers, and an answer whatever happens inside."""

import asyncio
import re
import secrets
import time
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.edge.answers import crash_answer
from api.edge.routes import route_template

log: structlog.stdlib.BoundLogger = structlog.get_logger("cdp.api")

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_NOT_OURS = (asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit)


class RequestMiddleware:
    """Names, times, logs and answers every request; nothing else stands in front of it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        status: int | None = None

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(MutableHeaders(scope=message), scope["path"], request_id)
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


def _request_id(headers: Headers) -> str:
    """The caller's own id where it is a sane one, to follow a request through several systems."""
    given = headers.getlist("x-request-id")
    return given[0] if len(given) == 1 and _SANE_ID.fullmatch(given[0]) else secrets.token_hex(16)


def _add_headers(headers: MutableHeaders, path: str, request_id: str) -> None:
    headers["X-Request-ID"] = request_id
    headers["X-Content-Type-Options"] = "nosniff"
    if path.startswith("/v1/"):
        headers.setdefault("Cache-Control", "no-store")


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
