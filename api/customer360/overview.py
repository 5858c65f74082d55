"""The overview of a customer (客户概览): trend and assets."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from api.customer360.activity import counts_by_day
from api.customer360.kind import Kind, Side
from api.customer360.kinds import ALL, KINDS
from api.customer360.person import find_person
from api.customer360.schemas import Assets, KindCount, Trend, TrendDay, TrendQuery
from api.customers.rows import rows_where
from api.customers.sight import Sight
from segment_engine.runtime.published import PublishedReader

ASSETS = (
    "stored_value_total_fen", "stored_value_principal_fen", "stored_value_bonus_fen", "points_balance",
    "usable_coupon_count",
)  # fmt: skip
# What rules and calendars did is nobody's action; the timeline shows it.
COUNTED = tuple(kind for kind in ALL if kind.side is not Side.NEITHER)


def customer_trend(reader: PublishedReader, sight: Sight, one_id: str, query: TrendQuery) -> Trend:
    """Who did how much in the days that end with the business day; raises NotFoundError."""
    with reader.cursor() as (cursor, pointer):
        person = find_person(cursor, sight, one_id)
        last = pointer.as_of
        first = last - timedelta(days=query.days - 1)
        counts = counts_by_day(cursor, COUNTED, person.key, first=first, last=last)
    told: dict[str, Any] = {"version": pointer.version, "as_of": pointer.as_of, "one_id": person.one_id}
    return Trend(**told, days=query.days, first_day=first, last_day=last, **_told(counts, first, query.days))


def _told(counts: Iterable[tuple[date, Kind, int]], first: date, days: int) -> dict[str, Any]:
    of_days: dict[date, Counter[str]] = defaultdict(Counter)
    totals: Counter[str] = Counter()
    for day, kind, count in counts:
        of_days[day][kind.name] += count
        totals[kind.name] += count
    return {
        "customer_total": _of_side(totals, Side.CUSTOMER),
        "staff_total": _of_side(totals, Side.STAFF),
        "kinds": [_kind_count(name, count) for name, count in totals.most_common()],
        "series": [_day(day, of_days[day]) for day in (first + timedelta(days=n) for n in range(days))],
    }


def _of_side(counts: Counter[str], side: Side) -> int:
    return sum(count for name, count in counts.items() if KINDS[name].side is side)


def _day(day: date, counts: Counter[str]) -> TrendDay:
    return TrendDay(
        day=day,
        customer=_of_side(counts, Side.CUSTOMER),
        staff=_of_side(counts, Side.STAFF),
        kinds=dict(counts),
    )


def _kind_count(name: str, count: int) -> KindCount:
    kind = KINDS[name]
    return KindCount(kind=name, label_zh=kind.label_zh, label_en=kind.label_en, side=kind.side, count=count)


def customer_assets(reader: PublishedReader, sight: Sight, one_id: str) -> Assets:
    """What the customer has, as `marts.dim_customer` counts it; raises NotFoundError."""
    with reader.cursor() as (cursor, pointer):
        person = find_person(cursor, sight, one_id)
        values = {"customer_key": person.key}
        (row,) = rows_where(cursor, "dim_customer", ASSETS, "customer_key = $customer_key", values)
    return Assets(version=pointer.version, as_of=pointer.as_of, one_id=person.one_id, **row)
