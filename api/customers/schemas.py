"""Shapes of the customer routes: what comes in by query, what goes out."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, Field

from api.shapes import Choice, Input, QueryInt, Text

MAX_PAGE = 200
MAX_ID = (1 << 63) - 1


class Channel(StrEnum):
    """The five kinds of identity (客户身份渠道)."""

    PATIENT = "patient"
    OFFICIAL_ACCOUNT_FAN = "official_account_fan"
    WECOM_CONTACT = "wecom_contact"
    MINI_PROGRAM_USER = "mini_program_user"
    LEAD = "lead"


class Sort(StrEnum):
    """What the list is sorted by: the newest first, names from A on; customers without a value come last."""

    CREATED_AT = "created_at"
    LAST_VISIT_AT = "last_visit_at"
    NAME = "name"


AudienceIds = Annotated[list[Annotated[int, Field(ge=1, le=MAX_ID)]], Field(max_length=50)]


class CustomerFilter(Input):
    """Which customers; anything else is refused."""

    clinic_id: Annotated[Annotated[str, Text(1, 64)] | None, Field(description="Home clinic / 所属机构")] = None
    channel: Annotated[
        Choice[Channel] | None, Field(description="Only customers known through this channel / 客户身份渠道")
    ] = None
    phone: Annotated[
        Annotated[str, Text(3, 32)] | None, Field(description="Exactly this number, however written / 手机号(精确)")
    ] = None
    id_number: Annotated[
        Annotated[str, Text(3, 32)] | None, Field(description="Exactly this number / 证件号码(精确)")
    ] = None
    name: Annotated[Annotated[str, Text(1, 50)] | None, Field(description="Begins with / 姓名(开头)")] = None
    nickname: Annotated[Annotated[str, Text(1, 50)] | None, Field(description="Contains / 昵称(包含)")] = None


class CustomerSelection(Input):
    """Which customers a list or an export holds: all that is given must fit."""

    filter: Annotated[CustomerFilter, Field(description="Quick filters / 快捷筛选")] = CustomerFilter()
    advanced: Annotated[
        dict[str, Any] | None,
        Field(description="A filter of at most 8 conditions (docs/filter-language.md) / 高级筛选"),
    ] = None
    tag_ids: AudienceIds = Field(default_factory=list, description="In any of these by their last run / 标签")
    segment_ids: AudienceIds = Field(default_factory=list, description="In any of these by their last run / 分群")
    by_rule: Annotated[
        bool, Field(description="Ask the rules of smart ones now, not their last run / 按规则实时查询")
    ] = False

    @property
    def is_evaluated(self) -> bool:
        """Whether more than the customers' own table is asked."""
        return self.advanced is not None or bool(self.tag_ids or self.segment_ids)


class CustomerQuery(CustomerFilter):
    """Filters, order and page of the customer list."""

    limit: Annotated[int, QueryInt(1, MAX_PAGE), Field(description="Customers per page / 每页条数")] = 50
    cursor: Annotated[
        str | None, Field(max_length=4000, description="`next_cursor` of the page before / 上一页返回的游标")
    ] = None
    sort: Annotated[Choice[Sort], Field(description="Newest first, or names from A on / 排序")] = Sort.CREATED_AT


class Customer(BaseModel):
    """One customer; names, phones and ID numbers are masked for whoever may not see them."""

    one_id: str
    avatar_url: str | None = Field(description="Null for whoever may not see the name / 头像")
    nickname: str | None
    name: str | None
    phone: str | None
    gender: str | None
    birth_date: date | None
    id_number: str | None
    city: str | None
    clinic_id: str | None
    clinic_name: str | None
    medical_record_no: str | None
    patient_type: str | None
    source_level_1: str | None
    source_level_2: str | None
    source_level_3: str | None
    first_visit_at: datetime | None
    last_visit_at: datetime | None
    online_consultant_name: str | None
    consultant_name: str | None
    last_visit_doctor_name: str | None
    responsible_doctor_name: str | None
    customer_service_name: str | None
    patient_remark: str | None = Field(
        description="Null for whoever may not see name, phone and ID number, all of which it may hold / 患者备注"
    )
    channels: list[str] = Field(description="How the customer is known / 客户身份渠道")
    created_at: datetime | None


class CustomerAnswer(BaseModel):
    """One customer."""

    version: str = Field(description="Published version the customer was read from / 数据版本")
    as_of: date
    customer: Customer


class CustomerPage(BaseModel):
    """One page, in the order of the sort; `next_cursor` is null on the last page."""

    version: str = Field(description="Published version the page was read from / 数据版本")
    as_of: date
    customers: list[Customer]
    next_cursor: str | None
