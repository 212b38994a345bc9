"""Canonical cell text: one table of kinds, rendered in SQL on PostgreSQL and in Python on SQLite, equal by test.

Null and empty text are both empty here; a format that tells them apart asks its source for the raw cells.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from tasks.models.fields import FIFTEEN_DIGITS, plain


class Kind(StrEnum):
    """What a column's values are, and so how they are written."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    DATE = "date"
    UUID = "uuid"
    TEXT = "text"
    PHONE = "phone"  # text that may start with + and is never guarded


class Form(StrEnum):
    """What the cells are for, and so what is kept apart."""

    TEXT = "text"  # canonical text; null and empty text are both empty
    JSON = "json"  # canonical text, booleans and numbers as they are; null and empty text apart
    SHEET = "sheet"  # like text, but days and whole-second times are a spreadsheet's serial numbers


# Days as `to_char` and `str.format` write them; all but ISO times are local and say no offset.
DATE_FORMATS: dict[str, tuple[str, str]] = {
    "iso": ("YYYY-MM-DD", "{0}-{1}-{2}"),
    "dmy": ("DD.MM.YYYY", "{2}.{1}.{0}"),
    "mdy": ("MM/DD/YYYY", "{1}/{2}/{0}"),
    "ymd": ("YYYY-MM-DD", "{0}-{1}-{2}"),
}


@dataclass(frozen=True)
class Style:
    """How a job wants its cells: an IANA zone for times, whether texts are guarded against spreadsheets' formulas, and what for."""

    zone: str = "UTC"
    guard: bool = True
    form: Form = Form.TEXT
    decimal_comma: bool = False
    date_format: str = "iso"


# -- The formula guard ---------------------------------------------------------------------------------------------
# A cell that starts with one of these may be run by a spreadsheet. Signed numbers and phone numbers may not, and stay.
# A text that starts with quotes before such a character gets one more, so that taking one away always restores it.
RISKY = frozenset("=+-@\t\r\n")
_LOOKED_AT = RISKY | {"'"}
_HARMLESS = re.compile(r"[+-]?[0-9][0-9 ().]*")
_QUOTED = re.compile(r"'+[=+\-@\t\r\n]")


def guard(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula."""
    if not text or text[0] not in _LOOKED_AT:
        return text
    if text[0] == "'":
        return "'" + text if _QUOTED.match(text) else text
    return text if _HARMLESS.fullmatch(text) else "'" + text


def unguard(cell: str) -> str:
    """The text that `guard` was given."""
    return cell[1:] if _QUOTED.match(cell) else cell


_SQL_GUARD = (
    # ascii() of the first character is cheap; left(text, 1) in its place doubles the time of a whole export.
    "CASE WHEN ascii({c}) IN (0, 9, 10, 13, 39, 43, 45, 61, 64) THEN CASE"
    " WHEN {c} = '' THEN NULL"
    " WHEN ascii({c}) = 39 THEN CASE WHEN {c} ~ E'^''+[=+@\\t\\r\\n-]' THEN '''' || {c} ELSE {c} END"
    " WHEN {c} ~ '^[+-]?[0-9][0-9 ().]*$' THEN {c}"
    " ELSE '''' || {c} END ELSE {c} END"
)
_SQL_TEXT = "NULLIF({c}, '')"
_SQL_UTC = "replace(to_char({c} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), '.000000', '')"
# The session's TimeZone is the job's zone. Old offsets with odd seconds, and years outside 1901-2099, stay UTC.
_SQL_HAS_LOCAL = "extract(year FROM {c} AT TIME ZONE 'UTC') BETWEEN 1901 AND 2099 AND mod(extract(timezone FROM {c})::int, 60) = 0"
SQL_LOCAL = "CASE WHEN " + _SQL_HAS_LOCAL + " THEN {c}::timestamp ELSE {c} AT TIME ZONE 'UTC' END"
_SQL_ZONED = (
    "CASE WHEN " + _SQL_HAS_LOCAL + " THEN replace(to_char({c}, 'YYYY-MM-DD\"T\"HH24:MI:SS.USTZH:TZM'), '.000000', '') ELSE " + _SQL_UTC + " END"
)


# A spreadsheet counts days from 1899-12-30, but believes in a 29 February 1900: before March 1900 its days are not ours.
# With the session's TimeZone, a bare timestamp is the job's local time.
_SQL_SERIAL_DAY = "CASE WHEN {c} >= '1900-03-01' THEN ({c} - date '1899-12-30')::text ELSE {c}::text END"
_SQL_SERIAL = (
    "CASE WHEN {c}::timestamp >= '1900-03-01' AND {c} < '2100-01-01Z' AND date_trunc('second', {c}) = {c}"
    " AND mod(extract(timezone FROM {c})::int, 60) = 0"
    " THEN ((date_part('epoch', {c}::timestamp) + 2209161600) / 86400)::text ELSE "
)


def _sql_formatted(date_format: str) -> str:
    picture = DATE_FORMATS[date_format][0]
    # What has no local time is UTC, and says so.
    return f"CASE WHEN {_SQL_HAS_LOCAL} THEN replace(to_char({{c}}, '{picture} HH24:MI:SS.US'), '.000000', '') ELSE {_SQL_UTC} END"


def sql_text(kind: Kind, column: str, style: Style) -> str:
    """A PostgreSQL expression over the column's name whose COPY text is the canonical cell (ISO DateStyle)."""
    if kind in {Kind.TEXT, Kind.PHONE} and style.form is not Form.TEXT:
        template = "{c}"
    elif kind is Kind.TEXT:
        template = _SQL_GUARD if style.guard else _SQL_TEXT
    elif kind is Kind.PHONE:
        template = _SQL_TEXT
    elif kind is Kind.DATETIME:
        template = _SQL_UTC if style.zone == "UTC" else _SQL_ZONED
        if style.form is Form.SHEET:
            template = f"{_SQL_SERIAL}{template} END"
        elif style.date_format != "iso":
            template = _sql_formatted(style.date_format)
    elif kind is Kind.DATE and style.form is Form.SHEET:
        template = _SQL_SERIAL_DAY
    elif kind is Kind.DATE and style.date_format != "iso":
        template = f"to_char({{c}}::timestamp, '{DATE_FORMATS[style.date_format][0]}')"
    elif kind is Kind.DECIMAL and style.decimal_comma:
        template = "replace({c}::text, '.', ',')"
    elif kind is Kind.BOOLEAN:
        template = "{c}" if style.form is Form.JSON else "{c}::text"
    else:
        template = "{c}"  # integers, decimals, dates and UUIDs are canonical as they are
    return template.replace("{c}", column)


# -- SQLite: the driver's raw values (text, int, float, None) to text -----------------------------------------------
def _decimal(value: float | int | None) -> str | None:
    if value is None:
        return None
    text = repr(value)
    if value and len(text) <= 15 and "e" not in text:
        return text.removesuffix(".0")
    # SQLite reads some texts as the double beside the nearest; 15 digits, which are all that a field keeps, hide that.
    return plain(FIFTEEN_DIGITS.create_decimal(text))


def _boolean(value: int | None) -> str | None:
    return None if value is None else ("true" if value else "false")


def _uuid(value: str | None) -> str | None:
    return None if value is None else f"{value[:8]}-{value[8:12]}-{value[12:16]}-{value[16:20]}-{value[20:]}"


def _utc(value: str | None) -> str | None:
    if value is None:
        return None
    if len(value) == 19:  # Django stores naive UTC: 2018-03-11 07:00:00[.ffffff]
        return value[:10] + "T" + value[11:] + "Z"
    fraction = value[20:].ljust(6, "0")
    seconds = value[:10] + "T" + value[11:19]
    return seconds + "Z" if fraction == "000000" else f"{seconds}.{fraction}Z"


def local_time(value: str, info: zoneinfo.ZoneInfo) -> datetime | None:
    """SQLite's time in the zone; None where only UTC is certain (outside 1901-2099, offsets with odd seconds)."""
    moment = datetime.fromisoformat(value).replace(tzinfo=UTC)
    if not 1901 <= moment.year <= 2099:
        return None
    local = moment.astimezone(info)
    offset = local.utcoffset()
    return None if offset is None or offset.total_seconds() % 60 else local


def _zoned(zone: str) -> Callable[[str | None], str | None]:
    info = zoneinfo.ZoneInfo(zone)

    def render(value: str | None) -> str | None:
        if value is None:
            return None
        local = local_time(value, info)
        return _utc(value) if local is None else local.isoformat()

    return render


def _formatted(zone: str, date_format: str) -> Callable[[str | None], str | None]:
    info, picture = zoneinfo.ZoneInfo(zone), DATE_FORMATS[date_format][1]

    def render(value: str | None) -> str | None:
        if value is None:
            return None
        local = local_time(value, info)
        if local is None:
            return _utc(value)
        text = local.replace(tzinfo=None).isoformat(" ")
        return picture.format(text[:4], text[5:7], text[8:10]) + text[10:]

    return render


def _formatted_day(date_format: str) -> Callable[[str | None], str | None]:
    picture = DATE_FORMATS[date_format][1]
    return lambda value: value and picture.format(value[:4], value[5:7], value[8:10])


_EPOCH_DAY = date(1899, 12, 30)


def _serial_day(value: str | None) -> str | None:
    if value is None or value < "1900-03-01":
        return value
    return str((date.fromisoformat(value) - _EPOCH_DAY).days)


def _serial(zone: str) -> Callable[[str | None], str | None]:
    info = zoneinfo.ZoneInfo(zone)
    as_text = _utc if zone == "UTC" else _zoned(zone)

    def render(value: str | None) -> str | None:
        if value is None:
            return None
        if (len(value) > 19 and value[19:].strip(".0")) or not "1900-02-28" < value < "2100":
            return as_text(value)
        local = datetime.fromisoformat(value[:19]).replace(tzinfo=UTC).astimezone(info)
        offset = local.utcoffset()
        bare = local.replace(tzinfo=None)
        if bare < datetime(1900, 3, 1) or offset is None or offset.total_seconds() % 60:  # noqa: DTZ001 - a spreadsheet's times are local
            return as_text(value)
        seconds = (bare - datetime(1970, 1, 1)) // timedelta(seconds=1)  # noqa: DTZ001
        return plain(Decimal(repr((seconds + 2209161600) / 86400)))

    return render


def _comma(value: float | int | None) -> str | None:
    text = _decimal(value)
    return None if text is None else text.replace(".", ",")


def python_text(kind: Kind, style: Style) -> Callable[[Any], Any] | None:
    """A function from SQLite's raw value to the canonical cell, or None where the raw value already is one."""
    if kind is Kind.TEXT:
        return _guarded if style.guard and style.form is Form.TEXT else None
    if kind is Kind.DATETIME:
        if style.form is Form.SHEET:
            return _serial(style.zone)
        if style.date_format != "iso":
            return _formatted(style.zone, style.date_format)
        return _utc if style.zone == "UTC" else _zoned(style.zone)
    if kind is Kind.DATE and style.form is Form.SHEET:
        return _serial_day
    if kind is Kind.DATE and style.date_format != "iso":
        return _formatted_day(style.date_format)
    if kind is Kind.DECIMAL and style.decimal_comma:
        return _comma
    plain_kinds: dict[Kind, Callable[[Any], Any]] = {Kind.DECIMAL: _decimal, Kind.BOOLEAN: _boolean, Kind.UUID: _uuid}
    return plain_kinds.get(kind)


def python_column(kind: Kind, style: Style) -> Callable[[Sequence[Any]], Sequence[Any]] | None:
    """The same for many raw values at once."""
    render = python_text(kind, style)
    if render is _guarded:
        return _guarded_column
    return None if render is None else lambda values: list(map(render, values))


def _guarded(value: str | None) -> str | None:
    return guard(value) if value else value


def _guarded_column(values: Sequence[str | None]) -> Sequence[str | None]:
    # One look at the first characters: few columns have any that matters.
    first = {value[:1] for value in values if value}
    return values if first.isdisjoint(_LOOKED_AT) else [_guarded(value) for value in values]
