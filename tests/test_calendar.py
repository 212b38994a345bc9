"""When schedules run, against an oracle that looks at every minute of the zone's own clock."""

from __future__ import annotations

import calendar
import itertools
import zoneinfo
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exports.services.schedules import recurrence
from exports.services.schedules.recurrence import Rule

ZONES = ("Europe/Amsterdam", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu")
PERIODS = (2023, 2027)  # each with the year after it, which is a leap year


def step_of(zone: str) -> timedelta:
    """A time of which every offset and every jump of the zone is a multiple."""
    return timedelta(minutes=15 if zone == "Asia/Kathmandu" else 30)


def bounds(year: int) -> tuple[datetime, datetime]:
    return datetime(year, 1, 2, tzinfo=UTC), datetime(year + 2, 1, 1, tzinfo=UTC)


def passing(zone: str, year: int) -> list[tuple[datetime, datetime]]:
    """Every half or quarter of an hour as it passes, with what the zone's clock shows."""
    tz, step, (start, end) = zoneinfo.ZoneInfo(zone), step_of(zone), bounds(year)
    steps = range(-96 * 2, (end - start) // step + 96 * 2)
    return [(at, at.astimezone(tz).replace(tzinfo=None)) for at in (start + step * number for number in steps)]


class Oracle:
    """Reads the runs off the zone's clock."""

    def __init__(self, zone: str, year: int) -> None:
        self.start, self.end = bounds(year)
        self.passing, self.step = passing(zone, year), step_of(zone)
        self.first_shown: dict[datetime, datetime] = {}
        for at, wall in self.passing:
            self.first_shown.setdefault(wall, at)

    def days(self, fits: Callable[[date], bool], at: time = time(2, 30)) -> list[datetime]:
        """Day by day the first instant at which the clock shows this time or, in a jump, the next that it shows."""
        found = []
        for passed in range(-1, (self.end - self.start).days + 2):
            day = self.start.date() + timedelta(days=passed)
            if fits(day):
                walls = (datetime.combine(day, at) + self.step * number for number in range(96))
                found.append(next(self.first_shown[wall] for wall in walls if wall in self.first_shown))
        return [each for each in found if self.start < each < self.end]

    def shown(self, fits: Callable[[datetime], bool]) -> list[datetime]:
        """Every instant at which the clock shows such a time."""
        return [at for at, wall in self.passing if fits(wall) and self.start < at < self.end]

    def got(self, rule: Rule) -> list[datetime]:
        return list(itertools.takewhile(lambda at: at < self.end, recurrence.times(rule, self.start)))


def last_of(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


@pytest.mark.parametrize("year", PERIODS)
@pytest.mark.parametrize("zone", ZONES)
def test_every_time_is_the_oracles(zone: str, year: int) -> None:
    oracle, early = Oracle(zone, year), datetime(2022, 12, 1, 2, 30)
    got, days = oracle.got, oracle.days
    assert len(got(Rule("daily", zone, early))) >= 728
    assert got(Rule("daily", zone, early)) == days(lambda day: True)
    assert got(Rule("weekly", zone, datetime(2022, 12, 4, 2, 30))) == days(lambda day: day.weekday() == 6)
    for anchor in (29, 30, 31):
        rule = Rule("monthly", zone, datetime(2022, 12, anchor, 2, 30))
        assert got(rule) == days(lambda day, anchor=anchor: day.day == min(anchor, last_of(day))), anchor  # type: ignore[misc]
    assert got(Rule("cron", zone, early, "0 * * * *")) == oracle.shown(lambda wall: wall.minute == 0)
    assert got(Rule("cron", zone, early, "*/30 2 * * *")) == oracle.shown(lambda wall: wall.hour == 2 and wall.minute in {0, 30})
    assert got(Rule("cron", zone, early, "30 2 * * 1-5")) == days(lambda day: day.weekday() < 5)
    assert got(Rule("cron", zone, early, "30 2 L * *")) == days(lambda day: day.day == last_of(day))
    assert got(Rule("cron", zone, early, "30 2 * * SUN")) == days(lambda day: day.weekday() == 6)


@pytest.mark.parametrize("zone", ZONES)
def test_each_local_date_runs_once_from_wherever_one_looks(zone: str) -> None:
    tz, rule = zoneinfo.ZoneInfo(zone), Rule("daily", zone, datetime(2022, 12, 1, 2, 30))
    start, end = bounds(2023)
    runs = list(itertools.takewhile(lambda at: at < end, recurrence.times(rule, start)))
    days = [at.astimezone(tz).date() for at in runs]
    assert days == [days[0] + timedelta(days=number) for number in range(len(days))]
    # One step at a time gives what one walk gives, from the run itself and from just before and after it.
    for before, after in itertools.pairwise(runs):
        assert next(recurrence.times(rule, before)) == after
        assert next(recurrence.times(rule, after - timedelta(microseconds=1))) == after
    for kind, cron in (("monthly", ""), ("cron", "30 2 * * *"), ("cron", "15 * * * *"), ("weekly", "")):
        rule = Rule(kind, zone, datetime(2023, 10, 1, 2, 30), cron)
        walk = list(itertools.islice(recurrence.times(rule, datetime(2023, 10, 25, tzinfo=UTC)), 200))
        stepped: list[datetime] = []
        step = datetime(2023, 10, 25, tzinfo=UTC)
        while len(stepped) < 200:
            step = next(recurrence.times(rule, step))
            stepped.append(step)
        assert stepped == walk, (kind, cron)


def test_the_31st_comes_back_after_february() -> None:
    runs = itertools.islice(recurrence.times(Rule("monthly", "Europe/Amsterdam", datetime(2024, 1, 31, 9)), datetime(2024, 1, 1, tzinfo=UTC)), 5)
    assert [f"{at.astimezone(zoneinfo.ZoneInfo('Europe/Amsterdam')):%m-%d %H:%M}" for at in runs] == [
        "01-31 09:00",
        "02-29 09:00",
        "03-31 09:00",
        "04-30 09:00",
        "05-31 09:00",
    ]


def test_a_jump_is_passed_at_its_end_and_a_doubled_time_taken_first() -> None:
    amsterdam = "Europe/Amsterdam"
    assert recurrence.instant(datetime(2024, 3, 31, 2, 30), amsterdam) == datetime(2024, 3, 31, 1, tzinfo=UTC)
    assert recurrence.instant(datetime(2024, 3, 31, 2, 59, 59, 999999), amsterdam) == datetime(2024, 3, 31, 1, tzinfo=UTC)
    assert recurrence.instant(datetime(2024, 10, 27, 2, 30), amsterdam) == datetime(2024, 10, 27, 0, 30, tzinfo=UTC)
    assert recurrence.instant(datetime(2024, 10, 6, 2, 10), "Australia/Lord_Howe") == datetime(2024, 10, 5, 15, 30, tzinfo=UTC)
    # A day that never was.
    samoa = [
        at.date().isoformat()
        for at in itertools.islice(recurrence.times(Rule("daily", "Pacific/Apia", datetime(2011, 12, 28, 12)), datetime(2011, 1, 1, tzinfo=UTC)), 3)
    ]
    assert samoa == ["2011-12-28", "2011-12-29", "2011-12-30"]  # in UTC: 28, 29 and 31 December, noon, on Samoa
    # Two wall times in one jump are one run.
    once = Rule("cron", amsterdam, datetime(2024, 3, 30), "0,30 2 * * *")
    runs = [f"{at:%d %H:%M}" for at in itertools.islice(recurrence.times(once, datetime(2024, 3, 30, 12, tzinfo=UTC)), 3)]
    assert runs == ["31 01:00", "01 00:00", "01 00:30"]


def test_coming_runs_are_shown_with_what_the_clocks_do() -> None:
    rule = Rule("daily", "Europe/Amsterdam", datetime(2024, 3, 1, 2, 30))

    def shown(after: datetime) -> list[tuple[str, str]]:
        runs = recurrence.described(rule, list(itertools.islice(recurrence.times(rule, after), 3)))
        return [(f"{run.local:%d %H:%M}", run.change) for run in runs]

    assert shown(datetime(2024, 3, 29, 12, tzinfo=UTC)) == [
        ("30 02:30", ""),
        ("31 03:00", "the clocks jump over 02:30"),
        ("01 02:30", ""),
    ]
    assert shown(datetime(2024, 10, 25, 12, tzinfo=UTC)) == [
        ("26 02:30", ""),
        ("27 02:30", "02:30 comes twice; this is the first"),
        ("28 02:30", "the clocks have changed: UTC+0100 from here on"),
    ]


@pytest.mark.parametrize(
    "cron",
    ["", "* * * *", "* * * * * *", "61 * * * *", "0 0 30 2 *", "0 0 31 4,6 *", "x * * * *", "*/0 * * * *", "１ * * * *", "0 " * 60, "1-0 * * * *"],
)
def test_a_cron_that_no_time_fits_is_refused(cron: str) -> None:
    with pytest.raises(ValueError, match=r"five fields|No time fits"):
        recurrence.check_cron(cron)


@settings(max_examples=200, deadline=None)
@given(st.text("0123456789*,-/# LW", max_size=40))
def test_any_text_is_a_cron_or_refused(cron: str) -> None:
    try:
        recurrence.check_cron(cron)
    except ValueError:
        return
    first = next(recurrence.times(Rule("cron", "Europe/Amsterdam", datetime(2024, 1, 1), cron), datetime(2024, 1, 1, tzinfo=UTC)))
    assert first > datetime(2023, 12, 31, tzinfo=UTC)


def test_a_rule_ends_before_the_calendar_does() -> None:
    assert list(recurrence.times(Rule("daily", "Asia/Kathmandu", datetime(2999, 12, 30, 12)), datetime(2024, 1, 1, tzinfo=UTC)))[-1].year == 2999
    assert list(recurrence.times(Rule("once", "UTC", datetime(2024, 1, 1)), datetime(2024, 1, 1, tzinfo=UTC))) == []
