"""Contract 2, case tasks: `/api/v1/tasks`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Prefetch, QuerySet
from django.urls import URLPattern
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, PolymorphicProxySerializer, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from taskexport import idempotency
from taskexport.api.calls import IDEMPOTENCY_KEY, answer_once, user_of
from taskexport.api.strict import parse_body, parse_query
from taskexport.api.views import etag, require_match, route
from taskexport.errors import FieldError, Invalid, NotFound, Unprocessable
from tasks import casework
from tasks.access import Action
from tasks.api import filters, pages, shapes
from tasks.api.fields import MOST_ID, day
from tasks.api.shapes import READ_ERRORS, WRITE_ERRORS, CaseView
from tasks.api.where import organization_for
from tasks.lists import Order
from tasks.models import Task, TaskAssignee

TAG = "case tasks"
SORTS: dict[str, Callable[[str], Any]] = {
    "id": int,
    "due_on": day,
    "created_at": pages.read_time,
    "updated_at": pages.read_time,
    "completed_at": pages.read_time,
}
DIRECTIONS = ("asc", "desc")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ID = OpenApiParameter("task_id", int, OpenApiParameter.PATH)
IF_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, description="The ETag of a read.")
EXAMPLE = OpenApiExample(
    "A visit",
    {
        "task": {
            "casefile_id": 245,
            "subject_id": 209,
            "case_service_id": 1,
            "calendar_id": 1,
            "due_on": "2026-02-14",
            "alert_at": "2026-02-01",
            "title": "Read the meter",
            "body": "Both dials.",
            "address": {"address_1": "Keizersgracht 12", "city": "Amsterdam", "zip": "1015 CJ", "country": "NL"},
            "users_list": [1, 2, 3],
        }
    },
    request_only=True,
)


# -- One task ------------------------------------------------------------------------------------------------------
def load(ids: list[int]) -> list[Task]:
    """These tasks with all that is shown of them, in any order."""
    return list(_shown().filter(pk__in=ids))


def _shown() -> QuerySet[Task]:
    people = Prefetch("assignments", TaskAssignee.objects.select_related("member"))
    return Task.objects.select_related("case", "subject", "calendar").prefetch_related(people)


def _one(pk: int) -> dict[str, Any]:
    return shapes.present(_shown().get(pk=pk))


def version(task: Task) -> str:
    """What each change of a task changes: its time, to the microsecond."""
    return str((task.updated_at - EPOCH) // timedelta(microseconds=1))


def _find(request: Request, task_id: str) -> Task:
    if not (task_id.isascii() and task_id.isdecimal() and len(task_id) <= 19 and int(task_id) <= MOST_ID):
        raise NotFound("There is no such task.")
    return casework.get(request.user, int(task_id))


def renamed(error: Unprocessable, at: str) -> Unprocessable:
    """The refusal with the contract's names of its fields, below `at`."""
    fields = [FieldError(f"{at}{shapes.path_of(each.field)}", each.code, each.detail) for each in error.fields]
    return Unprocessable(error.message, code=error.code, fields=fields)


# -- The list ------------------------------------------------------------------------------------------------------
class TaskListView(CaseView):
    """All tasks of an organization, and new ones."""

    @extend_schema(
        operation_id="list_case_tasks",
        tags=[TAG],
        parameters=[
            *filters.PARAMETERS,
            *pages.PARAMETERS,
            OpenApiParameter("sort", str, enum=list(SORTS), description="Unless said, the time that a filter bounds, or created_at."),
            OpenApiParameter("dir", str, enum=DIRECTIONS, description="desc unless said."),
            OpenApiParameter("mode", str, enum=["count"], description="How many there are, in place of the tasks."),
            pages.HEADER,
        ],
        responses={
            200: PolymorphicProxySerializer(
                "CaseTasksOrCount", [shapes.CaseTask(many=True), shapes.CaseTaskCount], resource_type_field_name=None, many=False
            ),
            **READ_ERRORS,
        },
    )
    def get(self, request: Request) -> Response:
        """List tasks, the newest first."""
        query = parse_query(request, filters.KEYS | pages.KEYS | {"sort", "dir", "mode"})
        for key, known in (("sort", tuple(SORTS)), ("dir", DIRECTIONS), ("mode", ("count",))):
            if query.get(key, known[0]) not in known:
                raise Invalid.field(key, f"Write one of: {', '.join(known)}.")
        # A range is read in its own order unless another is wanted: one range of one index, however many rows lie outside of it.
        sort = query.get("sort") or filters.ranged(query) or "created_at"
        order = Order("pk" if sort == "id" else sort, descending=query.get("dir", "desc") == "desc")
        page = pages.page_of(query, order, SORTS.get(sort, pages.read_time))
        # Filters are held against all tasks first, so that a wrong one is refused before any organization is asked for.
        rows = filters.filtered(Task.objects.all(), query)
        organization = organization_for(request, filters.id_of(query, "case") if "case" in query else None)
        rows = rows.filter(organization=organization)
        if "mode" in query:
            total = rows.order_by().count()
            return Response({"record_count": total, "page_count": -(-total // page.per_page)})
        return pages.answer(request, page, rows, load, shapes.present)

    @extend_schema(
        operation_id="create_case_task",
        tags=[TAG],
        request=shapes.CaseTaskBody,
        parameters=[IDEMPOTENCY_KEY, pages.HEADER],
        responses={201: shapes.CaseTask, **WRITE_ERRORS},
        examples=[EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        """Create a task."""
        values = shapes.values_of(parse_body(shapes.CaseTaskBody, request)["task"])
        organization = organization_for(request, values["case_id"], Action.WRITE)

        def make() -> idempotency.Answer:
            task = casework.create(user_of(request), organization, values)
            return idempotency.Answer(201, _one(task.pk), {"Location": request.build_absolute_uri(f"/api/v1/tasks/{task.pk}")})

        try:
            return answer_once(request, make)
        except Unprocessable as error:
            raise renamed(error, "task.") from None


class TaskView(CaseView):
    """One task."""

    @extend_schema(operation_id="read_case_task", tags=[TAG], parameters=[ID], responses={200: shapes.CaseTask, **READ_ERRORS})
    def get(self, request: Request, task_id: str) -> Response:
        """Read a task."""
        parse_query(request, set())
        task = _find(request, task_id)
        body = _one(task.pk)
        return Response(body, headers={"ETag": etag(body, version(task))})

    @extend_schema(
        operation_id="replace_case_task",
        tags=[TAG],
        parameters=[ID, IF_MATCH],
        request=shapes.CaseTaskBody,
        responses={200: shapes.CaseTask, **WRITE_ERRORS},
        examples=[EXAMPLE],
    )
    def put(self, request: Request, task_id: str) -> Response:
        """Replace a task: what is left out is emptied."""
        task = _find(request, task_id)
        return self._change(request, task, shapes.EMPTY | shapes.values_of(parse_body(shapes.CaseTaskBody, request)["task"]))

    @extend_schema(
        operation_id="change_case_task",
        tags=[TAG],
        parameters=[ID, IF_MATCH],
        request=shapes.CaseTaskChangesBody,
        responses={200: shapes.CaseTask, **WRITE_ERRORS},
        examples=[OpenApiExample("Done", {"task": {"status": "complete"}}, request_only=True)],
    )
    def patch(self, request: Request, task_id: str) -> Response:
        """Change a task: what is left out stays."""
        task = _find(request, task_id)
        return self._change(request, task, shapes.values_of(parse_body(shapes.CaseTaskChangesBody, request)["task"]))

    def _change(self, request: Request, task: Task, values: dict[str, Any]) -> Response:
        try:
            casework.change(user_of(request), task, values, lambda now: _match(request, now))
        except Unprocessable as error:
            raise renamed(error, "task.") from None
        found = _find(request, str(task.pk))
        body = _one(found.pk)
        return Response(body, headers={"ETag": etag(body, version(found))})

    @extend_schema(operation_id="delete_case_task", tags=[TAG], parameters=[ID, IF_MATCH], responses={204: None, **WRITE_ERRORS})
    def delete(self, request: Request, task_id: str) -> Response:
        """Delete a task; asks for the role of an admin."""
        casework.delete(user_of(request), _find(request, task_id), lambda now: _match(request, now))
        return Response(status=204)


def _match(request: Request, now: Task) -> None:
    require_match(request, version(now))


urlpatterns: list[URLPattern] = [
    *route("v1/tasks", TaskListView.as_view(), "case-tasks"),
    *route("v1/tasks/<str:task_id>", TaskView.as_view(), "case-task"),
]
