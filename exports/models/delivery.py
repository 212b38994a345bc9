"""What is to be told or brought to somebody, whether it has been, and where to."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now

from exports.models.jobs import ExportJob
from tasks.models import Organization


class Event(models.TextChoices):
    """What a delivery is about."""

    DONE = "job.done", "a job is done"
    FAILED = "job.failed", "a job has failed"
    CANCELLED = "job.cancelled", "a job was cancelled"
    PAUSED = "schedule.paused", "a schedule was paused"
    DISABLED = "webhook.disabled", "a webhook was switched off"
    TEST = "webhook.test", "a test"


class Webhook(models.Model):
    """An address of an integrator's that is called when something happens. Only `services.deliveries.webhooks` changes it."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="webhooks")
    name = models.CharField(max_length=200)
    url = models.CharField(max_length=2000)
    events = models.JSONField(default=list, help_text="Of `Event`.")
    enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=300, blank=True, help_text="Why the service switched it off; empty if it did not.")
    sealed_secret = models.TextField(help_text="Encrypted.")
    # While a receiver learns the new secret, what it gets is signed with both.
    sealed_old_secret = models.TextField(blank=True)
    old_secret_until = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True, help_text="Of the first failure since it last took something.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name", "pk"]
        constraints = [models.UniqueConstraint("organization", Lower("name"), name="webhook_once")]

    def __str__(self) -> str:
        return self.name


class Destination(models.Model):
    """A prefix of an organization's own bucket, to which its schedules' files are copied. Only `services.deliveries.destinations` changes it."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="destinations")
    name = models.CharField(max_length=200)
    endpoint = models.CharField(max_length=500, blank=True, help_text="Empty: Amazon's own.")
    region = models.CharField(max_length=40, default="us-east-1")
    bucket = models.CharField(max_length=63)
    prefix = models.CharField(max_length=300, blank=True, help_text="Of every key; without slashes at its ends.")
    access_key_id = models.CharField(max_length=200)
    sealed_secret = models.TextField(help_text="Encrypted.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    tested_at = models.DateTimeField(null=True, help_text="When it last took a test's object and let it go.")
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name", "pk"]
        constraints = [models.UniqueConstraint("organization", Lower("name"), name="destination_once")]

    def __str__(self) -> str:
        return self.name


class DeliveryKind(models.TextChoices):
    """The way it goes."""

    MAIL = "mail", "mail"
    WEBHOOK = "webhook", "webhook"
    COPY = "copy", "copy"


class DeliveryState(models.TextChoices):
    """How far a delivery is."""

    PENDING = "pending", "pending"
    SENT = "sent", "sent"
    DEAD = "dead", "dead"


class Delivery(models.Model):
    """One mail, one call of a webhook, or one copy of a file: written in the transaction of what it is about, sent afterwards.

    Only `services.deliveries` changes it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, null=True, related_name="deliveries", help_text="None: of a job without one.")
    kind = models.CharField(max_length=10, choices=DeliveryKind.choices, default=DeliveryKind.MAIL)
    event = models.CharField(max_length=30, choices=Event.choices)
    job = models.ForeignKey(ExportJob, models.CASCADE, null=True, related_name="deliveries", help_text="None: a notice or a test.")
    # One of these, by its kind.
    to = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="+")
    webhook = models.ForeignKey(Webhook, models.CASCADE, null=True, related_name="deliveries")
    destination = models.ForeignKey(Destination, models.CASCADE, null=True, related_name="deliveries")

    title = models.CharField(max_length=200, blank=True, help_text="Of a notice.")
    reason = models.TextField(blank=True, help_text="Why, if it did not end well; a notice's text.")
    path = models.CharField(max_length=200, blank=True, help_text="Of the page of ours that a notice leads to.")
    attach = models.BooleanField(default=False, help_text="The mail brings the file along, if it is small.")
    body = models.TextField(blank=True, help_text="What a webhook is sent: the same bytes at each try.")
    message_id = models.CharField(max_length=200, unique=True, help_text="The same in every attempt: who gets two can tell.")

    state = models.CharField(max_length=10, choices=DeliveryState.choices, default=DeliveryState.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Since it was written or last redelivered.")
    next_at = models.DateTimeField(db_default=Now(), help_text="Not to be tried before this.")
    claimed_until = models.DateTimeField(null=True, help_text="While it is tried.")
    status_code = models.PositiveSmallIntegerField(null=True, help_text="Of the last answer.")
    error = models.CharField(max_length=200, blank=True, help_text="What the last attempt said; never an address.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "deliveries"
        ordering = ["-created_at", "-pk"]
        indexes = [
            models.Index(fields=["next_at"], name="delivery_due", condition=Q(state=DeliveryState.PENDING)),
            models.Index(fields=["organization", "-created_at", "-id"], name="delivery_list"),
            models.Index(fields=["organization", "state", "-created_at", "-id"], name="delivery_list_by_state"),
            models.Index(fields=["created_at"], name="delivery_of_no_job", condition=Q(job__isnull=True)),
        ]


class DeliveryTry(models.Model):
    """One attempt at a delivery."""

    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="tries")
    at = models.DateTimeField(db_default=Now())
    seconds = models.FloatField()
    status_code = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=200, blank=True, help_text="Empty: it went well.")

    class Meta:
        ordering = ["-pk"]
