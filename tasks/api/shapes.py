"""The JSON shapes of contract 2, and its errors."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers

from taskexport.api.calls import stamp
from taskexport.api.strict import StrictSerializer, Text
from taskexport.api.views import ContractView, FieldErrorBody, documented_errors
from taskexport.errors import AppError
from tasks.api.fields import Code, Day, Id, Time, Zip
from tasks.models import Member, Task, TaskStatus

BODY_CHARS = 100_000
USERS_MOST = 100
BULK_MOST = 10_000
ADDRESS = ("address_1", "address_2", "address_3", "city", "state", "zip", "country")
# How the contract calls what the core calls otherwise.
NAMES = {"case_id": "casefile_id", "assignee_ids": "users_list"}


# -- What comes in -------------------------------------------------------------------------------------------------
class CaseTaskAddress(StrictSerializer):
    """Where; what is left out is empty."""

    address_1 = Text(max_length=300, allow_blank=True, required=False)
    address_2 = Text(max_length=300, allow_blank=True, required=False)
    address_3 = Text(max_length=300, allow_blank=True, required=False)
    city = Text(max_length=200, allow_blank=True, required=False)
    state = Code(2, 3, required=False, help_text="2 or 3 letters.")
    zip = Zip(allow_blank=True, required=False)
    country = Code(2, 2, required=False, help_text="2 letters.")


class CaseTaskFields(StrictSerializer):
    """What may be said of a task."""

    casefile_id = Id(help_text="The case.")
    calendar_id = Id(help_text="The calendar.")
    subject_id = Id(required=False, allow_null=True, help_text="A subject of this case.")
    case_service_id = Id(required=False, allow_null=True, help_text="The case service.")
    due_on = Day(help_text="The day it is due.")
    alert_at = Time(required=False, allow_null=True, help_text="RFC 3339, Y-m-d H:i:s in UTC, or a day.")
    title = Text(max_length=500)
    body = Text(max_length=BODY_CHARS, allow_blank=True, required=False)
    status = serializers.ChoiceField(TaskStatus.choices, required=False)
    address = CaseTaskAddress(required=False)
    users_list = serializers.ListField(child=Id(), max_length=USERS_MOST, required=False, help_text="Ids of users; the first leads.")

    def validate_title(self, title: str) -> str:
        """A title that one can see."""
        if not title.strip():
            raise serializers.ValidationError("Write a title.", "blank")
        return title

    def validate_users_list(self, ids: list[int]) -> list[int]:
        """Each once."""
        if len(set(ids)) < len(ids):
            raise serializers.ValidationError("Name each user once.", "repeated")
        return ids


class CaseTaskChanges(CaseTaskFields):
    """What shall be otherwise; the rest stays."""

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        for field in fields.values():
            field.required = False
        return fields


class CaseTaskBody(StrictSerializer):
    """A task."""

    task = CaseTaskFields()


class CaseTaskChangesBody(StrictSerializer):
    """Changes to a task."""

    task = CaseTaskChanges()


class CaseTaskBulkBody(StrictSerializer):
    """Many tasks."""

    tasks = CaseTaskFields(many=True, allow_empty=False, max_length=BULK_MOST)  # type: ignore[call-arg]


# What a PUT gives to fields that it leaves out.
EMPTY: dict[str, Any] = {
    "subject_id": None,
    "case_service_id": None,
    "alert_at": None,
    "body": "",
    "status": TaskStatus.NONE.value,
    "assignee_ids": [],
    **dict.fromkeys(ADDRESS, ""),
}


def values_of(task: dict[str, Any]) -> dict[str, Any]:
    """A checked task in the words of the core."""
    ours = {theirs: name for name, theirs in NAMES.items()}
    return {ours.get(name, name): value for name, value in task.items() if name != "address"} | task.get("address", {})


def path_of(field: str) -> str:
    """A field's path in the words of the contract."""
    head, dot, name = field.rpartition(".")
    return f"{head}{dot}{NAMES.get(name, name)}"


# -- What goes out -------------------------------------------------------------------------------------------------
class CaseNamed(serializers.Serializer):
    """Something with a name."""

    id = serializers.IntegerField()
    name = serializers.CharField()


class CaseTaskUser(serializers.Serializer):
    """Somebody of the organization."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    email = serializers.CharField(allow_blank=True)


class CaseTaskAddressShown(serializers.Serializer):
    """Where."""

    address_1 = serializers.CharField(allow_blank=True)
    address_2 = serializers.CharField(allow_blank=True)
    address_3 = serializers.CharField(allow_blank=True)
    city = serializers.CharField(allow_blank=True)
    state = serializers.CharField(allow_blank=True)
    zip = serializers.CharField(allow_blank=True)
    country = serializers.CharField(allow_blank=True)


class CaseTask(serializers.Serializer):
    """A task."""

    id = serializers.IntegerField()
    reference = serializers.CharField(allow_null=True, help_text="The id the task came with.")
    casefile_id = serializers.IntegerField(allow_null=True)
    calendar_id = serializers.IntegerField(allow_null=True)
    subject_id = serializers.IntegerField(allow_null=True)
    case_service_id = serializers.IntegerField(allow_null=True)
    due_on = serializers.DateField(allow_null=True)
    alert_at = serializers.DateTimeField(allow_null=True)
    alert_sent_at = serializers.DateTimeField(allow_null=True)
    title = serializers.CharField()
    body = serializers.CharField(allow_blank=True)
    status = serializers.ChoiceField(TaskStatus.choices)
    completed_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    address = CaseTaskAddressShown()
    users_list = serializers.ListField(child=serializers.IntegerField())
    Casefile = CaseNamed(allow_null=True)
    Subject = CaseNamed(allow_null=True)
    Calendar = CaseNamed(allow_null=True)
    Users = CaseTaskUser(many=True)


class CaseTaskCount(serializers.Serializer):
    """How many, and on how many pages."""

    record_count = serializers.IntegerField()
    page_count = serializers.IntegerField()


class CaseTasksMade(serializers.Serializer):
    """What a bulk call has made."""

    record_count = serializers.IntegerField()
    ids = serializers.ListField(child=serializers.IntegerField(), help_text="In the order of the rows.")


def present(task: Task) -> dict[str, Any]:
    """The task in the contract's words; its case, subject, calendar and assignments are loaded."""
    people = [assignment.member for assignment in task.assignments.all()]
    return {
        "id": task.pk,
        "reference": task.external_id,
        "casefile_id": task.case_id,
        "calendar_id": task.calendar_id,
        "subject_id": task.subject_id,
        "case_service_id": task.case_service_id,
        "due_on": task.due_on.isoformat() if task.due_on else None,
        "alert_at": stamp(task.alert_at),
        "alert_sent_at": stamp(task.alert_sent_at),
        "title": task.title,
        "body": task.body,
        "status": task.status,
        "completed_at": stamp(task.completed_at),
        "created_at": stamp(task.created_at),
        "updated_at": stamp(task.updated_at),
        "address": {name: getattr(task, name) for name in ADDRESS},
        "users_list": [member.pk for member in people],
        "Casefile": _named(task.case),
        "Subject": _named(task.subject),
        "Calendar": _named(task.calendar),
        "Users": [present_person(member) for member in people],
    }


def _named(row: Any) -> dict[str, Any] | None:
    return {"id": row.pk, "name": row.name} if row else None


def present_person(member: Member) -> dict[str, Any]:
    """A member in the contract's words."""
    return {"id": member.pk, "name": member.name, "email": member.email}


# -- What goes wrong -----------------------------------------------------------------------------------------------
class CaseError(serializers.Serializer):
    """What went wrong, in the contract's words."""

    code = serializers.CharField()
    message = serializers.CharField()
    fields_ = serializers.DictField(child=serializers.ListField(child=serializers.CharField()), help_text="By field, what to write instead.")

    def get_fields(self) -> dict[str, Any]:
        """`fields` is a name that serializers need for themselves."""
        found = super().get_fields()
        return {name.rstrip("_"): field for name, field in found.items()}


class CaseErrorBody(serializers.Serializer):
    """An error."""

    error = CaseError()
    error_code = serializers.CharField()
    field_errors = FieldErrorBody(many=True, required=False)


class CaseView(ContractView):
    """A view of contract 2."""

    def error_body(self, error: AppError) -> dict[str, Any]:
        fields: dict[str, list[str]] = {}
        for each in error.fields:
            fields.setdefault(each.field.removeprefix("task."), []).append(each.detail)
        return {"error": {"code": error.code, "message": error.message, "fields": fields}}


def errors(*statuses: int) -> dict[int, OpenApiResponse]:
    """These statuses for the OpenAPI document, with the contract's body."""
    found = {status: OpenApiResponse(CaseErrorBody, response.description) for status, response in documented_errors(*statuses).items()}
    if 422 in found:
        found[422] = OpenApiResponse(CaseErrorBody, "An id does not exist, or the Idempotency-Key was used with another request.")
    return found


READ_ERRORS = {304: OpenApiResponse(None, "Unchanged since the ETag in If-None-Match."), **errors(400, 401, 403, 404, 429)}
WRITE_ERRORS = errors(400, 401, 403, 404, 409, 412, 413, 415, 422, 429)
