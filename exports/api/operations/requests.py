"""The `request` of a task: JSON text, and for a known handler the checked thing that its work needs."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from exports.api.jobs.shapes import JobCreate
from exports.api.jobs.wishing import wished
from exports.api.operations.shapes import ImportRequest
from exports.services.imports import uploads
from exports.services.operations import handlers
from taskexport.api.strict import StrictJSONParser, parse_data
from taskexport.errors import FieldError, Invalid, NotFound
from tasks import access, importing
from tasks.access import Action
from tasks.models import Organization, User


def _export(user: User, organization: Organization, data: Any) -> handlers.ExportRequest:
    body = parse_data(JobCreate, data)
    try:
        named = access.find_organization(user, body["org_id"], Action.RUN)
    except NotFound as error:
        raise Invalid.field("org_id", error.message, "unknown") from None
    if named != organization:
        raise Invalid.field("org_id", "This is not the task's organization; name that one.", "other_organization")
    try:
        return handlers.ExportRequest(*wished(user, organization, body))
    except NotFound as error:
        raise Invalid(error.message, fields=error.fields) from None


def _import(user: User, organization: Organization, data: Any) -> handlers.ImportRequest:
    body = parse_data(ImportRequest, data)
    importing.parse_mapping(body["map"])
    return handlers.ImportRequest(uploads.get(user, organization, body["upload_id"]), body["map"], body.get("skip_bad", False))


READERS: dict[str, Callable[[User, Organization, Any], Any]] = {"ExportHandler": _export, "ImportHandler": _import}


def json_of(field: str, text: str | None) -> Any:
    """The JSON in this text. Raises Invalid."""
    if text is None:
        return None
    try:
        if not text.strip():
            raise Invalid("It is empty.")
        return StrictJSONParser().parse(io.BytesIO(text.encode()))
    except Invalid as error:
        raise Invalid.field(field, f"Write JSON text, or null. {error.message}", "invalid_json") from None


def asked(user: User, organization: Organization, handler: str, request: str | None) -> Any:
    """What a known handler is asked for, checked; None for the names of others, and without a request. Raises Invalid, Forbidden."""
    data = json_of("request", request)
    if data is None or handler not in READERS:
        return None
    try:
        return READERS[handler](user, organization, data)
    except Invalid as error:
        fields = [FieldError(f"request.{one.field}" if one.field else "request", one.code, one.detail) for one in error.fields]
        raise Invalid(f"request: {error.message}", fields=fields or [FieldError("request", error.code, error.message)]) from None
