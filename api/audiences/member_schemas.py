"""Shapes of what is told about members: calculations, who is in, the customer log, overlaps, a customer's own."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from api.audiences.log_events import Change, Trigger
from api.customers.schemas import Customer
from api.keyset import Page
from api.shapes import Choice, Input, Moment, QueryInt, Text, Until

MAX_ID = (1 << 31) - 1
MOST_AT_ONCE = 200
MOST_OVERLAPPING = 6

AudienceNumber = Annotated[int, Field(ge=1, le=MAX_ID, strict=True)]


class RecalculationRequest(Input):
    """Which smart tags and segments are calculated now."""

    ids: Annotated[
        list[AudienceNumber],
        Field(
            min_length=1, max_length=MOST_AT_ONCE, description="Smart tags and segments, enabled / 智能标签与智能分群"
        ),
    ]


class AudienceName(BaseModel):
    """A tag or segment, named."""

    id: int
    kind: Literal["tag", "segment"]
    name: str
    group_name: str | None = Field(description="Of a tag / 标签组")
    is_smart: bool
    is_deleted: bool


class CalculationShown(BaseModel):
    """One calculation that counted. Counts are of the customers whom the caller sees today."""

    number: int
    computed_at: datetime
    as_of: date = Field(description="Business day of the data / 数据日期")
    warehouse: str = Field(description="Published version that was asked / 数据版本")
    definition: int = Field(description="Version of the rule / 规则版本")
    trigger: Trigger
    operator: str
    operator_name: str = Field(description="What they are called / 操作人")
    member_count: int | None = Field(description="Null where the file of members is lost / 客户数")
    entered: int | None
    left: int | None


class CalculationPage(BaseModel):
    """Newest first; `next_cursor` is null on the last page."""

    audience: AudienceName
    calculations: list[CalculationShown]
    next_cursor: str | None


class MemberQuery(Page):
    """Whose members, and of when."""

    at: Annotated[Moment | None, Field(description="As they were at this moment / 历史时点")] = None


class MemberPage(BaseModel):
    """Members in the order of their keys; `next_cursor` is null on the last page."""

    audience: AudienceName
    version: str = Field(description="Published version the customers were read from / 数据版本")
    computed_at: datetime | None = Field(description="When the members of a smart one were found out / 计算时间")
    count: int = Field(description="All of them, not only this page / 客户数")
    customers: list[Customer]
    next_cursor: str | None


class OverlapRequest(Input):
    """Whose members are compared."""

    ids: Annotated[list[AudienceNumber], Field(min_length=2, max_length=MOST_OVERLAPPING)]
    at: Annotated[Moment | None, Field(description="As they were at this moment / 历史时点")] = None


class Overlap(BaseModel):
    """Customers who are in these of the audiences, and in none of the others."""

    ids: list[int]
    count: int


class OverlapAnswer(BaseModel):
    """Every way of being in them that somebody is in; counts are of the customers whom the caller sees."""

    version: str
    audiences: list[AudienceName]
    counts: dict[int, int] = Field(description="Members of each / 各自客户数")
    any: int = Field(description="In one of them at least / 并集")
    all: int = Field(description="In every one / 交集")
    parts: list[Overlap] = Field(description="In exactly these, most customers first / 各组合")


class LogQuery(Page):
    """Which changes; all that is given must fit."""

    audience_id: Annotated[Annotated[int, QueryInt(1, MAX_ID)] | None, Field(description="标签或分群")] = None
    group_id: Annotated[Annotated[int, QueryInt(1, MAX_ID)] | None, Field(description="标签组")] = None
    kind: Annotated[Literal["tag", "segment"] | None, Field(description="Tags or segments / 类型")] = None
    audience_name: Annotated[
        Annotated[str, Text(1, 50)] | None, Field(description="Part of the name of the tag or segment / 标签或分群名称")
    ] = None
    one_id: Annotated[Annotated[str, Text(1, 64)] | None, Field(description="One customer / 客户")] = None
    name: Annotated[
        Annotated[str, Text(1, 50)] | None, Field(description="Customers whose name begins so / 客户姓名(开头)")
    ] = None
    change: Annotated[Choice[Change] | None, Field(description="变动类型")] = None
    trigger: Annotated[Choice[Trigger] | None, Field(description="触发方式")] = None
    operator: Annotated[
        Annotated[str, Text(1, 64)] | None, Field(description="Id of who did it, or part of the name / 操作人")
    ] = None
    since: Annotated[Moment | None, Field(description="From this moment on; 180 days ago without / 开始时间")] = None
    until: Annotated[Until, Field(description="Before this moment / 结束时间")] = None


class LogEntry(BaseModel):
    """A customer entered or left a tag or segment."""

    at: datetime
    audience: AudienceName
    change: Change
    change_zh: str
    trigger: Trigger
    trigger_zh: str
    is_merge: bool = Field(description="No rule did it: two customers became one / 由身份合并引起")
    definition: int | None = Field(description="Version of the rule, of a smart one / 规则版本")
    operator_id: str
    operator_name: str
    one_id: str
    customer_name: str | None = Field(description="Masked for whoever may not see it / 姓名")
    nickname: str | None


class LogPage(BaseModel):
    """Newest first; a page may be short, and the last one has no `next_cursor`."""

    entries: list[LogEntry]
    next_cursor: str | None


class OwnAudience(BaseModel):
    """A tag or segment that a customer is in."""

    audience: AudienceName
    color: str | None
    since: datetime | None = Field(description="Null where it was before what is kept / 进入时间")
    added_by: str | None = Field(description="Who put the customer in, by hand / 操作人")
    computed_at: datetime | None = Field(description="Last calculation of a smart one / 最近计算时间")
    why: str | None = Field(description="Where the reason of a smart one is told / 命中原因")


class OwnAudiences(BaseModel):
    """Of one customer: enabled ones, tags by their groups, then segments."""

    version: str
    one_id: str
    tags: list[OwnAudience]
    segments: list[OwnAudience]


class WhyAnswer(BaseModel):
    """Why a customer is in a smart tag or segment, or is not: by its rule, on today's data."""

    audience: AudienceName
    is_member: bool = Field(description="By its last calculation / 当前是否在内")
    computed_at: datetime | None
    definition: int
    explanation: Any = Field(description="As /v1/filters/explain answers it / 逐条解释")
