"""The JSON shapes of contract 3."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from exports.services.operations.reading import FIELDS
from taskexport.api.strict import StrictSerializer, Text
from taskexport.api.views import FieldErrorBody

PER_PAGE, PER_PAGE_MOST = 100, 500
PAGE_MOST = 1_000_000
TEXT_LENGTH = 1_000_000
SORTS = [sign + name for name in FIELDS for sign in ("", "-")]
_DAY = "A day such as 2024-01-01, in UTC."


class OperationFilter(StrictSerializer):
    """What the tasks must equal; all of it."""

    task_id = Text(max_length=200, required=False)
    handler = Text(max_length=200, required=False)
    user_id = Text(max_length=200, required=False, allow_null=True)
    entity_id = Text(max_length=200, required=False, allow_null=True)
    status = Text(max_length=200, required=False)
    request = Text(max_length=1000, required=False, allow_null=True, help_text="Is contained, in this case of letters.")
    response = Text(max_length=1000, required=False, allow_null=True, help_text="Is contained, in this case of letters.")
    created_at = Text(max_length=40, required=False, help_text=_DAY)
    updated_at = Text(max_length=40, required=False, help_text=_DAY)


class OperationSearch(StrictSerializer):
    """Which tasks, in which order, which page of them; all of it may be left out."""

    filter = OperationFilter(required=False)
    vars()["per-page"] = serializers.IntegerField(min_value=1, max_value=PER_PAGE_MOST, default=PER_PAGE)
    page = serializers.IntegerField(min_value=1, max_value=PAGE_MOST, default=1)
    sort = serializers.ChoiceField(SORTS, default="-created_at", help_text="A field; with - in front the last comes first.")
    history = serializers.BooleanField(required=False, allow_null=True, default=False, help_text="true: with those that are hidden.")

    def to_internal_value(self, data: Any) -> Any:
        for name in ("per-page", "page"):  # a number is a number here, not a text or a boolean
            if isinstance(data, dict) and name in data and type(data[name]) is not int:
                raise serializers.ValidationError({name: "A valid integer is required."})
        if isinstance(data, dict) and not isinstance(data.get("history"), bool | None):
            raise serializers.ValidationError({"history": "Must be true, false or null."})
        return super().to_internal_value(data)


class _Written(StrictSerializer):
    user_id = Text(max_length=40, required=False, help_text="Yours unless said; an admin may name any member's.")
    entity_id = Text(max_length=200, required=False, allow_null=True, allow_blank=True)
    status = Text(max_length=50, required=False, help_text="pending unless said; free for handlers of your own.")
    request = Text(max_length=TEXT_LENGTH, required=False, allow_null=True, help_text="JSON text.")
    response = Text(max_length=TEXT_LENGTH, required=False, allow_null=True, help_text="JSON text.")


class OperationCreate(_Written):
    """A new task."""

    handler = Text(max_length=200, help_text="ExportHandler, ImportHandler, or a name of your own.")


class OperationUpdate(_Written):
    """What changes; the fields that nobody sets may come along as they were read."""

    handler = Text(max_length=200, required=False)
    task_id = Text(max_length=40, required=False, help_text="Read-only.")
    created_at = Text(max_length=40, required=False, help_text="Read-only.")
    updated_at = Text(max_length=40, required=False, help_text="Read-only.")


class ImportRequest(StrictSerializer):
    """The request of an ImportHandler."""

    upload_id = serializers.UUIDField(help_text="Of POST /api/v1/uploads.")
    map = serializers.DictField(help_text="Which column goes where; see docs/import.md.")
    skip_bad = serializers.BooleanField(required=False, help_text="Import the good rows although some are bad.")


class Operation(serializers.Serializer):
    """A task: an asynchronous or scheduled operation."""

    task_id = serializers.UUIDField()
    handler = serializers.CharField()
    user_id = serializers.CharField(allow_null=True)
    entity_id = serializers.CharField(allow_null=True, allow_blank=True)
    status = serializers.CharField(help_text="pending, running, completed, failed; of a handler of your own what it says.")
    request = serializers.CharField(allow_null=True)
    response = serializers.CharField(allow_null=True)
    created_at = serializers.DateField()
    updated_at = serializers.DateField()


class Entity(serializers.Serializer):
    """Something that a forced delete takes along."""

    entity_type = serializers.CharField()
    entity_id = serializers.CharField()
    name = serializers.CharField(allow_blank=True)


class OperationError(serializers.Serializer):
    """What went wrong."""

    name = serializers.CharField()
    message = serializers.CharField()
    code = serializers.IntegerField()
    status = serializers.IntegerField()
    error_code = serializers.CharField()
    field_errors = FieldErrorBody(many=True, required=False)
    entities = Entity(many=True, required=False, help_text="Of a delete that was not forced.")


_MEANINGS = {
    400: "The body is no JSON object, or the organization is not named, or other things go with the task.",
    401: "Not signed in.",
    403: "The role is too low.",
    404: "There is no such task, for you.",
    409: "The present state does not allow it.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "A field or parameter is wrong; `field_errors` says where. Or the Idempotency-Key was used with another request.",
    429: "Too many calls; see Retry-After.",
}


def errors(*statuses: int) -> dict[int, OpenApiResponse]:
    """These statuses for the OpenAPI document, in this contract's shape."""
    return {status: OpenApiResponse(OperationError, _MEANINGS[status]) for status in statuses}


ERRORS = errors(400, 401, 403, 404, 409, 413, 415, 422, 429)
ORGANIZATION = OpenApiParameter("X-Organization", str, OpenApiParameter.HEADER, description="Which organization, by uuid or id; needed with several.")
PAGE_HEADERS = [
    OpenApiParameter(f"X-Pagination-{name}", int, OpenApiParameter.HEADER, description=text, response=[200])
    for name, text in (
        ("Current-Page", "The page."),
        ("Page-Count", "How many pages there are."),
        ("Per-Page", "How many tasks a page has."),
        ("Total-Count", "How many tasks there are."),
    )
]
