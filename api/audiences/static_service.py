"""What the routes of static members do: a few customers at once, many as a job; always in one transaction."""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Connection

from api.access.actors import Actor
from api.access.permissions import Permission
from api.audiences.static_change import Target, change, check_target, note
from api.audiences.static_import import HEADINGS, matched
from api.audiences.static_job import request_change
from api.audiences.static_messages import request_task
from api.audiences.static_people import People
from api.audiences.static_schemas import MembersChanged, MessageTask, Selection
from api.audiences.static_selection import SelectionTold, check_selection, named_people
from api.effects import Effects, Reply
from api.jobs.context import Services
from api.jobs.model import Job
from api.jobs.schemas import job_answer
from api.uploads.reader import read_upload
from api.uploads.spool import Upload
from segment_engine.runtime.secret import tenant_secret


class Changes:
    """Changes that one request asks for. `path` is where its selection stands; `wake` starts the workers."""

    def __init__(self, services: Services, actor: Actor, wake: Callable[[], None], path: str = "") -> None:
        self._services = services
        self._actor = actor
        self._wake = wake
        self._path = path

    async def members(self, effects: Effects, target: Target, selection: Selection) -> Response:
        """Those who are named at once, all of a filter or search as a job; raises ApiError."""
        if (before := await effects.answered()) is not None:
            return before
        if selection.one_ids is not None:
            return await self._at_once(effects, target, selection.one_ids)
        await self._check(target.kind.permission, selection)
        return await self._as_job(
            effects, lambda connection: self._requested(connection, effects, target, selection.told)
        )

    async def upload(self, effects: Effects, target: Target, upload: Upload) -> Response:
        """Those in a table that was sent, as a job; raises ApiError."""
        if (before := await effects.answered()) is not None:
            return before
        await run_in_threadpool(self._check_target, target)
        column = await run_in_threadpool(read_upload, upload.file, HEADINGS)
        found = await run_in_threadpool(matched, self._services, self._actor, target.kind.permission, column)
        told = {"one_ids": list(found.one_ids)}
        return await self._as_job(
            effects, lambda connection: self._requested(connection, effects, target, told, file=found.told)
        )

    async def message(self, effects: Effects, task: MessageTask, selection: Selection) -> Response:
        """One message for each, as a job; raises ApiError."""
        if (before := await effects.answered()) is not None:
            return before
        await self._check(Permission.CUSTOMER_MESSAGE, selection)

        def work(connection: Connection) -> Job:
            return request_task(connection, self._actor, effects.caller, task, selection.told, now=effects.now)

        return await self._as_job(effects, work)

    async def _at_once(self, effects: Effects, target: Target, one_ids: Sequence[str]) -> Response:
        people = await self._named(target.kind.permission, one_ids)

        def work(connection: Connection) -> Reply:
            counts = change(connection, target, people, by=effects.caller.key, now=effects.now)
            told = counts.told(target.act)
            note(connection, effects.caller, target, told, now=effects.now)
            return Reply(MembersChanged(**told).model_dump(exclude_none=True))

        return await effects.once(work)

    async def _as_job(self, effects: Effects, request: Callable[[Connection], Job]) -> Response:
        secret = tenant_secret(self._services.settings)

        def work(connection: Connection) -> Reply:
            job = request(connection)
            return Reply(job_answer(job, secret), status=202, headers={"Location": f"/v1/jobs/{job.id}"})

        answer = await effects.once(work)
        self._wake()
        return answer

    def _requested(
        self,
        connection: Connection,
        effects: Effects,
        target: Target,
        selection: SelectionTold,
        file: dict[str, Any] | None = None,
    ) -> Job:
        return request_change(connection, self._actor, effects.caller, target, selection, file=file, now=effects.now)

    async def _check(self, permission: Permission, selection: Selection) -> None:
        """Refuse what a job could only refuse later."""
        if selection.one_ids is not None:
            await self._named(permission, selection.one_ids)
            return
        await run_in_threadpool(check_selection, self._services, self._actor, selection.told, self._path)

    async def _named(self, permission: Permission, one_ids: Sequence[str]) -> People:
        path = f"{self._path}/one_ids"
        return await run_in_threadpool(named_people, self._services, self._actor, permission, one_ids, path)

    def _check_target(self, target: Target) -> None:
        """Before a large table is read for nothing."""
        with self._services.database.read() as connection:
            check_target(connection, target)
