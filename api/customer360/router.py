"""`/v1/customers/{one_id}/…` of the profile (客户画像), and `/v1/activity-kinds`."""

from typing import Annotated

from fastapi import Query

from api.access.guard import requires
from api.access.permissions import Permission
from api.contract import answers
from api.customer360.leads import customer_leads
from api.customer360.overview import customer_assets, customer_trend
from api.customer360.records import customer_appointments, customer_bills, recent_records
from api.customer360.schemas import (
    AppointmentPage,
    Assets,
    BillPage,
    BillQuery,
    DaysQuery,
    LeadTracks,
    Recent,
    Summary,
    Trend,
    TrendQuery,
)
from api.customer360.summary import customer_summary
from api.customer360.timeline import activity_kinds, customer_timeline
from api.customer360.timeline_schemas import ActivityKinds, Timeline, TimelineQuery
from api.customers.current import CurrentSight
from api.customers.router import OneId
from api.dependencies import Reader
from api.edge.prefix_router import PrefixRouter

router = PrefixRouter(prefix="/v1/customers", tags=["customer 360"])
kinds_router = PrefixRouter(prefix="/v1/activity-kinds", tags=["customer 360"])


@kinds_router.get("")
@requires(Permission.CUSTOMER_VIEW)
def list_activity_kinds() -> ActivityKinds:
    """The kinds of activity that timelines and trends know, and whose action each is / 动态类型."""
    return activity_kinds()


@router.get("/{one_id}/summary", responses=answers(404))
@requires(Permission.CUSTOMER_VIEW)
def read_summary(one_id: OneId, reader: Reader, sight: CurrentSight) -> Summary:
    """Who the customer is: attributes, channels, WeCom contacts, leads / 客户基础信息."""
    return customer_summary(reader, sight, one_id)


@router.get("/{one_id}/trend", responses=answers(404))
@requires(Permission.CUSTOMER_VIEW)
def read_trend(one_id: OneId, query: Annotated[TrendQuery, Query()], reader: Reader, sight: CurrentSight) -> Trend:
    """What the customer did and what staff did for them, day by day / 动态趋势."""
    return customer_trend(reader, sight, one_id, query)


@router.get("/{one_id}/assets", responses=answers(404))
@requires(Permission.CUSTOMER_VIEW)
def read_assets(one_id: OneId, reader: Reader, sight: CurrentSight) -> Assets:
    """Stored value, points and usable coupons / 客户资产."""
    return customer_assets(reader, sight, one_id)


@router.get("/{one_id}/recent", responses=answers(404))
@requires(Permission.CUSTOMER_VIEW)
def read_recent(one_id: OneId, reader: Reader, sight: CurrentSight) -> Recent:
    """The last four appointments and bills / 近期预约和近期消费记录."""
    return recent_records(reader, sight, one_id)


@router.get("/{one_id}/timeline", responses=answers(404))
@requires(Permission.CUSTOMER_VIEW)
def read_timeline(
    one_id: OneId, query: Annotated[TimelineQuery, Query()], reader: Reader, sight: CurrentSight
) -> Timeline:
    """Everything that happened, online and at the clinics, newest first / 客户动态."""
    return customer_timeline(reader, sight, one_id, query)


@router.get("/{one_id}/lead", responses=answers(404))
@requires(Permission.CUSTOMER_VIEW)
def read_leads(one_id: OneId, reader: Reader, sight: CurrentSight) -> LeadTracks:
    """The customer's leads, what became of each and how it was followed up / 线索跟进."""
    return customer_leads(reader, sight, one_id)


@router.get("/{one_id}/appointments", responses=answers(404))
@requires(Permission.CUSTOMER_VIEW)
def list_appointments(
    one_id: OneId, query: Annotated[DaysQuery, Query()], reader: Reader, sight: CurrentSight
) -> AppointmentPage:
    """Appointments by the day they are for / 预约记录."""
    return customer_appointments(reader, sight, one_id, query)


@router.get("/{one_id}/bills", responses=answers(404))
@requires(Permission.CUSTOMER_VIEW)
def list_bills(one_id: OneId, query: Annotated[BillQuery, Query()], reader: Reader, sight: CurrentSight) -> BillPage:
    """Bills by state and type / 消费记录."""
    return customer_bills(reader, sight, one_id, query)
