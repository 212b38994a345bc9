"""What an external runner says: that it has a job, how far it is, and how it ended."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiRequest, extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from exports.api.jobs import shapes
from exports.api.jobs.shapes import ERRORS
from exports.api.jobs.showing import TAG, find, one
from exports.api.jobs.transitions import IF_MATCH, Transition, at_version, documented
from exports.api.jobs.uploading import uploaded
from exports.services import jobs, uploads
from taskexport.api.calls import user_of
from taskexport.api.strict import parse_body
from taskexport.api.views import ContractView, documented_errors


class InProgressView(Transition):
    """queued → in progress."""

    verb = "take"

    @documented("claim_export_job")
    def post(self, request: Request, job_id: str) -> Response:
        """Claim a queued job of runner external: the caller runs it from here on."""
        return self._move(request, job_id)

    @documented("claim_export_job_by_put")
    def put(self, request: Request, job_id: str) -> Response:
        """The same as POST."""
        return self._move(request, job_id)


class ProgressView(ContractView):
    """An external runner's beat."""

    @extend_schema(
        operation_id="report_export_job_progress",
        tags=[TAG],
        request=shapes.ProgressBody,
        parameters=[IF_MATCH],
        responses={200: shapes.JobBody, **ERRORS},
    )
    def post(self, request: Request, job_id: str) -> Response:
        """Say how far the job is; keeps it the caller's for another 24 hours."""
        job = find(request, job_id)
        body = parse_body(shapes.ProgressBody, request)

        def act(version_rev: str | None) -> None:
            jobs.report_progress(user_of(request), job, body["rows_done"], body.get("rows_total"), version_rev)

        at_version(request, job, body.get("version_rev"), act)
        return Response(one(request, job.pk))


def _documented_done(operation_id: str) -> Any:
    return extend_schema(
        operation_id=operation_id,
        tags=[TAG],
        request={"multipart/form-data": OpenApiRequest(shapes.DoneBody, encoding={"file": {"contentType": "application/zip"}})},
        parameters=[IF_MATCH],
        responses={200: shapes.MessageBody, **ERRORS, **documented_errors(503)},
    )


class DoneView(ContractView):
    """in progress → done."""

    parser_classes = (MultiPartParser,)

    @_documented_done("finish_export_job")
    def post(self, request: Request, job_id: str) -> Response:
        """Bring the file of a job that the caller has claimed: a zip of one CSV."""
        return self._finish(request, job_id)

    @_documented_done("finish_export_job_by_put")
    def put(self, request: Request, job_id: str) -> Response:
        """The same as POST."""
        return self._finish(request, job_id)

    def _finish(self, request: Request, job_id: str) -> Response:
        job = find(request, job_id)
        jobs.require_uploader(user_of(request), job)  # before a gigabyte is read for nothing
        with uploaded(request) as (spool, version):
            at_version(request, job, version, lambda rev: uploads.finish(user_of(request), job, spool, rev))
        return Response({"message": "successfully update status to done"})


def _documented_failed(operation_id: str) -> Any:
    return extend_schema(
        operation_id=operation_id, tags=[TAG], request=shapes.FailedBody, parameters=[IF_MATCH], responses={200: shapes.MessageBody, **ERRORS}
    )


class FailedView(ContractView):
    """new, queued, in progress → failed."""

    @_documented_failed("fail_export_job")
    def post(self, request: Request, job_id: str) -> Response:
        """Say that the job has failed, and why."""
        return self._fail(request, job_id)

    @_documented_failed("fail_export_job_by_put")
    def put(self, request: Request, job_id: str) -> Response:
        """The same as POST."""
        return self._fail(request, job_id)

    def _fail(self, request: Request, job_id: str) -> Response:
        job = find(request, job_id)
        body = parse_body(shapes.FailedBody, request)
        error = body.get("error", "")
        at_version(request, job, body.get("version_rev"), lambda rev: jobs.report_failed(user_of(request), job, error, rev))
        return Response({"message": "successfully update status to fail"})
