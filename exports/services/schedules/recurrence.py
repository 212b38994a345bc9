"""When a schedule runs: pure calendar, without rows or clock.

Daily, weekly and monthly runs are days with a wall time in a zone. Each such day runs once, whatever its clocks do:
- a wall time that the clocks jump over runs at the first instant after the jump;
- a wall time that comes twice runs the first time;
- a day that a zone has left out altogether (Samoa's 30 December 2011) does not run.
Monthly runs keep the day of the first one: the 31st is the last day of a shorter month, and the 31st again after it.

Cron is read as Debian's, by cronsim: fixed hours and minutes follow the rules above. With a star at the start of the hour or minute
field a run comes whenever the clock shows such a time: an hourly one 23 or 25 times on such a day.
"""

from __future__ import annotations

import calendar
import itertools
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from cronsim import CronSim, CronSimError

KINDS = ("once", "daily", "weekly", "monthly", "cron")
CRON_LENGTH = 100
SECOND = timedelta(seconds=1)
MOST_JUMP = timedelta(days=2)  # further than any clock was ever put forward or back
# Between these every zone's arithmetic stays inside the calendar.
FIRST_YEAR, LAST_YEAR = 1970, 2999


@dataclass(frozen=True)
class Rule:
    """A recurrence: `start` is the first run's wall time in the zone; `cron` is for that kind alone."""

    kind: str
    zone: str
    start: datetime
    cron: str = ""


def instant(wall: datetime, zone: str) -> datetime:
    """The instant (UTC) of a wall time: of two the first, of none the first one after the jump."""
    tz = zoneinfo.ZoneInfo(zone)
    early = wall.replace(tzinfo=tz, fold=0).astimezone(UTC)
    if early.astimezone(tz).replace(tzinfo=None) == wall:
        return early
    # In the jump: the offset from before it gives an instant behind it, and the other way round.
    low, high = wall.replace(tzinfo=tz, fold=1).astimezone(UTC), early
    return _change(low.replace(microsecond=0), high.replace(microsecond=0) + SECOND, tz)


def _change(low: datetime, high: datetime, tz: zoneinfo.ZoneInfo) -> datetime:
    """The first whole second between the two at which the offset is no longer that of the lower one."""
    offset = low.astimezone(tz).utcoffset()
    while high - low > SECOND:
        middle = low + (high - low) // 2 // SECOND * SECOND
        low, high = (middle, high) if middle.astimezone(tz).utcoffset() == offset else (low, middle)
    return high


def check_cron(cron: str) -> None:
    """Raises ValueError with the cure unless it is five fields that some day fulfils."""
    if len(cron) > CRON_LENGTH or not cron.isascii() or len(cron.split()) != 5:
        raise ValueError("Write five fields: minute, hour, day of month, month, day of week, such as 30 2 * * 1-5.")
    try:
        next(CronSim(cron, datetime(2024, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        raise ValueError(f"No time fits: {str(error).lower() or 'there is no such day'}.") from None


def times(rule: Rule, after: datetime) -> Iterator[datetime]:
    """The rule's instants (UTC) that lie after this one, in their order, each once; none before its start, none past the year 2999."""
    after = max(after, instant(rule.start, rule.zone) - timedelta(microseconds=1))
    if rule.kind == "once":
        found: Iterator[datetime] = iter([instant(rule.start, rule.zone)])
    elif rule.kind == "cron":
        found = _cron(rule, after)
    else:
        found = (instant(datetime.combine(day, rule.start.time()), rule.zone) for day in _days(rule, after) if _exists(day, rule.zone))
    last = after
    for at in found:
        if at.year > LAST_YEAR:
            return
        if at > last:
            yield at
            last = at


def _exists(day: date, zone: str) -> bool:
    midnight = instant(datetime.combine(day, datetime.min.time()), zone)
    return midnight.astimezone(zoneinfo.ZoneInfo(zone)).date() == day


def _days(rule: Rule, after: datetime) -> Iterator[date]:
    """The rule's days, from one that is certainly early enough."""
    first = rule.start.date()
    passed = after.astimezone(zoneinfo.ZoneInfo(rule.zone)).date() - first
    if rule.kind == "monthly":
        # A month has at most 31 days, so this many months have certainly passed but for two.
        for number in itertools.count(max(0, passed.days // 31 - 1)):
            year, month = divmod(first.year * 12 + first.month - 1 + number, 12)
            yield date(year, month + 1, min(first.day, calendar.monthrange(year, month + 1)[1]))
    step = 7 if rule.kind == "weekly" else 1
    for number in itertools.count(max(0, passed.days // step - 2)):
        yield first + timedelta(days=step * number)


def _cron(rule: Rule, after: datetime) -> Iterator[datetime]:
    # cronsim counts wall times alone: in a zone it misses runs where clocks change by half an hour.
    tz = zoneinfo.ZoneInfo(rule.zone)
    minute, hour = rule.cron.split()[:2]
    if not minute.startswith("*") and not hour.startswith("*"):
        # From an hour and more before: in a second pass the wall time of the first is behind.
        yield from (instant(wall, rule.zone) for wall in CronSim(rule.cron, after.astimezone(tz).replace(tzinfo=None) - MOST_JUMP))
        return
    start, just_before = after, timedelta(0)
    while start.year <= LAST_YEAR:
        offset = start.astimezone(tz).utcoffset() or timedelta(0)
        end = _next_change(start, tz)
        for wall in CronSim(rule.cron, start.replace(tzinfo=None) + offset - just_before):
            at = (wall - offset).replace(tzinfo=UTC)
            if at >= end:
                break
            yield at
        start, just_before = end, SECOND  # a run may fall on the change itself


def _next_change(start: datetime, tz: zoneinfo.ZoneInfo) -> datetime:
    """When the zone's offset changes next; a year later if it does not."""
    offset = start.astimezone(tz).utcoffset()
    low = start.replace(microsecond=0)
    for _ in range(366):
        high = low + timedelta(days=1)
        if high.astimezone(tz).utcoffset() != offset:
            return _change(low, high, tz)
        low = high
    return low


@dataclass(frozen=True)
class Run:
    """A coming run: its instant, its local time, and (empty where there is none) what the clocks do to it."""

    at: datetime
    local: datetime
    change: str = ""


def described(rule: Rule, runs: list[datetime]) -> list[Run]:
    """The instants in local time, clock changes marked."""
    tz = zoneinfo.ZoneInfo(rule.zone)
    found: list[Run] = []
    for at in runs:
        local, change = at.astimezone(tz), ""
        wall = local.replace(tzinfo=None)
        if rule.kind not in {"once", "cron"} and wall.time() != rule.start.time():
            change = f"the clocks jump over {rule.start.time():%H:%M}"
        elif wall.replace(tzinfo=tz, fold=0).utcoffset() != wall.replace(tzinfo=tz, fold=1).utcoffset():
            change = f"{wall:%H:%M} comes twice; this is the {'second' if local.fold else 'first'}"
        elif found and found[-1].local.utcoffset() != local.utcoffset():
            change = f"the clocks have changed: {local:UTC%z} from here on"
        found.append(Run(at, local, change))
    return found


def begin(kind: str, zone: str, clock: time, after: datetime, *, weekday: int = 0, day: int = 1) -> datetime:
    """The wall time of the first run after this instant: each day, each week on `weekday` (0: Monday), or each month on `day`, or on the
    last day of a shorter month."""
    today = after.astimezone(zoneinfo.ZoneInfo(zone)).date()
    start = today - timedelta(days=2)
    if kind == "weekly":
        start -= timedelta(days=(start.weekday() - weekday) % 7)
    elif kind == "monthly":
        start = _anchor(start - timedelta(days=31), day)
    rule = Rule(kind, zone, datetime.combine(start, clock))
    days = (found for found in _days(rule, after) if _exists(found, zone) and instant(datetime.combine(found, clock), zone) > after)
    return datetime.combine(next(days), clock)


def anchored(wall: datetime, day: int) -> datetime:
    """The wall time from which a monthly rule keeps this day of the month, where the first run's month is too short for it: of a month before."""
    return wall if wall.day == day else datetime.combine(_anchor(wall.date(), day), wall.time())


def _anchor(before: date, day: int) -> date:
    """The last such day of a month up to this one."""
    year, month = before.year, before.month
    while day > calendar.monthrange(year, month)[1] or date(year, month, day) > before:
        year, month = (year, month - 1) if month > 1 else (year - 1, 12)
    return date(year, month, day)
