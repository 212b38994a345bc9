"""Saved segments: `/api/services/segments`."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from exports.api.scheduled_tasks.base import CHAIN, READ, TAG, WRITE, ChainField, ServiceView, organization, refusals
from exports.models import Segment
from exports.services import segments
from taskexport import idempotency
from taskexport.api.calls import IDEMPOTENCY_KEY, answer_once, stamp, user_of
from taskexport.api.strict import StrictSerializer, Text, parse_body, parse_query, whole_number
from taskexport.api.views import etag, number_parameter, require_match, route
from tasks.access import Action

LIMIT, LIMIT_MOST = 50, 500
OFFSET_MOST = 1_000_000
EXAMPLE = {
    "name": "Dutch customers of this week",
    "entity": "user",
    "index": "users",
    "join": "all",
    "rules": [
        {"field_name": "country", "field_type": "keyword", "operator": "is", "value": "NL"},
        {"field_name": "created_date", "field_type": "date", "operator": "relative_less_than", "time_factor": "week", "time_amount": 1},
    ],
}


class SegmentWish(StrictSerializer):
    """A segment to be saved."""

    chain = ChainField()
    name = Text(max_length=200)
    entity = Text(max_length=100, required=False, allow_blank=True, allow_null=True, help_text="Kept and echoed.")
    index = Text(max_length=40, help_text="The data that it is of.")
    join = Text(max_length=3, required=False, help_text="all (unless said) or any.")
    chain_id = ChainField()
    rules = serializers.ListField(child=serializers.DictField(), help_text="See docs/scheduled-tasks.md.")


class SegmentChange(SegmentWish):
    """All of a segment anew; what only the service sets may stand beside it and is passed over."""

    chain = serializers.JSONField(required=False, allow_null=True)  # type: ignore[assignment]
    id = serializers.JSONField(required=False, allow_null=True)
    version = serializers.JSONField(required=False, allow_null=True)
    in_words = serializers.JSONField(required=False, allow_null=True)
    created_date = serializers.JSONField(required=False, allow_null=True)
    last_modified = serializers.JSONField(required=False, allow_null=True)


class SegmentBody(serializers.Serializer):
    """A saved segment."""

    id = serializers.IntegerField()
    chain_id = serializers.IntegerField()
    name = serializers.CharField()
    entity = serializers.CharField(allow_blank=True)
    index = serializers.CharField()
    join = serializers.CharField()
    rules = serializers.ListField(child=serializers.DictField())
    in_words = serializers.CharField(help_text="The rules as part of a sentence.")
    version = serializers.IntegerField()
    created_date = serializers.DateTimeField()
    last_modified = serializers.DateTimeField()


def present(segment: Segment) -> dict[str, Any]:
    """The segment in the contract's words."""
    definition = segments.definition(segment)
    return {
        "id": segment.pk,
        "chain_id": segment.organization_id,
        "name": segment.name,
        **definition,
        "in_words": segments.in_words(definition, segment.organization.timezone),
        "version": segment.version,
        "created_date": stamp(segment.created_at),
        "last_modified": stamp(segment.updated_at),
    }


def _definition(body: dict[str, Any]) -> dict[str, Any]:
    return {key: body[key] for key in segments.DEFINITION_KEYS if key in body}


class SegmentListView(ServiceView):
    """All saved segments that one may see, and new ones."""

    @extend_schema(
        operation_id="list_segments",
        tags=[TAG],
        parameters=[
            number_parameter("limit", LIMIT_MOST, description=f"{LIMIT} unless said, at most {LIMIT_MOST}."),
            number_parameter("offset", OFFSET_MOST, least=0),
            CHAIN,
        ],
        responses={200: SegmentBody(many=True), **READ},
    )
    def get(self, request: Request) -> Response:
        """List the saved segments, oldest first."""
        query = parse_query(request, {"limit", "offset", "chain"})
        limit = whole_number(query, "limit", LIMIT, LIMIT_MOST)
        offset = whole_number(query, "offset", 1, OFFSET_MOST) if query.get("offset", "0") != "0" else 0
        rows = segments.visible(request.user)
        if "chain" in query or "X-Organization" in request.headers:
            rows = rows.filter(organization=organization(request, query.get("chain")))
        return Response([present(segment) for segment in rows[offset : offset + limit]])

    @extend_schema(
        operation_id="create_segment",
        tags=[TAG],
        request=SegmentWish,
        parameters=[IDEMPOTENCY_KEY],
        responses={201: SegmentBody, **WRITE},
        examples=[OpenApiExample("Customers", EXAMPLE, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """Save a segment, for tasks and for export jobs."""
        body = parse_body(SegmentWish, request)
        where = organization(request, body.get("chain", body.get("chain_id")), Action.WRITE)

        def make() -> idempotency.Answer:
            made = segments.create(user_of(request), where, body["name"], _definition(body))
            found = present(segments.get(request.user, made.pk))
            return idempotency.Answer(201, found, {"Location": request.build_absolute_uri(f"/api/services/segments/{made.pk}")})

        return answer_once(request, make)


class SegmentView(ServiceView):
    """One saved segment."""

    @extend_schema(operation_id="read_segment", tags=[TAG], responses={200: SegmentBody, **READ})
    def get(self, request: Request, segment_id: str) -> Response:
        """Read a saved segment."""
        segment = segments.get(request.user, segment_id)
        body = present(segment)
        return Response(body, headers={"ETag": etag(body, str(segment.version))})

    @extend_schema(
        operation_id="update_segment",
        tags=[TAG],
        request=SegmentChange,
        parameters=[OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, description="The ETag of a read, or its version.")],
        responses={200: SegmentBody, **WRITE},
        examples=[OpenApiExample("Customers", EXAMPLE, request_only=True)],
    )
    def put(self, request: Request, segment_id: str) -> Response:
        """Say all of a segment anew; tasks take it from their next run on."""
        segment = segments.get(request.user, segment_id)
        body = parse_body(SegmentChange, request)
        matched = require_match(request, str(segment.version))
        changed = segments.update(user_of(request), segment, body["name"], _definition(body), version=int(matched) if matched else None)
        return Response(present(changed))

    @extend_schema(operation_id="delete_segment", tags=[TAG], responses={204: None, **refusals(400, 401, 403, 404, 409, 429)})
    def delete(self, request: Request, segment_id: str) -> Response:
        """Delete a segment that no task uses; jobs keep what they froze of it."""
        segments.delete(user_of(request), segments.get(request.user, segment_id))
        return Response(status=204)


urlpatterns: list[URLPattern] = [
    *route("services/segments", SegmentListView.as_view(), "segments"),
    *route("services/segments/<str:segment_id>", SegmentView.as_view(), "segment"),
]
