"""`POST /tasks/export`: a file in the answer, or a job in the queue."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from exports.api.task_exports import shapes, wishes
from exports.api.task_exports.shapes import DONE, ORGANIZATION, PROCESSING, TaskExportView, absolute, answer, errors, id_number
from exports.datasets import Spec
from exports.models import ExportJob
from exports.services import configs, files, inline, jobs
from exports.services.jobs import Claim
from exports.services.specs import Wish
from taskexport.api.calls import IDEMPOTENCY_KEY, answer_once, organization_of, user_of
from taskexport.api.strict import parse_body
from taskexport.errors import FieldError, Invalid
from taskexport.idempotency import Answer
from tasks.access import Action
from tasks.models import Organization

QUEUED = "Export queued for background processing. Check status at GET /tasks/export-log"
BOUNDED = ("json", "xlsx")
_EXAMPLE = {
    "download": "xlsx",
    "fields": "startTime,endTime,hubId,createdBy,flow,status",
    "status": "DONE",
    "page": 1,
    "limit": 20,
    "sortBy": "createdTime",
    "sortOrder": "desc",
    "background": False,
}


class ExportView(TaskExportView):
    """Exports of tasks."""

    forbidden = "You do not have permission to export tasks"

    @extend_schema(
        operation_id="export_tasks",
        tags=[shapes.TAG],
        request=shapes.PostExportTask,
        parameters=[ORGANIZATION, IDEMPOTENCY_KEY],
        responses={200: shapes.ExportAnswer, **errors(400, 401, 403, 404, 409, 410, 413, 415, 422, 429, 500)},
        examples=[OpenApiExample("Direct", _EXAMPLE, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """Export tasks: the file's link in the answer, or with `background` a job whose end the log tells."""
        organization = organization_of(request, Action.RUN)
        body = parse_body(shapes.PostExportTask, request)
        config = None
        if "exportConfigId" in body:
            config = configs.get(request.user, organization, id_number(body["exportConfigId"]))
        wish = wishes.of_export(organization, body, config)
        return self._queue(request, organization, wish) if body["background"] else self._run(request, organization, wish)

    def _queue(self, request: Request, organization: Organization, wish: Wish) -> Response:
        user = user_of(request)

        def make() -> Answer:
            _require_size(wish.spec, organization, is_direct=False)
            job = jobs.create_started(user, organization, wish, notify=True)
            return Answer(200, answer(_data(job, PROCESSING), QUEUED, total_data_be=0))

        return answer_once(request, make)

    def _run(self, request: Request, organization: Organization, wish: Wish) -> Response:
        user, claims = user_of(request), list[Claim]()

        def begin() -> Answer:
            _require_size(wish.spec, organization, is_direct=True)
            claims.append(inline.begin(user, organization, wish))
            return Answer(200, {"job": str(claims[0].job.pk)})

        # What is kept for a repeated call is the job alone: it runs outside of any transaction, and its link is made anew.
        kept = answer_once(request, begin)
        job = inline.run_now(claims[0]) if claims else inline.ended(jobs.get(user, kept.data["job"]))
        link = absolute(request, files.link(user, files.of_job(job)))
        last = {"last_id": str(job.file.last_row_id or ""), "last_field": Spec.from_json(job.spec).titles[-1]}
        return Response(answer(_data(job, DONE, link), total_data_be=job.file.rows, **last), headers=kept.headers)


def _data(job: ExportJob, status: str, link: str = "") -> dict[str, Any]:
    assert job.organization  # noqa: S101 - it was made for one
    return {
        "time": int(job.created_at.timestamp()),
        "organizationId": str(job.organization.uuid),
        "reportType": "task",
        **({"link": link} if link else {}),
        "status": status,
    }


def _require_size(spec: Spec, organization: Organization, *, is_direct: bool) -> None:
    """Raises Invalid for more rows than the format, or than a request, may have."""
    bounds = [settings.TASK_EXPORT_ROWS] if spec.format in BOUNDED else []
    bounds += [settings.DIRECT_ROWS] if is_direct else []
    if not bounds:
        return
    most = min(bounds)
    if inline.rows_up_to(spec, organization, most) <= most:
        return
    if is_direct and most == settings.DIRECT_ROWS:
        detail = f"More than {most:,} tasks fit, too many for a direct export. Send background: true."
        raise Invalid(f"background: {detail}", fields=[FieldError("background", "too_many_rows", detail)])
    detail = f"More than {most:,} tasks fit, too many for {spec.format}. Filter them, or send download: csv."
    raise Invalid(f"download: {detail}", fields=[FieldError("download", "too_many_rows", detail)])
