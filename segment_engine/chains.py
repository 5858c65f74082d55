"""One customer's rows as a sequence: a chain of them where there is one, else where it breaks.

Whose rows hold a sequence is decided by SQL (`follows.py`), which this follows step by step: for people, who want to
see the rows.
"""

from bisect import bisect_left
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from segment_engine.values import Unit, Window
from segment_engine.windows import months_later


@dataclass(frozen=True, slots=True)
class Link:
    """A row of a step: when it was (aware), what must be equal in all steps, and which row it is."""

    moment: datetime
    same: Hashable
    row: int


@dataclass(frozen=True, slots=True)
class Broken:
    """There is no chain: step (from 1) is the first that none reaches; None: each chain is longer than it may be."""

    step: int | None
    has_rows: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    """How far rows may lie apart; hours as they pass, days and months by the clocks of the zone.

    forbidden: moments of which none may lie between neighbours, sorted
    """

    within: Window
    max_gap: Window | None
    forbidden: Sequence[datetime]
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class _Reached:
    link: Link
    started: datetime
    before: "_Reached | None"


def find_chain(steps: Sequence[Sequence[Link]], limits: Limits) -> tuple[int, ...] | Broken:
    """The rows of a chain, one per step, of several the newest; `Broken` where there is none."""
    reached = [_Reached(link, link.moment, None) for link in steps[0]]
    for index in range(1, len(steps)):
        if not reached:
            return Broken(index, bool(steps[index - 1]))
        reached = _continued(reached, steps[index], limits)
    if not reached:
        return Broken(len(steps), bool(steps[-1]))
    whole = [one for one in reached if _is_inside(one.started, one.link.moment, limits.within, limits.zone)]
    return _rows(max(whole, key=lambda one: one.link.moment)) if whole else Broken(None)


def _continued(reached: Sequence[_Reached], step: Sequence[Link], limits: Limits) -> list[_Reached]:
    """The rows of a step that follow a row reached before; the latest of those is the best to follow."""
    by_same: dict[Hashable, list[_Reached]] = {}
    for one in sorted(reached, key=lambda one: (one.link.moment, one.started)):
        by_same.setdefault(one.link.same, []).append(one)
    found = []
    for link in step:
        earlier = by_same.get(link.same, [])
        place = bisect_left(earlier, link.moment, key=lambda one: one.link.moment)
        if place and _follows(earlier[place - 1].link.moment, link.moment, limits):
            before = earlier[place - 1]
            found.append(_Reached(link, before.started, before))
    return found


def _follows(before: datetime, moment: datetime, limits: Limits) -> bool:
    if limits.max_gap is not None and not _is_inside(before, moment, limits.max_gap, limits.zone):
        return False
    place = bisect_left(limits.forbidden, moment)
    return place == 0 or limits.forbidden[place - 1] <= before


def _is_inside(start: datetime, moment: datetime, window: Window, zone: ZoneInfo) -> bool:
    if window.unit is Unit.HOUR:
        return moment - start <= timedelta(hours=window.n)
    began, ended = (one.astimezone(zone).replace(tzinfo=None) for one in (start, moment))
    if window.unit is Unit.DAY:
        return ended <= began + timedelta(days=window.n)
    return ended <= datetime.combine(months_later(began.date(), window.n), began.time())


def _rows(last: _Reached) -> tuple[int, ...]:
    found, one = [], last
    while one.before is not None:
        found.append(one.link.row)
        one = one.before
    return (one.link.row, *reversed(found))
