"""Cells and days in the job's zone.

On PostgreSQL the session's TimeZone is the job's zone; SQLite's functions are told its name, which is one of `zones()`.
"""

from __future__ import annotations

import functools
import zoneinfo
from collections.abc import Callable
from datetime import date
from typing import Any

from django.db.models import DateField, Func, IntegerField, TextField

from exports import cells
from exports.cells import Kind, Style
from exports.expressions.base import Templated


class CellText(Templated):
    """A value as its canonical cell, unguarded; null stays null."""

    output_field = TextField()

    def __init__(self, source: Any, kind: Kind, zone: str, date_format: str) -> None:
        super().__init__(source)
        if kind in {Kind.TEXT, Kind.PHONE}:
            return
        whole = cells.sql_text(kind, "({c})", Style(zone=zone, guard=False, date_format=date_format))
        self.postgres = f"({whole})::text"
        self.sqlite = f"cell_text({{c}}, '{kind}', '{zone}', '{date_format}')"


@functools.cache
def _renderer(kind: str, zone: str, date_format: str) -> Callable[[Any], Any]:
    return cells.python_text(Kind(kind), Style(zone=zone, guard=False, date_format=date_format)) or str


def cell_text(value: Any, kind: str, zone: str, date_format: str) -> str | None:
    """SQLite's raw value as its canonical cell."""
    return None if value is None else _renderer(kind, zone, date_format)(value)


class LocalDay(Templated):
    """The day of a time in the job's zone, or a day as it is."""

    output_field = DateField()

    def __init__(self, source: Any, kind: Kind, zone: str) -> None:
        super().__init__(source)
        if kind is Kind.DATETIME:
            self.postgres = f"({cells.SQL_LOCAL})::date"
            self.sqlite = f"local_part({{c}}, 'day_on', '{zone}')"


# How PostgreSQL calls it, and where Python's ISO text has it.
PARTS: dict[str, tuple[str, slice]] = {
    "year": ("year", slice(0, 4)),
    "month": ("month", slice(5, 7)),
    "day": ("day", slice(8, 10)),
    "weekday": ("isodow", slice(0, 10)),  # Monday is 1
    "hour": ("hour", slice(11, 13)),
}


class DatePart(Templated):
    """A part of a time in the job's zone, or of a day, as a number."""

    output_field = IntegerField()

    def __init__(self, source: Any, kind: Kind, zone: str, part: str) -> None:
        super().__init__(source)
        local = f"({cells.SQL_LOCAL})" if kind is Kind.DATETIME else "({c})::timestamp"
        self.postgres = f"extract({PARTS[part][0]} FROM {local})::int"
        self.sqlite = f"local_part({{c}}, '{part}', '{zone}')"


def local_part(value: str | None, part: str, zone: str) -> Any:
    """A part of SQLite's time or day, or (`day_on`) its local day."""
    if value is None:
        return None
    if len(value) > 10:
        local = cells.local_time(value, zoneinfo.ZoneInfo(zone))
        value = value if local is None else local.replace(tzinfo=None).isoformat(" ")
    if part == "day_on":
        return value[:10]
    text = value[PARTS[part][1]]
    return date.fromisoformat(text).isoweekday() if part == "weekday" else int(text)


class DaysBetween(Func):
    """How many days lie between two days, the later one first; negative where it is the earlier."""

    template = "(%(expressions)s)"
    arg_joiner = " - "
    output_field = IntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, function="days_between", template="%(function)s(%(expressions)s)", arg_joiner=", ")


def days_between(later: str | None, earlier: str | None) -> int | None:
    """The same for SQLite's days."""
    return None if later is None or earlier is None else (date.fromisoformat(later) - date.fromisoformat(earlier)).days
