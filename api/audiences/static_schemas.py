"""Shapes of the routes that put customers into static tags and segments, and take them out."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from api.customers.schemas import CustomerSelection
from api.shapes import Input, Text
from api.storage.audience_members import How

MAX_ONE_IDS = 1_000
MAX_TAGS = 100
MAX_TEXT = 500

OneIds = Annotated[
    list[Annotated[str, Text(1, 64)]],
    Field(min_length=1, max_length=MAX_ONE_IDS, description="Customers that were ticked / 勾选的客户"),
]
Filter = Annotated[dict[str, Any], Field(description="Everybody whom a filter means / 按高级筛选")]
Search = Annotated[
    CustomerSelection,
    Field(description="Everybody whom `POST /v1/customers/search` finds with this / 选择全部(客户列表的查询结果)"),
]
AudienceId = Annotated[int, Field(ge=1)]


class Selection(Input):
    """Customers: those named, all of a filter (`docs/filter-language.md`), or all that the customer list shows."""

    one_ids: OneIds | None = None
    filter: Filter | None = None
    search: Search | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if sum(form is not None for form in (self.one_ids, self.filter, self.search)) != 1:
            raise PydanticCustomError("one_of", "Say one of one_ids, filter and search")
        return self

    @property
    def how(self) -> How:
        """How its customers come in, as their rows tell it: ticked, or all of a filter or search."""
        return "bulk" if self.one_ids is not None else "filter"

    @property
    def told(self) -> dict[str, Any]:
        """As a job keeps it: JSON with the one form that was said."""
        return self.model_dump(mode="json", exclude_none=True)


class MembersChanged(BaseModel):
    """What came of a change; of a job's also `not_seen`, and what a file's rows were."""

    added: int | None = Field(default=None, description="Put in now / 新增客户数")
    already_in: int | None = Field(default=None, description="Were in before / 已在其中")
    removed: int | None = Field(default=None, description="Taken out now / 移除客户数")
    not_in: int | None = Field(default=None, description="Were not in / 不在其中")


class MemberAction(Input):
    """Put the selection into a static tag or segment, or take it out."""

    action: Literal["add_tag", "remove_tag", "add_to_segment", "remove_from_segment"]
    target: Annotated[AudienceId, Field(description="Id of the tag or segment / 标签或分群编号")]
    selection: Selection


class MessageTask(Input):
    """What is to be sent, and under which name colleagues find it again."""

    name: Annotated[str, Text(1, 50)]
    text: Annotated[str, Text(1, MAX_TEXT, lines=True), Field(description="As customers get it / 消息内容")]


class MessageAction(Input):
    """Send everybody in the selection who allows marketing one message."""

    action: Literal["message_task"]
    target: MessageTask
    selection: Selection


BulkAction = Annotated[MemberAction | MessageAction, Field(discriminator="action")]


class TagsToAdd(Input):
    """Static tags to put on one customer."""

    tag_ids: Annotated[list[AudienceId], Field(min_length=1, max_length=MAX_TAGS)]


class TagGroupName(BaseModel):
    """The group that a tag is in."""

    id: int
    name: str


class Operator(BaseModel):
    """Who did something: `name` is null for somebody who is no longer known."""

    key: str = Field(description="`staff:…`, `client:…`, `system:…`")
    name: str | None


class CustomerTag(BaseModel):
    """A static tag on a customer."""

    id: int
    name: str
    color: str | None
    group: TagGroupName
    is_smart: Literal[False] = Field(default=False, description="Smart tags are calculated / 是否智能标签")
    since: datetime = Field(description="When it was put on / 打标签时间")
    by: Operator
    how: str = Field(description="staff, bulk, filter, import, sync / 打标签方式")


class CustomerTags(BaseModel):
    """The enabled static tags on one customer, in the order of groups and tags."""

    tags: list[CustomerTag]
