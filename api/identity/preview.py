"""Previews of decisions: the request puts a job into the queue, the job asks `cdp identity preview`.

The pipeline is not imported here: a program of its own reads the warehouse, with the pipeline's limits, and can be
stopped at any moment.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection

from api.access.actors import Actor
from api.access.guard import require_everybody
from api.access.permissions import Permission
from api.audit.log import Entry, append
from api.caller import Caller
from api.errors import ConflictError, InvalidError, NotReadyError
from api.identity import service
from api.identity.names import shown_key
from api.identity.repository import buried_keys
from api.identity.rules import NO_KIND, beside_revoke
from api.identity.schemas import OverridePreview, ValueType
from api.jobs.context import Finished, JobContext
from api.jobs.model import Job
from api.jobs.queue import enqueue
from api.settings import ApiSettings
from api.storage.forgetting import IDENTITY_PREVIEW
from segment_engine.problems import Problem
from segment_engine.runtime.published import PublishedReader
from segment_engine.runtime.secret import tenant_secret

__all__ = ["IDENTITY_PREVIEW", "preview_identity", "request_preview"]

log: structlog.stdlib.BoundLogger = structlog.get_logger("cdp.identity")

# Millions of identities take less; then the warehouse is let go, for the night waits for it.
LONGEST_SECONDS = 300.0
LOOK_SECONDS = 1.0

TOO_LONG = Problem(
    "preview_too_long",
    "",
    "预览用时过长,已停止,请稍后再试",
    "The preview took too long and was stopped: try again later.",
)
NOT_DONE = Problem("preview_failed", "", "预览未完成,请稍后再试", "The preview was not finished: try again later.")

_KEYS = ("key", "via_key", "left_key", "right_key")
_LISTS = ("events", "gone_events", "conflicts", "gone_conflicts")


def request_preview(
    connection: Connection,
    reader: PublishedReader,
    actor: Actor,
    caller: Caller,
    body: OverridePreview,
    *,
    secret: bytes,
    now: datetime,
) -> Job:
    """Put the preview into the queue, and its request into the audit log; raises what saving, or revoking, raises."""
    if body.revoke is not None:
        if others := beside_revoke(body):
            raise InvalidError(*others)
        service.require_in_force(service.find_override(connection, body.revoke))
        proposal: dict[str, Any] = {"revoke": [body.revoke]}
        told: dict[str, Any] = {"revoke": body.revoke}
    elif body.kind is None:
        raise InvalidError(NO_KIND)
    else:
        draft = service.known_draft(connection, reader, body.kind, body, secret=secret)
        service.require_no_contradiction(connection, draft)
        proposal = {"rows": [{"kind": draft.kind.value, "a": draft.a, "b": draft.b}]}
        told = service.told_of(draft, secret)
    job = enqueue(
        connection, kind=IDENTITY_PREVIEW, params=proposal, owner=actor, request_id=caller.request_id, now=now
    )
    append(connection, caller, Entry("identity_override.preview", "job", job.id, after=told), now=now)
    return job


def preview_identity(context: JobContext) -> Finished:
    """What the decision would change, as the requester may read it at this moment."""
    require_everybody(context.actor, Permission.IDENTITY_MANAGE)
    # An erasure empties what waits, and cancels it.
    context.check_now()
    told = _ask(context)
    return Finished(_shown(context, told))


def _ask(context: JobContext) -> dict[str, Any]:
    """The program's answer; raises ApiError, and what `check` of the context raises."""
    command = [str(Path(sys.executable).with_name("cdp")), "identity", "preview", "--json"]
    with subprocess.Popen(  # noqa: S603 -- our own program, no argument from outside
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(context.services.settings),
    ) as program:
        try:
            output, errors = _output(context, program)
        except BaseException:
            program.kill()
            raise
    return _answer(program.returncode, output, errors)


def _output(context: JobContext, program: "subprocess.Popen[bytes]") -> tuple[bytes, bytes]:
    proposal: bytes | None = json.dumps(context.job.params).encode()
    ends_at = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < ends_at:
        try:
            return program.communicate(proposal, timeout=LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            proposal = None  # it has been taken, and may be given once only
            context.check_now()
    raise NotReadyError(TOO_LONG)


def _answer(code: int, output: bytes, errors: bytes) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads(output)
    except ValueError:
        # What it says to operators names no person (`pipelines.telling`); what Python says of a crash may.
        said = errors.decode(errors="replace")
        log.warning("preview failed", code=code, said=said[:500] if said.startswith("error") else "")
        raise NotReadyError(NOT_DONE) from None
    if code == 0:
        return told
    # Places in the program's input are none in the request's.
    problems = [Problem(**{**one, "path": ""}) for one in told["problems"]]
    raise ConflictError(*problems)


def _environment(settings: ApiSettings) -> dict[str, str]:
    """Ours, and the settings that both read as they are here."""
    shared = {"CDP_DATA_DIR": str(settings.data_dir), "CDP_TIMEZONE": settings.timezone}
    if settings.database_url is not None:
        shared["CDP_DATABASE_URL"] = settings.database_url.get_secret_value()
    return {**os.environ, **shared}


def _shown(context: JobContext, told: Mapping[str, Any]) -> dict[str, Any]:
    """Without the keys of who is to be forgotten, numbers masked for who may see none."""
    rows = [row for name in _LISTS for row in told[name]]
    keys = {row[name] for row in rows for name in _key_members(row)} - {None}
    settings = context.services.settings
    with context.services.database.read() as connection:
        buried = buried_keys(connection, keys, secret=tenant_secret(settings))
    sees_phones = service.sees_phones(context.actor)

    def read(key: str | None) -> str | None:
        return None if key is None or key in buried else shown_key(key, sees_phones=sees_phones)

    lists = {
        name: [{**row, **{one: read(row[one]) for one in _key_members(row)}} for row in told[name]] for name in _LISTS
    }
    return {**told, **lists}


def _key_members(row: Mapping[str, Any]) -> list[str]:
    """Which members of an event or a refused link hold identity keys; a binding's value is one."""
    values = [
        f"{prefix}value_masked" for prefix in ("", "cause_") if row.get(f"{prefix}value_type") == ValueType.BINDING
    ]
    return [name for name in (*_KEYS, *values) if name in row]
