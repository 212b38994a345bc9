"""Every exception as a contract's answer: one handler, each contract's own body, the same extras."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.response import Response

from taskexport.api.strict import flatten
from taskexport.errors import AppError, Forbidden, Invalid, NotFound
from taskexport.logs import where

log = logging.getLogger(__name__)


def _as_app_error(error: Exception) -> AppError:
    if isinstance(error, AppError):
        return error
    if isinstance(error, exceptions.ValidationError):
        return flatten(error.detail)
    if isinstance(error, Http404):
        return NotFound("There is nothing here.")
    if isinstance(error, PermissionDenied):
        return Forbidden("You may not do this.")
    if isinstance(error, SuspiciousOperation):  # such as a thousand parameters
        return Invalid("The request is not one we read: too many parameters, or malformed.", code="bad_request")
    if isinstance(error, exceptions.APIException):
        code = error.get_codes() if isinstance(error.get_codes(), str) else "error"
        wait = getattr(error, "wait", None)
        known = AppError(str(error.detail), code=str(code), retry_after_seconds=int(wait) + 1 if wait is not None else None)
        known.status = error.status_code
        return known
    log.error("unexpected error", extra={"where": where(error)})
    known = AppError("Something broke on our side; it is in our log.", code="internal_error")
    known.status = 500
    return known


def handle_exception(error: Exception, context: dict[str, Any]) -> Response:
    """Any exception as the answer of the view's contract, with `error_code` and `field_errors` beside its own body."""
    known = _as_app_error(error)
    contract = getattr(context.get("view"), "error_body", plain_body)
    response = Response(contract(known) | extras(known), status=known.status)
    if known.retry_after_seconds is not None:
        response["Retry-After"] = str(known.retry_after_seconds)
    if known.status == 401:
        response["WWW-Authenticate"] = 'Bearer realm="taskexport"'
    return response


def extras(error: AppError) -> dict[str, Any]:
    """What every contract's error carries beside its own body."""
    found: dict[str, Any] = {"error_code": error.code}
    if error.fields:
        found["field_errors"] = [{"field": field.field, "code": field.code, "detail": field.detail} for field in error.fields]
    return found


def plain_body(error: AppError) -> dict[str, Any]:
    """Contract 1's body of an error, and that of paths which belong to no contract."""
    return {"message": error.message}


@csrf_exempt
def not_found(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    """The JSON answer for a path below /api/ that does not exist."""
    return plain_response(NotFound("There is nothing at this path."))


def plain_response(error: AppError) -> HttpResponse:
    """An error outside of every contract's views, as JSON."""
    return JsonResponse(plain_body(error) | extras(error), status=error.status, headers={"Cache-Control": "private, no-store"})
