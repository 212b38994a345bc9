"""Tasks, and the cases and subjects that they are about."""

from __future__ import annotations

from django.db.models import Case as Cases
from django.db.models import F, TextField, Value, When
from django.db.models.functions import Coalesce, NullIf

from exports.cells import Kind
from exports.datasets.declared import Dataset, columns
from exports.expressions import AssigneeNames
from tasks.models import Case, Subject, Task, TaskStatus

# How far a task is in three words: contract 4's.
_STATE = Cases(
    When(status=TaskStatus.COMPLETE, then=Value("DONE")),
    When(assignee__isnull=False, then=Value("ONGOING")),
    default=Value("UNASSIGNED"),
    output_field=TextField(),
)
_CREATED_BY = Coalesce(NullIf(F("created_by__name"), Value("")), F("created_by__email"), output_field=TextField())
_TASKS = columns(
    ("id", "id", Kind.INTEGER, "id"),
    ("reference", "reference", Kind.TEXT, "external_id"),
    ("title", "title", Kind.TEXT, "title"),
    ("body", "instructions", Kind.TEXT, "body"),
    ("status", "status", Kind.TEXT, "status"),
    ("task_state", "task state", Kind.TEXT, _STATE),
    ("assignee", "assignee", Kind.TEXT, "assignee__name"),
    ("assignee_email", "assignee e-mail", Kind.TEXT, "assignee__email"),
    ("assignees", "assignees", Kind.TEXT, AssigneeNames(F("id"))),
    ("flow", "flow", Kind.TEXT, "flow__name"),
    ("flow_id", "flow id", Kind.INTEGER, "flow_id"),
    ("hub", "hub", Kind.TEXT, "hub__name"),
    ("hub_id", "hub id", Kind.INTEGER, "hub_id"),
    ("case", "case", Kind.TEXT, "case__name"),
    ("case_id", "case id", Kind.INTEGER, "case_id"),
    ("subject", "subject", Kind.TEXT, "subject__name"),
    ("subject_id", "subject id", Kind.INTEGER, "subject_id"),
    ("calendar", "calendar", Kind.TEXT, "calendar__name"),
    ("calendar_id", "calendar id", Kind.INTEGER, "calendar_id"),
    ("case_service", "service", Kind.TEXT, "case_service__name"),
    ("case_service_id", "service id", Kind.INTEGER, "case_service_id"),
    ("due_at", "due_at", Kind.DATETIME, "due_at"),
    ("due_on", "due_on", Kind.DATE, "due_on"),
    ("starts_at", "starts_at", Kind.DATETIME, "starts_at"),
    ("ends_at", "ends_at", Kind.DATETIME, "ends_at"),
    ("alert_at", "alert_at", Kind.DATETIME, "alert_at"),
    ("alert_sent_at", "alert_sent_at", Kind.DATETIME, "alert_sent_at"),
    ("created_at", "created_at", Kind.DATETIME, "created_at"),
    ("created_by", "created by", Kind.TEXT, _CREATED_BY),
    ("updated_at", "updated_at", Kind.DATETIME, "updated_at"),
    ("completed_at", "completed_at", Kind.DATETIME, "completed_at"),
    ("completed_by", "completed by", Kind.TEXT, "completed_by__name"),
    ("recipient_name", "recipient name", Kind.TEXT, "recipient_name"),
    ("recipient_company", "company", Kind.TEXT, "recipient_company"),
    ("recipient_phone", "phone", Kind.PHONE, "recipient_phone"),
    ("recipient_email", "e-mail", Kind.TEXT, "recipient_email"),
    ("address_1", "address_1", Kind.TEXT, "address_1"),
    ("address_2", "address_2", Kind.TEXT, "address_2"),
    ("address_3", "address_3", Kind.TEXT, "address_3"),
    ("city", "city", Kind.TEXT, "city"),
    ("state", "state", Kind.TEXT, "state"),
    ("zip", "zip", Kind.TEXT, "zip"),
    ("country", "country", Kind.TEXT, "country"),
    ("latitude", "latitude", Kind.DECIMAL, "latitude"),
    ("longitude", "longitude", Kind.DECIMAL, "longitude"),
)

_CASES = columns(
    ("id", "id", Kind.INTEGER, "id"),
    ("name", "name", Kind.TEXT, "name"),
    ("created_at", "created_at", Kind.DATETIME, "created_at"),
)

_SUBJECTS = columns(
    ("id", "id", Kind.INTEGER, "id"),
    ("name", "name", Kind.TEXT, "name"),
    ("case", "case", Kind.TEXT, "case__name"),
    ("case_id", "case id", Kind.INTEGER, "case_id"),
    ("created_at", "created_at", Kind.DATETIME, "created_at"),
)

TASKS = Dataset("tasks", Task.objects.all, _TASKS, has_attributes=True)
CASES = Dataset("cases", Case.objects.all, _CASES)
SUBJECTS = Dataset("subjects", Subject.objects.all, _SUBJECTS)
