"""What the ORM can't say: expressions for both databases, and the functions that SQLite needs for them, equal by test.

The functions exist on the connections that `sources` opens, and only there.
"""

from __future__ import annotations

import functools
import json
import re
import zoneinfo
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

from django.db.models import BooleanField, CharField, DateField, DateTimeField, Func, IntegerField, TextField, Value

from exports import cells
from exports.cells import Kind, Style
from tasks.models import Member, TaskAssignee
from tasks.models.fields import FIFTEEN_DIGITS, PlainDecimalField, plain


class Templated(Func):
    """One source expression set into a template a database, in which `{c}` stands for it, as often as need be."""

    postgres = "{c}"
    sqlite = "{c}"

    def as_sql(self, compiler: Any, connection: Any, function: Any = None, template: Any = None, arg_joiner: Any = None, **extra: Any) -> Any:
        template = self.postgres if connection.vendor == "postgresql" else self.sqlite
        sql, params = compiler.compile(self.source_expressions[0])
        return template.replace("{c}", sql), tuple(params) * template.count("{c}")


# -- Names of assignees --------------------------------------------------------------------------------------------
_ASSIGNMENTS = f'"{TaskAssignee._meta.db_table}" AS a JOIN "{Member._meta.db_table}" AS m ON m.id = a.member_id WHERE a.task_id = {{c}}'


class AssigneeNames(Templated):
    """The names of a task's assignees by the task's id, in their order, joined by `; `; null where there are none."""

    # A look-up a row inside the one query: the ORM has no join with an aggregated subquery.
    postgres = f"(SELECT string_agg(m.name, '; ' ORDER BY a.position, a.id) FROM {_ASSIGNMENTS})"  # noqa: S608
    sqlite = f"(SELECT group_concat(name, '; ') FROM (SELECT m.name AS name FROM {_ASSIGNMENTS} ORDER BY a.position, a.id))"  # noqa: S608
    output_field = TextField()


# -- Values inside JSON --------------------------------------------------------------------------------------------
class JsonText(Func):
    """A key's value in a JSON object as text: strings as they are, other values as jsonb writes them; null where it is null or missing."""

    # KeyTextTransform would take a key of digits for an array's index.
    template = "(%(expressions)s::text)"
    arg_joiner = " ->> "
    output_field = TextField()

    def __init__(self, source: Any, key: str) -> None:
        super().__init__(source, Value(key, CharField()))

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, function="json_text", template="%(function)s(%(expressions)s)", arg_joiner=", ")


@functools.lru_cache(maxsize=16)  # the columns of one row ask for the same text
def _parsed(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


def json_text(text: str | None, key: str) -> str | None:
    """SQLite's `->>`: what PostgreSQL says for a jsonb object."""
    found = _parsed(text) if text else None
    value = found.get(key) if isinstance(found, dict) else None
    return value if value is None or isinstance(value, str) else _jsonb(value)


def _jsonb(value: Any) -> str:
    """A value as jsonb writes it: shorter keys first, then by their bytes; numbers without exponent."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return "{" + ", ".join(f"{json.dumps(key, ensure_ascii=False)}: {_jsonb(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_jsonb, value)) + "]"
    if isinstance(value, Decimal):
        return format(value if value else abs(value), "f")  # numeric knows no -0
    return json.dumps(value, ensure_ascii=False)


# Only what casts without an error: days that exist, and no more digits than both databases keep.
_DAY = (
    r"([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
    r"|([0-9][0-9](0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)"
)
TIME_PATTERN = rf"(?!0000){_DAY}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{{1,6}})?Z"
DECIMAL_PATTERN = r"-?[0-9]{1,30}(\.[0-9]{1,30})?"
_TIME, _DECIMAL = re.compile(TIME_PATTERN, re.ASCII), re.compile(DECIMAL_PATTERN, re.ASCII)


class TextToTime(Templated):
    """The time that a text in RFC 3339 and UTC says; null for any other text."""

    postgres = f"CASE WHEN {{c}} ~ '^({TIME_PATTERN})$' THEN ({{c}})::timestamptz END"
    sqlite = "text_to_time({c})"
    output_field = DateTimeField()


class TextToDecimal(Templated):
    """The decimal that a text says; null for any other text."""

    postgres = f"CASE WHEN {{c}} ~ '^({DECIMAL_PATTERN})$' THEN trim_scale(({{c}})::numeric) END"
    sqlite = "text_to_decimal({c})"
    output_field = PlainDecimalField()


def text_to_time(text: str | None) -> str | None:
    """The time as SQLite stores one."""
    if text is None or not _TIME.fullmatch(text):
        return None
    seconds, _, fraction = text[:-1].replace("T", " ").partition(".")
    fraction = fraction.rstrip("0")
    return f"{seconds}.{fraction.ljust(6, '0')}" if fraction else seconds


def text_to_decimal(text: str | None) -> float | None:
    """The decimal as SQLite stores one."""
    if text is None or not _DECIMAL.fullmatch(text):
        return None
    return float(plain(FIFTEEN_DIGITS.create_decimal(text)))


# -- Cells and days in the job's zone ------------------------------------------------------------------------------
# On PostgreSQL the session's TimeZone is the job's zone; SQLite's functions are told its name, which is one of `zones()`.
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


# -- Texts in conditions -------------------------------------------------------------------------------------------
class ContainsText(Func):
    """Whether a text holds another in any case of letters."""

    template = "strpos(%(expressions)s) > 0"
    output_field = BooleanField()

    def __init__(self, text: Any, part: Any) -> None:
        super().__init__(AnyCase(text), AnyCase(part))

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="instr(%(expressions)s) > 0")


class AnyCase(Templated):
    """A text in small letters, each character by itself."""

    postgres = "lower({c})"
    sqlite = "small_text({c})"
    output_field = TextField()


class Bytewise(Templated):
    """A text that sorts by its bytes, as SQLite does, whatever the database's language."""

    postgres = '({c}) COLLATE "C"'
    output_field = TextField()


def small_text(text: str | None) -> str | None:
    """The text in small letters; no character depends on its neighbours or becomes two."""
    return text if text is None else text.lower() if text.isascii() else "".join(character.lower()[0] for character in text)


# name: (arguments, function)
SQLITE_FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "cell_text": (4, cell_text),
    "local_part": (3, local_part),
    "days_between": (2, days_between),
    "small_text": (1, small_text),
    "json_text": (2, json_text),
    "text_to_time": (1, text_to_time),
    "text_to_decimal": (1, text_to_decimal),
}
