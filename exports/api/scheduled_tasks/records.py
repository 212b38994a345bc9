"""Records that integrators load: `/api/services/records/{index}`."""

from __future__ import annotations

from django.urls import URLPattern
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from exports.api.scheduled_tasks.base import TAG, ChainBody, ServiceView, organization, refusals
from exports.services import records
from taskexport.api.calls import user_of
from taskexport.api.strict import parse_body
from taskexport.api.views import route
from tasks.access import Action


@extend_schema_field({"type": "array", "items": {"type": "object"}, "minItems": 1, "maxItems": records.MOST_RECORDS})
class RecordsField(serializers.JSONField):
    """What the service itself checks, record by record."""


class RecordsBody(ChainBody):
    """Records to be put in."""

    records = RecordsField(help_text="A list of 1 to 10,000 objects; see docs/scheduled-tasks.md.")


class RecordsLoaded(serializers.Serializer):
    """What the call did."""

    index = serializers.CharField()
    created = serializers.IntegerField()
    updated = serializers.IntegerField()


class RecordsView(ServiceView):
    """The records of a source."""

    @extend_schema(
        operation_id="put_records",
        tags=[TAG],
        request=RecordsBody,
        responses={200: RecordsLoaded, **refusals(400, 401, 403, 404, 413, 415, 429)},
        examples=[
            OpenApiExample(
                "Two transactions",
                {
                    "records": [
                        {"external_id": "T-1", "timestamp": "2024-01-31T12:00:00Z", "amount": 12.5, "currency": "EUR", "user_id": 7},
                        {"external_id": "T-2", "timestamp": "2024-01-31T12:05:00Z", "amount": "99.95", "data": {"till": 3}},
                    ]
                },
                request_only=True,
            )
        ],
    )
    def put(self, request: Request, index: str) -> Response:
        """Put records in, or in place of those with the same external_id; all of them or none."""
        body = parse_body(RecordsBody, request)
        where = organization(request, body.get("chain"), Action.WRITE)
        done = records.upsert(user_of(request), where, index, body["records"])
        return Response({"index": index, "created": done.created, "updated": done.updated})


urlpatterns: list[URLPattern] = route("services/records/<str:index>", RecordsView.as_view(), "records")
