"""Tasks and what they hang on."""

from __future__ import annotations

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from tasks.models.fields import KeptJSONField, PlainDecimalField
from tasks.models.people import Member, Organization, User


class TaskStatus(models.TextChoices):
    """How far a task is."""

    NONE = "none", "none"
    NEEDS_ACTION = "needs_action", "needs action"
    IN_PROGRESS = "in_progress", "in progress"
    COMPLETE = "complete", "complete"


class _Named(models.Model):
    """Something of an organization with a name of its own and, if it came from elsewhere, the id it had there."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        abstract = True
        ordering = ["name", "pk"]

    def __str__(self) -> str:
        return self.name


class Calendar(_Named):
    """A board that tasks are planned on."""

    class Meta(_Named.Meta):
        constraints = [models.UniqueConstraint(fields=["organization", "name"], name="calendar_once")]


class CaseService(_Named):
    """A kind of work that is done on cases."""

    class Meta(_Named.Meta):
        constraints = [models.UniqueConstraint(fields=["organization", "name"], name="case_service_once")]


class Hub(_Named):
    """A depot or branch that tasks belong to."""

    class Meta(_Named.Meta):
        constraints = [models.UniqueConstraint(fields=["organization", "name"], name="hub_once")]


class Flow(_Named):
    """A kind of task with its own steps."""

    class Meta(_Named.Meta):
        constraints = [models.UniqueConstraint(fields=["organization", "name"], name="flow_once")]


class Case(_Named):
    """A file that tasks are done for."""

    class Meta(_Named.Meta):
        constraints = [models.UniqueConstraint(fields=["organization", "name"], name="case_once")]


class Subject(_Named):
    """Somebody or something a case is about."""

    case = models.ForeignKey(Case, models.CASCADE, related_name="subjects")

    class Meta(_Named.Meta):
        constraints = [models.UniqueConstraint(fields=["case", "name"], name="subject_once")]
        indexes = [models.Index(fields=["organization", "name"])]


class Task(models.Model):
    """One piece of field work. Times are UTC; `due_on` is the local day of `due_at`, or a day of its own."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="tasks")
    external_id = models.CharField("reference", max_length=200, null=True, blank=True, help_text="The id the task came with.")
    title = models.CharField(max_length=500)
    body = models.TextField("instructions", blank=True)
    status = models.CharField(max_length=20, choices=TaskStatus.choices, default=TaskStatus.NONE)
    case = models.ForeignKey(Case, models.PROTECT, null=True, blank=True, related_name="tasks")
    subject = models.ForeignKey(Subject, models.PROTECT, null=True, blank=True, related_name="tasks")
    calendar = models.ForeignKey(Calendar, models.PROTECT, null=True, blank=True, related_name="tasks")
    case_service = models.ForeignKey(CaseService, models.PROTECT, null=True, blank=True, related_name="tasks")
    flow = models.ForeignKey(Flow, models.PROTECT, null=True, blank=True, related_name="tasks")
    hub = models.ForeignKey(Hub, models.PROTECT, null=True, blank=True, related_name="tasks")
    assignee = models.ForeignKey(Member, models.PROTECT, null=True, blank=True, related_name="led_tasks", help_text="The first of the assignees.")
    assignees = models.ManyToManyField(Member, through="TaskAssignee", related_name="tasks")
    due_at = models.DateTimeField(null=True, blank=True)
    due_on = models.DateField(null=True, blank=True)
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    alert_at = models.DateTimeField(null=True, blank=True)
    alert_sent_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    completed_by = models.ForeignKey(Member, models.PROTECT, null=True, blank=True, related_name="completed_tasks")
    recipient_name = models.CharField(max_length=200, blank=True)
    recipient_company = models.CharField(max_length=200, blank=True)
    recipient_phone = models.CharField(max_length=50, blank=True)
    recipient_email = models.CharField("recipient e-mail", max_length=254, blank=True)
    address_1 = models.CharField(max_length=300, blank=True)
    address_2 = models.CharField(max_length=300, blank=True)
    address_3 = models.CharField(max_length=300, blank=True)
    city = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=50, blank=True)
    zip = models.CharField(max_length=20, blank=True)
    country = models.CharField(max_length=2, blank=True)
    latitude = PlainDecimalField(null=True, blank=True)
    longitude = PlainDecimalField(null=True, blank=True)
    attributes = KeptJSONField(default=dict, blank=True, encoder=DjangoJSONEncoder, help_text="The organization's own fields, by key.")
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "external_id"], name="task_external_id_once"),
            models.CheckConstraint(condition=~Q(external_id=""), name="task_external_id_not_empty"),
            models.CheckConstraint(condition=Q(status__in=TaskStatus.values), name="task_status_known"),
        ]
        indexes = [
            models.Index(fields=["organization", "created_at", "id"], name="task_export_order"),
            # Each gives a filter's rows in an order of the lists, counts them, and holds the ids of a deep page.
            models.Index(fields=["organization", "id"], name="task_by_id"),
            models.Index(fields=["organization", "status", "created_at", "id"], name="task_by_state"),
            models.Index(fields=["organization", "calendar", "created_at", "id"], name="task_by_calendar"),
            models.Index(fields=["organization", "due_on", "id"], name="task_by_due_day"),
            models.Index(fields=["organization", "updated_at", "id"], name="task_by_update"),
            models.Index(fields=["organization", "completed_at", "id"], name="task_by_completion"),
            models.Index(fields=["organization", "alert_at", "id"], condition=Q(alert_at__isnull=False), name="task_by_alert"),
            models.Index(fields=["organization", "alert_sent_at", "id"], condition=Q(alert_sent_at__isnull=False), name="task_by_alert_sent"),
        ]

    def __str__(self) -> str:
        return self.title


class TaskAssignee(models.Model):
    """A member at work on a task; position 0 leads."""

    task = models.ForeignKey(Task, models.CASCADE, related_name="assignments")
    member = models.ForeignKey(Member, models.PROTECT, related_name="assignments")
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "pk"]
        constraints = [models.UniqueConstraint(fields=["task", "member"], name="task_assignee_once")]
