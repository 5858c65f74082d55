"""Shapes of the catalogue routes: what comes in by query, what goes out."""

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from api.customers.schemas import MAX_PAGE
from api.shapes import Input, QueryInt, Text
from segment_engine.operators import FieldType, Shape
from segment_engine.tree import Metric

VERSION = "Published version it was read from / 数据版本"


class CatalogueQuery(Input):
    """In which form."""

    format: Annotated[
        Literal["react-querybuilder"] | None,
        Field(description="As `fields` of react-querybuilder, without fields that the caller may not use / 输出格式"),
    ] = None


class Option(BaseModel):
    """A value to choose, and what people call it; the names of staff are masked by role."""

    value: str
    label: str


class CatalogueField(BaseModel):
    """A field that filters may name."""

    name: str
    type: FieldType
    label_zh: str
    label_en: str
    unit: str | None = Field(description="Of the values in a filter, money is in 元 / 单位")
    options: list[Option] | None = Field(description="What it may hold, null where nobody has listed it / 选项")
    has_more_options: bool = Field(description="There are more; the route of its values finds them / 是否还有更多选项")
    has_values: bool = Field(description="The route of candidate values answers for it / 是否有候选值")
    permission: str | None = Field(description="Class of a personal field / 脱敏类别")
    permitted: bool = Field(description="Whether the caller may filter by it / 当前账号是否可用")
    current_only: bool = Field(description="Not for filters about an earlier day / 仅有当前值")


class ThirdLevel(BaseModel):
    """三级分类."""

    label: str
    fields: list[CatalogueField]


class SecondLevel(BaseModel):
    """二级分类."""

    label: str
    categories: list[ThirdLevel]


class FirstLevel(BaseModel):
    """一级分类."""

    label: str
    categories: list[SecondLevel]


class CatalogueMetric(BaseModel):
    """A metric that is offered with words of its own; others can be asked for too."""

    metric: Metric
    field: str | None
    label_zh: str
    label_en: str


class ValueGroup(BaseModel):
    """A named group of the values of a source's `event` (二级/三级分类)."""

    label: str
    values: list[str]


class CatalogueSource(BaseModel):
    """Rows of one activity."""

    name: str
    category: list[str] = Field(description="一级/二级/三级分类")
    label_zh: str
    label_en: str
    time: str = Field(description="Field that orders the rows / 时间字段")
    known_at: str | None = Field(
        description="Field that says since when a row is known; null: always / 得知时间字段,空为始终已知"
    )
    fields: list[CatalogueField]
    metrics: list[CatalogueMetric]
    groups: list[ValueGroup]


class CatalogueOperator(BaseModel):
    """An operator of a type of fields."""

    name: str
    label_zh: str
    label_en: str
    value: Shape = Field(description="What its value looks like (docs/api.md) / 值的形式")
    negative: bool = Field(description="`null_policy` may be `match` / 否定操作符")


class Limits(BaseModel):
    """How much a filter may say."""

    conditions: int
    nesting: int
    list_items: int
    text: int
    document: int


class FilterLimitsByUse(BaseModel):
    """Of tags and segments, and of filters of the customer list."""

    filter: Limits
    customer_list: Limits


class Catalogue(BaseModel):
    """What filters may speak of."""

    version: str = Field(description=VERSION)
    as_of: date
    attributes: list[FirstLevel]
    sources: list[CatalogueSource]
    operators: dict[FieldType, list[CatalogueOperator]]
    limits: FilterLimitsByUse


class CandidateQuery(Input):
    """Which of a field's values."""

    search: Annotated[
        Annotated[str, Text(1, 50)] | None, Field(description="Value or label contains it, in either case / 包含")
    ] = None
    limit: Annotated[int, QueryInt(1, MAX_PAGE), Field(description="Values at most / 最多条数")] = 50


class Candidate(BaseModel):
    """One value, as a filter writes it."""

    value: bool | int | float | str
    label: str | None = Field(description="What people call it, where a clinic or an employee is meant / 名称")


class CandidateValue(Candidate):
    """One value of the customer."""

    customers: int = Field(description="How many of the customers that the caller sees have it / 客户数")


class SourceValue(Candidate):
    """One value of a source's field."""

    rows: int = Field(description="How many rows of customers that the caller sees have it / 记录数")


class CandidateValues(BaseModel):
    """The values that most customers have, the most frequent first."""

    version: str = Field(description=VERSION)
    as_of: date
    values: list[CandidateValue]
    has_more: bool = Field(description="There are more than `limit` / 是否还有更多")


class SourceValues(BaseModel):
    """The values that stand in most rows, the most frequent first."""

    version: str = Field(description=VERSION)
    as_of: date
    values: list[SourceValue]
    has_more: bool = Field(description="There are more than `limit` / 是否还有更多")
