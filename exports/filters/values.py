"""Values of conditions: from JSON to what the query compares, and relative times to absolute ones."""

from __future__ import annotations

import calendar
import re
import uuid
import zoneinfo
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from exports.cells import Kind
from exports.datasets.chosen import TEXT_LENGTH, is_text
from exports.filters.operators import UNITS
from tasks.models.fields import FIFTEEN_DIGITS

MOST_AMOUNT = 100_000
INTEGER_MOST = 2**63 - 1
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME = re.compile(r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


def plain(kind: Kind, value: Any) -> Any:
    """The value that a condition over such a column compares with. Raises ValueError with the cure."""
    if kind is Kind.INTEGER:
        if type(value) is not int or abs(value) > INTEGER_MOST:
            raise ValueError("Write a whole number.")
        return value
    if kind is Kind.DECIMAL:
        return _decimal(value)
    if kind is Kind.BOOLEAN:
        if not isinstance(value, bool):
            raise ValueError("Write true or false.")
        return value
    if kind is Kind.UUID:
        try:
            return uuid.UUID(value)
        except (ValueError, TypeError, AttributeError):
            raise ValueError("Write a UUID.") from None
    if not is_text(value, TEXT_LENGTH, 1):
        raise ValueError(f"Write a text of 1 to {TEXT_LENGTH} characters; for missing ones there is is_empty.")
    return value


def _decimal(value: Any) -> Decimal:
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str) or (isinstance(value, str) and len(value) > 40):
            raise ValueError
        number = FIFTEEN_DIGITS.create_decimal(repr(value) if isinstance(value, float) else value)
        if not number.is_finite() or abs(number.adjusted()) > 30:
            raise ValueError
    except (ValueError, ArithmeticError):
        raise ValueError("Write a number, such as -76.61.") from None
    return number


def span(kind: Kind, value: Any, zone: str) -> tuple[Any, Any]:
    """The first instant (or day) that a time stands for, and the first one behind it; None where time itself ends.

    A day is the zone's own, of 23 to 25 hours; a time without a fraction is its whole second. Raises ValueError with the cure.
    """
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    try:
        if isinstance(value, str) and _DAY.fullmatch(value):
            day = date.fromisoformat(value)
            after = None if day == date.max else day + timedelta(days=1)
            return (day, after) if kind is Kind.DATE else (_midnight(day, zone), after and _midnight(after, zone))
        if match is None or kind is Kind.DATE:
            raise ValueError
        fraction = (match[3] or "")[:6].ljust(6, "0")
        at = datetime.fromisoformat(f"{match[1]}T{match[2]}.{fraction}{'+00:00' if match[4] in 'Zz' else match[4]}").astimezone(UTC)
        width = timedelta(microseconds=1) if match[3] else timedelta(seconds=1)
        return at, None if at > datetime.max.replace(tzinfo=UTC) - width else at + width
    except (ValueError, OverflowError):
        example = "a day such as 2024-01-31" if kind is Kind.DATE else "a day such as 2024-01-31, or a time such as 2024-01-31T23:59:59Z"
        raise ValueError(f"Write {example}.") from None


def _midnight(day: date, zone: str) -> datetime:
    try:
        return datetime(day.year, day.month, day.day, tzinfo=zoneinfo.ZoneInfo(zone)).astimezone(UTC)
    except OverflowError:
        return datetime(day.year, day.month, day.day, tzinfo=UTC)


def shifted(now: datetime, unit: str, amount: int) -> datetime:
    """So many units from now, backwards where negative; from a day on by the wall clock of now's zone, months end where they end.

    Raises OverflowError, ValueError beyond the years 1 to 9999.
    """
    if unit in {"minute", "hour"}:
        return (now.astimezone(UTC) + timedelta(**{f"{unit}s": amount})).astimezone(now.tzinfo)
    if unit in {"day", "week"}:
        return now + timedelta(**{f"{unit}s": amount})
    months = now.year * 12 + now.month - 1 + amount * (12 if unit == "year" else 1)
    year, month = divmod(months, 12)
    day = min(now.day, calendar.monthrange(year, month + 1)[1])
    return now.replace(year=year, month=month + 1, day=day)


def pinned(kind: Kind, op: str, value: Any, now: datetime, zone: str) -> dict[str, Any]:
    """A relative condition as an absolute one: its `op` and `value`. Raises ValueError with the cure."""
    if (
        not isinstance(value, dict)
        or set(value) != {"unit", "amount"}
        or value["unit"] not in UNITS
        or type(value["amount"]) is not int
        or not 0 < value["amount"] <= MOST_AMOUNT
    ):
        raise ValueError(f'Write {{"unit", "amount"}}: a unit of {", ".join(UNITS)}, and a whole number from 1 to {MOST_AMOUNT}.')
    local = now.astimezone(zoneinfo.ZoneInfo(zone))
    try:
        there = shifted(local, value["unit"], value["amount"] if op == "within_next" else -value["amount"])
        # Not sorted: within one zone Python compares wall times, and in an hour that comes twice these run backwards.
        first, last = (_stated(kind, moment) for moment in ((local, there) if op == "within_next" else (there, local)))
    except (OverflowError, ValueError):
        raise ValueError("That is before or after all time; write a smaller amount.") from None
    return {"op": "before", "value": first} if op == "more_than_ago" else {"op": "between", "value": [first, last]}


def _stated(kind: Kind, moment: datetime) -> str:
    if kind is Kind.DATE:
        return moment.date().isoformat()
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
