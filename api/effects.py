"""One effect per Idempotency-Key: the effect, its audit row and the answer are written in one transaction.

Who may call belongs to `api.access`; what is done to the domains.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic_core import to_json
from sqlalchemy import Connection, RowMapping, bindparam, null, select, update
from sqlalchemy.dialects import postgresql, sqlite

from api.caller import Caller
from api.errors import BadRequestError, InvalidError
from api.storage.database import Database
from api.storage.prepared import Prepared
from api.storage.tables.idempotency import idempotency
from segment_engine.problems import Problem

KEEP = timedelta(hours=24)
HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"  # stands on an answer that was given before
_KEY = re.compile(r"[\x21-\x7e]{1,128}")

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias=HEADER,
        description="Chosen by the client, one per effect; a repeated request gets the first answer / 幂等键",
    ),
]

MISSING_KEY = Problem(
    "idempotency_key_required",
    f"/header/{HEADER}",
    "缺少 Idempotency-Key 请求头:请为每次操作生成一个新的键,重试时使用同一个键",
    "The Idempotency-Key header is missing: make up one per effect and repeat it when you try again.",
)
WRONG_KEY = Problem(
    "idempotency_key_invalid",
    f"/header/{HEADER}",
    "Idempotency-Key 应为 1 到 128 个可见 ASCII 字符",
    "An Idempotency-Key is 1 to 128 visible ASCII characters.",
)
REUSED_KEY = Problem(
    "idempotency_key_reused",
    f"/header/{HEADER}",
    "该 Idempotency-Key 已用于另一个请求",
    "This Idempotency-Key was used for another request.",
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What an effect answers: a JSON body (anything pydantic can encode), a status, headers.

    `target` names whom the body is about (`customer:<one_id>`), so that erasure finds stored answers.
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Effects:
    """The one way in which a POST changes something: `await effects.once(work)`."""

    database: Database
    caller: Caller
    operation: str
    key: str
    fingerprint: str
    now: datetime

    async def answered(self) -> Response | None:
        """The answer that was given before, if any: for routes that ask whether they may act before they act.

        What is so by now must not refuse what was done then. Raises InvalidError as `once` does.
        """
        stored = await run_in_threadpool(self._found)
        return None if stored is None else _response(stored)

    async def once(self, work: Callable[[Connection], Reply], *, slow: bool = False) -> Response:
        """Do the work, or answer as it was answered before; an error of `work` undoes everything and is not kept.

        `slow` work asks more than the store (the published marts, files): it is done in a thread, alone.
        Raises InvalidError when the key was used for another request.
        """

        def in_transaction(connection: Connection) -> dict[str, Any]:
            return self._in_transaction(connection, work)

        if slow:
            stored = await run_in_threadpool(self.database.write, in_transaction)
        else:
            stored = await self.database.write_async(in_transaction)
        return _response(stored)

    @property
    def _place(self) -> dict[str, str]:
        return {"at_caller": self.caller.key, "at_operation": self.operation, "at_key": self.key}

    def _found(self) -> dict[str, Any] | None:
        with self.database.read() as connection:
            row = connection.execute(_STORED, self._place).mappings().one_or_none()
        return None if row is None or row["expires_at"] <= self.now else self._told(row)

    def _in_transaction(self, connection: Connection, work: Callable[[Connection], Reply]) -> dict[str, Any]:
        if not self._claim(connection):
            return self._told(connection.execute(_STORED, self._place).mappings().one())
        reply = work(connection)
        body = None if reply.body is None else _json(reply.body)
        answer = {"status": reply.status, "headers": dict(reply.headers), "body": body}
        _ANSWER.run(connection, {**self._place, **answer, "target": reply.target})
        return {**answer, "replayed": False}

    def _claim(self, connection: Connection) -> bool:
        """Put our row down first: whoever comes with the same key waits here until we have committed."""
        row = {
            "caller": self.caller.key,
            "operation": self.operation,
            "key": self.key,
            "fingerprint": self.fingerprint,
            "created_at": self.now,
            "expires_at": self.now + KEEP,
        }
        return bool(_CLAIM[self.database.kind].run(connection, row))

    def _told(self, row: RowMapping) -> dict[str, Any]:
        if row["fingerprint"] != self.fingerprint:
            raise InvalidError(REUSED_KEY)
        return {"status": row["status"], "headers": row["headers"], "body": row["body"], "replayed": True}


def _response(stored: Mapping[str, Any]) -> Response:
    headers = dict(stored["headers"])
    if stored["replayed"]:
        headers[REPLAYED] = "true"
    media_type = "application/json" if stored["body"] is not None else None
    return Response(stored["body"], status_code=stored["status"], headers=headers, media_type=media_type)


def _claim_of(dialect: Any) -> Prepared:
    """A key that has expired is free again, whether or not the sweeper has been there."""
    place, terms = ("caller", "operation", "key"), ("fingerprint", "created_at", "expires_at")
    row = dialect.insert(idempotency).values({name: bindparam(name) for name in (*place, *terms)})
    renewed = {name: row.excluded[name] for name in terms}
    emptied: dict[str, Any] = dict.fromkeys(("status", "headers", "body", "target"), null())
    return Prepared(
        row.on_conflict_do_update(
            index_elements=place,
            set_={**renewed, **emptied},
            where=idempotency.c.expires_at <= row.excluded.created_at,
        ).returning(idempotency.c.key)
    )


_CLAIM = {"sqlite": _claim_of(sqlite), "postgresql": _claim_of(postgresql)}
_PLACE = (
    idempotency.c.caller == bindparam("at_caller"),
    idempotency.c.operation == bindparam("at_operation"),
    idempotency.c.key == bindparam("at_key"),
)
_STORED = select(idempotency).where(*_PLACE)
_ANSWER = Prepared(
    update(idempotency)
    .where(*_PLACE)
    .values({name: bindparam(name) for name in ("status", "headers", "body", "target")})
)


def effects_of(
    request: Request, database: Database, caller: Caller, *, key: str | None, operation: str, now: datetime
) -> Effects:
    """The effects of one request; raises BadRequestError when it has no key or one that cannot be one."""
    if key is None:
        raise BadRequestError(MISSING_KEY)
    if _KEY.fullmatch(key) is None:
        raise BadRequestError(WRONG_KEY)
    # The path says what is acted on; the body digest is of the canonical JSON (`api.edge.body`).
    told = "\n".join(
        (request.method, request.scope["path"], request.scope["query_string"].decode(), request.state.body_digest)
    )
    return Effects(database, caller, operation, key, hashlib.sha256(told.encode()).hexdigest(), now)


def _json(value: Any) -> str:
    return to_json(value, by_alias=True, inf_nan_mode="null").decode()
