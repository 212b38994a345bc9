"""Times as bounds: what a caller writes as a time, and how much of time it covers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

INSTANT = timedelta(microseconds=1)
BEGINNING = datetime.min.replace(tzinfo=UTC)


def within(column: str, first: datetime | None = None, until: datetime | None = None) -> dict[str, datetime]:
    """The lookups of a query for times from `first` on, up to but without `until`.

    SQLite compares times as texts, and those that it gives itself have three digits behind the point where ours have six, or of a whole second
    none: so it is never asked for a time that its own could equal, but for the instant beside it.
    """
    found: dict[str, datetime] = {}
    if first:
        found |= {f"{column}__gt": first - INSTANT} if _has_neighbour(first) else {f"{column}__gte": first}
    if until:
        found |= {f"{column}__lte": until - INSTANT} if _has_neighbour(until) else {f"{column}__lt": until}
    return found


def _has_neighbour(at: datetime) -> bool:
    """Whether there is an instant before this one, and SQLite could not have given it itself."""
    return at != BEGINNING and at.microsecond != 1


@dataclass(frozen=True)
class Moment:
    """A time as a bound: `at` as a start; as an inclusive end everything in its `width` (its whole second, or day)."""

    at: datetime
    width: timedelta

    @property
    def until(self) -> datetime | None:
        """The first instant after it; None where time itself ends."""
        try:
            return self.at + self.width
        except OverflowError:
            return None

    @property
    def last(self) -> datetime:
        """The last instant that it includes."""
        return self.at + (self.width - INSTANT)

    @property
    def stated(self) -> datetime:
        """The end as a job shows it: as it was said, a whole day by its last instant."""
        return self.at if self.width <= timedelta(seconds=1) else self.last


_TIME = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})(?:(?P<gap>[Tt ])(?P<time>\d{2}:\d{2}:\d{2})(?:\.(?P<fraction>\d{1,9}))?(?P<zone>[Zz]|[+-]\d{2}:\d{2})?)?", re.ASCII
)

_PLUS = re.compile(r" (?=\d\d:\d\d$)")


def of_query(text: str) -> str:
    """A time of a query string with its +, which reads as a space where it was not percent-encoded."""
    return _PLUS.sub("+", text)


def moment(text: str, *, spaced_is_utc: bool = False) -> Moment:
    """An RFC 3339 time with its zone, or a day in UTC; `spaced_is_utc` takes `Y-m-d H:i:s` without a zone too, as UTC.

    Raises ValueError with the cure.
    """
    match = _TIME.fullmatch(text)
    if not match:
        raise ValueError("Write a time such as 2024-01-31T23:59:59Z, or a day such as 2024-01-31.")
    zone = match["zone"] or ("Z" if spaced_is_utc and match["gap"] == " " else None)
    try:
        if match["time"] is None:
            at, width = datetime.fromisoformat(match["day"]).replace(tzinfo=UTC), timedelta(days=1)
        elif zone is None:
            raise ValueError("The time has no zone; add Z or an offset such as +02:00.")
        else:
            fraction = (match["fraction"] or "")[:6].ljust(6, "0")
            offset = "+00:00" if zone in "Zz" else zone
            at = datetime.fromisoformat(f"{match['day']}T{match['time']}.{fraction}{offset}").astimezone(UTC)
            width = INSTANT if match["fraction"] else timedelta(seconds=1)
    except OverflowError:
        raise ValueError("The time is out of range.") from None
    return Moment(at, width)
