"""Schedules in words, as a person reads them."""

from __future__ import annotations

from datetime import datetime

from cronsim import CronSim

from exports.models import Kind
from exports.services.schedules.recurrence import Rule, check_cron

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
LONGEST_SHORT_MONTH = 28  # every month has so many days
WINDOWS = {
    "all": "all, whenever created",
    "since_last": "created since the last delivered file",
    "yesterday": "created yesterday",
    "today": "created today",
    "last_7_days": "created in the last 7 whole days",
    "last_30_days": "created in the last 30 whole days",
    "this_week": "created this week, from Monday",
    "last_week": "created last week, Monday to Sunday",
    "this_month": "created this month",
    "last_month": "created last month",
    "this_year": "created this year",
    "last_year": "created last year",
}


def of_cron(cron: str) -> str:
    """Five fields in words. Raises ValueError with the cure unless some day fulfils them."""
    check_cron(cron)
    return CronSim(cron, datetime(2024, 1, 1)).explain()


def when(rule: Rule) -> str:
    """When it runs, by its zone's clocks."""
    start = rule.start
    if rule.kind == Kind.CRON:
        return of_cron(rule.cron)
    if rule.kind == Kind.ONCE:
        return f"Once, on {start:%Y-%m-%d} at {start:%H:%M}"
    if rule.kind == Kind.DAILY:
        return f"Every day at {start:%H:%M}"
    if rule.kind == Kind.WEEKLY:
        return f"Every {WEEKDAYS[start.weekday()]} at {start:%H:%M}"
    short = ", or on the last day of a shorter month," if start.day > LONGEST_SHORT_MONTH else ""
    return f"Every month on the {ordinal(start.day)}{short} at {start:%H:%M}"


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th … of a number below 100."""
    return f"{number}{'th' if 10 < number < 20 else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
