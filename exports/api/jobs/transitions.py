"""Moves of a job by people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from exports.api.jobs import shapes
from exports.api.jobs.shapes import ERRORS
from exports.api.jobs.showing import TAG, find, one
from exports.models import ExportJob
from exports.services import jobs
from taskexport import idempotency
from taskexport.api.calls import IDEMPOTENCY_KEY, answer_once, user_of
from taskexport.api.strict import parse_body
from taskexport.api.views import ContractView, StaleETag, require_match
from taskexport.errors import Conflict

IF_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, description="A version_rev, or the ETag of a read.")


def at_version(request: Request, job: ExportJob, version_rev: str | None, act: Callable[[str | None], None]) -> None:
    """Does `act` with the version that the call insists on by its body or by `If-Match`. Raises StaleETag, and what `act` raises."""
    matched = require_match(request, job.version_rev)
    try:
        act(version_rev or matched)
    except Conflict as error:
        if matched and not version_rev and error.code == "stale_version":  # somebody was quicker by a moment
            raise StaleETag() from None
        raise


class Transition(ContractView):
    """Moves the job; `version_rev` or `If-Match` insist on a version."""

    verb: str

    def _move(self, request: Request, job_id: str, verb: str = "") -> Response:
        job = find(request, job_id)
        version = parse_body(shapes.VersionBody, request).get("version_rev")
        at_version(request, job, version, lambda rev: getattr(jobs, verb or self.verb)(user_of(request), job, rev))
        return Response(one(request, job.pk))


def documented(operation_id: str) -> Any:
    """A transition for the OpenAPI document."""
    return extend_schema(
        operation_id=operation_id, tags=[TAG], request=shapes.VersionBody, parameters=[IF_MATCH], responses={200: shapes.JobBody, **ERRORS}
    )


class StartView(Transition):
    """new → queued."""

    verb = "start"

    @documented("start_export_job")
    def post(self, request: Request, job_id: str) -> Response:
        """Start a new job: it is queued, and a worker takes it."""
        return self._move(request, job_id)

    @documented("start_export_job_by_put")
    def put(self, request: Request, job_id: str) -> Response:
        """The same as POST."""
        return self._move(request, job_id)


class CancelView(Transition):
    """new, queued, in progress → cancelled."""

    verb = "cancel"

    @documented("cancel_export_job")
    def post(self, request: Request, job_id: str) -> Response:
        """Cancel a job that has not ended; a running one stops within seconds."""
        return self._move(request, job_id)


class RetryView(Transition):
    """failed, cancelled → queued."""

    verb = "retry"

    @documented("retry_export_job")
    def post(self, request: Request, job_id: str) -> Response:
        """Queue a failed or cancelled job once more."""
        return self._move(request, job_id)


class AgainView(ContractView):
    """The same export once more."""

    @extend_schema(
        operation_id="export_job_again",
        tags=[TAG],
        request=None,
        parameters=[IDEMPOTENCY_KEY],
        responses={201: shapes.JobBody, **ERRORS},
    )
    def post(self, request: Request, job_id: str) -> Response:
        """Make a new job of an ended job's frozen spec."""
        parse_body(shapes.Nothing, request)
        job = find(request, job_id)

        def make() -> idempotency.Answer:
            twin = jobs.again(user_of(request), job)
            return idempotency.Answer(201, one(request, twin.pk), {"Location": request.build_absolute_uri(f"/api/v1/export-jobs/{twin.pk}")})

        return answer_once(request, make)
