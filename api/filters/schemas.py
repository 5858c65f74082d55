"""Shapes of the filter routes: what comes in, what goes out. A filter itself is read by the engine."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from api.customers.schemas import Customer
from api.shapes import Day, Input, Text
from segment_engine.tree import AudienceKind

VERSION = "Published version it was asked on / 数据版本"
MAX_SAMPLE = 50

Document = Annotated[dict[str, Any], Field(description="A filter (docs/filter-language.md) / 筛选条件")]
AsOf = Annotated[
    Day | None, Field(description="Customers as they were at the end of this day; today without / 截至日期")
]
Value = str | int | float | bool | list[str] | None


class FilterRequest(Input):
    """A filter, and the day it is asked about."""

    filter: Document
    as_of: AsOf = None


class PreviewRequest(FilterRequest):
    """How many, and some of them."""

    sample: Annotated[int, Field(ge=0, le=MAX_SAMPLE, description="Customers to show / 样例客户数")] = 20


class ExplainRequest(FilterRequest):
    """Why this customer is among those of the filter, or is not."""

    one_id: Annotated[str, Text(1, 64), Field(description="Also one they had before a merge / 客户编号")]


class ConversionRequest(Input):
    """A filter in one of two forms, to be told in the other."""

    to: Annotated[Literal["react-querybuilder", "filter"], Field(description="The form that is wanted / 目标格式")]
    document: Annotated[dict[str, Any], Field(description="In the other form / 原文档")]


class Told(BaseModel):
    """A sentence in both languages."""

    zh: str
    en: str


class Warned(BaseModel):
    """Something odd about a filter that is right."""

    code: str
    path: str
    message_zh: str
    message_en: str


class BranchCount(BaseModel):
    """A rule or group, and how many of the customers whom the caller sees it means by itself."""

    path: str = Field(description="JSON Pointer into the body / 位置")
    sentence: Told
    count: int


class PreviewAnswer(BaseModel):
    """How many customers a filter means among those whom the caller sees, and some of them."""

    version: str = Field(description=VERSION)
    as_of: date
    count: int
    customers: list[Customer] = Field(description="Some of them as they are today; the same ones next time / 样例")
    branches: list[BranchCount] = Field(description="The funnel: every rule and group alone / 各条件人数")
    seconds: float = Field(description="What it took / 用时(秒)")
    remembered: int = Field(description="Conditions that were known already / 命中缓存的条件数")


class DependsOn(BaseModel):
    """What a filter names; fields of a source as `source.field`."""

    fields: list[str]
    sources: list[str]
    tags: list[int]
    segments: list[int]


class DescriptionAnswer(BaseModel):
    """A filter in words."""

    version: str = Field(description=VERSION)
    as_of: date = Field(description="Whose days relative windows count / 相对时间的基准日")
    sentence: Told
    warnings: list[Warned] = Field(description="What is odd about it; it may be used all the same / 提示")
    fingerprint: str = Field(description="Equal for filters of one meaning / 条件指纹")
    depends_on: DependsOn


class ConversionAnswer(BaseModel):
    """The filter in the form that was wanted."""

    document: dict[str, Any]


class ObservedField(BaseModel):
    """A field with its value; `hidden` where the caller may not see it."""

    name: str
    label: Told
    value: Value = Field(description="Money in 元, moments in the tenant's zone, null where there is none / 值")
    text: str | None = Field(description="What people call the value / 名称")
    hidden: bool


class ObservedMeasure(BaseModel):
    """One metric: what was measured, and whether it is as asked."""

    path: str
    sentence: Told
    holds: bool
    value: Value
    hidden: bool


class Evidence(BaseModel):
    """A row that speaks for a rule; `step` of a sequence, from 1."""

    source: str
    label: Told
    fields: list[ObservedField]
    step: int | None


class ObservedAudience(BaseModel):
    """A tag or segment, and whether the customer is in it."""

    kind: AudienceKind
    id: int
    name: str | None
    holds: bool


class Node(BaseModel):
    """One rule or group for one customer."""

    path: str
    kind: str
    sentence: Told
    holds: bool
    observed: list[ObservedField]
    measures: list[ObservedMeasure]
    rows: int | None = Field(description="How many rows `where` kept / 符合条件的记录数")
    evidence: list[Evidence] = Field(description="The newest of them, or one chain of a sequence / 依据")
    missing: Told | None = Field(description="Why there is no chain / 缺少的步骤")
    audiences: list[ObservedAudience]
    parts: "list[Node]"


class Explanation(BaseModel):
    """Why a customer is among those of a filter, or is not."""

    version: str = Field(description=VERSION)
    as_of: date
    one_id: str
    holds: bool
    root: Node
