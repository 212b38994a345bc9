"""The calls of contract 3, operations: `/api/v2/task/…`."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from exports.api.operations import requests, shapes
from exports.api.operations.shapes import ERRORS, ORGANIZATION
from exports.models import Operation
from exports.services.operations import changing, deleting, reading
from taskexport import idempotency, moments
from taskexport.api.calls import IDEMPOTENCY_KEY, ORGANIZATION_HEADER, answer_once, organization_of, user_of
from taskexport.api.strict import flatten, parse_body, parse_query
from taskexport.api.views import ContractView
from taskexport.errors import AppError, Invalid, Unprocessable
from tasks import lists
from tasks.access import Action
from tasks.models import AccessToken

TAG = "operations"
# What is wrong before any field is: these stay 400.
UNREADABLE = {"invalid_json", "invalid_text", "bad_request", "organization_required"}


class OperationView(ContractView):
    """Contract 3's errors: `{name, message, code, status}`, and 422 for what is wrong with fields and parameters."""

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, ValidationError):
            exc = flatten(exc.detail)
        if isinstance(exc, Invalid) and not {exc.code, *(field.code for field in exc.fields if field.field == ORGANIZATION_HEADER)} & UNREADABLE:
            exc = Unprocessable(exc.message, code=exc.code, fields=exc.fields)
        return super().handle_exception(exc)

    def error_body(self, error: AppError) -> dict[str, Any]:
        body = {"name": HTTPStatus(error.status).phrase, "message": error.message, "code": 0, "status": error.status}
        return body | ({"entities": [asdict(one) for one in error.entities]} if isinstance(error, deleting.Related) else {})


def present(operation: Operation) -> dict[str, Any]:
    """The operation in the contract's words."""
    row: Any = operation  # with what `reading.rows` adds
    return {
        "task_id": str(row.pk),
        "handler": row.handler,
        "user_id": None if row.user_id is None else str(row.user_id),
        "entity_id": row.entity_id,
        "status": row.status,
        "request": row.request,
        "response": row.response,
        "created_at": _day(row.created_at),
        "updated_at": _day(row.updated_at),
    }


def _day(at: datetime) -> str:
    return at.astimezone(UTC).date().isoformat()


def find(request: Request, task_id: str) -> Operation:
    """The visible operation of this id, of the organization that the call names, if it does. Raises NotFound."""
    named = ORGANIZATION_HEADER in request.headers or isinstance(request.auth, AccessToken)
    return reading.get(user_of(request), task_id, organization_of(request).pk if named else None)


def _one(request: Request, pk: Any) -> dict[str, Any]:
    return present(reading.get(user_of(request), str(pk)))


class IndexView(OperationView):
    """Search."""

    @extend_schema(
        operation_id="search_tasks",
        tags=[TAG],
        request=shapes.OperationSearch,
        parameters=[ORGANIZATION, *shapes.PAGE_HEADERS],
        responses={200: shapes.Operation(many=True), **ERRORS},
        examples=[
            OpenApiExample(
                "Waiting imports",
                {"filter": {"handler": "ImportHandler", "status": "pending"}, "per-page": 10, "page": 1, "sort": "created_at"},
                request_only=True,
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Search the tasks, page by page; past the end the list is empty."""
        parse_query(request, set())  # a page asked for there would be the first for ever
        body = parse_body(shapes.OperationSearch, request)
        organization = organization_of(request)
        rows = reading.listed(organization)
        rows = reading.matching(rows, _wanted(body.get("filter", {})))
        if not body["history"]:
            rows = rows.filter(historized=False)
        total, size, page = lists.total(rows), body["per-page"], body["page"]
        found = reading.page(rows, body["sort"], page, size)
        headers = {
            "X-Pagination-Current-Page": str(page),
            "X-Pagination-Page-Count": str(math.ceil(total / size)),
            "X-Pagination-Per-Page": str(size),
            "X-Pagination-Total-Count": str(total),
        }
        return Response([present(operation) for operation in found], headers=headers)


def _wanted(filters: dict[str, Any]) -> dict[str, Any]:
    found = dict(filters)
    for name in ("created_at", "updated_at"):
        if name in found:
            try:
                found[name] = moments.moment(found[name]).at.replace(hour=0, minute=0, second=0, microsecond=0)
            except ValueError as error:
                raise Invalid.field(f"filter.{name}", str(error)) from None
    return found


class CreateView(OperationView):
    """New tasks."""

    @extend_schema(
        operation_id="create_task",
        tags=[TAG],
        request=shapes.OperationCreate,
        parameters=[ORGANIZATION, IDEMPOTENCY_KEY],
        responses={201: shapes.Operation, **ERRORS},
        examples=[OpenApiExample("An export without a request yet", {"handler": "ExportHandler", "status": "pending"}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """Create a task; with a request, a handler of ours starts its work."""
        body = parse_body(shapes.OperationCreate, request)
        organization = organization_of(request, Action.RUN)
        requests.json_of("response", body.get("response"))

        def make() -> idempotency.Answer:
            asked = requests.asked(user_of(request), organization, body["handler"], body.get("request"))
            made = changing.create(user_of(request), organization, body, asked)
            return idempotency.Answer(201, _one(request, made.pk), {"Location": request.build_absolute_uri(f"/api/v2/task/view/{made.pk}")})

        return answer_once(request, make)


class ReadView(OperationView):
    """One task."""

    @extend_schema(
        operation_id="view_task",
        tags=[TAG],
        parameters=[ORGANIZATION],
        responses={200: shapes.Operation, 304: None, **shapes.errors(400, 401, 403, 404, 422, 429)},
    )
    def get(self, request: Request, task_id: str) -> Response:
        """Read a task, also one that is hidden."""
        parse_query(request, set())
        return Response(present(find(request, task_id)))


READ_ONLY = ("task_id", "created_at", "updated_at")


class UpdateView(OperationView):
    """Changes."""

    def _update(self, request: Request, task_id: str) -> Response:
        operation = find(request, task_id)
        body = parse_body(shapes.OperationUpdate, request)
        shown = present(operation)
        for name in READ_ONLY:
            if name in body and body.pop(name) != shown[name]:
                raise Invalid.field(name, "Nobody sets this; leave it out, or send it as it is.", "read_only")
        if operation.job_id or operation.task_import_id:
            asked = None  # refused below, whatever the request is
        else:
            requests.json_of("response", body.get("response"))
            asked = self._asked(request, operation, body)
        changing.update(user_of(request), operation, body, asked)
        return Response(_one(request, operation.pk))

    def _asked(self, request: Request, operation: Operation, body: dict[str, Any]) -> Any:
        if not {"handler", "request"} & set(body) or operation.organization is None:
            return None
        handler, text = body.get("handler", operation.handler), body.get("request", operation.request)
        return requests.asked(user_of(request), operation.organization, handler, text)


_UPDATE: dict[str, Any] = {
    "tags": [TAG],
    "request": shapes.OperationUpdate,
    "responses": {200: shapes.Operation, **ERRORS},
    "examples": [OpenApiExample("A worker has done it", {"status": "completed"}, request_only=True)],
}


class UpdateOneView(UpdateView):
    """Changes, by the path's id."""

    @extend_schema(operation_id="update_task", parameters=[ORGANIZATION], **_UPDATE)
    def put(self, request: Request, task_id: str) -> Response:
        """Change a task; a request that a handler of ours waits for starts its work."""
        parse_query(request, set())
        return self._update(request, task_id)


class UpdateByQueryView(UpdateView):
    """Changes, by the query's id."""

    @extend_schema(operation_id="update_task_by_query", parameters=[ORGANIZATION, OpenApiParameter("id", str, required=True)], **_UPDATE)
    def put(self, request: Request) -> Response:
        """The same, with the id as a parameter."""
        task_id = parse_query(request, {"id"}).get("id")
        if task_id is None:
            raise Invalid.field("id", "Name the task.", "required")
        return self._update(request, task_id)


class DeleteView(OperationView):
    """Deletes."""

    @extend_schema(
        operation_id="delete_task",
        tags=[TAG],
        parameters=[
            ORGANIZATION,
            OpenApiParameter("force", bool, description="true: with everything that goes with it."),
            OpenApiParameter("historicize", bool, description="true: only hide it."),
        ],
        responses={204: None, **shapes.errors(400, 401, 403, 404, 409, 422, 429)},
    )
    def delete(self, request: Request, task_id: str) -> Response:
        """Delete a task, by force with its job, file and whatever else hangs on it; or only hide it."""
        query = parse_query(request, {"force", "historicize"})
        force, hides = _flag(query, "force"), _flag(query, "historicize")
        if force and hides:
            raise Invalid.field("historicize", "Hide it or force its end, not both.")
        operation = find(request, task_id)
        if hides:
            changing.hide(user_of(request), operation)
        else:
            deleting.delete(user_of(request), operation, force=force)
        return Response(status=204)


def _flag(query: dict[str, str], name: str) -> bool:
    words = {"true": True, "1": True, "false": False, "0": False}
    if query.get(name, "false") not in words:
        raise Invalid.field(name, "Write true or false.")
    return words[query.get(name, "false")]
