"""Windows on dates: golden days, and laws that hold on every day."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segment_engine.operators import OPERATORS, FieldType
from segment_engine.values import Span, Unit, Value, Window
from segment_engine.windows import RELATIVE, Days, Moments, anniversaries, months_later, span_of

ZONE = ZoneInfo("Asia/Shanghai")
DAY = timedelta(days=1)
DAYS = st.dates(date(1980, 1, 1), date(2100, 1, 1))
CALENDAR_UNITS = st.sampled_from([unit for unit in Unit if unit is not Unit.HOUR])


def at(day: date, hour: int = 12) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=ZONE)


def days(operator: str, value: Value, today: date) -> Days:
    found = span_of(operator, value, at(today))
    assert isinstance(found, Days)
    return found


# Tuesday.
TODAY = date(2025, 6, 10)


@pytest.mark.parametrize(
    ("operator", "value", "first", "last"),
    [
        ("within_past", Window(7, Unit.DAY), "2025-06-04", "2025-06-10"),
        ("within_past", Window(7, Unit.DAY, include_today=False), "2025-06-03", "2025-06-09"),
        ("within_past", Window(1, Unit.DAY), "2025-06-10", "2025-06-10"),
        ("within_past", Window(2, Unit.WEEK), "2025-05-28", "2025-06-10"),
        ("within_past", Window(1, Unit.MONTH), "2025-05-11", "2025-06-10"),
        ("within_past", Window(1, Unit.MONTH, include_today=False), "2025-05-10", "2025-06-09"),
        ("within_past", Window(1, Unit.YEAR), "2024-06-11", "2025-06-10"),
        ("before_past", Window(7, Unit.DAY), None, "2025-06-03"),
        ("before_past", Window(6, Unit.MONTH), None, "2024-12-10"),
        ("past_range", Span(30, 7, Unit.DAY), "2025-05-12", "2025-06-03"),
        ("within_next", Window(7, Unit.DAY), "2025-06-10", "2025-06-16"),
        ("within_next", Window(1, Unit.MONTH), "2025-06-10", "2025-07-09"),
        ("next_range", Span(30, 7, Unit.DAY), "2025-06-17", "2025-07-09"),
        ("on", date(2025, 1, 1), "2025-01-01", "2025-01-01"),
        ("before", date(2025, 1, 1), None, "2024-12-31"),
        ("after", date(2025, 1, 1), "2025-01-02", None),
        ("between", (date(2025, 1, 1), date(2025, 1, 31)), "2025-01-01", "2025-01-31"),
        ("today", None, "2025-06-10", "2025-06-10"),
        ("yesterday", None, "2025-06-09", "2025-06-09"),
        ("tomorrow", None, "2025-06-11", "2025-06-11"),
        ("this_week", None, "2025-06-09", "2025-06-15"),
        ("last_week", None, "2025-06-02", "2025-06-08"),
        ("next_week", None, "2025-06-16", "2025-06-22"),
        ("this_month", None, "2025-06-01", "2025-06-30"),
        ("last_month", None, "2025-05-01", "2025-05-31"),
        ("next_month", None, "2025-07-01", "2025-07-31"),
        ("this_quarter", None, "2025-04-01", "2025-06-30"),
        ("last_quarter", None, "2025-01-01", "2025-03-31"),
        ("next_quarter", None, "2025-07-01", "2025-09-30"),
        ("this_year", None, "2025-01-01", "2025-12-31"),
        ("last_year", None, "2024-01-01", "2024-12-31"),
        ("next_year", None, "2026-01-01", "2026-12-31"),
    ],
)
def test_golden_days_of_a_tuesday_in_june(operator: str, value: Value, first: str | None, last: str | None) -> None:
    expected = Days(first and date.fromisoformat(first), last and date.fromisoformat(last))  # type: ignore[arg-type]

    assert days(operator, value, TODAY) == expected


@pytest.mark.parametrize(
    ("today", "n", "unit", "first"),
    [
        ("2025-03-31", 1, Unit.MONTH, "2025-03-01"),
        ("2024-03-31", 1, Unit.MONTH, "2024-03-01"),
        ("2025-03-30", 1, Unit.MONTH, "2025-03-01"),
        ("2024-02-29", 1, Unit.YEAR, "2023-03-01"),
        ("2025-02-28", 1, Unit.YEAR, "2024-02-29"),
        ("2025-01-01", 1, Unit.DAY, "2025-01-01"),
        ("2025-01-01", 2, Unit.DAY, "2024-12-31"),
    ],
)
def test_months_and_years_begin_the_day_after_the_same_date(today: str, n: int, unit: Unit, first: str) -> None:
    found = days("within_past", Window(n, unit), date.fromisoformat(today))

    assert found == Days(date.fromisoformat(first), date.fromisoformat(today))


def test_hours_are_exact_and_include_both_ends_unless_a_shorter_window_is_taken_out() -> None:
    now = at(TODAY)
    day, week = timedelta(hours=24), timedelta(hours=168)

    assert span_of("within_past", Window(24, Unit.HOUR), now) == Moments(now - day, now)
    assert span_of("before_past", Window(24, Unit.HOUR), now) == Moments(None, now - day, includes_end=False)
    assert span_of("past_range", Span(168, 24, Unit.HOUR), now) == Moments(now - week, now - day, includes_end=False)
    assert span_of("within_next", Window(24, Unit.HOUR), now) == Moments(now, now + day)
    assert span_of("next_range", Span(168, 24, Unit.HOUR), now) == Moments(now + day, now + week, includes_start=False)


def test_the_day_is_that_of_the_zone_of_as_of() -> None:
    midnight = datetime(2025, 6, 10, 0, 0, tzinfo=ZONE)

    assert span_of("today", None, midnight) == Days(TODAY, TODAY)
    assert span_of("today", None, midnight - timedelta(microseconds=1)) == Days(TODAY - DAY, TODAY - DAY)


@given(today=DAYS, n=st.integers(1, 60), unit=CALENDAR_UNITS)
def test_earlier_than_a_window_begins_where_the_window_does(today: date, n: int, unit: Unit) -> None:
    window = Window(n, unit)
    within, before = days("within_past", window, today), days("before_past", window, today)

    assert within.first is not None
    assert before == Days(None, within.first - DAY)
    assert within.last == today


@given(today=DAYS, a=st.integers(2, 60), b=st.integers(1, 59), unit=CALENDAR_UNITS)
def test_a_range_and_the_shorter_window_make_the_longer_one(today: date, a: int, b: int, unit: Unit) -> None:
    a = max(a, b + 1)
    for within, between in (("within_past", "past_range"), ("within_next", "next_range")):
        longer, shorter = (days(within, Window(n, unit), today) for n in (a, b))
        ring = days(between, Span(a, b, unit), today)
        ends = (ring, shorter) if within == "within_past" else (shorter, ring)
        assert ends[0].last is not None
        assert (ends[0].first, ends[0].last + DAY, ends[1].last) == (longer.first, ends[1].first, longer.last)


@given(today=DAYS)
def test_calendar_stretches_follow_each_other_and_hold_today(today: date) -> None:
    for unit in ("week", "month", "quarter", "year"):
        last, this, following = (days(f"{which}_{unit}", None, today) for which in ("last", "this", "next"))
        assert this.first is not None
        assert this.last is not None
        assert this.first <= today <= this.last
        assert (last.last, following.first) == (this.first - DAY, this.last + DAY)


@given(day=DAYS, months=st.integers(-600, 600))
def test_the_same_date_of_another_month_is_in_that_month(day: date, months: int) -> None:
    moved = months_later(day, months)

    assert (moved.year * 12 + moved.month) - (day.year * 12 + day.month) == months
    assert moved.day == day.day or (moved + DAY).day == 1


def test_a_birthday_on_29_february_is_kept_on_the_28th_in_common_years() -> None:
    assert (2, 29) in anniversaries(1, date(2025, 2, 28))
    assert (2, 29) not in anniversaries(1, date(2024, 2, 28))
    assert anniversaries(2, date(2024, 2, 28)) == {(2, 28), (2, 29)}
    assert anniversaries(3, date(2025, 12, 30)) == {(12, 30), (12, 31), (1, 1)}
    assert len(anniversaries(366, TODAY)) == 366


def test_every_operator_on_dates_that_speaks_of_a_stretch_has_its_days() -> None:
    others = {"not_on", "anniversary_within", "month_in", "day_in", "is_set", "not_set"}
    spoken = OPERATORS[FieldType.DATE].keys() - others
    values = {"past_range": Span(2, 1, Unit.DAY), "next_range": Span(2, 1, Unit.DAY), "between": (TODAY, TODAY)}

    for name in spoken:
        default: Value = Window(1, Unit.DAY) if "within" in name or name == "before_past" else TODAY
        assert days(name, values.get(name, default), TODAY) != Days(None, None)


def test_hours_pass_while_clocks_are_put_forward() -> None:
    # At two o'clock on 4 May 1986 the clocks of Shanghai went to three.
    as_of = datetime(1986, 5, 4, 4, 0, tzinfo=ZoneInfo("Asia/Shanghai"))

    span = span_of("within_past", Window(2, Unit.HOUR), as_of)

    assert span == Moments(datetime(1986, 5, 4, 1, 0, tzinfo=ZoneInfo("Asia/Shanghai")), as_of)


@pytest.mark.parametrize("day", [date(1, 1, 1), date(9999, 12, 31)], ids=["first", "last"])
def test_windows_end_where_the_calendar_ends(day: date) -> None:
    as_of = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo("Asia/Shanghai"))

    for operator in RELATIVE:
        value = {"within_past": Window(100, Unit.YEAR), "before_past": Window(100, Unit.YEAR)}.get(operator)
        value = value or {"within_next": Window(7, Unit.WEEK)}.get(operator)
        value = value or (Span(7, 1, Unit.MONTH) if operator.endswith("_range") else None)
        assert isinstance(span_of(operator, value, as_of), Days)
    assert anniversaries(366, day)
