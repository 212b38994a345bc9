"""A platform owner's rows, streamed at once."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress

from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.request import Request

from exports.api.jobs import shapes
from exports.api.jobs.shapes import ERRORS
from exports.api.jobs.showing import TAG
from exports.services import direct
from taskexport.api.calls import user_of
from taskexport.api.strict import parse_body
from taskexport.api.views import ContractView


class DirectCsvView(ContractView):
    """For owners of platforms."""

    @extend_schema(
        operation_id="export_csv_directly",
        tags=[TAG],
        request=shapes.DirectCreate,
        responses={(200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, "The file, as its rows are read; X-Export-Job names the job."), **ERRORS},
        examples=[
            OpenApiExample(
                "January",
                {
                    "org_id": "all",
                    "org_name": "My Organization",
                    "name": "My Task Export",
                    "platform_id": "1",
                    "creation_start_date": "2024-01-01T00:00:00Z",
                    "creation_end_date": "2024-01-31T23:59:59Z",
                },
                request_only=True,
            )
        ],
    )
    def post(self, request: Request) -> StreamingHttpResponse:
        """Export one organization, or all of one's platforms, as CSV in this very answer; for owners of platforms."""
        body = parse_body(shapes.DirectCreate, request)
        stream = direct.begin(user_of(request), body, _hang_up(request))
        response = StreamingHttpResponse(stream, content_type=direct.MEDIA_TYPE)
        response["Content-Disposition"] = str(content_disposition_header(True, stream.name))
        response["X-Content-Type-Options"] = "nosniff"
        response["X-Export-Job"] = str(stream.job_id)
        return response


def _hang_up(request: Request) -> Callable[[], None]:
    """Breaks the connection, so that a write to a reader who takes nothing ends; only our web server lets us."""
    connection = request.META.get("gunicorn.socket")

    def hang_up() -> None:
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    return hang_up
