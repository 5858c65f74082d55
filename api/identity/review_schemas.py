"""Shapes of the review queues (待审核队列): what waits for an operator's decision, and what they need to make it."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

from api.identity.archive_schemas import MatchReason
from api.keyset import Page
from api.shapes import QueryBool


class Queue(StrEnum):
    """The review queues."""

    CONTESTED_VALUES = "contested-values"
    HUBS = "hubs"
    CONFLICTS = "conflicts"
    NEAR_LIMIT = "near-limit"
    CHANGES = "changes"


class QueueCount(BaseModel):
    """How much stands in one queue."""

    queue: Queue
    total: int = Field(description="Rows in the published version / 总数")
    open: int = Field(description="Those that no override decides / 待处理数")
    new: int = Field(description="New with the published version / 新增数")


class Reviews(BaseModel):
    """Every queue, in the order in which to work them off."""

    version: str = Field(description="Published version they were read from / 数据版本")
    as_of: date
    queues: list[QueueCount]


class ReviewQuery(Page):
    """A page of one queue."""

    open: Annotated[
        QueryBool | None, Field(description="Only undecided, or only decided rows / 仅待处理或仅已处理")
    ] = None


class Review(BaseModel):
    """What every row tells."""

    since_night: date = Field(description="Of which night on it stands / 自哪个业务日期起")
    decided_by: str | None = Field(description="The newest override in force about it / 已决定的人工规则")


class Side(BaseModel):
    """An identity and the customer it belongs to; the name is masked for who may not see everybody's."""

    key: str
    one_id: str
    name: str | None


class Claimant(Side):
    """A patient file that has the phone as its own."""

    detached_by: str | None = Field(description="The override that says it is not this file's / 已解除的人工规则")


class ValueReview(Review):
    """A value that ties fewer than it could; masked for who may not see everybody's phones."""

    value_type: str
    value: str
    value_ref: str = Field(description="Names the value in `POST /v1/identity/overrides` / 取值引用")
    persons: int = Field(description="Different patients who have it as their own / 患者数")
    records: int = Field(description="Identities that carry it / 身份数")


class ContestedValue(ValueReview):
    """A phone that several adults claim (争议号码): `owner` says whose it is, `detach` whose not, `block` nobody's."""

    adults: int
    claimants: list[Claimant]


class Hub(ValueReview):
    """A value that too many carry (公共号码): `allow` lets it tie all the same, `block` settles that it never does."""

    unions: int = Field(description="Different unionids beside it / UnionID 数")


class Conflict(Review):
    """A refused link (身份冲突): `merge` joins the two sides all the same, `split` settles that they are two people."""

    value_type: str
    value: str = Field(description="Masked as history keeps it; a binding's is a patient file / 依据的值(脱敏)")
    tier: int = Field(description="1 binding to 5 phone on a lead form / 依据等级")
    left: Side = Field(description="The identity that was refused / 被拒的身份")
    right: Side | None = Field(description="Who carried the value before; null where left alone is too much / 对方身份")
    reason: str = Field(description="The limit: name, birth_date, id_number, unionids, records, split / 原因代码")
    reason_zh: str
    reason_en: str


class LimitCount(BaseModel):
    """One limit and how near it is."""

    limit: str = Field(description="customer_records or customer_unions / 限制")
    count: int
    most: int


class NearLimit(Review):
    """A customer at 80 % of a limit (接近限制): `split` or `detach` takes somebody out.

    Of one night the nearest first; `since_night` is that of the OneID, which may have grown by a merge.
    """

    one_id: str
    name: str | None
    limits: list[LimitCount]


class Party(BaseModel):
    """A customer of a change; without name, money, appointment or treatment once they are merged into the other."""

    one_id: str
    name: str | None
    stored_value_fen: int = Field(description="储值余额,单位:分")
    next_appointment_at: datetime | None
    open_treatments: int | None = Field(
        description="Items of treatment not finished; null where the version does not tell / 未完成的治疗项目数"
    )


class MovedIdentity(BaseModel):
    """An identity that changed its customer, and why."""

    key: str
    cause: MatchReason | None
    override_id: str | None = Field(description="The decision by hand that caused it / 人工规则")


class Change(Review):
    """A merge or move of the night where money, an appointment or a treatment is at stake: `split` takes it back."""

    from_customer: Party
    to_customer: Party
    is_merged: bool = Field(description="The former id lives on in the new one / 整个并入")
    moved_records: int
    moved: list[MovedIdentity]


class ReviewPage(BaseModel):
    """Newest first; `next_cursor` is null on the last page."""

    version: str = Field(description="Published version they were read from / 数据版本")
    as_of: date
    next_cursor: str | None


class ContestedValuePage(ReviewPage):
    """Contested phones."""

    reviews: list[ContestedValue]


class HubPage(ReviewPage):
    """Hubs."""

    reviews: list[Hub]


class ConflictPage(ReviewPage):
    """Refused links."""

    reviews: list[Conflict]


class NearLimitPage(ReviewPage):
    """Customers near a limit."""

    reviews: list[NearLimit]


class ChangePage(ReviewPage):
    """Merges and moves of the night."""

    reviews: list[Change]
