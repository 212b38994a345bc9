"""What people keep to export by."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Lower, Now

from tasks.models import Organization


class ExportConfig(models.Model):
    """A saved choice of columns and rows. Jobs freeze what it says; `version` rises with each change."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="export_configs")
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    dataset = models.CharField(max_length=40, default="tasks")
    columns = models.JSONField()
    filter = models.JSONField(null=True, blank=True, help_text="Its relative times are pinned when a job is made.")
    # RESTRICT keeps it as PROTECT does, but lets an organization go with all that it has.
    segment = models.ForeignKey("exports.Segment", models.RESTRICT, null=True, blank=True, related_name="configs", help_text="Its rows alone.")
    extra = models.JSONField(default=dict, blank=True, help_text="What a contract says of the config beyond what exports know, by contract.")
    timezone = models.CharField(max_length=64, default="UTC")
    date_format = models.CharField(max_length=10, default="iso")
    version = models.PositiveIntegerField(default=1)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name", "pk"]
        constraints = [models.UniqueConstraint("organization", Lower("name"), name="export_config_once")]

    def __str__(self) -> str:
        return self.name
