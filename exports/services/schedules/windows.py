"""Which rows a run covers, by their creation: relative in the schedule, absolute in the job, in the schedule's zone."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from exports.services.schedules.recurrence import instant
from exports.services.specs import Moment

# A day's room on both sides is for time zones.
BEGINNING, END = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
SINCE_LAST = "since_last"


def _months(day: datetime, months: int) -> datetime:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return datetime(year, month + 1, 1)


_DAY = timedelta(days=1)
# name: local midnight of the run's day → the first midnight inside and the first one behind
_BY_DAY: dict[str, Callable[[datetime], tuple[datetime, datetime]]] = {
    "yesterday": lambda day: (day - _DAY, day),
    "today": lambda day: (day, day + _DAY),
    "last_7_days": lambda day: (day - 7 * _DAY, day),
    "last_30_days": lambda day: (day - 30 * _DAY, day),
    "this_week": lambda day: (day - day.weekday() * _DAY, day + (7 - day.weekday()) * _DAY),
    "last_week": lambda day: (day - (day.weekday() + 7) * _DAY, day - day.weekday() * _DAY),
    "this_month": lambda day: (_months(day, 0), _months(day, 1)),
    "last_month": lambda day: (_months(day, -1), _months(day, 0)),
    "this_year": lambda day: (datetime(day.year, 1, 1), datetime(day.year + 1, 1, 1)),
    "last_year": lambda day: (datetime(day.year - 1, 1, 1), datetime(day.year, 1, 1)),
}
WINDOWS = ("all", SINCE_LAST, *_BY_DAY)


def pinned(window: str, at: datetime, zone: str, delivered_until: datetime | None) -> tuple[datetime, datetime]:
    """The first instant of the window of a run at this time, and the first one behind it.

    `since_last` goes on where the last delivered file ended; without one it starts at the beginning.
    """
    if window == "all":
        return BEGINNING, END
    if window == SINCE_LAST:
        return delivered_until or BEGINNING, at
    midnight = at.astimezone(zoneinfo.ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    first, behind = _BY_DAY[window](midnight)
    return instant(first, zone), instant(behind, zone)


def as_bounds(first: datetime, behind: datetime) -> dict[str, Moment]:
    """The window as a wish's bounds, whose end is inclusive; one that is all delivered already is its last instant."""
    width = timedelta(microseconds=1)
    if first >= behind:
        first = behind - width
    return {"creation_start_date": Moment(first, width), "creation_end_date": Moment(behind - width, width)}
