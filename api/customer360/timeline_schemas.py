"""Shapes of a customer's timeline (客户动态)."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, Field

from api.customer360.choices import Several
from api.customer360.kind import FactType, Side
from api.customer360.kinds import KINDS
from api.customer360.schemas import DaysQuery, OfVersion


class ActivityKind(BaseModel):
    """One kind of activity that timelines and trends know."""

    kind: str
    label_zh: str
    label_en: str
    side: Side


class ActivityKinds(BaseModel):
    """All kinds, in the order in which a menu shows them."""

    kinds: list[ActivityKind]


class TimelineQuery(DaysQuery):
    """A page of the timeline: of some kinds, between days, of one side."""

    kind: Annotated[
        str | None,
        Several(KINDS),
        Field(description="One or several of `GET /v1/activity-kinds`, by commas / 动态类型"),
    ] = None
    side: Annotated[
        str | None, Several(Side), Field(description="customer, staff, neither; several by commas / 客户行为或员工跟进")
    ] = None


class Fact(BaseModel):
    """One thing told of an activity; money is integer fen."""

    name: str
    label_zh: str
    label_en: str
    type: FactType
    value: bool | int | Decimal | date | datetime | list[str] | str | None
    is_hidden: bool = Field(
        description="True where the caller may not read it: free text needs names, phones and ID numbers / 是否隐藏"
    )


class SourceRow(BaseModel):
    """Which row of which mart says so; a key that is somebody's id in a channel needs `customer.phone.view`."""

    table: str
    key: str | None


class Activity(BaseModel):
    """One entry of the timeline."""

    at: datetime
    kind: str
    label_zh: str
    label_en: str
    side: Side
    title: str | None = Field(description="What it was about / 标题")
    clinic_id: str | None
    clinic_name: str | None
    staff_name: str | None = Field(description="Masked by role / 员工姓名(按角色脱敏)")
    facts: list[Fact]
    source: SourceRow


class Timeline(OfVersion):
    """The newest first; `next_cursor` is null on the last page."""

    activities: list[Activity]
    next_cursor: str | None
