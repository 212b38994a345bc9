"""Canonical cell text: one table of kinds, rendered in SQL on PostgreSQL and in Python on SQLite, equal by test.

Null and empty text are both empty here; a format that tells them apart asks its source for the raw cells.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from tasks.models.fields import plain


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


@dataclass(frozen=True)
class Style:
    """How a job wants its cells: an IANA zone for times, and whether texts are guarded against spreadsheets' formulas."""

    zone: str = "UTC"
    guard: bool = True


# -- The formula guard ---------------------------------------------------------------------------------------------
# A cell that starts with one of these may be run by a spreadsheet. Signed numbers and phone numbers may not, and stay.
# A text that starts with quotes before such a character gets one more, so that taking one away always restores it.
RISKY = frozenset("=+-@\t\r\n")
_HARMLESS = re.compile(r"[+-]?[0-9][0-9 ().]*")
_QUOTED = re.compile(r"'+[=+\-@\t\r\n]")


def guard(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula."""
    if not text or (text[0] not in RISKY and text[0] != "'"):
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
_SQL_ZONED = (
    "CASE WHEN extract(year FROM {c} AT TIME ZONE 'UTC') BETWEEN 1901 AND 2099 AND mod(extract(timezone FROM {c})::int, 60) = 0"
    " THEN replace(to_char({c}, 'YYYY-MM-DD\"T\"HH24:MI:SS.USTZH:TZM'), '.000000', '') ELSE " + _SQL_UTC + " END"
)


def sql_text(kind: Kind, column: str, style: Style) -> str:
    """A PostgreSQL expression over the column's name whose COPY text is the canonical cell (ISO DateStyle)."""
    if kind is Kind.TEXT:
        template = _SQL_GUARD if style.guard else _SQL_TEXT
    elif kind is Kind.PHONE:
        template = _SQL_TEXT
    elif kind is Kind.DATETIME:
        template = _SQL_UTC if style.zone == "UTC" else _SQL_ZONED
    elif kind is Kind.BOOLEAN:
        template = "{c}::text"
    else:
        template = "{c}"  # integers, decimals, dates and UUIDs are canonical as they are
    return template.replace("{c}", column)


# -- SQLite: the driver's raw values (text, int, float, None) to text -----------------------------------------------
def _decimal(value: float | int | None) -> str | None:
    return None if value is None else plain(Decimal(repr(value)))


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


def _zoned(zone: str) -> Callable[[str | None], str | None]:
    info = zoneinfo.ZoneInfo(zone)

    def render(value: str | None) -> str | None:
        if value is None:
            return None
        moment = datetime.fromisoformat(value).replace(tzinfo=UTC)
        if not 1901 <= moment.year <= 2099:
            return _utc(value)
        local = moment.astimezone(info)
        offset = local.utcoffset()
        return _utc(value) if offset is None or offset.total_seconds() % 60 else local.isoformat()

    return render


def python_text(kind: Kind, style: Style) -> Callable[[Any], Any] | None:
    """A function from SQLite's raw value to the canonical cell, or None where the raw value already is one."""
    if kind is Kind.TEXT:
        return _guarded if style.guard else None
    if kind is Kind.DATETIME:
        return _utc if style.zone == "UTC" else _zoned(style.zone)
    plain_kinds: dict[Kind, Callable[[Any], Any]] = {Kind.DECIMAL: _decimal, Kind.BOOLEAN: _boolean, Kind.UUID: _uuid}
    return plain_kinds.get(kind)


def _guarded(value: str | None) -> str | None:
    # The common case must stay one look at the first character.
    return value if not value or (value[0] not in RISKY and value[0] != "'") else guard(value)
