"""The routes that tags and segments have in common, made once for each: state, copies, and all about rules."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Path, Query, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Connection

from api.access.guard import requires
from api.access.permissions import Permission
from api.audiences import answers as told
from api.audiences import definitions, service, versions
from api.audiences.acting import Acting, Asked, CurrentAsked
from api.audiences.kinds import Sort
from api.audiences.rule_schemas import (
    MAX_NUMBER,
    DefinitionDetail,
    DefinitionPage,
    DefinitionQuery,
    Diff,
    DiffQuery,
    DraftInput,
    Publication,
    Restoration,
    RuleShown,
)
from api.audiences.schemas import MAX_ID, AudienceDetail
from api.clock import now
from api.contract import answers
from api.dependencies import CurrentEffects, Store
from api.edge.prefix_router import PrefixRouter
from api.effects import Effects, Reply
from api.jobs.router import WakeWorkers
from api.shapes import QueryInt
from api.storage.database import Database
from api.versions import IfMatch, etag

AudienceId = Annotated[int, Path(), QueryInt(1, MAX_ID)]
Number = Annotated[int, Path(), QueryInt(1, MAX_NUMBER)]
EDIT = answers(404, 409, 412, 428)


def add_common_routes(router: PrefixRouter, sort: Sort) -> None:
    """Reading, deleting, state and rules of one."""
    _add_reading(router, sort)
    _add_state(router, sort)
    _add_draft(router, sort)
    _add_publishing(router, sort)
    _add_versions(router, sort)


def _add_reading(router: PrefixRouter, sort: Sort) -> None:
    @router.get("/{audience_id}", name=f"read_{sort.kind}", responses=answers(404), response_model=sort.detail)
    @requires(Permission.CUSTOMER_VIEW)
    def read(audience_id: AudienceId, asked: CurrentAsked, store: Store, response: Response) -> AudienceDetail:
        """One, with its rule, its draft and its ETag / 详情."""
        with store.read() as connection:
            found = told.detail(connection, asked, sort, audience_id)
        response.headers["ETag"] = etag(found.version)
        return found

    @router.delete("/{audience_id}", name=f"delete_{sort.kind}", status_code=204, responses=EDIT)
    @requires(sort.manage)
    def delete(audience_id: AudienceId, if_match: IfMatch, asked: CurrentAsked, store: Store) -> None:
        """Delete it; 409 names the rules that name it / 删除."""
        store.write(lambda connection: service.delete(asked.acting(connection, now()), sort, audience_id, if_match))


def _add_state(router: PrefixRouter, sort: Sort) -> None:
    @router.post("/{audience_id}/enable", name=f"enable_{sort.kind}", responses=EDIT, response_model=sort.detail)
    @requires(sort.manage)
    async def enable(
        audience_id: AudienceId, if_match: IfMatch, asked: CurrentAsked, effects: CurrentEffects, wake: WakeWorkers
    ) -> Response:
        """Enable it: 409 without a rule that holds, or without room (`quota_exhausted`) / 启用."""
        return await _changed(asked, effects, wake, sort, audience_id, lambda acting: service.set_enabled(
            acting, sort, audience_id, if_match, is_enabled=True))  # fmt: skip

    @router.post("/{audience_id}/disable", name=f"disable_{sort.kind}", responses=EDIT, response_model=sort.detail)
    @requires(sort.manage)
    async def disable(
        audience_id: AudienceId, if_match: IfMatch, asked: CurrentAsked, effects: CurrentEffects, wake: WakeWorkers
    ) -> Response:
        """Disable it; 409 names the enabled ones whose rules name it / 禁用."""
        return await _changed(asked, effects, wake, sort, audience_id, lambda acting: service.set_enabled(
            acting, sort, audience_id, if_match, is_enabled=False))  # fmt: skip


def _add_draft(router: PrefixRouter, sort: Sort) -> None:
    @router.get("/{audience_id}/draft", name=f"read_{sort.kind}_draft", responses=answers(404))
    @requires(Permission.CUSTOMER_VIEW)
    def read_draft(audience_id: AudienceId, asked: CurrentAsked, store: Store) -> RuleShown:
        """The rule that waits to be published, in words, with what is wrong or odd about it / 规则草稿."""
        with store.read() as connection:
            rule = versions.draft_of(connection, asked, sort, audience_id)
        return rule.model_copy(update={"warnings": told.warnings_of(asked, rule.filter) or []})

    @router.put("/{audience_id}/draft", name=f"put_{sort.kind}_draft", responses=EDIT, response_model=sort.detail)
    @requires(sort.manage)
    def put_draft(
        audience_id: AudienceId, body: DraftInput, if_match: IfMatch, asked: CurrentAsked, store: Store,
        response: Response,
    ) -> AudienceDetail:  # fmt: skip
        """Keep a rule without using it; it must be right, and may name what rules may name / 保存规则草稿."""
        warnings = told.warnings_of(asked, body.filter)

        def work(connection: Connection) -> AudienceDetail:
            definitions.keep_draft(asked.acting(connection, now()), sort, audience_id, if_match, body)
            return told.detail(connection, asked, sort, audience_id, warnings=warnings)

        kept = store.write(work)
        response.headers["ETag"] = etag(kept.version)
        return kept

    @router.delete("/{audience_id}/draft", name=f"delete_{sort.kind}_draft", status_code=204, responses=EDIT)
    @requires(sort.manage)
    def delete_draft(audience_id: AudienceId, if_match: IfMatch, asked: CurrentAsked, store: Store) -> None:
        """Throw the draft away / 丢弃规则草稿."""
        store.write(
            lambda connection: definitions.discard_draft(asked.acting(connection, now()), sort, audience_id, if_match)
        )


def _add_publishing(router: PrefixRouter, sort: Sort) -> None:
    @router.post("/{audience_id}/publish", name=f"publish_{sort.kind}", responses=EDIT, response_model=sort.detail)
    @requires(sort.manage)
    async def publish(
        audience_id: AudienceId, body: Publication, if_match: IfMatch, asked: CurrentAsked, effects: CurrentEffects,
        store: Store, wake: WakeWorkers,
    ) -> Response:  # fmt: skip
        """Publish the draft, or a filter, as the version that counts; an enabled one is calculated / 发布规则."""
        warnings = await run_in_threadpool(_warnings, asked, store, sort, audience_id, None, body.filter)
        return await _changed(asked, effects, wake, sort, audience_id, lambda acting: definitions.publish(
            acting, sort, audience_id, if_match, body), warnings)  # fmt: skip

    @router.post(
        "/{audience_id}/definitions/{number}/restore",
        name=f"restore_{sort.kind}_definition",
        responses=EDIT,
        response_model=sort.detail,
    )
    @requires(sort.manage)
    async def restore(
        audience_id: AudienceId, number: Number, body: Restoration, if_match: IfMatch, asked: CurrentAsked,
        effects: CurrentEffects, store: Store, wake: WakeWorkers,
    ) -> Response:  # fmt: skip
        """Publish the rule of an earlier version once more, as a new version / 恢复规则版本."""
        warnings = await run_in_threadpool(_warnings, asked, store, sort, audience_id, number, None)
        return await _changed(asked, effects, wake, sort, audience_id, lambda acting: definitions.restore(
            acting, sort, audience_id, number, if_match, body), warnings)  # fmt: skip


def _add_versions(router: PrefixRouter, sort: Sort) -> None:
    @router.get("/{audience_id}/definitions", name=f"list_{sort.kind}_definitions", responses=answers(404))
    @requires(Permission.CUSTOMER_VIEW)
    def list_definitions(
        audience_id: AudienceId, query: Annotated[DefinitionQuery, Query()], asked: CurrentAsked, store: Store
    ) -> DefinitionPage:
        """Every version of the rule: who, when, why, in words; newest first / 规则版本."""
        with store.read() as connection:
            return versions.definition_page(connection, asked, sort, audience_id, query)

    @router.get("/{audience_id}/definitions/{number}", name=f"read_{sort.kind}_definition", responses=answers(404))
    @requires(Permission.CUSTOMER_VIEW)
    def read_definition(audience_id: AudienceId, number: Number, asked: CurrentAsked, store: Store) -> DefinitionDetail:
        """One version, with what is wrong or odd about it by now / 规则版本详情."""
        with store.read() as connection:
            found = versions.definition_detail(connection, asked, sort, audience_id, number)
        warnings = told.warnings_of(asked, found.rule.filter) or []
        return found.model_copy(update={"rule": found.rule.model_copy(update={"warnings": warnings})})

    @router.get(
        "/{audience_id}/definitions/{number}/diff", name=f"diff_{sort.kind}_definitions", responses=answers(404, 409)
    )
    @requires(Permission.CUSTOMER_VIEW)
    def diff(
        audience_id: AudienceId, number: Number, query: Annotated[DiffQuery, Query()], asked: CurrentAsked,
        store: Store,
    ) -> Diff:  # fmt: skip
        """What is different from another version: rules added, removed, changed, in words / 规则版本对比."""
        with store.read() as connection:
            return versions.diff(connection, asked, sort, audience_id, number, query)


def _warnings(asked: Asked, store: Database, sort: Sort, audience_id: int, number: int | None, given: Any) -> Any:
    """Of the filter that is given, else of the stored one that is to be published."""
    if given is None:
        with store.read() as connection:
            given = versions.stored_rule(connection, sort, audience_id, number)
    return told.warnings_of(asked, given)


async def _changed(
    asked: Asked,
    effects: Effects,
    wake: Callable[[], None],
    sort: Sort,
    audience_id: int,
    act: Callable[[Acting], str | None],
    warnings: told.Warnings = None,
) -> Response:
    """Do it once, answer with what it made of the tag or segment, and have the workers look for its job."""

    def work(connection: Connection) -> Reply:
        job_id = act(asked.acting(connection, effects.now))
        return told.reply(connection, asked, sort, audience_id, job_id=job_id, warnings=warnings)

    answer = await effects.once(work, slow=True)
    wake()
    return answer
