"""What an organization's exports add up to: noted as jobs end; its files as `retention` counted them. Read without counting."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.db.models import F, Sum

from exports.models import DayTotal, KeptTotal
from exports.services import limits


@dataclass(frozen=True)
class Day:
    """What ended on a day (UTC)."""

    day: date
    done: int
    failed: int
    rows: int


@dataclass(frozen=True)
class Kept:
    """What an organization keeps, of how much (0: no limit), and when it was counted (None: not yet)."""

    organization: str
    files: int
    size: int
    most: int
    counted_at: datetime | None


# -- Days ----------------------------------------------------------------------------------------------------------
def note(organization_id: int | None, *, done: int = 0, failed: int = 0, rows: int = 0) -> None:
    """Adds to the organization's day, last in the transaction that ends a job: until it commits, the next one waits."""
    if organization_id is None:
        return
    today = datetime.now(UTC).date()
    mine = DayTotal.objects.filter(organization=organization_id, day=today)
    more = {"done": F("done") + done, "failed": F("failed") + failed, "rows": F("rows") + rows}
    if not mine.update(**more):
        DayTotal.objects.bulk_create([DayTotal(organization_id=organization_id, day=today)], ignore_conflicts=True)
        mine.update(**more)


def days(organization_ids: Collection[int], count: int) -> list[Day]:
    """The last so many days of these organizations together, the oldest first; days without any are there too."""
    today = datetime.now(UTC).date()
    wanted = [today - timedelta(days=ago) for ago in reversed(range(count))]
    rows = DayTotal.objects.filter(organization__in=organization_ids, day__gte=wanted[0]).order_by("day")
    found = {row[0]: row[1:] for row in rows.values_list("day").annotate(Sum("done"), Sum("failed"), Sum("rows"))}
    return [Day(day, *(int(number) for number in found.get(day, (0, 0, 0)))) for day in wanted]


# -- Files ---------------------------------------------------------------------------------------------------------
def kept(organization_ids: Collection[int], most: int) -> list[Kept]:
    """The organizations that keep most, at most so many of them."""
    rows = KeptTotal.objects.filter(organization__in=organization_ids).select_related("organization").order_by("-size", "organization")[:most]
    return [Kept(row.organization.name, row.files, row.size, limits.most_kept(row.organization), row.counted_at) for row in rows]
