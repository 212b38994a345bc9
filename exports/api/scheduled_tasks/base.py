"""What the calls of contract 5 share: its body of an error, and which chain a call is about."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers
from rest_framework.request import Request

from taskexport.api.calls import organization_of
from taskexport.api.strict import StrictSerializer
from taskexport.api.views import ContractView, FieldErrorBody, documented_errors
from taskexport.errors import AppError, FieldError, Invalid
from tasks import access
from tasks.access import Action
from tasks.models import Organization

TAG = "scheduled tasks"
NOTHING_CHANGED = {304: OpenApiResponse(None, "Unchanged since the ETag in If-None-Match.")}
CHAIN = OpenApiParameter("chain", int, description="The organization's id; needed by whoever has several, where X-Organization does not say it.")


class ServiceResult(serializers.Serializer):
    """That it went wrong."""

    code = serializers.IntegerField(help_text="2.")
    status = serializers.CharField(help_text="error.")


class ServiceErrorDetail(serializers.Serializer):
    """What went wrong."""

    code = serializers.IntegerField(help_text="The HTTP status.")
    name = serializers.CharField(help_text="As error_code.")
    description = serializers.CharField()


class ServiceErrorBody(serializers.Serializer):
    """A refusal."""

    result = ServiceResult()
    error = ServiceErrorDetail()
    error_code = serializers.CharField()
    field_errors = FieldErrorBody(many=True, required=False)


def refusals(*statuses: int) -> dict[int, OpenApiResponse]:
    """These statuses for the OpenAPI document, in this contract's shape."""
    return {status: OpenApiResponse(ServiceErrorBody, said.description) for status, said in documented_errors(*statuses).items()}


READ = {**NOTHING_CHANGED, **refusals(400, 401, 403, 404, 429)}
WRITE = refusals(400, 401, 403, 404, 409, 412, 413, 415, 422, 429)


class ServiceView(ContractView):
    """A view of contract 5."""

    def error_body(self, error: AppError) -> dict[str, Any]:
        return {
            "result": {"code": 2, "status": "error"},
            "error": {"code": error.status, "name": error.code, "description": error.message},
        }


class ChainField(serializers.IntegerField):
    """An organization's id in a body."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "min_value": 1, "help_text": "The organization's id.", **options})

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("invalid")
        return int(super().to_internal_value(data))


class ChainBody(StrictSerializer):
    """A body that may name its chain."""

    chain = ChainField()


def organization(request: Request, chain: Any, action: Action = Action.READ) -> Organization:
    """The organization that `chain` names, or else as other calls do. Raises Invalid, NotFound, Forbidden."""
    return organization_of(request, action) if chain is None else access.find_organization(request.user, str(chain), action)


def renamed(error: Invalid, names: dict[str, str]) -> Invalid:
    """The same refusal with the fields as this contract's bodies have them."""

    def path(field: str) -> str:
        first, dot, rest = field.partition(".")
        first, bracket, number = first.partition("[")
        return f"{names.get(first, first)}{bracket}{number}{dot}{rest}"

    fields = [FieldError(path(each.field), each.code, each.detail) for each in error.fields]
    return Invalid("; ".join(f"{each.field}: {each.detail}" for each in fields), code=error.code, fields=fields) if fields else error
