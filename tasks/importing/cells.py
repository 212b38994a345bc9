"""One cell's text becomes one field's value, or a ValueError says in words why not.

The values are texts that both databases read: UTC times as `YYYY-MM-DD HH:MM:SS[.ffffff]`, days in ISO, plain decimals, None for NULL.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import models

from tasks.importing.mapping import ASSIGNEE, NAMED, PLAIN, Target
from tasks.importing.rows import Cell
from tasks.importing.times import reader, settle
from tasks.models import TaskStatus
from tasks.models.fields import PlainDecimalField, plain

Convert = Callable[[Cell], str | None]
NUMBER = re.compile(r"[+-]?(\d{1,15}(\.\d{0,30})?|\.\d{1,30})([eE][+-]?\d{1,2})?", re.ASCII)
LIMITS = {"latitude": 90, "longitude": 180}
STATUSES = frozenset(TaskStatus.values)
REQUIRED = {"external_id", "title", "created_at"}
NAME_CHARS = 200


def converter(target: Target, zone: ZoneInfo) -> Convert:
    """What turns a cell into the target's value; it raises ValueError with a reason a person can act on."""
    return _required(target, _replaced(target, _by_kind(target, zone)))


def due_day(target: Target, zone: ZoneInfo) -> Convert:
    """What turns a cell of `due_at` into its local day."""
    convert = converter(target, zone)

    def day(cell: Cell) -> str | None:
        text = convert(cell)
        return None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC).astimezone(zone).date().isoformat()

    return day


def text_of(cell: Cell) -> str:
    """A cell as text; a workbook's typed time in ISO form, without a zone because it has none."""
    return cell if isinstance(cell, str) else cell.isoformat()


def shown(text: str) -> str:
    """A text short enough for a message."""
    return repr(text if len(text) <= 40 else text[:39] + "…")


def _by_kind(target: Target, zone: ZoneInfo) -> Convert:
    name = target.name
    field = PLAIN.get(name)
    if name in NAMED:
        return _text(NAME_CHARS, null=True)
    if name == ASSIGNEE or field is None:
        return text_of
    if name == "status":
        return _status
    if name == "country":
        return _country
    if isinstance(field, models.DateTimeField):
        return _time(target.format, zone)
    if isinstance(field, models.DateField):
        return _day(target.format)
    if isinstance(field, PlainDecimalField):
        return _number(field, LIMITS[name])
    return _text(field.max_length, null=field.null)


def _replaced(target: Target, convert: Convert) -> Convert:
    values, default = target.values, target.default
    if target.header is None:
        return lambda cell: convert(default or "")
    if not values and default is None:
        return convert

    def replaced(cell: Cell) -> str | None:
        text = text_of(cell)
        if text in values:
            return convert(values[text])
        if default is not None and (values or not text):
            return convert(default)
        return convert(cell)

    return replaced


def _required(target: Target, convert: Convert) -> Convert:
    if target.name not in REQUIRED:
        return convert

    def required(cell: Cell) -> str:
        value = convert(cell)
        if not value:
            raise ValueError(f"{target.name} is empty")
        return value

    return required


def _text(max_chars: int | None, null: bool) -> Convert:
    def text(cell: Cell) -> str | None:
        value = text_of(cell)
        if max_chars is not None and len(value) > max_chars:
            raise ValueError(f"{len(value)} characters where {max_chars} fit")
        return value or (None if null else "")

    return text


def _status(cell: Cell) -> str:
    text = text_of(cell) or TaskStatus.NONE.value
    if text not in STATUSES:
        raise ValueError(f"{shown(text)} is no status; write {', '.join(TaskStatus.values)}, or map it by values or a default")
    return text


def _country(cell: Cell) -> str:
    text = text_of(cell)
    if text and not (len(text) == 2 and text.isascii() and text.isalpha()):
        raise ValueError(f"{shown(text)} is no country code; write two letters such as NL")
    return text


def _number(field: PlainDecimalField, limit: int) -> Convert:
    def number(cell: Cell) -> str | None:
        text = text_of(cell).strip()
        if not text:
            return None
        try:
            value = field.to_python(text) if NUMBER.fullmatch(text) else None
        except ValidationError:
            value = None
        if value is None:
            raise ValueError(f"{shown(text)} is no number; write one such as -76.61")
        if abs(value) > limit:
            raise ValueError(f"{shown(text)} lies outside -{limit} to {limit}")
        return plain(value)

    return number


def _parsed(text: str, read: Callable[[str], datetime], pattern: str | None, what: str) -> datetime:
    try:
        return read(text)
    except ValueError:
        form = f"the format {pattern}" if pattern else "ISO 8601, such as 2026-03-28T09:30:00+01:00"
        raise ValueError(f"{shown(text)} is no {what} of {form}") from None


def _time(pattern: str | None, zone: ZoneInfo) -> Convert:
    read = reader(pattern)

    @lru_cache(maxsize=1024)  # due_on asks once more, and times of a file repeat
    def utc(cell: Cell) -> str:
        local = _parsed(cell.strip(), read, pattern, "time") if isinstance(cell, str) else cell
        try:
            return str(settle(local, zone).replace(tzinfo=None))
        except OverflowError:
            raise ValueError(f"{shown(text_of(cell))} lies outside the years 1 to 9999") from None

    return lambda cell: utc(cell) if cell else None


def _day(pattern: str | None) -> Convert:
    read = reader(pattern)

    def day(cell: Cell) -> str | None:
        if not cell:
            return None
        if isinstance(cell, datetime):
            return cell.date().isoformat()
        text = cell.strip()
        if pattern:
            return _parsed(text, read, pattern, "day").date().isoformat()
        try:
            return date.fromisoformat(text).isoformat()
        except ValueError:
            raise ValueError(f"{shown(text)} is no day; write one such as 2026-03-28") from None

    return day


def people(text: str) -> list[tuple[str, str]]:
    """The members a cell names, as (key, text), each once: the key of an e-mail is its small letters. Raises ValueError."""
    found: dict[str, str] = {}
    for part in text.split(";"):
        name = part.strip()
        if len(name) > NAME_CHARS:
            raise ValueError(f"{len(name)} characters where a member's name has at most {NAME_CHARS}")
        if "@" in name:
            _check_email(name)
        if name:
            found.setdefault(name.lower() if "@" in name else name, name)
    return list(found.items())


@lru_cache(maxsize=1024)  # the same members come again and again
def _check_email(text: str) -> None:
    try:
        validate_email(text)
    except ValidationError:
        raise ValueError(f"{shown(text)} has an @ and is no e-mail address") from None
