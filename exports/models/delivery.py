"""What is to be told to people, and whether it has been."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from exports.models.jobs import ExportJob
from exports.states import JobStatus


class DeliveryState(models.TextChoices):
    """How far a delivery is."""

    PENDING = "pending", "pending"
    SENT = "sent", "sent"
    DEAD = "dead", "dead"


class Delivery(models.Model):
    """One mail about a job's end, written in the transaction that ends the job. Only `services.notifications` changes it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    job = models.ForeignKey(ExportJob, models.CASCADE, related_name="deliveries")
    kind = models.CharField(max_length=10, default="mail")
    to = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    about = models.CharField(max_length=20, choices=JobStatus.choices, help_text="How the job ended.")
    reason = models.TextField(blank=True, help_text="Why, if it did not end well.")
    state = models.CharField(max_length=10, choices=DeliveryState.choices, default=DeliveryState.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(db_default=Now(), help_text="Not to be tried before this; while it is tried, when another may.")
    message_id = models.CharField(max_length=200, unique=True, help_text="The same in every attempt: who gets two can tell.")
    error = models.CharField(max_length=200, blank=True, help_text="What the last attempt said; never an address.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["created_at", "pk"]
        indexes = [models.Index(fields=["next_at"], name="delivery_due", condition=Q(state=DeliveryState.PENDING))]
