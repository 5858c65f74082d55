"""Shapes of a customer's profile but its timeline: summary, trend, assets, appointments, bills, leads."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from api.customer360.choices import Several
from api.customer360.kind import Side
from api.customers.schemas import Channel, Customer
from api.keyset import Page
from api.shapes import Input, QueryDay, QueryInt


class BillStatus(StrEnum):
    """State of a bill (账单状态)."""

    UNPAID = "未收费"
    PARTLY_PAID = "部分收费"
    PAID = "已收费"
    REFUNDED = "已退费"
    VOIDED = "已作废"


class BillType(StrEnum):
    """What a bill is for (账单类型)."""

    ITEM = "项目"
    GOODS = "商品"
    CARD = "卡项"
    TOP_UP = "充值"


class OfVersion(BaseModel):
    """What every answer begins with."""

    version: str = Field(description="Published version it was read from / 数据版本")
    as_of: date
    one_id: str = Field(description="The customer's id now / 客户现在的编号")


class ChannelUse(BaseModel):
    """Whether a customer is known through a channel, and as whom: no ids, which are `…/identities`."""

    channel: Channel
    label_zh: str
    label_en: str
    is_known: bool = Field(description="Some source has held such an identity / 是否有该渠道身份")
    identities: list["ChannelIdentity"]


class ChannelIdentity(BaseModel):
    """One identity of a channel."""

    scope: str = Field(description="Application or corporation that gave out the id / 应用或企业")
    first_seen_at: datetime | None
    is_present: bool = Field(description="False once the source holds it no more / 来源中是否仍存在")


class WecomFriend(BaseModel):
    """An employee who has, or had, the customer in WeCom (添加了哪位员工的企微)."""

    staff_name: str | None = Field(description="Masked by role; null for an account of nobody known / 员工姓名")
    add_way: str | None
    added_at: datetime | None
    removed_at: datetime | None
    removed_by: str | None
    is_current: bool = Field(description="Added and not removed since / 当前是否为好友")


class Lead(BaseModel):
    """What a lead channel told; name and phone are masked for whoever may not see them (线索资料)."""

    lead_id: str
    name: str | None
    phone: str | None
    gender: str | None
    clinic_id: str | None
    clinic_name: str | None
    channel_level_1: str | None
    channel_level_2: str | None
    channel_level_3: str | None
    intention_item: str | None
    status: str
    owner_staff_name: str | None
    is_converted: bool
    converted_at: datetime | None
    created_at: datetime


class Summary(OfVersion):
    """Who the customer is (客户基础信息); values in `customer` are explained by `…/origins`."""

    customer: Customer
    avatar_url: str | None = Field(description="Needs `customer.name.view` / 头像(需查看完整姓名权限)")
    age: int | None
    member_level: str | None
    patient_remark: str | None = Field(
        description="Null without names, phones and ID numbers / 患者备注(需全部明文权限)"
    )
    is_subscribed: bool = Field(description="Follows an official account now / 是否关注服务号")
    visit_count: int
    appointment_count: int
    no_show_count: int
    next_appointment_at: datetime | None
    bill_count: int
    net_paid_fen: int = Field(description="Paid less refunds, fen / 累计净实收(分)")
    last_active_at: datetime | None
    channels: list[ChannelUse] = Field(description="All five, known or not / 各渠道身份")
    wecom_friends: list[WecomFriend] = Field(description="The newest first / 添加的企微员工")
    leads: list[Lead] = Field(description="The newest first; empty unless the customer came as one / 线索资料")


def _offered(days: int) -> int:
    if days not in (30, 60, 90):
        raise PydanticCustomError("enum", "Input should be {expected}", {"expected": "30, 60, 90"})
    return days


class TrendQuery(Input):
    """How far the trend looks back."""

    days: Annotated[
        Annotated[int, QueryInt(0, 1000), AfterValidator(_offered)],
        Field(description="30, 60 or 90 / 天数", json_schema_extra={"enum": [30, 60, 90]}),
    ] = 90


class KindCount(BaseModel):
    """A kind of activity and how often it occurred."""

    kind: str
    label_zh: str
    label_en: str
    side: Side
    count: int


class TrendDay(BaseModel):
    """One day, also one on which nothing happened."""

    day: date
    customer: int = Field(description="The customer's own actions / 客户主动行为数")
    staff: int = Field(description="What staff did for them / 员工跟进数")
    kinds: dict[str, int] = Field(description="By kind, where there is any / 按类型")


class Trend(OfVersion):
    """Who did how much in the days that end with the business day (动态趋势)."""

    days: Literal[30, 60, 90]
    first_day: date
    last_day: date
    customer_total: int
    staff_total: int
    kinds: list[KindCount] = Field(description="Kinds with any, the most frequent first / 按类型合计")
    series: list[TrendDay]


class Assets(OfVersion):
    """What the customer has with the chain (客户资产)."""

    stored_value_total_fen: int = Field(description="Principal and bonus, fen / 储值总额(分)")
    stored_value_principal_fen: int = Field(description="fen / 储值本金(分)")
    stored_value_bonus_fen: int = Field(description="fen / 储值赠金(分)")
    points_balance: int = Field(description="积分")
    usable_coupon_count: int = Field(
        description="Not expired, used, voided or on their way to somebody; no cards, no 流量大使券 / 可使用优惠券数量"
    )


class Appointment(BaseModel):
    """One appointment; staff names are masked by role."""

    appointment_id: str
    clinic_id: str
    clinic_name: str | None
    doctor_name: str | None
    created_by_name: str | None
    visit_type: str | None
    item_name: str | None
    channel: str | None
    status: str
    has_arrived: bool
    scheduled_at: datetime
    arrived_at: datetime | None
    left_at: datetime | None
    cancelled_at: datetime | None
    created_at: datetime


class BillItem(BaseModel):
    """One line of a bill."""

    item_name: str | None
    item_category: str | None
    tooth_positions: list[str] | None
    quantity: int | None
    receivable_fen: int | None
    paid_fen: int | None


class Bill(BaseModel):
    """One bill with its lines; amounts are fen, staff names are masked by role."""

    bill_id: str
    clinic_id: str
    clinic_name: str | None
    doctor_name: str | None
    biller_name: str | None
    bill_type: str
    status: str
    original_fen: int
    discount_fen: int
    receivable_fen: int
    paid_fen: int
    refunded_fen: int
    net_paid_fen: int
    owed_fen: int
    billed_at: datetime
    items: list[BillItem]


class Recent(OfVersion):
    """The newest four of each (近期预约, 近期消费)."""

    appointments: list[Appointment] = Field(description="By the time they are for, coming ones too / 近期预约")
    bills: list[Bill]


class DaysQuery(Page):
    """A page, and between which days; both count."""

    first_day: Annotated[QueryDay | None, Field(alias="from", description="From this day on / 开始日期")] = None
    last_day: Annotated[QueryDay | None, Field(alias="to", description="Until this day / 结束日期")] = None

    @field_validator("last_day")
    @classmethod
    def _in_order(cls, last_day: date | None, info: ValidationInfo) -> date | None:
        first_day = info.data.get("first_day")
        if last_day is not None and first_day is not None and last_day < first_day:
            raise PydanticCustomError("days_out_of_order", "`to` must not be before `from`")
        return last_day


class BillQuery(Page):
    """A page of bills of some states and types."""

    status: Annotated[str | None, Several(BillStatus), Field(description="账单状态")] = None
    type: Annotated[str | None, Several(BillType), Field(description="账单类型")] = None


class AppointmentPage(OfVersion):
    """By the time they are for, the latest first; `next_cursor` is null on the last page."""

    appointments: list[Appointment]
    next_cursor: str | None


class BillPage(OfVersion):
    """The newest first; `next_cursor` is null on the last page."""

    bills: list[Bill]
    next_cursor: str | None


class LeadStep(BaseModel):
    """One step of a lead (线索轨迹): into the pool, assigned, claimed, recalled, converted."""

    at: datetime
    event: str
    label_zh: str
    label_en: str
    staff_name: str | None = Field(description="Who has it from then on / 新跟进人")
    from_staff_name: str | None = Field(description="Who had it before / 原跟进人")


class LeadFollowUp(BaseModel):
    """What an employee noted about a lead (线索跟进记录)."""

    at: datetime
    staff_name: str | None
    channel: str | None
    result: str | None
    content: str | None = Field(description="Null without names, phones and ID numbers / 跟进内容(需全部明文权限)")


class LeadTrack(BaseModel):
    """One lead with what happened to it, the newest first."""

    lead: Lead
    track: list[LeadStep]
    follow_ups: list[LeadFollowUp]


class LeadTracks(OfVersion):
    """The leads of the customer, the newest first."""

    leads: list[LeadTrack]
