"""Shapes of saved filters (常用筛选)."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from api.customers.schemas import CustomerFilter
from api.shapes import Input, Text


class SavedFilterInput(Input):
    """A saved filter as it should be."""

    name: Annotated[str, Text(1, 20), Field(description="The caller's own names differ / 名称")]
    shared: Annotated[bool, Field(description="Whether everybody who sees customers may use it / 是否共享")] = False
    filter: Annotated[CustomerFilter, Field(description="Quick filters, without phone and ID number / 快捷筛选")] = (
        CustomerFilter()
    )
    advanced: Annotated[dict[str, Any] | None, Field(description="A filter of at most 8 conditions / 高级筛选")] = None


class FilterProblem(BaseModel):
    """What is wrong with a filter now."""

    code: str
    path: str
    message_zh: str
    message_en: str


class SavedFilter(BaseModel):
    """A saved filter as it is; its version is also its ETag.

    `status` is `invalid` (规则失效) where the caller cannot use it as it is: a field is gone, or the caller sees one
    masked. Somebody else's filter does not tell its values then.
    """

    id: str
    name: str
    shared: bool
    mine: bool
    owner_name: str
    status: Literal["valid", "invalid"] = Field(description="`invalid` is 规则失效 / 规则状态")
    problems: list[FilterProblem]
    filter: dict[str, Any] | None = Field(description="Quick filters, as a search takes them / 快捷筛选")
    advanced: dict[str, Any] | None
    version: int
    created_at: datetime
    updated_at: datetime


class SavedFilters(BaseModel):
    """The caller's own and the shared ones, by name."""

    filters: list[SavedFilter]
