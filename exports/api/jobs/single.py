"""One job: read, and deleted."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from exports.api.jobs import shapes
from exports.api.jobs.shapes import ERRORS, READ_ERRORS
from exports.api.jobs.showing import TAG, find, present
from exports.api.jobs.transitions import IF_MATCH, at_version
from exports.services import jobs
from exports.states import ACTIVE
from taskexport.api.calls import user_of
from taskexport.api.strict import parse_body
from taskexport.api.views import ContractView, etag

POLL_SECONDS = 2


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

    @extend_schema(operation_id="delete_export_job", tags=[TAG], parameters=[IF_MATCH], responses={204: None, **ERRORS})
    def delete(self, request: Request, job_id: str) -> Response:
        """Delete a job that has ended: its file is gone, and it is no longer listed; for admins."""
        job = find(request, job_id)
        version = parse_body(shapes.VersionBody, request).get("version_rev")
        at_version(request, job, version, lambda rev: jobs.delete(user_of(request), job, rev))
        return Response(status=204)
