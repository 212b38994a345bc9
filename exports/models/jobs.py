"""Export jobs: the row, its attempts, its timeline, its file and who fetched it."""

from __future__ import annotations

import secrets
import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from exports.states import JobStatus
from tasks.models import Organization, Platform


class Trigger(models.TextChoices):
    """Which door a job came through."""

    API = "api", "API"
    DIRECT = "direct", "direct"
    SCHEDULE = "schedule", "schedule"
    STAFF = "staff", "staff"


class Runner(models.TextChoices):
    """Who does the work: our workers, somebody else's, or the request itself."""

    INTERNAL = "internal", "internal"
    EXTERNAL = "external", "external"
    WEB = "web", "web"


def _nonce() -> str:
    return secrets.token_hex(4)


class ExportJob(models.Model):
    """One execution of one frozen spec. Only `exports.services.jobs` moves its status."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, null=True, related_name="export_jobs")
    platform = models.ForeignKey(Platform, models.CASCADE, null=True, related_name="export_jobs")
    org_name = models.CharField(max_length=200, help_text="Kept as it was sent, never compared.")
    name = models.CharField(max_length=200)
    type = models.CharField(max_length=20)
    dataset = models.CharField(max_length=40, default="tasks")
    format = models.CharField(max_length=20, default="csv")
    creation_start_date = models.DateTimeField()
    creation_end_date = models.DateTimeField()
    spec = models.JSONField()
    trigger = models.CharField(max_length=10, choices=Trigger.choices)
    runner = models.CharField(max_length=10, choices=Runner.choices, default=Runner.INTERNAL)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="export_jobs")
    again_of = models.ForeignKey("self", models.SET_NULL, null=True, related_name="made_again")

    notify = models.BooleanField(default=False, help_text="Whoever made it gets an e-mail when it has ended.")

    status = models.CharField(max_length=20, choices=JobStatus.choices, default=JobStatus.NEW)
    version_seq = models.PositiveIntegerField(default=0)
    version_nonce = models.CharField(max_length=8, default=_nonce)
    attempt = models.PositiveIntegerField(default=0, help_text="Only ever rises: the fence against a worker that was given up.")
    crashes = models.PositiveSmallIntegerField(default=0, help_text="Leases lapsed since the job was last queued by a person.")
    faults = models.PositiveSmallIntegerField(default=0, help_text="Transient faults since then.")
    error = models.TextField(blank=True)
    error_code = models.CharField(max_length=50, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    queued_at = models.DateTimeField(null=True)
    available_at = models.DateTimeField(null=True, help_text="Not to be claimed before this.")
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True, editable=False, help_text="Hidden since; the row stays for the audit.")

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=JobStatus.values), name="job_status_known"),
            # A direct export may be over several platforms; it is its maker's then.
            models.CheckConstraint(condition=Q(organization__isnull=False) | Q(platform__isnull=False) | Q(runner="web"), name="job_has_owner"),
            models.CheckConstraint(condition=Q(creation_end_date__gte=F("creation_start_date")), name="job_window_forward"),
        ]
        indexes = [
            # Each gives a filter's rows in the list's order, counts them, and holds the ids of a deep page; the first whatever is filtered.
            models.Index(
                fields=["organization", "-created_at", "-id"], name="job_list", condition=Q(deleted_at__isnull=True), include=["status", "type"]
            ),
            models.Index(
                fields=["organization", "status", "-created_at", "-id"],
                name="job_list_by_status",
                condition=Q(deleted_at__isnull=True),
                include=["type"],
            ),
            models.Index(fields=["organization", "format", "-created_at", "-id"], name="job_list_by_format", condition=Q(deleted_at__isnull=True)),
            models.Index(fields=["organization", "created_by", "-created_at", "-id"], name="job_list_by_maker", condition=Q(deleted_at__isnull=True)),
            models.Index(
                fields=["-created_at", "-id"],
                name="job_list_all",
                condition=Q(deleted_at__isnull=True),
                include=["organization", "platform", "created_by", "status", "type", "format"],
            ),
            models.Index(fields=["organization", "queued_at"], name="job_queue", condition=Q(status=JobStatus.QUEUED)),
            models.Index(fields=["organization"], name="job_running", condition=Q(status=JobStatus.IN_PROGRESS)),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def version_rev(self) -> str:
        """The version in the contract's form: `{version_seq}-{8 hex digits}`."""
        return f"{self.version_seq}-{self.version_nonce}"


class JobAttempt(models.Model):
    """One claim of a job by one worker. Its beats keep the lease; the job's row stays untouched meanwhile."""

    job = models.ForeignKey(ExportJob, models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    token = models.CharField(max_length=16, help_text="Makes this attempt's file names its own.")
    worker = models.CharField(max_length=200)
    claimed_at = models.DateTimeField(db_default=Now())
    beat_at = models.DateTimeField(db_default=Now())
    rows_total = models.BigIntegerField(null=True)
    rows_done = models.BigIntegerField(default=0)
    ended_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=30, blank=True, help_text="Empty while it runs.")
    swept = models.BooleanField(default=False, help_text="What it may have left in spool and storage is gone.")

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="attempt_once")]
        indexes = [
            models.Index(fields=["beat_at"], name="attempt_open", condition=Q(outcome="")),
            models.Index(fields=["id"], name="attempt_unswept", condition=Q(swept=False) & ~Q(outcome__in=["", "done"])),
        ]

    @property
    def spool_name(self) -> str:
        """The name of the file in the spool while this attempt writes it."""
        return f"{self.job_id}.{self.number}-{self.token}.part"

    @property
    def key_prefix(self) -> str:
        """Where this attempt's file is stored; no other attempt's ever is."""
        return f"exports/{self.job.organization_id}/{self.job_id}/{self.number}-{self.token}"

    @property
    def base_key(self) -> str:
        """Where a change export stores its rows' digests: away from its file, which they outlive."""
        return f"bases/{self.job.organization_id}/{self.job_id}/{self.number}-{self.token}"


class JobEvent(models.Model):
    """A line of a job's timeline; never changed."""

    job = models.ForeignKey(ExportJob, models.CASCADE, related_name="events")
    at = models.DateTimeField(db_default=Now())
    kind = models.CharField(max_length=30)
    from_status = models.CharField(max_length=20, blank=True)
    to_status = models.CharField(max_length=20, blank=True)
    attempt = models.PositiveIntegerField(default=0)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    detail = models.TextField(blank=True)

    class Meta:
        ordering = ["pk"]


class ExportFile(models.Model):
    """The one published file of a job. Readers reach the stored object only through this row."""

    job = models.OneToOneField(ExportJob, models.CASCADE, related_name="file")
    attempt = models.PositiveIntegerField()
    key = models.CharField(max_length=300, unique=True)
    name = models.CharField(max_length=200)
    content_type = models.CharField(max_length=100)
    size = models.BigIntegerField(help_text="Bytes.")
    sha256 = models.CharField(max_length=64)
    rows = models.BigIntegerField()
    last_row_id = models.BigIntegerField(null=True, help_text="Of a file that was made in a request: the id of its last row.")
    receipt = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    pinned = models.BooleanField(default=False, db_default=False, help_text="Kept past its expiry.")
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="file_expiry", condition=Q(deleted_at__isnull=True))]

    @property
    def is_present(self) -> bool:
        """Whether its bytes may still be had: neither deleted nor expired."""
        return self.deleted_at is None and (self.pinned or self.expires_at > timezone.now())


class ExportIssue(models.Model):
    """A value that the file's format can't hold: what the file has in its place is cut or replaced, and this is the whole."""

    job = models.ForeignKey(ExportJob, models.CASCADE, related_name="issues")
    row_id = models.BigIntegerField()
    column = models.CharField(max_length=200)
    reason = models.CharField(max_length=50)
    text = models.TextField()

    class Meta:
        ordering = ["pk"]


class Download(models.Model):
    """Somebody fetched the file, whole or in part."""

    file = models.ForeignKey(ExportFile, models.CASCADE, related_name="downloads")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(db_default=Now())
    door = models.CharField(max_length=10)

    class Meta:
        ordering = ["-pk"]


class QueueProbe(models.Model):
    """When a message that does nothing was last put into a cluster's queue, and when one last came out of it."""

    cluster = models.CharField(max_length=30, primary_key=True)
    sent_at = models.DateTimeField(null=True)
    echoed_at = models.DateTimeField(null=True)


class TickLease(models.Model):
    """Whoever holds this row's lease is the only one that does what it is named for."""

    name = models.CharField(max_length=30, primary_key=True)
    holder = models.CharField(max_length=200, blank=True)
    until_at = models.DateTimeField()
