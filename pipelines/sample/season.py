"""When things happen: days of the window with their weekly rhythm and season, hours of clinics and of phones.

Which things happen belongs to `journey`, `wechat_events` and their neighbours.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from pipelines.sample.draw import DAY, Dice, Ints, Rng, between

EPOCH = date(1970, 1, 1)
DAILY_BATCHES = 3
_CLINIC_WEEK = (0.62, 0.85, 0.9, 0.9, 1.0, 1.6, 1.45)
_ONLINE_WEEK = (0.92, 0.94, 0.95, 0.98, 1.1, 1.2, 1.25)
_CLINIC_YEAR = (0.95, 0.5, 1.0, 1.0, 1.02, 1.05, 1.35, 1.3, 0.92, 1.0, 1.0, 1.05)
_ONLINE_YEAR = (1.0, 0.8, 1.0, 1.0, 1.05, 1.3, 1.15, 1.1, 1.0, 1.0, 1.5, 1.1)
_CLINIC_HOURS = (0.8, 1.35, 1.1, 0.35, 0.7, 1.2, 1.25, 1.1, 0.9, 0.9, 0.5)  # 09:00 to 19:59
_PHONE_HOURS = (3, 1, 0.5, 0.3, 0.3, 0.6, 2, 4, 5, 5, 5, 6, 8, 6, 5, 5, 5, 6, 8, 11, 14, 15, 12, 7)
_clinic_hour = Dice(_CLINIC_HOURS)
_phone_hour = Dice(_PHONE_HOURS)


def day_number(when: date) -> int:
    """Local days since 1970-01-01."""
    return (when - EPOCH).days


@dataclass(frozen=True, slots=True)
class Season:
    """The window of the sample, and how likely each of its days is."""

    first: int  # day number of the window's first day
    last: int  # day number of the last full day
    clinic: NDArray[np.float64]  # cumulative share of visits by the end of each day
    online: NDArray[np.float64]  # the same for behaviour on phones

    @property
    def close(self) -> int:
        """The second after the last day."""
        return (self.last + 1) * DAY

    @property
    def cutoffs(self) -> Ints:
        """The seconds at which the daily batches begin."""
        days = np.arange(self.last - DAILY_BATCHES + 1, self.last + 1, dtype=np.int64)
        return days * DAY

    def clinic_days(self, rng: Rng, low: Ints, high: Ints) -> Ints:
        """A day for each pair of bounds (inclusive), drawn by the rhythm of clinics."""
        return self._draw(rng, self.clinic, low, high)

    def online_days(self, rng: Rng, low: Ints) -> Ints:
        """A day from each bound to the last day, drawn by the rhythm of phones."""
        return self._draw(rng, self.online, low, np.full(len(low), self.last, dtype=np.int64))

    def _draw(self, rng: Rng, cumulative: NDArray[np.float64], low: Ints, high: Ints) -> Ints:
        start = np.clip(low - self.first, 0, len(cumulative) - 1)
        stop = np.clip(high - self.first, start, len(cumulative) - 1)
        floor = np.where(start > 0, cumulative[start - 1], 0.0)
        wanted = floor + rng.random(len(low)) * (cumulative[stop] - floor)
        places = np.searchsorted(cumulative, wanted, side="right")
        return np.clip(places, start, stop).astype(np.int64) + self.first


def season_of(*, days: int, end_on: date) -> Season:
    """The season of the `days` days that end with `end_on`."""
    last = day_number(end_on)
    first = last - days + 1
    return Season(
        first=first,
        last=last,
        clinic=_cumulative(first, last, _CLINIC_WEEK, _CLINIC_YEAR),
        online=_cumulative(first, last, _ONLINE_WEEK, _ONLINE_YEAR),
    )


def _cumulative(first: int, last: int, week: tuple[float, ...], year: tuple[float, ...]) -> NDArray[np.float64]:
    dates = [EPOCH + timedelta(days=number) for number in range(first, last + 1)]
    growth = np.linspace(0.85, 1.15, len(dates))
    weights = np.array([week[d.weekday()] * year[d.month - 1] for d in dates]) * growth
    shares: NDArray[np.float64] = np.cumsum(weights) / weights.sum()
    return shares


def clinic_seconds(rng: Rng, size: int) -> Ints:
    """Seconds of the day of appointments: quarters of an hour between 09:00 and 19:45, fewer at noon."""
    return (9 + _clinic_hour.throw(rng, size)) * 3600 + between(rng, 0, 3, size) * 900


def phone_seconds(rng: Rng, size: int) -> Ints:
    """Seconds of the day of behaviour on phones: most in the evening."""
    return _phone_hour.throw(rng, size) * 3600 + between(rng, 0, 3599, size)


@dataclass(frozen=True, slots=True)
class Offsets:
    """The zone's distance from UTC for every hour of local time in reach of the sample."""

    first_hour: int
    seconds: Ints

    def of(self, local_seconds: Ints) -> Ints:
        """Seconds east of UTC at each local second."""
        place = np.clip(local_seconds // 3600 - self.first_hour, 0, len(self.seconds) - 1)
        return self.seconds[place]


@cache
def offsets_of(zone: ZoneInfo, *, first: int, last: int) -> Offsets:
    """Offsets of `zone` for the local days `first` to `last`; a repeated hour counts as its first."""
    start = datetime(1970, 1, 1) + timedelta(days=first)
    days = [start + timedelta(days=number) for number in range(last - first + 2)]
    at_midnight = [_east(midnight, zone) for midnight in days]
    seconds: list[int] = []
    for midnight, east, next_east in zip(days, at_midnight, at_midnight[1:], strict=False):
        # Only a day whose ends differ has a change inside it.
        seconds += [_east(midnight + timedelta(hours=h), zone) for h in range(24)] if east != next_east else [east] * 24
    return Offsets(first_hour=first * 24, seconds=np.array(seconds, dtype=np.int64))


def _east(local: datetime, zone: ZoneInfo) -> int:
    offset = local.replace(tzinfo=zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())
