"""`GET /tasks/export-log`: the exports of the last 30 days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import F, Q, QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from exports.api.task_exports import shapes
from exports.api.task_exports.saved import COLLECTIONS
from exports.api.task_exports.shapes import (
    DONE,
    FAILED,
    LOG_STATES,
    ORDERS,
    ORGANIZATION,
    PAGE_MOST,
    PROCESSING,
    READ_ERRORS,
    TaskExportView,
    absolute,
    answer,
    page_and_limit,
)
from exports.models import ExportJob
from exports.services import files, jobs
from exports.states import ACTIVE, JobStatus
from taskexport.api.calls import organization_of, stamp, user_of
from taskexport.api.strict import parse_query
from taskexport.api.views import number_parameter
from taskexport.errors import Invalid
from tasks import lists
from tasks.models import Organization

DAYS = 30
LIMIT, LIMIT_MOST = 10, 100
SORTS = {
    "requestAt": "created_at",
    "completedAt": "finished_at",
    "dataName": "name",
    "dataType": "dataset",
    "fileType": "format",
    "totalRecords": "file__rows",
}
STATES: dict[str, list[str]] = {PROCESSING: list(ACTIVE), DONE: [JobStatus.DONE], FAILED: [JobStatus.FAILED, JobStatus.CANCELLED]}
WORDS = {core: word for word, statuses in STATES.items() for core in statuses}
TYPES = {dataset: collection for collection, dataset in COLLECTIONS.items()}


class LogView(TaskExportView):
    """Who exported what."""

    @extend_schema(
        operation_id="list_task_export_log",
        tags=[shapes.TAG],
        parameters=[
            ORGANIZATION,
            OpenApiParameter("sortBy", str, enum=list(SORTS), description="requestAt unless said."),
            OpenApiParameter("sortOrder", str, enum=ORDERS, description="desc unless said."),
            number_parameter("limit", LIMIT_MOST, description=f"{LIMIT} unless said, at most {LIMIT_MOST}."),
            number_parameter("page", PAGE_MOST),
            OpenApiParameter("dataName", str, description="Part of the export's name, in any case of letters."),
            OpenApiParameter("dataType", str, enum=list(COLLECTIONS)),
            OpenApiParameter("status", str, enum=LOG_STATES),
            OpenApiParameter("email", str, description="Whose exports; the caller's unless said."),
        ],
        responses={200: shapes.LogAnswer, **READ_ERRORS},
    )
    def get(self, request: Request) -> Response:
        """List the exports of the last 30 days, of the caller or of whose `email` is sent."""
        organization = organization_of(request)
        query = parse_query(request, {"sortBy", "sortOrder", "limit", "page", "dataName", "dataType", "status", "email"})
        choices: dict[str, Any] = {"sortBy": SORTS, "sortOrder": ORDERS, "dataType": COLLECTIONS, "status": STATES}
        for key, known in choices.items():
            if key in query and query[key] not in known:
                raise Invalid.field(key, f"Write one of: {', '.join(known)}.")
        skip, size = page_and_limit(query, LIMIT, LIMIT_MOST)
        rows = _filtered(request, organization, query)
        source = F(SORTS[query.get("sortBy", "requestAt")])
        is_rising = query.get("sortOrder") == "asc"
        by_time = query.get("sortBy", "requestAt") == "requestAt"  # never missing, and in an index
        order = (source.asc if is_rising else source.desc)(nulls_last=None if by_time else True)
        found = jobs.page(rows.order_by(order, "pk" if is_rising else "-pk"), skip, size)
        return Response(answer([_entry(request, job) for job in found], total=lists.total(rows)))


def _filtered(request: Request, organization: Organization, query: dict[str, str]) -> QuerySet[ExportJob]:
    rows = jobs.listed(request.user).filter(
        organization=organization, created_at__gte=datetime.now(UTC) - timedelta(days=DAYS), status__in=list(WORDS)
    )
    rows = rows.filter(created_by__email__iexact=query["email"]) if "email" in query else rows.filter(created_by=user_of(request))
    if "dataName" in query:
        rows = rows.filter(name__icontains=query["dataName"])
    if "dataType" in query:
        rows = rows.filter(dataset=COLLECTIONS[query["dataType"]])
    return rows.filter(Q(status__in=STATES[query["status"]])) if "status" in query else rows


def _entry(request: Request, job: ExportJob) -> dict[str, Any]:
    file = getattr(job, "file", None) if job.status == JobStatus.DONE else None
    assert job.organization  # noqa: S101 - the list is one organization's
    return {
        "_id": str(job.pk),
        "_source": {
            "organizationId": str(job.organization.uuid),
            "dataType": TYPES.get(job.dataset, job.dataset),
            "dataName": job.name,
            "status": WORDS[job.status],
            "requestAt": stamp(job.created_at),
            "completedAt": stamp(job.finished_at),
            "email": job.created_by.email if job.created_by else None,
            "fileUrl": absolute(request, files.link(user_of(request), file)) if file and file.is_present else None,
            "fileType": job.format,
            "totalRecords": file.rows if file else None,
            "errorMessage": job.error or None,
        },
    }
