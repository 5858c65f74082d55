"""Shapes of a customer's identities (身份档案) and of their history (变更记录)."""

from datetime import date, datetime
from typing import Annotated

from pydantic import BaseModel, Field

from api.customers.schemas import MAX_PAGE, Channel
from api.shapes import Input, QueryInt


class MatchReason(BaseModel):
    """Why an identity belongs to its customer (身份匹配过程): the value, and which other identity carries it too."""

    value_type: str = Field(description="phone, unionid, binding, or merge where an operator said so / 依据类型")
    value: str | None = Field(description="Masked; the patient file of a binding / 依据取值(脱敏)")
    via_key: str | None = Field(description="The other identity / 经由身份")


class CustomerIdentity(BaseModel):
    """One record of a source that belongs to the customer; ids that are phones are masked for who may not see them."""

    key: str
    channel: Channel
    scope: str = Field(description="Application or corporation that gave out the id / 应用或企业")
    source_id: str
    first_seen_at: datetime | None
    is_present: bool = Field(description="False once the source holds it no more / 来源中是否仍存在")
    reason: MatchReason | None = Field(description="Null for an identity that stands alone / 匹配依据")


class CustomerIdentities(BaseModel):
    """Every identity of a customer, as the published version has them."""

    version: str = Field(description="Published version they were read from / 数据版本")
    as_of: date
    one_id: str
    identities: list[CustomerIdentity]


class EventQuery(Input):
    """A page of changes."""

    limit: Annotated[int, QueryInt(1, MAX_PAGE), Field(description="Changes per page / 每页条数")] = 50
    cursor: Annotated[
        str | None, Field(max_length=300, description="`next_cursor` of the page before / 上一页返回的游标")
    ] = None


class IdentityEvent(BaseModel):
    """One change of an identity or of a customer's id; what is about customers the caller does not see is null."""

    night: date
    seq: int
    event: str = Field(description="LINKED, MOVED, VANISHED, RETURNED, ID_MERGED, ID_REVIVED, ID_DORMANT / 变更类型")
    key: str | None = Field(description="The identity; null for a change of an id / 身份键")
    from_one_id: str | None
    to_one_id: str | None
    cause: MatchReason | None = Field(description="The value that tied or no longer tied / 变更原因")
    override_id: str | None = Field(description="The decision by hand that caused it / 人工规则")


class IdentityEvents(BaseModel):
    """Newest first; `next_cursor` is null on the last page."""

    version: str = Field(description="Published version they were read from / 数据版本")
    as_of: date
    one_id: str
    events: list[IdentityEvent]
    next_cursor: str | None
