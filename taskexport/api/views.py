"""What a contract's view stands on: routes with and without slash, ETags, documented errors."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.urls import URLPattern, path
from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerExtension
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from taskexport.api.errors import plain_body
from taskexport.api.strict import JSONOnly
from taskexport.errors import AppError, PreconditionFailed


class BearerScheme(OpenApiAuthenticationExtension):
    """How the OpenAPI document names our authentication."""

    target_class = "taskexport.api.auth.BearerAuthentication"
    name = "bearerAuth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "A JWT from /api/token, or a service account's ID:SECRET."}


class StrictShape(OpenApiSerializerExtension):
    """How the OpenAPI document says that a shape refuses keys it does not know."""

    target_class = "taskexport.api.strict.StrictSerializer"
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> Any:
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        return {**schema, "additionalProperties": False} if direction == "request" else schema


def route(pattern: str, view: Any, name: str) -> list[URLPattern]:
    """The same view with and without a trailing slash; a redirect between them would lose a POST's body."""
    return [path(pattern, view, name=name), path(f"{pattern}/", view, name=f"{name}-slash")]


def only_slashless_routes(endpoints: list[tuple[str, str, str, Any]]) -> list[tuple[str, str, str, Any]]:
    """Drops the twins with a trailing slash from the OpenAPI document."""
    return [endpoint for endpoint in endpoints if not endpoint[0].endswith("/")]


def etag(body: Any, version_rev: str = "") -> str:
    """The weak ETag of an answered body, with the version of the row that it shows."""
    text = json.dumps(body, sort_keys=True, default=str)
    return f'W/"{version_rev}.{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def _tags(header: str) -> set[str]:
    return {part.strip().removeprefix("W/").strip('"') for part in header.split(",")}


def require_match(request: Request, version_rev: str) -> str | None:
    """The version that the call insists on by `If-Match` (an ETag of ours or a version_rev), None without one. Raises PreconditionFailed.

    Only the ETag's version counts: a row's progress and its place in a queue change without anybody's doing.
    """
    header = request.headers.get("If-Match")
    if header is None or header.strip() == "*":
        return None
    if version_rev not in {tag.partition(".")[0] for tag in _tags(header)}:
        raise StaleETag()
    return version_rev


class StaleETag(PreconditionFailed):
    """`If-Match` names an older version."""

    code = "stale_etag"

    def __init__(self) -> None:
        super().__init__("If-Match names an older version; read it again.")


class LengthRequired(AppError):
    """A body without Content-Length: 411."""

    status = 411
    code = "length_required"

    def __init__(self) -> None:
        super().__init__("Send the body with a Content-Length, not chunked.")


class ContractView(APIView):
    """A view of one contract: it knows the contract's error body and answers GET with a weak ETag."""

    content_negotiation_class = JSONOnly

    def error_body(self, error: AppError) -> dict[str, Any]:
        """This contract's body of an error."""
        return plain_body(error)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        # A chunked body reaches Django as an empty one: a version_rev in it would be passed over in silence.
        if "chunked" in request.headers.get("Transfer-Encoding", "").lower():
            raise LengthRequired()

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        if request.method in {"GET", "HEAD"} and response.status_code == 200 and isinstance(response, Response):
            response.headers.setdefault("ETag", etag(response.data))
            if _tags(response["ETag"]) & _tags(request.headers.get("If-None-Match", "")):
                response.status_code, response.data = 304, None
        response.headers.setdefault("Cache-Control", "private, no-store")
        return response


class FieldErrorBody(serializers.Serializer):
    """One rejected field."""

    field = serializers.CharField(allow_blank=True)
    code = serializers.CharField()
    detail = serializers.CharField()


class ErrorBody(serializers.Serializer):
    """What went wrong."""

    message = serializers.CharField()
    error_code = serializers.CharField()
    field_errors = FieldErrorBody(many=True, required=False)


_MEANINGS = {
    400: "The input is wrong; `field_errors` says where.",
    401: "Not signed in.",
    403: "The role is too low.",
    404: "There is no such thing, for you.",
    409: "The present state does not allow it, or version_rev is stale.",
    410: "The file has expired; make it again.",
    412: "If-Match is stale.",
    413: "The body is too large.",
    415: "The body is not of the type that the call takes.",
    422: "The Idempotency-Key was used with another request.",
    429: "Too many calls; see Retry-After.",
    503: "The storage takes nothing now; see Retry-After.",
}


def documented_errors(*statuses: int) -> dict[int, OpenApiResponse]:
    """These statuses for the OpenAPI document."""
    return {status: OpenApiResponse(ErrorBody, _MEANINGS[status]) for status in statuses}


def number_parameter(name: str, most: int, description: str = "", *, least: int = 1) -> OpenApiParameter:
    """A parameter of the query that `whole_number` reads, for the OpenAPI document."""
    return OpenApiParameter(name, {"type": "integer", "minimum": least, "maximum": most}, description=description)
