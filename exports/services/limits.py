"""What an organization may: what it has of its own, else what the settings say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.conf import settings

from tasks.models import Organization


def max_running(organization: Organization) -> int:
    """Its jobs at once on our workers."""
    return organization.max_running or settings.MAX_RUNNING


def expiry(organization: Organization | None) -> datetime:
    """When a file that is published now expires."""
    days = organization.file_days if organization else None
    return datetime.now(UTC) + timedelta(days=days or settings.FILE_DAYS)
