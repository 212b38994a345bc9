"""What is counted as it happens, so that no page has to count a million jobs."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from tasks.models import Organization


class DayTotal(models.Model):
    """What ended in an organization on one day (UTC). A job that failed, and was done when it was retried, counts as both."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    done = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    rows = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "day"], name="day_total_once")]


class KeptTotal(models.Model):
    """The files that an organization keeps, as they were a few minutes ago."""

    organization = models.OneToOneField(Organization, models.CASCADE, primary_key=True, related_name="+")
    files = models.BigIntegerField(default=0)
    size = models.BigIntegerField(default=0, help_text="Bytes.")
    counted_at = models.DateTimeField(db_default=Now())
