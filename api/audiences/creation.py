"""New tags and segments: from a form, several at once in a group, or as a copy. Each in one transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from api.audiences import group_repository, repository
from api.audiences.acting import Acting
from api.audiences.definitions import Usable, first_definition, usable
from api.audiences.kinds import SEGMENT, TAG, Sort
from api.audiences.repository import Row
from api.audiences.schemas import FirstTag, NewSegment, NewTag, SegmentCopy, TagCopy
from api.audiences.states import NO_RULE, against_more, against_name, found, require_none
from api.errors import InvalidError
from segment_engine.problems import Problem

NO_GROUP: Final = Problem("tag_group_unknown", "/group_id", "标签组不存在", "There is no such group of tags.")
STATIC_FILTER: Final = "static_takes_no_filter", "静态标签和静态分群没有规则", "Static ones take no filter."


@dataclass(frozen=True, slots=True)
class Made:
    """A new tag or segment, and the job that calculates it, if any."""

    id: int
    job_id: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request says of a new one; path: where in the request. is_enabled: None where it is not said."""

    name: str
    description: str
    color: str | None
    is_enabled: bool | None
    filter: Any = None
    draft: Any = None
    note: str = ""
    path: str = ""

    @classmethod
    def tag(cls, body: FirstTag, path: str = "") -> "Wanted":
        return cls(body.name, body.description, body.color, body.is_enabled, body.filter, None, body.note, path)

    @classmethod
    def segment(cls, body: NewSegment) -> "Wanted":
        return cls(body.name, body.description, None, body.is_enabled, body.filter, None, body.note)


@dataclass(frozen=True, slots=True)
class Planned:
    """A new one that is in order by itself."""

    wanted: Wanted
    is_smart: bool
    is_enabled: bool
    rule: Usable | None

    @property
    def takes_room(self) -> bool:
        """Whether it counts against the quota."""
        return self.is_smart and self.is_enabled


def create_tag(acting: Acting, body: NewTag) -> Made:
    """A tag on top of its group; raises InvalidError, ConflictError."""
    group = group_repository.one_group(acting.connection, body.group_id)
    if group is None:
        raise InvalidError(NO_GROUP)
    return _create_one(acting, TAG, body.group_id, Wanted.tag(body), is_smart=group["is_smart"], action="create")


def create_segment(acting: Acting, body: NewSegment) -> Made:
    """A segment; raises InvalidError, ConflictError."""
    return _create_one(acting, SEGMENT, None, Wanted.segment(body), is_smart=body.is_smart, action="create")


def copy(acting: Acting, sort: Sort, audience_id: int, body: TagCopy | SegmentCopy) -> Made:
    """Another one with the same rule, in the same group; customers of a static one are not copied."""
    row = found(acting, sort, audience_id)
    return _create_one(acting, sort, row["group_id"], _as_copy(row, body), is_smart=row["is_smart"], action="copy")


def plans_of(
    acting: Acting, wanted: Iterable[Wanted], *, is_smart: bool, further: Iterable[Problem] = ()
) -> list[Planned]:
    """What is to be made; raises InvalidError with everything that is wrong with any of them by itself, and further."""
    plans: list[Planned] = []
    problems = list(further)
    for one in wanted:
        plan = _planned(acting, one, is_smart=is_smart)
        if isinstance(plan, Planned):
            plans.append(plan)
        else:
            problems += plan
    if problems:
        raise InvalidError(*problems)
    return plans


def insert_tags(acting: Acting, group_id: int, plans: Sequence[Planned]) -> list[int]:
    """New tags on top of a group, the first uppermost."""
    top = repository.first_position(acting.connection, group_id) - len(plans) + 1
    return [_insert(acting, TAG, group_id, top + index, plan) for index, plan in enumerate(plans)]


def room_needed(plans: Iterable[Planned]) -> int:
    """How many of them count against the quota."""
    return sum(plan.takes_room for plan in plans)


def _create_one(
    acting: Acting, sort: Sort, group_id: int | None, wanted: Wanted, *, is_smart: bool, action: str
) -> Made:
    (plan,) = plans_of(acting, [wanted], is_smart=is_smart)
    names = against_name(acting, sort.kind, group_id, wanted.name, besides=None)
    require_none([*names, *against_more(acting, sort.kind, room_needed([plan]))])
    position = 0 if group_id is None else repository.first_position(acting.connection, group_id)
    made = _insert(acting, sort, group_id, position, plan)
    job_id = acting.calculate([made]) if plan.takes_room else None
    after = {"name": wanted.name, "is_smart": is_smart, "is_enabled": plan.is_enabled, "group_id": group_id}
    acting.tell(f"{sort.kind}.{action}", sort.kind, made, after=after)
    return Made(made, job_id)


def _planned(acting: Acting, wanted: Wanted, *, is_smart: bool) -> Planned | list[Problem]:
    place = f"{wanted.path}/filter"
    rule: Usable | None = None
    if wanted.filter is not None and not is_smart:
        code, zh, en = STATIC_FILTER
        return [Problem(code, place, zh, en)]
    if wanted.filter is not None:
        found_rule = usable(acting, wanted.filter, None, path=place)
        if isinstance(found_rule, list):
            return found_rule
        rule = found_rule
    elif is_smart and wanted.is_enabled:
        return [Problem(NO_RULE.code, place, NO_RULE.message_zh, NO_RULE.message_en)]
    can_be = not is_smart or rule is not None
    return Planned(wanted, is_smart, can_be if wanted.is_enabled is None else wanted.is_enabled, rule)


def _insert(acting: Acting, sort: Sort, group_id: int | None, position: int, plan: Planned) -> int:
    wanted = plan.wanted
    row = {
        "kind": sort.kind.value,
        "is_smart": plan.is_smart,
        "group_id": group_id,
        "name": wanted.name,
        "description": wanted.description,
        "color": wanted.color,
        "position": position,
        "is_enabled": plan.is_enabled,
        "is_preset": False,
        "definition": None if plan.rule is None else 1,
        "draft": wanted.draft,
        "revision": 0,
        "version": 1,
    }
    stamps = {"created_at": acting.now, "created_by": acting.by, "updated_at": acting.now, "updated_by": acting.by}
    made = repository.insert_audience(acting.connection, {**row, **stamps})
    if plan.rule is not None:
        first_definition(acting, made, plan.rule, note=wanted.note)
    return made


def _as_copy(row: Row, body: TagCopy | SegmentCopy) -> Wanted:
    """The original with what the body says; a rule that was never published stays a draft."""
    told: dict[str, Any] = body.model_dump(exclude_none=True)
    document = told.get("filter", row["filter"])
    draft = row["draft"] if document is None else None
    is_enabled = told.get("is_enabled", row["is_enabled"] and (document is not None or not row["is_smart"]))
    note = f"复制自编号 {row['id']} / Copied from {row['id']}" if "filter" not in told else ""
    worded = {"description": row["description"], "color": row["color"], **told}
    return Wanted(
        body.name,
        worded["description"],
        worded["color"],
        is_enabled,
        document,
        draft,
        note if document is not None else "",
    )
