"""May a tag or segment be enabled, disabled, deleted, called so: what stands against it, all of it at once."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from api.audiences import repository
from api.audiences.acting import Acting
from api.audiences.kinds import Sort
from api.audiences.references import reference_problems, referred_to_by, referrers
from api.audiences.repository import Row
from api.errors import ConflictError, NotFoundError
from api.storage.audience_quotas import quota_of
from api.storage.audience_rules import memberships
from api.versions import require_version
from segment_engine.problems import Problem
from segment_engine.tree import AudienceKind

PRESET: Final = Problem("preset", "", "系统预设,不能修改或删除", "It is the platform's own and cannot be changed.")
NO_RULE: Final = Problem("definition_required", "/filter", "尚未发布规则,不能启用", "Its rule was never published.")
NOT_SMART: Final = Problem("not_smart", "", "静态标签和静态分群没有规则", "Static ones have no rule.")


def found(acting: Acting, sort: Sort, audience_id: int) -> Row:
    """The row; raises NotFoundError."""
    row = repository.one_audience(acting.connection, sort.kind, audience_id)
    if row is None:
        raise NotFoundError(sort.unknown)
    return row


def own_row(acting: Acting, sort: Sort, audience_id: int, if_match: str | None) -> Row:
    """The row as the caller read it, to be changed; raises NotFoundError, ConflictError for the platform's own."""
    row = found(acting, sort, audience_id)
    require_version(row["version"], if_match)
    if row["is_preset"]:
        raise ConflictError(PRESET)
    return row


def require_none(problems: Iterable[Problem]) -> None:
    """Raise ConflictError with what stands against it, if anything does."""
    told = tuple(problems)
    if told:
        raise ConflictError(*told)


def against_name(
    acting: Acting, kind: AudienceKind, group_id: int | None, name: str, *, besides: int | None, path: str = "/name"
) -> Iterator[Problem]:
    """Names are given once in a group, and once among segments."""
    holder = repository.names_in(acting.connection, kind, group_id).get(name)
    if holder is not None and holder != besides:
        told = f"名称「{name}」已存在(编号 {holder})", f"“{name}” is the name of {holder} already."
        yield Problem("name_taken", path, *told)


def against_enabling(acting: Acting, row: Row) -> Iterator[Problem]:
    """A smart one needs a rule that holds, names only what is enabled, and finds room."""
    if not row["is_smart"]:
        return
    if row["filter"] is None:
        yield NO_RULE
        return
    yield from rule_faults(acting, row["filter"], row["id"])
    yield from against_more(acting, AudienceKind(row["kind"]), 1)


def rule_faults(acting: Acting, document: Any, own_id: int | None) -> Iterator[Problem]:
    """What is wrong with a stored rule by now, whoever asks."""
    standing = acting.standing()
    faults = acting.asked.filters.faults(document, standing.known)
    faults = (*faults, *reference_problems(list(memberships(document)), standing, own_id))
    yield from (at("/filter", fault) for fault in faults)


def against_more(acting: Acting, kind: AudienceKind, more: int) -> Iterator[Problem]:
    """So many more smart ones of a kind are enabled only where there is room."""
    quota = quota_of(acting.connection, kind, today=acting.today, included=acting.asked.included)
    if more > 0 and quota.enabled + more > quota.total:
        zh, en = ("智能标签", "smart tags") if kind is AudienceKind.TAG else ("智能分群", "smart segments")
        yield Problem(
            "quota_exhausted",
            "",
            f"可用{zh}总数为{quota.total}个,已启用{quota.enabled}个,还可启用{quota.available}个,不足{more}个",
            f"Up to {quota.total} {en} can be enabled and {quota.enabled} are: there is no room for {more} more.",
        )


def against_disabling(acting: Acting, ids: Iterable[int]) -> Iterator[Problem]:
    """What an enabled one names stays enabled: it would not hold any more."""
    users = referrers(acting.standing(), frozenset(ids), enabled_only=True)
    yield from map(referred_to_by, users)


def against_deleting(acting: Acting, ids: Iterable[int]) -> Iterator[Problem]:
    """What others name stays, also what disabled ones name: they could never be enabled again."""
    users = referrers(acting.standing(), frozenset(ids), enabled_only=False)
    yield from map(referred_to_by, users)


def at(prefix: str, problem: Problem) -> Problem:
    """A problem of a filter, where the filter is a member of something."""
    return Problem(problem.code, prefix + problem.path, problem.message_zh, problem.message_en)
