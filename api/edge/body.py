"""The door: what arrives is read once, completely and in one way, before any route sees it.

Refused here: paths and queries that are no text, bodies that are too large, not JSON or not where they belong. What a
value may be is the routes' own business (`api.shapes`).
"""

import hashlib
import re
from collections.abc import Mapping
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.edge.answers import error_answer
from api.errors import ApiError, BadRequestError, UnsupportedMediaTypeError
from api.strict_json import JsonLimits, canonical_json, parse_json, too_large
from api.strict_url import check_path, check_query
from segment_engine.problems import Problem

WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"})


class BodyMiddleware:
    """Hands on only requests that can be read; `scope["state"]["body_digest"]` is the SHA-256 of the canonical JSON.

    `uploads` maps a path to its cap in bytes: there and below any media type is streamed through, without a digest.
    `*` in a path stands for one segment, an id.
    """

    def __init__(self, app: ASGIApp, limits: JsonLimits, uploads: Mapping[str, int] | None = None) -> None:
        self._app = app
        self._limits = limits
        self._uploads = [(_place(path), cap) for path, cap in (uploads or {}).items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        cap = self._upload_cap(scope)
        body = b""
        try:
            _check_address(scope)
            if cap is None:
                body = await self._read(scope, receive)
            else:
                _check_length(scope, cap)
        except ApiError as error:
            await error_answer(scope, error)(scope, receive, send)
            return
        if cap is None:
            await self._app(scope, _replayed(body, receive), send)
        else:
            await self._stream(scope, receive, send, cap)

    def _upload_cap(self, scope: Scope) -> int | None:
        """The cap of an upload; JSON, in whatever encoding, is read strictly wherever it is sent."""
        if scope["method"] in WITHOUT_BODY or any("json" in kind.lower() for kind in _media_types(scope)):
            return None
        return next((cap for place, cap in self._uploads if place.match(scope["path"])), None)

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        if scope["method"] in WITHOUT_BODY:
            return await _whole_body(receive, 0, BadRequestError(BODY_NOT_ALLOWED))
        cap = self._limits.max_bytes
        _check_length(scope, cap)
        body = await _whole_body(receive, cap, too_large(cap))
        canonical = b""
        if body:
            if not _is_plain_json(scope):
                raise UnsupportedMediaTypeError(NOT_JSON)
            canonical = canonical_json(parse_json(body, self._limits))
        scope.setdefault("state", {})["body_digest"] = hashlib.sha256(canonical).hexdigest()
        return body

    async def _stream(self, scope: Scope, receive: Receive, send: Send, cap: int) -> None:
        """Pass on as it comes; above the cap the application hears that the client left, the client that it is 413."""
        read = 0
        exceeded = answered = False

        async def counted() -> Message:
            nonlocal read, exceeded
            message = await receive()
            read += len(message.get("body", b""))
            exceeded = exceeded or read > cap
            return {"type": "http.disconnect"} if exceeded else message

        async def unless_exceeded(message: Message) -> None:
            nonlocal answered
            if not exceeded or answered:
                answered = True
                await send(message)

        try:
            await self._app(scope, counted, unless_exceeded)
        except Exception:
            if not exceeded or answered:
                raise
        if exceeded and not answered:
            await error_answer(scope, too_large(cap))(scope, receive, send)


def _place(path: str) -> re.Pattern[str]:
    return re.compile("[^/]+".join(map(re.escape, path.split("*"))) + r"(/|\Z)")


def _check_address(scope: Scope) -> None:
    # A server need not pass the raw path on.
    raw_path = scope.get("raw_path") or quote(scope["path"], errors="surrogatepass").encode()
    problems = (*check_path(raw_path), *check_query(scope["query_string"]))
    if problems:
        raise BadRequestError(*problems)


def _check_length(scope: Scope, cap: int) -> None:
    """Refuse what says itself that it is too large; what lies about it is counted while it is read."""
    announced = next(iter(_values(scope, b"content-length")), "")
    if announced.isdecimal() and (len(announced) > 15 or int(announced) > cap):
        raise too_large(cap)


_JSON_TYPE = re.compile(r"application/(json|[a-z0-9!#$&^_.+-]+\+json)", re.IGNORECASE)
_CHARSET = re.compile(r"charset\s*=\s*\"?([^\s;\"]*)", re.IGNORECASE)


def _values(scope: Scope, wanted: bytes) -> list[str]:
    """The values of one header; servers spell names in lower case."""
    return [value.decode("latin-1") for name, value in scope["headers"] if name == wanted]


def _media_types(scope: Scope) -> list[str]:
    return _values(scope, b"content-type")


def _is_plain_json(scope: Scope) -> bool:
    types = _media_types(scope)
    media_type, _, parameters = (types[0] if len(types) == 1 else "").partition(";")
    charset = _CHARSET.search(parameters)
    return (
        _JSON_TYPE.fullmatch(media_type.strip()) is not None
        and (charset is None or charset[1].lower() == "utf-8")
        and all(encoding.lower() == "identity" for encoding in _values(scope, b"content-encoding"))
    )


async def _whole_body(receive: Receive, cap: int, beyond: ApiError) -> bytes:
    """All bytes of the body; raises `beyond` as soon as there are more than `cap`."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadRequestError(BODY_INCOMPLETE)
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > cap:
            raise beyond
        if not message.get("more_body", False):
            return b"".join(chunks)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body once more, as one message; afterwards what really comes, so that a disconnect is still heard."""
    replayed = False

    async def replay() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


NOT_JSON = Problem(
    "unsupported_media_type",
    "",
    "请求体应为未压缩的 application/json(UTF-8)",
    "The body must be application/json in UTF-8, without content encoding.",
)
BODY_NOT_ALLOWED = Problem("body_not_allowed", "", "该请求方法不允许带请求体", "This method takes no body.")
BODY_INCOMPLETE = Problem("body_incomplete", "", "请求体未接收完整", "The connection ended before the body did.")
