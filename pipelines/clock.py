"""The clock, read only here and handed inwards as values."""

from datetime import date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo


class Clock(Protocol):
    """Anything that tells the present moment."""

    def now(self) -> datetime:
        """The present as an aware datetime."""
        ...


class SystemClock:
    """The machine's clock in one zone."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone

    def now(self) -> datetime:
        return datetime.now(self._zone)


def last_full_day(now: datetime, zone: ZoneInfo) -> date:
    """The business day a night run at `now` covers: yesterday in `zone`."""
    return now.astimezone(zone).date() - timedelta(days=1)
