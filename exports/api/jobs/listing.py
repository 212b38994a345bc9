"""All jobs that one may see, and new ones."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from exports.api.jobs import shapes
from exports.api.jobs.shapes import ERRORS, READ_ERRORS
from exports.api.jobs.showing import TAG, one, present
from exports.api.jobs.wishing import asked, wished
from exports.models import ExportJob
from exports.services import jobs, specs
from exports.states import JobStatus
from taskexport import idempotency, moments
from taskexport.api.calls import IDEMPOTENCY_KEY, answer_once, cursor_parts, next_link, reading_cursor, user_of
from taskexport.api.strict import parse_query, whole_number
from taskexport.api.views import ContractView, number_parameter
from taskexport.errors import Invalid
from tasks import access, lists
from tasks.lists import Order

PER_PAGE, PER_PAGE_MOST = 50, 200
PAGE_MOST = 1_000_000

_FILTERS = {"status", "type", "org_id", "created_from", "created_to", "page", "per_page", "cursor"}


def _filtered(request: Request, query: dict[str, str]) -> QuerySet[ExportJob]:
    rows = jobs.listed(request.user)
    for key, known in (("status", JobStatus.values), ("type", list(specs.TYPES))):
        if key in query:
            if query[key] not in known:
                raise Invalid.field(key, f"Write one of: {', '.join(known)}.")
            rows = rows.filter(**{key: query[key]})
    if "org_id" in query:
        rows = rows.filter(organization=access.find_organization(request.user, query["org_id"]))
    for key in ("created_from", "created_to"):
        if key in query:
            try:
                bound = moments.moment(moments.of_query(query[key]))
            except ValueError as error:
                raise Invalid.field(key, str(error)) from None
            first, until = (None, bound.until) if key == "created_to" else (bound.at, None)
            rows = rows.filter(**moments.within("created_at", first, until))
    return rows


def _after(rows: QuerySet[ExportJob], cursor: str) -> QuerySet[ExportJob]:
    with reading_cursor():
        at, pk = cursor_parts(cursor)
        moment, job_id = datetime.fromisoformat(at).astimezone(UTC), uuid.UUID(pk)
    (behind,) = lists.parts_behind(rows, Order("created_at", descending=True), moment, job_id)
    return behind


class JobListView(ContractView):
    """All jobs that one may see, and new ones."""

    @extend_schema(
        operation_id="list_export_jobs",
        tags=[TAG],
        parameters=[
            OpenApiParameter("status", str, enum=JobStatus.values),
            OpenApiParameter("type", str, enum=list(specs.TYPES)),
            OpenApiParameter("org_id", str, description="An organization's uuid or id."),
            OpenApiParameter("created_from", str, description="RFC 3339 with zone, or a day; inclusive."),
            OpenApiParameter("created_to", str, description="RFC 3339 with zone, or a day; inclusive."),
            number_parameter("page", PAGE_MOST),
            number_parameter("per_page", PER_PAGE_MOST, description=f"{PER_PAGE} unless said, at most {PER_PAGE_MOST}."),
            OpenApiParameter("cursor", str, description="From `Link: rel=next`; in place of `page`."),
        ],
        responses={200: shapes.JobList, **READ_ERRORS},
    )
    def get(self, request: Request) -> Response:
        """List the export jobs of every door, newest first."""
        query = parse_query(request, _FILTERS)
        if {"page", "cursor"} <= set(query):
            raise Invalid.field("cursor", "Send page or cursor, not both.")
        page, per_page = whole_number(query, "page", 1, PAGE_MOST), whole_number(query, "per_page", PER_PAGE, PER_PAGE_MOST)
        rows = _filtered(request, query)
        total = lists.total(rows)
        found = (
            jobs.page(_after(rows, query["cursor"]), 0, per_page + 1) if "cursor" in query else jobs.page(rows, (page - 1) * per_page, per_page + 1)
        )
        body = {
            "jobs": [present(request, job) for job in found[:per_page]],
            "meta": {"page": page, "per_page": per_page, "total": total},
        }
        response = Response(body)
        if len(found) > per_page:
            last = found[per_page - 1]
            response["Link"] = next_link(request, last.created_at.isoformat(), last.pk)
        return response

    @extend_schema(
        operation_id="create_export_job",
        tags=[TAG],
        request=shapes.JobCreate,
        parameters=[IDEMPOTENCY_KEY],
        responses={201: shapes.JobBody, **ERRORS},
    )
    def post(self, request: Request) -> Response:
        """Create an export job that can be started later."""
        body, organization = asked(request)

        def make() -> idempotency.Answer:
            # Here, so that a repeated call is answered as the first was, whatever has become of its config or segment.
            wish, how = wished(user_of(request), organization, body)
            job = jobs.create(user_of(request), organization, wish, **how)
            return idempotency.Answer(201, one(request, job.pk), {"Location": request.build_absolute_uri(f"/api/v1/export-jobs/{job.pk}")})

        return answer_once(request, make)
