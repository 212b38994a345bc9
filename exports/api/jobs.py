"""Contract 1, export jobs: `/api/v1/export-jobs`."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.urls import URLPattern
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from exports.api import shapes
from exports.api.shapes import ERRORS, READ_ERRORS
from exports.models import ExportJob
from exports.services import configs, files, jobs, receipts, segments, specs
from exports.states import ACTIVE, JobStatus
from taskexport import idempotency
from taskexport.api.calls import answer_once, cursor_parts, next_link, reading_cursor, stamp, user_of
from taskexport.api.strict import parse_body, parse_query, whole_number
from taskexport.api.views import ContractView, StaleETag, documented_errors, etag, require_match, route
from taskexport.downloads import file_response
from taskexport.errors import Conflict, Invalid, NotFound
from tasks import access
from tasks.access import Action
from tasks.models import Organization

PER_PAGE, PER_PAGE_MOST = 50, 200
PAGE_MOST = 1_000_000
POLL_SECONDS = 2
TAG = "export jobs"


def find(request: Request, job_id: str) -> ExportJob:
    """The visible job of this id. Raises NotFound."""
    try:
        return jobs.get(request.user, uuid.UUID(job_id))
    except ValueError:
        raise NotFound("There is no such export job.") from None


# -- One job -------------------------------------------------------------------------------------------------------
def present(request: Request, job: ExportJob, *, single: bool = False) -> dict[str, Any]:
    """The job in the contract's words; a single job also tells its place in the queue."""
    file = getattr(job, "file", None)
    rows_done, rows_total = getattr(job, "rows_done", None), getattr(job, "rows_total", None)
    if job.status not in {JobStatus.IN_PROGRESS, JobStatus.DONE}:
        rows_done, rows_total = 0, None
    share = jobs.percent(job.status, rows_done, rows_total) or 0.0
    live = file is not None and job.status == JobStatus.DONE and file.deleted_at is None and file.expires_at > datetime.now(UTC)
    body: dict[str, Any] = {
        "id": str(job.pk),
        "org_id": str(job.organization.uuid) if job.organization else "all",
        "org_name": job.org_name,
        "name": job.name,
        "type": job.type,
        "status": job.status,
        "result": {"error": job.error, "download_url": request.build_absolute_uri(files.link(user_of(request), file)) if live and file else ""},
        "creation_start_date": stamp(job.creation_start_date),
        "creation_end_date": stamp(job.creation_end_date),
        "version_rev": job.version_rev,
        "version_seq": job.version_seq,
        "format": job.format,
        "dataset": job.dataset,
        "trigger": job.trigger,
        "runner": job.runner,
        "progress": {"rows_done": rows_done or 0, "rows_total": rows_total, "percent": share},
        "file": {"name": file.name, "size": file.size, "sha256": file.sha256, "rows": file.rows, "expires_at": stamp(file.expires_at)}
        if file
        else None,
        "attempt": job.attempt,
        "created_by": {"id": job.created_by.pk, "name": str(job.created_by)} if job.created_by else None,
        "created_at": stamp(job.created_at),
        "queued_at": stamp(job.queued_at),
        "started_at": stamp(job.started_at),
        "finished_at": stamp(job.finished_at),
    }
    if single:
        body["queue_position"] = jobs.queue_position(job)
    return body


def _one(request: Request, job_id: Any) -> dict[str, Any]:
    return {"job": present(request, jobs.get(request.user, job_id), single=True)}


# -- The list ------------------------------------------------------------------------------------------------------
_PLUS = re.compile(r" (?=\d\d:\d\d$)")  # the + of an offset that was not percent-encoded
_FILTERS = {"status", "type", "org_id", "created_from", "created_to", "page", "per_page", "cursor"}


def _filtered(request: Request, query: dict[str, str]) -> QuerySet[ExportJob]:
    rows = jobs.visible(request.user)
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
                bound = specs.moment(_PLUS.sub("+", query[key]))
            except ValueError as error:
                raise Invalid.field(key, str(error)) from None
            rows = rows.filter(created_at__gte=bound.at) if key == "created_from" else rows.filter(created_at__lte=bound.last)
    return rows


def _after(rows: QuerySet[ExportJob], cursor: str) -> QuerySet[ExportJob]:
    with reading_cursor():
        at, pk = cursor_parts(cursor)
        moment, job_id = datetime.fromisoformat(at).astimezone(UTC), uuid.UUID(pk)
    return rows.filter(Q(created_at__lt=moment) | Q(created_at=moment, pk__lt=job_id))


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
            OpenApiParameter("page", int),
            OpenApiParameter("per_page", int, description=f"{PER_PAGE} unless said, at most {PER_PAGE_MOST}."),
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
        total = rows.order_by().count()
        start = 0 if "cursor" in query else (page - 1) * per_page
        found = list((_after(rows, query["cursor"]) if "cursor" in query else rows)[start : start + per_page + 1])
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
        parameters=[OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER)],
        responses={201: shapes.JobBody, **ERRORS},
        examples=[
            OpenApiExample(
                "January",
                {
                    "org_id": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
                    "org_name": "Acme Field Services",
                    "name": "January",
                    "type": "basic",
                    "creation_start_date": "2024-01-01T00:00:00Z",
                    "creation_end_date": "2024-01-31T23:59:59Z",
                },
                request_only=True,
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Create an export job that can be started later."""
        organization, wish = wished(request)

        def make() -> idempotency.Answer:
            job = jobs.create(user_of(request), organization, wish)
            return idempotency.Answer(201, _one(request, job.pk), {"Location": request.build_absolute_uri(f"/api/v1/export-jobs/{job.pk}")})

        return answer_once(request, make)


def wished(request: Request) -> tuple[Organization, specs.Wish]:
    """What a create's body asks for, checked, and where. Raises Invalid, NotFound, Forbidden."""
    body = parse_body(shapes.JobCreate, request)
    organization = access.find_organization(request.user, body["org_id"], Action.RUN)
    config = configs.get(request.user, organization, body["config_id"]) if "config_id" in body else None
    segment = segments.definition(segments.get(request.user, body["segment_id"], organization)) if "segment_id" in body else None
    return organization, specs.make(body, config, segment=segment)


class JobView(ContractView):
    """One job."""

    @extend_schema(operation_id="read_export_job", tags=[TAG], responses={200: shapes.JobBody, **READ_ERRORS})
    def get(self, request: Request, job_id: str) -> Response:
        """Read an export job."""
        job = find(request, job_id)
        body = {"job": present(request, job, single=True)}
        response = Response(body, headers={"ETag": etag(body, job.version_rev)})
        if job.status in ACTIVE:
            response["Retry-After"] = str(POLL_SECONDS)
        return response


class _Transition(ContractView):
    """Moves the job; `version_rev` or `If-Match` insist on a version."""

    verb: str

    def _move(self, request: Request, job_id: str) -> Response:
        job = find(request, job_id)
        version = parse_body(shapes.VersionBody, request).get("version_rev")
        matched = require_match(request, job.version_rev)
        try:
            getattr(jobs, self.verb)(user_of(request), job, version or matched)
        except Conflict as error:
            if matched and not version and error.code == "stale_version":  # somebody was quicker by a moment
                raise StaleETag() from None
            raise
        return Response(_one(request, job.pk))


def _documented(operation_id: str) -> Any:
    parameters = [OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, description="A version_rev, or the ETag of a read.")]
    return extend_schema(
        operation_id=operation_id, tags=[TAG], request=shapes.VersionBody, parameters=parameters, responses={200: shapes.JobBody, **ERRORS}
    )


class StartView(_Transition):
    """new → queued."""

    verb = "start"

    @_documented("start_export_job")
    def post(self, request: Request, job_id: str) -> Response:
        """Start a new job: it is queued, and a worker takes it."""
        return self._move(request, job_id)

    @_documented("start_export_job_by_put")
    def put(self, request: Request, job_id: str) -> Response:
        """The same as POST."""
        return self._move(request, job_id)


class CancelView(_Transition):
    """new, queued, in progress → cancelled."""

    verb = "cancel"

    @_documented("cancel_export_job")
    def post(self, request: Request, job_id: str) -> Response:
        """Cancel a job that has not ended; a running one stops within seconds."""
        return self._move(request, job_id)


class RetryView(_Transition):
    """failed, cancelled → queued."""

    verb = "retry"

    @_documented("retry_export_job")
    def post(self, request: Request, job_id: str) -> Response:
        """Queue a failed or cancelled job once more."""
        return self._move(request, job_id)


class AgainView(ContractView):
    """The same export once more."""

    @extend_schema(
        operation_id="export_job_again",
        tags=[TAG],
        request=None,
        parameters=[OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER)],
        responses={201: shapes.JobBody, **ERRORS},
    )
    def post(self, request: Request, job_id: str) -> Response:
        """Make a new job of an ended job's frozen spec."""
        parse_body(shapes.Nothing, request)
        job = find(request, job_id)

        def make() -> idempotency.Answer:
            twin = jobs.again(user_of(request), job)
            return idempotency.Answer(201, _one(request, twin.pk), {"Location": request.build_absolute_uri(f"/api/v1/export-jobs/{twin.pk}")})

        return answer_once(request, make)


# -- What a job leaves ---------------------------------------------------------------------------------------------
class EventsView(ContractView):
    """The timeline."""

    @extend_schema(operation_id="list_export_job_events", tags=[TAG], responses={200: shapes.EventList, **READ_ERRORS})
    def get(self, request: Request, job_id: str) -> Response:
        """The job's timeline, oldest first."""
        rows = find(request, job_id).events.select_related("actor").order_by("pk")
        events = [
            {
                "at": stamp(event.at),
                "kind": event.kind,
                "from_status": event.from_status or None,
                "to_status": event.to_status or None,
                "attempt": event.attempt,
                "actor": {"id": event.actor.pk, "name": str(event.actor)} if event.actor else None,
                "detail": event.detail,
            }
            for event in rows
        ]
        return Response({"events": events})


class ReceiptView(ContractView):
    """The signed receipt."""

    @extend_schema(operation_id="read_export_job_receipt", tags=[TAG], responses={200: shapes.Receipt, **READ_ERRORS})
    def get(self, request: Request, job_id: str) -> Response:
        """The file's signed receipt; it stays when the file has expired."""
        job = find(request, job_id)
        file = getattr(job, "file", None)
        if file is None or job.status != JobStatus.DONE:
            raise Conflict(f"The job is {job.status}; there is a receipt once it is done.", code="not_done")
        return Response(file.receipt)


class IssuesView(ContractView):
    """Values that the file could not hold."""

    @extend_schema(operation_id="list_export_job_issues", tags=[TAG], responses={200: shapes.IssueList, **READ_ERRORS})
    def get(self, request: Request, job_id: str) -> Response:
        """What the file has cut or replaced, in full: row, column, reason, text; at most 1,000."""
        rows = find(request, job_id).issues.order_by("pk")[:1000]
        return Response({"issues": [{"row_id": row.row_id, "column": row.column, "reason": row.reason, "text": row.text} for row in rows]})


class DownloadView(ContractView):
    """The file."""

    @extend_schema(
        operation_id="download_export_job",
        tags=[TAG],
        responses={
            (200, "application/zip"): OpenApiResponse(bytes, "The file."),
            (206, "application/zip"): OpenApiResponse(bytes, "The range that was asked for."),
            304: None,
            **documented_errors(410),
            416: OpenApiResponse(None, "The range lies outside of the file."),
            **ERRORS,
        },
    )
    def get(self, request: Request, job_id: str) -> Any:
        """Download the file; `Range` and `If-Range` resume."""
        file = files.of_job(find(request, job_id))
        return send(request, request.user, file, "api")

    head = get


def send(request: Any, user: Any, file: Any, door: str) -> HttpResponse:
    """The published file as an answer, with a line in its download log if bytes of it are sent."""
    stored = files.open_stored(file)
    response = file_response(request, stored, size=file.size, sha256=file.sha256, name=file.name, content_type=file.content_type)
    if request.method != "HEAD" and response.status_code in {200, 206}:
        files.log_download(user, file, door)
    return response  # type: ignore[return-value]


class DownloadsView(ContractView):
    """The download log."""

    @extend_schema(operation_id="list_export_job_downloads", tags=[TAG], responses={200: shapes.DownloadList, **READ_ERRORS})
    def get(self, request: Request, job_id: str) -> Response:
        """Who fetched the file, and when; newest first, at most 1,000."""
        file = getattr(find(request, job_id), "file", None)
        rows = file.downloads.select_related("user").order_by("-pk")[:1000] if file else []
        found = [{"at": stamp(row.at), "user": {"id": row.user.pk, "name": str(row.user)} if row.user else None, "door": row.door} for row in rows]
        return Response({"downloads": found})


class ReceiptKeyView(ContractView):
    """The public key of receipts, for everybody."""

    authentication_classes = ()
    permission_classes = ()

    @extend_schema(operation_id="read_receipt_key", tags=[TAG], auth=[], responses={200: shapes.ReceiptKey, 304: READ_ERRORS[304], 429: ERRORS[429]})
    def get(self, request: Request) -> Response:
        """The Ed25519 public key that verifies receipts, 32 raw bytes in base64."""
        return Response({"algorithm": "Ed25519", "public_key": receipts.public_key()})


_ONE = "v1/export-jobs/<str:job_id>"
urlpatterns: list[URLPattern] = [
    *route("v1/export-jobs", JobListView.as_view(), "export-jobs"),
    *route(_ONE, JobView.as_view(), "export-job"),
    *route(f"{_ONE}/start", StartView.as_view(), "export-job-start"),
    *route(f"{_ONE}/cancel", CancelView.as_view(), "export-job-cancel"),
    *route(f"{_ONE}/retry", RetryView.as_view(), "export-job-retry"),
    *route(f"{_ONE}/again", AgainView.as_view(), "export-job-again"),
    *route(f"{_ONE}/events", EventsView.as_view(), "export-job-events"),
    *route(f"{_ONE}/receipt", ReceiptView.as_view(), "export-job-receipt"),
    *route(f"{_ONE}/issues", IssuesView.as_view(), "export-job-issues"),
    *route(f"{_ONE}/download", DownloadView.as_view(), "export-job-download"),
    *route(f"{_ONE}/downloads", DownloadsView.as_view(), "export-job-downloads"),
    *route("receipt-key", ReceiptKeyView.as_view(), "receipt-key"),
]
