"""Shapes of tags, segments and groups of tags. Those of their rules are `rule_schemas`'."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from api.audiences.colors import Color, Preset
from api.audiences.rule_schemas import Filter, Note, SentenceShown
from api.jobs.schemas import ProblemShown
from api.keyset import Page
from api.shapes import Choice, Input, QueryBool, QueryInt, Text

MAX_ID = 2**53 - 1
MAX_TAGS_AT_ONCE = 100
MAX_ORDERED = 1000

TagName = Annotated[str, Text(1, 50), Field(description="Name / 标签名称")]
ShortName = Annotated[str, Text(1, 20), Field(description="Name / 名称")]
Description = Annotated[str, Text(0, 500, lines=True), Field(description="What it is for / 描述")]
Search = Annotated[str, Text(1, 50), Field(description="Part of the name / 名称关键字")]
Enabled = Annotated[
    bool | None,
    Field(description="Enabled at once; by default all but a smart one without a filter / 状态:启用或禁用"),
]
Id = Annotated[int, Field(ge=1, le=MAX_ID)]
Ids = Annotated[list[Id], Field(min_length=1, max_length=MAX_ORDERED, description="Ids, the first on top / 新的顺序")]


class FirstTag(Input):
    """A tag of a group that is being made."""

    name: TagName
    description: Description = ""
    color: Color = Preset.BLUE.value
    is_enabled: Enabled = None
    filter: Annotated[Filter | None, Field(description="Of a smart tag: published as its rule / 标签规则")] = None
    note: Note = ""


class NewTag(FirstTag):
    """A tag; whether it is smart is its group's matter."""

    group_id: Id


class NewSegment(Input):
    """A segment, static or smart."""

    is_smart: bool
    name: ShortName
    description: Description = ""
    is_enabled: Enabled = None
    filter: Annotated[Filter | None, Field(description="Of a smart segment: published as its rule / 分群规则")] = None
    note: Note = ""


class TagEdit(Input):
    """A tag as it should be; its rule is edited by itself."""

    name: TagName
    description: Description
    color: Color
    is_enabled: bool


class SegmentEdit(Input):
    """A segment as it should be; its rule is edited by itself."""

    name: ShortName
    description: Description
    is_enabled: bool


class TagCopy(Input):
    """A copy under another name; what is not said is as in the original, the rule as it is published, else drafted."""

    name: TagName
    description: Description | None = None
    color: Color | None = None
    is_enabled: bool | None = None
    filter: Filter | None = None


class SegmentCopy(Input):
    """A copy under another name; what is not said is as in the original, the rule as it is published, else drafted."""

    name: ShortName
    description: Description | None = None
    is_enabled: bool | None = None
    filter: Filter | None = None


class Audience(BaseModel):
    """What tags and segments have in common; the version is also the ETag.

    `member_count` is of the customers whom the caller sees; null for a smart one that was never calculated, or of which
    the file of members is lost. `problems`: what was wrong when it was calculated last, or why its rule is invalid
    (规则失效); its members are still those of the last time that went well.
    """

    id: int
    name: str
    description: str
    is_smart: bool
    is_enabled: bool
    is_preset: bool
    disabled_because: Literal["quota"] | None
    definition: int | None = Field(description="The version of the rule that counts / 生效的规则版本")
    has_draft: bool
    rule: SentenceShown | None = Field(description="The rule in words / 规则")
    member_count: int | None = Field(description="Customers in it / 包含客户数")
    computed_at: datetime | None = Field(description="When it was calculated last / 计算时间")
    as_of: date | None = Field(description="The business day it was calculated for / 业务日期")
    problems: list[ProblemShown]
    failed_at: datetime | None
    version: int
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str


class AudienceDetail(Audience):
    """One, with its rule and its draft, where the caller may read them.

    `warnings` is what is odd about the rule that a request brought, null where it brought none; `calculation` is the
    job (`/v1/jobs/{id}`) that the request started.
    """

    filter: dict[str, Any] | None
    draft: dict[str, Any] | None
    is_hidden: bool
    warnings: list[ProblemShown] | None = None
    calculation: str | None = None


class Tag(Audience):
    """A tag (标签)."""

    group_id: int
    group_name: str
    color: str


class Segment(Audience):
    """A segment (分群)."""


class TagDetail(Tag, AudienceDetail):
    """A tag, with its rule."""


class SegmentDetail(Segment, AudienceDetail):
    """A segment, with its rule."""


class TagPage(BaseModel):
    """Groups in their order, tags in theirs; `next_cursor` is null on the last page."""

    tags: list[Tag]
    next_cursor: str | None


class SegmentPage(BaseModel):
    """Enabled ones first, newest first; `next_cursor` is null on the last page."""

    segments: list[Segment]
    next_cursor: str | None


class SegmentQuery(Page):
    """Which segments; all that is given must fit."""

    search: Search | None = None
    smart: Annotated[QueryBool | None, Field(description="Only smart, or only static ones / 类型")] = None
    enabled: Annotated[QueryBool | None, Field(description="Only enabled, or only disabled ones / 状态")] = None


class TagQuery(SegmentQuery):
    """Which tags; all that is given must fit."""

    group_id: Annotated[
        Annotated[int, QueryInt(1, MAX_ID)] | None, Field(description="Only of this group / 标签组")
    ] = None


class NewGroup(Input):
    """A group with its first tags, the first on top."""

    is_smart: bool
    name: ShortName
    tags: Annotated[list[FirstTag], Field(max_length=MAX_TAGS_AT_ONCE)] = Field(default_factory=list)


class GroupEdit(Input):
    """The name that a group should have."""

    name: ShortName


class TagMatch(BaseModel):
    """A tag whose name holds what was searched for."""

    id: int
    name: str


class Group(BaseModel):
    """A group of tags (标签组); `matching_tags` and `name_matches` say what a search found in it."""

    id: int
    is_smart: bool
    is_default: bool
    name: str
    tag_count: int
    enabled_count: int
    name_matches: bool | None = None
    matching_tags: list[TagMatch] | None = None
    version: int
    created_at: datetime
    created_by: str
    updated_at: datetime


class GroupDetail(Group):
    """A group with its tags; of a new one also what is odd about their rules, and the job that calculates them."""

    tags: list[TagDetail]
    calculation: str | None = None


class GroupPage(BaseModel):
    """In their order; `next_cursor` is null on the last page."""

    groups: list[Group]
    next_cursor: str | None


class GroupQuery(Page):
    """Which groups; all that is given must fit."""

    search: Annotated[Search | None, Field(description="Part of the name of a group or tag / 关键字")] = None
    smart: Annotated[QueryBool | None, Field(description="Only smart, or only static ones / 类型")] = None


class GroupDeletion(Input):
    """How a group is deleted."""

    with_tags: Annotated[QueryBool, Field(description="Together with its tags / 连同标签一起删除")] = False


class GroupOrder(Input):
    """Groups of one kind in the order they should have; those that are not named keep their places."""

    is_smart: bool
    ids: Ids


class TagOrder(Input):
    """Tags of a group in the order they should have; those that are not named keep their places."""

    ids: Ids


class Order(BaseModel):
    """All ids in their order."""

    ids: list[int]


class End(StrEnum):
    """Where a tag goes in its group."""

    TOP = "top"
    BOTTOM = "bottom"


class Move(Input):
    """Put a tag on top of its group (置顶), or at its end (置底)."""

    to: Choice[End]
