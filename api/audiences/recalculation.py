"""Asking for tags and segments to be calculated now (重新计算): who may, and which ones can be."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from api.access.actors import Actor
from api.access.guard import missing
from api.access.permissions import Permission
from api.audiences.calculation_queue import enqueue_calculation
from api.audiences.named import NO_AUDIENCE, Named, by_ids
from api.audit.log import Entry, append
from api.caller import Caller
from api.errors import ConflictError, InvalidError, NotPermittedError
from api.jobs.model import Job
from segment_engine.problems import Problem

NEEDED: Final[Mapping[str, Permission]] = {"tag": Permission.TAG_MANAGE, "segment": Permission.SEGMENT_MANAGE}


def request_recalculation(
    connection: Connection, actor: Actor, caller: Caller, ids: Sequence[int], *, now: datetime
) -> Job:
    """Put the job in; raises InvalidError, NotPermittedError, ConflictError for those that cannot be calculated."""
    asked = list(dict.fromkeys(ids))
    found = by_ids(connection, asked)
    there = {one: named for one, named in found.items() if not named.is_deleted}
    if problems := [_unknown(place) for place, one in enumerate(ids) if one not in there]:
        raise InvalidError(*problems)
    lacking = {NEEDED[named.kind] for named in there.values() if not actor.may(NEEDED[named.kind])}
    if lacking:
        raise NotPermittedError(*(missing(one) for one in sorted(lacking)))
    if refused := [problem for place, one in enumerate(ids) if (problem := _refusal(place, there[one])) is not None]:
        raise ConflictError(*refused)
    job = enqueue_calculation(connection, actor, caller, asked, trigger="manual", now=now)
    assert job is not None, "something is asked for"
    append(connection, caller, Entry("audience.recalculate", "job", job.id, after={"ids": asked}), now=now)
    return job


def _refusal(place: int, named: Named) -> Problem | None:
    path = f"/ids/{place}"
    if not named.is_smart:
        return Problem("audience_not_smart", path, "静态标签与分群无需计算", "Static ones are not calculated.")
    if named.definition is None:
        return Problem("audience_not_published", path, "规则尚未发布", "Its rule was never published.")
    if not named.is_enabled:
        return Problem("audience_disabled", path, "只有启用中的才能重新计算", "Only enabled ones can be calculated.")
    return None


def _unknown(place: int) -> Problem:
    return Problem("audience_unknown", f"/ids/{place}", NO_AUDIENCE.message_zh, NO_AUDIENCE.message_en)
