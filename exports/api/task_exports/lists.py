"""`GET /tasks`, `/flows`, `/hubs`: the ids that exports are asked by."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from exports.api.task_exports import shapes, wishes
from exports.api.task_exports.fields import FIELDS
from exports.api.task_exports.shapes import LIMIT, ORDERS, ORGANIZATION, PAGE_MOST, READ_ERRORS, STATES, TaskExportView, answer, page_and_limit
from exports.services import inline
from taskexport.api.calls import organization_of, stamp
from taskexport.api.strict import parse_query
from taskexport.api.views import number_parameter
from taskexport.errors import Invalid
from tasks.models import Flow, Hub

MOST = 100
_PAGES = [
    ORGANIZATION,
    number_parameter("page", PAGE_MOST, description="1 unless said."),
    number_parameter("limit", MOST, description=f"{LIMIT} unless said, at most {MOST}."),
]
_NAME = OpenApiParameter("name", str, description="Part of the name, in any case of letters.")
_FILTERS = {"fields", "status", "flowId", "hubId", "assignee", "doneBy", "sortBy", "sortOrder", "page", "limit"}


class TaskListView(TaskExportView):
    """Tasks."""

    @extend_schema(
        operation_id="list_task_export_tasks",
        tags=[shapes.TAG],
        parameters=[
            *_PAGES,
            OpenApiParameter("fields", str, description="Fields by comma; unless said all of them, but no attributes of the organization's own."),
            OpenApiParameter("status", str, enum=STATES),
            OpenApiParameter("flowId", str, description="Ids of flows, by comma."),
            OpenApiParameter("hubId", str),
            OpenApiParameter("assignee", str, description="E-mail, whole, in any case of letters."),
            OpenApiParameter("doneBy", str, description="Name, whole, in any case of letters."),
            OpenApiParameter("sortBy", str, description="A field; createdTime unless said."),
            OpenApiParameter("sortOrder", str, enum=ORDERS),
        ],
        responses={200: shapes.TaskAnswer, **READ_ERRORS},
    )
    def get(self, request: Request) -> Response:
        """List tasks as a JSON export of the same filters would write them, page by page."""
        organization = organization_of(request)
        query = parse_query(request, _FILTERS)
        for key, values in (("status", STATES), ("sortOrder", ORDERS)):
            if key in query and query[key] not in values:
                raise Invalid.field(key, f"Write one of: {', '.join(values)}.")
        for key, value in query.items():
            if not 0 < len(value) <= 10_000:
                raise Invalid.field(key, "Write something, or leave the parameter out.")
        skip, size = page_and_limit(query, LIMIT, MOST)
        body = {"fields": ",".join(FIELDS), "sortBy": "createdTime", "sortOrder": "desc"} | query | {"download": "json"}
        wish = wishes.of_export(organization, {key: value for key, value in body.items() if key not in {"page", "limit"}}, None)
        rows = inline.first_rows(wish.spec, organization, skip, size + 1)
        return Response(answer(rows[:size], hasNext=len(rows) > size))


class _NamedListView(TaskExportView):
    """Rows of the organization that have a name."""

    model: Any

    def _page(self, request: Request) -> Response:
        organization = organization_of(request)
        query = parse_query(request, {"page", "limit", "name"})
        skip, size = page_and_limit(query, LIMIT, MOST)
        rows = self.model.objects.filter(organization=organization).order_by("name", "pk")
        if "name" in query:
            rows = rows.filter(name__icontains=query["name"])
        found = [{"_id": str(row.pk), "name": row.name, "createdTime": stamp(row.created_at)} for row in rows[skip : skip + size]]
        return Response(answer(found, total=rows.order_by().count()))


class FlowListView(_NamedListView):
    """Flows."""

    model = Flow

    @extend_schema(operation_id="list_flows", tags=[shapes.TAG], parameters=[*_PAGES, _NAME], responses={200: shapes.NamedAnswer, **READ_ERRORS})
    def get(self, request: Request) -> Response:
        """List the organization's flows by name."""
        return self._page(request)


class HubListView(_NamedListView):
    """Hubs."""

    model = Hub

    @extend_schema(operation_id="list_hubs", tags=[shapes.TAG], parameters=[*_PAGES, _NAME], responses={200: shapes.NamedAnswer, **READ_ERRORS})
    def get(self, request: Request) -> Response:
        """List the organization's hubs by name."""
        return self._page(request)
