"""What a job leaves: its timeline, receipt, issues, file, and who fetched that."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from exports.api.jobs import shapes
from exports.api.jobs.shapes import ERRORS, READ_ERRORS
from exports.api.jobs.showing import TAG, find
from exports.api.jobs.transitions import IF_MATCH, Transition
from exports.services import files, receipts
from exports.states import JobStatus
from taskexport.api.calls import stamp
from taskexport.api.views import ContractView, documented_errors
from taskexport.downloads import file_response
from taskexport.errors import Conflict


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
            **documented_errors(410, 503),
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


class PinView(Transition):
    """Kept past its expiry."""

    verb = "pin"

    @extend_schema(
        operation_id="pin_export_job",
        tags=[TAG],
        request=shapes.VersionBody,
        parameters=[IF_MATCH],
        responses={200: shapes.JobBody, **documented_errors(410), **ERRORS},
    )
    def put(self, request: Request, job_id: str) -> Response:
        """Keep the job's file past its expiry, until it is unpinned."""
        return self._move(request, job_id)

    @extend_schema(
        operation_id="unpin_export_job", tags=[TAG], parameters=[IF_MATCH], responses={200: shapes.JobBody, **documented_errors(410), **ERRORS}
    )
    def delete(self, request: Request, job_id: str) -> Response:
        """Let the file expire again; at once, if its time has passed."""
        return self._move(request, job_id, "unpin")
