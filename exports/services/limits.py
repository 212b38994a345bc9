"""What an organization may: what it has of its own, else what the settings say."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db.models import Q, QuerySet, Sum
from django.utils import timezone

from exports.models import ExportFile
from taskexport.errors import TooMany
from tasks.models import Organization

MEGABYTE = 1024 * 1024
DAY = timedelta(hours=24)


class QuotaFull(TooMany):
    """The organization has used up what it may; the message says what clears it, and when: 429."""

    code = "quota_full"


def max_running(own: int | None) -> int:
    """Jobs at once on our workers, of an organization with this limit of its own."""
    return own or settings.MAX_RUNNING


def expiry(organization: Organization | None) -> datetime:
    """When a file that is published now expires."""
    days = organization.file_days if organization else None
    return datetime.now(UTC) + timedelta(days=days or settings.FILE_DAYS)


def most_kept(organization: Organization) -> int:
    """How many bytes of files it may keep at once; 0: no limit."""
    return (settings.KEPT_MB if organization.kept_mb is None else organization.kept_mb) * MEGABYTE


def require_room(organization: Organization | None) -> None:
    """Raises QuotaFull unless the organization may begin another export; one that has begun is always finished."""
    full = quota_full(organization) if organization else None
    if full:
        raise full


def quota_full(organization: Organization) -> QuotaFull | None:
    """Which quota is full, if one is: of rows in 24 hours, of bytes kept."""
    return _rows(organization) or _bytes(organization)


def _rows(organization: Organization) -> QuotaFull | None:
    most = settings.ROWS_A_DAY if organization.rows_a_day is None else organization.rows_a_day
    if not most:
        return None
    files = _files(organization).filter(created_at__gt=timezone.now() - DAY)
    used = files.aggregate(rows=Sum("rows"))["rows"] or 0
    if used < most:
        return None
    clears_at = None
    for created_at, rows in files.order_by("created_at", "pk").values_list("created_at", "rows").iterator():
        used -= rows
        clears_at = created_at + DAY
        if used < most:
            break
    text = f"This organization has exported its {most:,} rows of 24 hours."
    return _full("quota_rows", text, clears_at, "Some of them will be older than that from {} on; a superuser may raise the limit.")


def _bytes(organization: Organization) -> QuotaFull | None:
    most = most_kept(organization)
    if not most:
        return None
    files = _files(organization).filter(Q(pinned=True) | Q(expires_at__gt=timezone.now()), deleted_at=None)
    used = files.aggregate(size=Sum("size"))["size"] or 0
    if used < most:
        return None
    clears_at = None
    for expires_at, size in files.filter(pinned=False).order_by("expires_at", "pk").values_list("expires_at", "size").iterator():
        used -= size
        if used < most:
            clears_at = expires_at
            break
    text = f"This organization keeps its {most // MEGABYTE:,} MB of files. Delete jobs, or unpin files that have expired."
    return _full("quota_bytes", text, clears_at, "Without that, enough of them will have expired at {}.")


def _files(organization: Organization) -> QuerySet[ExportFile]:
    return ExportFile.objects.filter(job__organization=organization)


def _full(code: str, text: str, clears_at: datetime | None, then: str) -> QuotaFull:
    if clears_at is None:
        return QuotaFull(text, code=code)
    seconds = max(1, math.ceil((clears_at - timezone.now()).total_seconds()))
    return QuotaFull(f"{text} {then.format(clears_at.astimezone(UTC).strftime('%Y-%m-%d %H:%M UTC'))}", code=code, retry_after_seconds=seconds)
