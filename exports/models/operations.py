"""What others see of everything that runs by itself: operations, and the imports and uploads behind some of them."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from exports.models.jobs import ExportJob
from exports.models.schedules import Firing
from exports.states import JobStatus
from tasks.models import Organization


class Upload(models.Model):
    """A file that somebody sent us to import. Its bytes are there from `finished_at` until the sweeper removes both."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="uploads")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    name = models.CharField(max_length=200, blank=True)
    kind = models.CharField(max_length=10, blank=True, help_text="csv or xlsx.")
    size = models.BigIntegerField(default=0, help_text="Bytes.")
    sha256 = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="upload_expiry"), models.Index(fields=["organization"], name="upload_open")]

    def __str__(self) -> str:
        return self.name

    @property
    def key(self) -> str:
        """Where its bytes are stored."""
        return f"uploads/{self.organization_id}/{self.pk}"

    @property
    def spool_name(self) -> str:
        """The name of the file in the spool while it arrives."""
        return f"upload-{self.pk}.part"


class TaskImport(models.Model):
    """One import of one file by one mapping. Only `exports.services.imports.running` moves its status."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="imports")
    upload = models.ForeignKey(Upload, models.SET_NULL, null=True, related_name="imports")
    name = models.CharField(max_length=200, help_text="The file's.")
    mapping = models.JSONField(null=True, help_text="null: an operator's import, by a map on the machine.")
    skip_bad = models.BooleanField(default=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    status = models.CharField(max_length=20, choices=JobStatus.choices, default=JobStatus.QUEUED)
    attempt = models.PositiveSmallIntegerField(default=0, help_text="Only ever rises: the fence against a worker that was given up.")
    result = models.JSONField(null=True, help_text="What it did, or why it failed; null before the end.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    started_at = models.DateTimeField(null=True)
    beat_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [models.CheckConstraint(condition=Q(status__in=JobStatus.values), name="import_status_known")]
        indexes = [
            models.Index(fields=["created_at"], name="import_queue", condition=Q(status=JobStatus.QUEUED)),
            models.Index(fields=["beat_at"], name="import_running", condition=Q(status=JobStatus.IN_PROGRESS)),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def spool_name(self) -> str:
        """The name of the file in the spool that this attempt reads."""
        return f"import-{self.pk}.{self.attempt}.part"


class Operation(models.Model):
    """Something asynchronous or scheduled, as contract 3 shows it.

    With a job or an import behind it, its response is read from there, and its status and last change follow what runs: `recording.follow`
    writes them in the same transaction, so that lists find them in an index.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, null=True, related_name="operations")
    handler = models.CharField(max_length=200)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    entity_id = models.CharField(max_length=200, null=True)
    status = models.CharField(max_length=50, default="pending")
    request = models.TextField(null=True)
    own_response = models.TextField(null=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)
    historized = models.BooleanField(default=False, help_text="Hidden from lists that do not ask for history.")
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="children")
    job = models.OneToOneField(ExportJob, models.CASCADE, null=True, related_name="operation")
    task_import = models.OneToOneField(TaskImport, models.CASCADE, null=True, related_name="operation")
    # What came of a run is written here, so that it stays when its schedule goes.
    firing = models.OneToOneField(Firing, models.SET_NULL, null=True, related_name="operation")

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [models.CheckConstraint(condition=Q(job__isnull=True) | Q(task_import__isnull=True), name="operation_reads_one")]
        indexes = [
            # Each gives a filter's rows in the list's order, counts them, and holds the ids of a deep page; the first whatever is filtered.
            models.Index(fields=["organization", "-created_at", "-id"], name="operation_list", include=["historized", "handler", "user", "status"]),
            models.Index(fields=["organization", "status", "-created_at", "-id"], name="operation_by_status", include=["historized"]),
            models.Index(fields=["organization", "handler", "-created_at", "-id"], name="operation_by_handler", include=["historized", "status"]),
            models.Index(fields=["organization", "user", "-created_at", "-id"], name="operation_by_user", include=["historized"]),
            models.Index(fields=["organization", "-updated_at", "-id"], name="operation_by_change", include=["historized"]),
            models.Index(fields=["organization", "entity_id"], name="operation_by_entity"),
        ]

    def __str__(self) -> str:
        return f"{self.handler} {self.pk}"


class Removal(models.Model):
    """The audit of an operation that was deleted with all that hung on it; stays when they are gone."""

    organization = models.ForeignKey(Organization, models.CASCADE, null=True, related_name="+")
    operation_id = models.UUIDField()
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(db_default=Now())
    detail = models.JSONField(help_text="What was removed, and who had fetched its files.")


class Litter(models.Model):
    """Stored bytes whose rows are gone: the sweeper removes them, then this."""

    class Kind(models.TextChoices):
        """What the name is."""

        FILE = "file", "a stored file's key"
        FOLDER = "folder", "a stored prefix"
        SPOOL = "spool", "a file in the spool"

    kind = models.CharField(max_length=10, choices=Kind.choices)
    name = models.CharField(max_length=300)
