"""What repeats: saved segments, schedules, and each of their runs."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now

from exports.models.delivery import Destination
from exports.models.jobs import ExportJob
from exports.models.saved import ExportConfig
from tasks.models import Organization


class Segment(models.Model):
    """A saved choice of a dataset's rows by rules; `version` rises with each change."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="segments")
    name = models.CharField(max_length=200)
    entity = models.CharField(max_length=100, blank=True, help_text="Kept as it was sent.")
    dataset = models.CharField(max_length=40)
    join = models.CharField(max_length=3)
    rules = models.JSONField(help_text="As `exports.services.segments` checks them; times relative to now are pinned when a job is made.")
    version = models.PositiveIntegerField(default=1)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name", "pk"]
        constraints = [models.UniqueConstraint("organization", Lower("name"), name="segment_once")]

    def __str__(self) -> str:
        return self.name


class Kind(models.TextChoices):
    """How a schedule repeats."""

    ONCE = "once", "once"
    DAILY = "daily", "daily"
    WEEKLY = "weekly", "weekly"
    MONTHLY = "monthly", "monthly"
    CRON = "cron", "cron"


class Missed(models.TextChoices):
    """What becomes of runs that fell due while nothing ran."""

    LATEST = "latest", "the latest one runs"
    SKIP = "skip", "none runs"
    ALL = "all", "all run"


class Overlap(models.TextChoices):
    """What becomes of a run that falls due while an earlier one goes on."""

    SKIP = "skip", "it is left out"
    QUEUE = "queue", "it waits"


class MailOn(models.TextChoices):
    """Which ends of a schedule's runs are told by mail."""

    ENDS = "ends", "every end"
    FAILURES = "failures", "failures alone"
    NEVER = "never", "none"


class ExportSchedule(models.Model):
    """An export that repeats, or waits for its time. Only `exports.services.schedules` changes it."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="export_schedules")
    # Its jobs are the owner's, who must be allowed to make them at each run.
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="export_schedules")
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)

    kind = models.CharField(max_length=10, choices=Kind.choices)
    timezone = models.CharField(max_length=64)
    starts_on_clock = models.CharField(max_length=26, help_text="The first run's wall time in the zone; a month's day is this one's.")
    cron = models.CharField(max_length=100, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    missed = models.CharField(max_length=10, choices=Missed.choices, default=Missed.LATEST)
    overlap = models.CharField(max_length=10, choices=Overlap.choices, default=Overlap.SKIP)

    dataset = models.CharField(max_length=40, default="tasks")
    format = models.CharField(max_length=20, default="csv")
    options = models.JSONField(default=dict, blank=True)
    columns = models.JSONField(null=True, blank=True, help_text="None: all of the dataset's, or the config's.")
    filter = models.JSONField(null=True, blank=True)
    # RESTRICT keeps them as PROTECT does, but lets an organization go with all that it has.
    config = models.ForeignKey(ExportConfig, models.RESTRICT, null=True, blank=True, related_name="schedules")
    segment = models.ForeignKey(Segment, models.RESTRICT, null=True, blank=True, related_name="schedules")
    rules = models.JSONField(null=True, blank=True, help_text="A segment of its own, in place of a saved one.")
    window = models.CharField(max_length=20, default="all", help_text="Which rows by their creation, relative to the run.")
    skip_when_empty = models.BooleanField(default=False)
    changes_only = models.BooleanField(default=False, db_default=False, help_text="A file has what changed since the last delivered one.")
    stem = models.CharField(max_length=40, blank=True, help_text="What its files are called before -ID; empty: after the job.")

    # Where its runs go; `services.deliveries.links` changes these.
    mail_on = models.CharField(max_length=10, choices=MailOn.choices, default=MailOn.ENDS, help_text="Which ends its owner and recipients are told.")
    recipients = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="+", blank=True, help_text="Told beside its owner.")
    attach_small = models.BooleanField(default=False, help_text="Mails bring the file along, if it is small.")
    destination = models.ForeignKey(
        Destination, models.RESTRICT, null=True, blank=True, related_name="schedules", help_text="Files are copied there."
    )

    next_run_at = models.DateTimeField(null=True, help_text="Advanced in the same transaction as the run's row is made.")
    armed_at = models.DateTimeField(db_default=Now(), help_text="What was due before this was not missed: it was asked for later.")
    paused_reason = models.CharField(max_length=20, blank=True, help_text="Empty while it runs.")
    paused_detail = models.TextField(blank=True)
    failures = models.PositiveSmallIntegerField(default=0, help_text="In a row.")
    last_outcome = models.CharField(max_length=10, blank=True)
    result_job = models.ForeignKey(ExportJob, models.SET_NULL, null=True, related_name="+")
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name = "schedule"
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=Kind.values), name="schedule_kind_known"),
            models.CheckConstraint(condition=Q(segment__isnull=True) | Q(rules__isnull=True), name="schedule_one_segment"),
        ]
        indexes = [
            models.Index(fields=["next_run_at", "id"], name="schedule_due", condition=Q(paused_reason="", next_run_at__isnull=False)),
            models.Index(fields=["organization", "id"], name="schedule_list"),
        ]

    def __str__(self) -> str:
        return self.name


class Pause(models.TextChoices):
    """Why a schedule runs no more."""

    PAUSED = "paused", "somebody paused it"
    OWNER_LOST = "owner_lost", "its owner may no longer export"
    FAILURES = "failures", "too many runs in a row have failed"
    BROKEN = "broken", "it can't run as it is"


class ScheduleEvent(models.Model):
    """A line of a schedule's ledger: what was done to it, by whom. It stays when the schedule goes."""

    class Kind(models.TextChoices):
        """What was done."""

        CREATED = "created", "created"
        CHANGED = "changed", "changed"
        PAUSED = "paused", "paused"
        RESUMED = "resumed", "resumed"
        TAKEN_OVER = "taken_over", "taken over"
        RESET = "reset", "reset to a full export"
        DELETED = "deleted", "deleted"

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    # No constraint: the number is kept when the row has gone, and is never given to another.
    schedule = models.ForeignKey(ExportSchedule, models.DO_NOTHING, db_constraint=False, related_name="events")
    name = models.CharField(max_length=200, help_text="The schedule's, then.")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", help_text="Empty: the service itself.")
    detail = models.TextField(blank=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["at"], name="schedule_event_age")]

    def __str__(self) -> str:
        return f"{self.name} {self.kind}"


class ChangeBase(models.Model):
    """The rows of a schedule's last delivered run, as ids and digests in a file: what the next run is compared with.

    Only `exports.services.changes` changes it, in the transaction that publishes a run.
    """

    schedule = models.OneToOneField(ExportSchedule, models.CASCADE, related_name="change_base")
    job_uuid = models.UUIDField(help_text="The job that delivered them; it may be gone by now.")
    key = models.CharField(max_length=300, unique=True)
    size = models.BigIntegerField(help_text="Bytes.")
    sha256 = models.CharField(max_length=64)
    rows = models.BigIntegerField()
    layout = models.CharField(max_length=64, help_text="Of its columns and how they were written; with another one nothing can be compared.")
    snapshot_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.key


class Outcome(models.TextChoices):
    """How a run ended."""

    DONE = "done", "done"
    LATE = "late", "done, later than it should"
    SKIPPED = "skipped", "skipped"
    MISSED = "missed", "missed"
    FAILED = "failed", "failed"


class Firing(models.Model):
    """One run of a schedule, or one that should have been; never two for the same time."""

    schedule = models.ForeignKey(ExportSchedule, models.CASCADE, related_name="firings")
    intended_at = models.DateTimeField()
    fired_at = models.DateTimeField(db_default=Now())
    job = models.ForeignKey(ExportJob, models.SET_NULL, null=True, related_name="firings")
    outcome = models.CharField(max_length=10, choices=Outcome.choices, blank=True, help_text="Empty while its job has not ended.")
    detail = models.TextField(blank=True)
    by_hand = models.BooleanField(default=False)
    window_until = models.DateTimeField(null=True, help_text="The first instant that its file does not cover.")

    class Meta:
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(fields=["schedule", "intended_at"], name="firing_once")]
        indexes = [
            models.Index(fields=["schedule", "-id"], name="firing_newest"),
            models.Index(fields=["id"], name="firing_open", condition=Q(outcome="")),
        ]

    def __str__(self) -> str:
        return f"{self.intended_at.isoformat()} {self.outcome}"
