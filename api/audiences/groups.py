"""What the routes of groups of tags do, each inside one transaction."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from api.audiences import group_repository, repository
from api.audiences.acting import Acting
from api.audiences.creation import Wanted, insert_tags, plans_of, room_needed
from api.audiences.cursor import encode_cursor
from api.audiences.kinds import TAG
from api.audiences.order import order_problems, reordered
from api.audiences.repository import Row
from api.audiences.schemas import Group, GroupEdit, GroupOrder, GroupPage, GroupQuery, NewGroup, TagMatch, TagOrder
from api.audiences.states import PRESET, against_deleting, against_more, require_none
from api.errors import ConflictError, InvalidError, NotFoundError
from api.versions import require_changed, require_version
from segment_engine.problems import Problem

NO_GROUP: Final = Problem("tag_group_unknown", "/path/group_id", "标签组不存在", "There is no such group of tags.")
DEFAULT_GROUP: Final = Problem(
    "default_group", "", "默认分组不能删除", "The default group takes the tags of systems without groups: it stays."
)


@dataclass(frozen=True, slots=True)
class MadeGroup:
    """A new group, its tags in their order, and the job that calculates them, if any."""

    id: int
    tags: list[int]
    job_id: str | None


def create_group(acting: Acting, body: NewGroup) -> MadeGroup:
    """A group above all others, with its first tags; raises InvalidError, ConflictError."""
    wanted = [Wanted.tag(tag, f"/tags/{index}") for index, tag in enumerate(body.tags)]
    return make_group(acting, body.name, wanted, is_smart=body.is_smart)


def make_group(acting: Acting, name: str, wanted: list[Wanted], *, is_smart: bool) -> MadeGroup:
    """A group with these tags; raises InvalidError, ConflictError."""
    plans = plans_of(acting, wanted, is_smart=is_smart, further=_repeated_names(wanted))
    taken = _against_name(acting, name, is_smart=is_smart, besides=None)
    require_none([*taken, *against_more(acting, TAG.kind, room_needed(plans))])
    group_id = group_repository.insert_group(
        acting.connection, is_smart=is_smart, name=name, by=acting.by, now=acting.now
    )
    tags = insert_tags(acting, group_id, plans)
    job_id = acting.calculate([one for one, plan in zip(tags, plans, strict=True) if plan.takes_room])
    acting.tell("tag_group.create", "tag_group", group_id, after={"name": name, "is_smart": is_smart, "tags": tags})
    return MadeGroup(group_id, tags, job_id)


def rename_group(acting: Acting, group_id: int, if_match: str | None, body: GroupEdit) -> None:
    """Another name; raises ConflictError where another group of the kind has it."""
    row = find_group(acting.connection, group_id)
    require_version(row["version"], if_match)
    require_none(_against_name(acting, body.name, is_smart=row["is_smart"], besides=group_id))
    require_changed(group_repository.update_group(acting.connection, row, {"name": body.name}, now=acting.now))
    acting.tell("tag_group.edit", "tag_group", group_id, before={"name": row["name"]}, after={"name": body.name})


def delete_group(acting: Acting, group_id: int, if_match: str | None, *, with_tags: bool) -> None:
    """A group without tags goes; with its tags where that is asked for, and no rule outside names one of them."""
    row = find_group(acting.connection, group_id)
    require_version(row["version"], if_match)
    if row["is_default"]:
        raise ConflictError(DEFAULT_GROUP)
    tags = repository.all_tags(acting.connection, group_id)
    require_none(_against_deleting_tags(acting, tags, with_tags=with_tags))
    ids = [tag["id"] for tag in tags]
    repository.delete_audiences(acting.connection, ids, by=acting.by, now=acting.now)
    require_changed(group_repository.update_group(acting.connection, row, {"deleted_at": acting.now}, now=acting.now))
    acting.tell("tag_group.delete", "tag_group", group_id, before={"name": row["name"], "tags": ids})


def order_groups(acting: Acting, body: GroupOrder) -> list[int]:
    """The groups that the body names in its order, in the places that they have; returns all of the kind."""
    positions = group_repository.positions(acting.connection, is_smart=body.is_smart)
    problems = order_problems(body.ids, positions)
    if problems:
        raise InvalidError(*problems)
    group_repository.set_positions(acting.connection, reordered(body.ids, positions))
    acting.tell("tag_group.order", "tag_group", "", after={"ids": body.ids})
    return list(group_repository.positions(acting.connection, is_smart=body.is_smart))


def order_tags(acting: Acting, group_id: int, body: TagOrder) -> list[int]:
    """The tags that the body names in its order, in the places that they have; returns all of the group's."""
    find_group(acting.connection, group_id)
    positions = {row["id"]: row["position"] for row in repository.all_tags(acting.connection, group_id)}
    problems = order_problems(body.ids, positions)
    if problems:
        raise InvalidError(*problems)
    repository.set_positions(acting.connection, reordered(body.ids, positions))
    acting.tell("tag_group.order_tags", "tag_group", group_id, after={"ids": body.ids})
    return [row["id"] for row in repository.all_tags(acting.connection, group_id)]


def find_group(connection: Connection, group_id: int) -> Row:
    """The row; raises NotFoundError."""
    row = group_repository.one_group(connection, group_id)
    if row is None:
        raise NotFoundError(NO_GROUP)
    return row


def group_page(connection: Connection, query: GroupQuery) -> GroupPage:
    """One page of groups, with what a search found in each."""
    rows = group_repository.page_of_groups(connection, query, limit=query.limit + 1)
    page, more = rows[: query.limit], len(rows) > query.limit
    cursor = encode_cursor((page[-1]["position"], page[-1]["id"])) if more else None
    return GroupPage(groups=shown_groups(connection, page, query.search), next_cursor=cursor)


def shown_groups(connection: Connection, rows: list[Row], search: str | None = None) -> list[Group]:
    """Groups as they are told."""
    ids = [row["id"] for row in rows]
    counts = group_repository.tag_counts(connection, ids)
    groups = [_shown(row, counts.get(row["id"], (0, 0))) for row in rows]
    if search is None:
        return groups
    named = group_repository.matching_groups(connection, ids, search)
    tags = group_repository.matching_tags(connection, ids, search)
    return [
        one.model_copy(
            update={
                "name_matches": one.id in named,
                "matching_tags": [TagMatch(id=tag["id"], name=tag["name"]) for tag in tags.get(one.id, ())],
            }
        )
        for one in groups
    ]


def _shown(row: Row, counts: tuple[int, int]) -> Group:
    same = ("id", "is_smart", "is_default", "name", "version", "created_at", "created_by", "updated_at")
    return Group(**{name: row[name] for name in same}, tag_count=counts[0], enabled_count=counts[1])


def _against_name(acting: Acting, name: str, *, is_smart: bool, besides: int | None) -> Iterator[Problem]:
    holder = group_repository.group_named(acting.connection, name, is_smart=is_smart)
    if holder is not None and holder != besides:
        told = f"标签组「{name}」已存在(编号 {holder})", f"“{name}” is the name of group {holder} already."
        yield Problem("name_taken", "/name", *told)


def _against_deleting_tags(acting: Acting, tags: list[Row], *, with_tags: bool) -> Iterator[Problem]:
    if tags and not with_tags:
        told = f"标签组内还有 {len(tags)} 个标签", f"The group still has {len(tags)} tags; with_tags deletes them too."
        yield Problem("group_not_empty", "/query/with_tags", *told)
        return
    if any(tag["is_preset"] for tag in tags):
        yield PRESET
    yield from against_deleting(acting, [tag["id"] for tag in tags])


def _repeated_names(wanted: list[Wanted]) -> Iterator[Problem]:
    times = Counter(one.name for one in wanted)
    for one in wanted:
        if times[one.name] > 1:
            told = f"本次提交中名称「{one.name}」重复", f"The name “{one.name}” stands twice in this request."
            yield Problem("name_taken", f"{one.path}/name", *told)
