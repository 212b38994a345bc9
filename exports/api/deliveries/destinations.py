"""`/api/v1/destinations`."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from exports.api.deliveries import base
from exports.models import Destination
from exports.services.deliveries import destinations
from taskexport import ids
from taskexport.api.calls import IDEMPOTENCY_KEY, answer_once, organization_of, stamp, user_of
from taskexport.api.strict import StrictSerializer, Text, parse_body, parse_query
from taskexport.api.views import ContractView, etag, require_match, route
from taskexport.errors import Invalid
from taskexport.idempotency import Answer
from tasks.access import Action


class DestinationWish(StrictSerializer):
    """A new destination."""

    name = Text(max_length=200)
    endpoint = Text(max_length=500, required=False, allow_blank=True, help_text="The store's URL; empty: Amazon's own.")
    region = Text(max_length=40, required=False, help_text="us-east-1 unless said.")
    bucket = Text(max_length=63)
    prefix = Text(max_length=300, required=False, allow_blank=True, help_text="Of every key.")
    access_key_id = Text(max_length=200)
    secret_access_key = Text(max_length=200, write_only=True, help_text="Never shown again.")


class DestinationChange(StrictSerializer):
    """What is to change."""

    name = Text(max_length=200, required=False)
    endpoint = Text(max_length=500, required=False, allow_blank=True)
    region = Text(max_length=40, required=False)
    bucket = Text(max_length=63, required=False)
    prefix = Text(max_length=300, required=False, allow_blank=True)
    access_key_id = Text(max_length=200, required=False)
    secret_access_key = Text(
        max_length=200, required=False, write_only=True, help_text="Needed where endpoint, region, bucket or key id is another one."
    )


class DestinationShape(serializers.Serializer):
    """A destination."""

    id = serializers.IntegerField()
    organization_id = serializers.UUIDField()
    name = serializers.CharField()
    endpoint = serializers.CharField(allow_blank=True)
    region = serializers.CharField()
    bucket = serializers.CharField()
    prefix = serializers.CharField(allow_blank=True)
    access_key_id = serializers.CharField()
    tested_at = serializers.DateTimeField(allow_null=True, help_text="When a test last went well, with the key and the place it has now.")
    version = serializers.IntegerField()
    created_by = base.ActorShape(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class DestinationAnswer(serializers.Serializer):
    """One destination."""

    destination = DestinationShape()


class DestinationList(serializers.Serializer):
    """A page of destinations."""

    destinations = DestinationShape(many=True)
    meta = base.ListPlace()


class DestinationTest(serializers.Serializer):
    """How a test went."""

    ok = serializers.BooleanField()
    message = serializers.CharField(allow_blank=True, help_text="What is wrong.")


EXAMPLE = {
    "name": "Data lake",
    "region": "eu-central-1",
    "bucket": "acme-data",
    "prefix": "exports/tasks",
    "access_key_id": "AKIAEXAMPLE",
    "secret_access_key": "…",
}


def present(destination: Destination) -> dict[str, Any]:
    """A destination in this face's words, without its secret."""
    return {
        "id": destination.pk,
        "organization_id": str(destination.organization.uuid),
        **{name: getattr(destination, name) for name in destinations.FIELDS},
        "tested_at": stamp(destination.tested_at),
        "version": destination.version,
        "created_by": base.actor(destination.created_by),
        "created_at": stamp(destination.created_at),
        "updated_at": stamp(destination.updated_at),
    }


class DestinationListView(ContractView):
    """All destinations of an organization, and new ones."""

    @extend_schema(
        operation_id="list_destinations", tags=[base.TAG], parameters=[base.ORGANIZATION, *base.PAGES], responses={200: DestinationList, **base.READ}
    )
    def get(self, request: Request) -> Response:
        """List the organization's destinations by name."""
        rows = destinations.visible(request.user, organization_of(request, Action.ADMINISTER))
        found, meta = base.page_of(rows, parse_query(request, {"page", "per_page"}))
        return Response({"destinations": [present(each) for each in found], "meta": meta})

    @extend_schema(
        operation_id="create_destination",
        tags=[base.TAG],
        request=DestinationWish,
        parameters=[base.ORGANIZATION, IDEMPOTENCY_KEY],
        responses={201: DestinationAnswer, **base.CREATE},
        examples=[OpenApiExample("A prefix of a bucket", EXAMPLE, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """Create a destination; test it before a schedule relies on it."""
        organization = organization_of(request, Action.ADMINISTER)
        body = parse_body(DestinationWish, request)

        def make() -> Answer:
            made = destinations.get(request.user, destinations.create(user_of(request), organization, body).pk)
            return Answer(201, {"destination": present(made)}, {"Location": request.build_absolute_uri(f"/api/v1/destinations/{made.pk}")})

        return answer_once(request, make)


class DestinationView(ContractView):
    """One destination."""

    @extend_schema(operation_id="read_destination", tags=[base.TAG], responses={200: DestinationAnswer, **base.READ})
    def get(self, request: Request, destination_id: str) -> Response:
        """Read a destination."""
        destination = destinations.get(request.user, ids.number(destination_id))
        body = {"destination": present(destination)}
        return Response(body, headers={"ETag": etag(body, str(destination.version))})

    @extend_schema(
        operation_id="change_destination",
        tags=[base.TAG],
        request=DestinationChange,
        parameters=[base.IF_MATCH],
        responses={200: DestinationAnswer, **base.CHANGE},
        examples=[OpenApiExample("A new key", {"access_key_id": "AKIAEXAMPLE2", "secret_access_key": "…"}, request_only=True)],
    )
    def patch(self, request: Request, destination_id: str) -> Response:
        """Change what the body names of a destination."""
        destination = destinations.get(request.user, ids.number(destination_id))
        matched = require_match(request, str(destination.version))
        values = parse_body(DestinationChange, request)
        changed = destinations.update(user_of(request), destination, values, version=int(matched) if matched else None)
        return Response({"destination": present(changed)})

    @extend_schema(operation_id="delete_destination", tags=[base.TAG], responses={204: None, **base.DELETE})
    def delete(self, request: Request, destination_id: str) -> Response:
        """Delete a destination with its deliveries; not while a schedule copies there. What was copied stays."""
        destinations.delete(user_of(request), destinations.get(request.user, ids.number(destination_id)))
        return Response(status=204)


class DestinationTestView(ContractView):
    """A test."""

    @extend_schema(operation_id="test_destination", tags=[base.TAG], request=None, responses={200: DestinationTest, **base.MOVE})
    def post(self, request: Request, destination_id: str) -> Response:
        """Write a small object to a destination and delete it again; the answer says what is wrong."""
        destination = destinations.get(request.user, ids.number(destination_id))
        if request.data != {}:
            raise Invalid("This call has no body.", code="invalid_json")
        said = destinations.test(user_of(request), destination)
        return Response({"ok": not said, "message": said})


_DESTINATION = "v1/destinations/<str:destination_id>"
urlpatterns: list[URLPattern] = [
    *route("v1/destinations", DestinationListView.as_view(), "destinations"),
    *route(_DESTINATION, DestinationView.as_view(), "destination"),
    *route(f"{_DESTINATION}/test", DestinationTestView.as_view(), "destination-test"),
]
