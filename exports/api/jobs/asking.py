"""What may be asked about exports besides the jobs themselves: what a create would give, and why a task is in a file or not."""

from __future__ import annotations

from dataclasses import asdict

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from exports.api.jobs import shapes
from exports.api.jobs.shapes import READ_ERRORS
from exports.api.jobs.showing import TAG, find
from exports.api.jobs.wishing import asked, wished
from exports.services import explaining, preflight
from taskexport.api.calls import user_of
from taskexport.api.strict import parse_query
from taskexport.api.views import ContractView, documented_errors
from taskexport.errors import Invalid


class Warning(serializers.Serializer):
    """Something that whoever opens the file should know before."""

    code = serializers.CharField()
    detail = serializers.CharField()
    column = serializers.CharField(allow_null=True, help_text="The title of the column; null: the whole file.")


class Preflight(serializers.Serializer):
    """What a create would give."""

    rows = serializers.IntegerField()
    rows_exact = serializers.BooleanField(help_text="false: the planner's estimate; on SQLite at least so many.")
    size_bytes = serializers.IntegerField(help_text="Expected, by the sample; 0 without one.")
    seconds = serializers.FloatField(help_text="Expected, by recent jobs of this format.")
    sampled_rows = serializers.IntegerField()
    header = serializers.ListField(child=serializers.CharField(allow_blank=True))
    preview = serializers.ListField(child=serializers.ListField(child=serializers.CharField(allow_blank=True, allow_null=True)))
    warnings = Warning(many=True)


class PreflightBody(serializers.Serializer):
    """A preflight's answer."""

    preflight = Preflight()


class PreflightView(ContractView):
    """Before a job."""

    @extend_schema(
        operation_id="preflight_export_job",
        tags=[TAG],
        request=shapes.JobCreate,
        responses={200: PreflightBody, **documented_errors(400, 401, 403, 404, 413, 415, 429)},
    )
    def post(self, request: Request) -> Response:
        """Say what a create of this body would give: rows, size, time, the first rows, and warnings; no job is made."""
        body, organization = asked(request)
        wish, _ = wished(user_of(request), organization, body)
        return Response({"preflight": asdict(preflight.preflight(user_of(request), organization, wish.spec))})


class Reason(serializers.Serializer):
    """Why, or why not."""

    code = serializers.CharField()
    detail = serializers.CharField()


class Explanation(serializers.Serializer):
    """Whether a task is one of the job's rows."""

    task = serializers.IntegerField()
    included = serializers.BooleanField(help_text="By the task as it is now.")
    reasons = Reason(many=True)


class ExplainView(ContractView):
    """Why a task is in the file."""

    @extend_schema(
        operation_id="explain_export_job",
        tags=[TAG],
        parameters=[OpenApiParameter("task", str, required=True, description="The task's id, or else its reference.")],
        responses={200: Explanation, **READ_ERRORS},
    )
    def get(self, request: Request, job_id: str) -> Response:
        """Say why a task is, or is not, in the job's file."""
        job = find(request, job_id)
        name = parse_query(request, {"task"}).get("task", "")
        if not name:
            raise Invalid.field("task", "Name a task by its id or its reference.", "required")
        return Response(asdict(explaining.explain(job, name)))
