"""`/api/v1/deliveries`."""

from __future__ import annotations

import uuid
from typing import Any

from django.urls import URLPattern
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from exports.api.deliveries import base
from exports.models import Delivery, DeliveryKind, DeliveryState
from exports.services.deliveries import reading
from taskexport import ids
from taskexport.api.calls import organization_of, stamp, user_of
from taskexport.api.strict import parse_query
from taskexport.api.views import ContractView, route
from taskexport.errors import Invalid
from tasks.access import Action

FILTERS = {"job", "state", "kind", "webhook"}


class DeliveryShape(serializers.Serializer):
    """A mail, a call of a webhook, or a copy of a file."""

    id = serializers.UUIDField()
    organization_id = serializers.UUIDField()
    kind = serializers.CharField(help_text="mail, webhook or copy.")
    event = serializers.CharField(help_text="What it is about.")
    job_id = serializers.UUIDField(allow_null=True)
    webhook_id = serializers.IntegerField(allow_null=True)
    destination_id = serializers.IntegerField(allow_null=True)
    to = base.ActorShape(allow_null=True, help_text="Whom a mail is for.")
    state = serializers.CharField(help_text="pending, sent or dead.")
    attempts = serializers.IntegerField(help_text="Since it was written or last redelivered.")
    next_at = serializers.DateTimeField(allow_null=True, help_text="When it is tried again; null: it is not.")
    status_code = serializers.IntegerField(allow_null=True, help_text="Of the last answer.")
    error = serializers.CharField(allow_blank=True, help_text="What the last attempt said.")
    message_id = serializers.CharField(help_text="The Message-ID or webhook-id: the same in every attempt.")
    created_at = serializers.DateTimeField()
    sent_at = serializers.DateTimeField(allow_null=True)


class DeliveryTryShape(serializers.Serializer):
    """An attempt."""

    at = serializers.DateTimeField(help_text="Its end.")
    seconds = serializers.FloatField()
    status_code = serializers.IntegerField(allow_null=True)
    error = serializers.CharField(allow_blank=True, help_text="Empty: it went well.")


class DeliveryDetail(DeliveryShape):
    """A delivery with its attempts."""

    body = serializers.CharField(allow_blank=True, help_text="What a webhook is sent.")
    tries = DeliveryTryShape(many=True, help_text="Newest first.")


class DeliveryAnswer(serializers.Serializer):
    """One delivery."""

    delivery = DeliveryDetail()


class DeliveryList(serializers.Serializer):
    """A page of deliveries."""

    deliveries = DeliveryShape(many=True)
    meta = base.ListPlace()


def present(delivery: Delivery) -> dict[str, Any]:
    """A delivery in this face's words."""
    return {
        "id": str(delivery.pk),
        "organization_id": str(delivery.organization.uuid) if delivery.organization else None,
        "kind": delivery.kind,
        "event": delivery.event,
        "job_id": str(delivery.job_id) if delivery.job_id else None,
        "webhook_id": delivery.webhook_id,
        "destination_id": delivery.destination_id,
        "to": base.actor(delivery.to),
        "state": delivery.state,
        "attempts": delivery.attempts,
        "next_at": stamp(delivery.next_at) if delivery.state == DeliveryState.PENDING else None,
        "status_code": delivery.status_code,
        "error": delivery.error,
        "message_id": delivery.message_id,
        "created_at": stamp(delivery.created_at),
        "sent_at": stamp(delivery.sent_at),
    }


def present_delivery(delivery: Delivery) -> dict[str, Any]:
    """The same with its attempts."""
    tries = [{"at": stamp(each.at), "seconds": each.seconds, "status_code": each.status_code, "error": each.error} for each in delivery.tries.all()]
    return {**present(delivery), "body": delivery.body, "tries": tries}


class DeliveryListView(ContractView):
    """What was and is to be delivered."""

    @extend_schema(
        operation_id="list_deliveries",
        tags=[base.TAG],
        parameters=[
            base.ORGANIZATION,
            OpenApiParameter("job", uuid.UUID),
            OpenApiParameter("state", str, enum=DeliveryState.values),
            OpenApiParameter("kind", str, enum=DeliveryKind.values),
            OpenApiParameter("webhook", int),
            *base.PAGES,
        ],
        responses={200: DeliveryList, **base.READ},
    )
    def get(self, request: Request) -> Response:
        """List the organization's deliveries, newest first."""
        rows = reading.visible(request.user, organization_of(request, Action.ADMINISTER))
        query = parse_query(request, {*FILTERS, "page", "per_page"})
        for name, choices in (("state", DeliveryState.values), ("kind", DeliveryKind.values)):
            if name in query and query[name] not in choices:
                raise Invalid.field(name, f"Write one of: {', '.join(choices)}.")
        named: dict[str, Any] = {name: query[name] for name in ("state", "kind") if name in query}
        if "job" in query:
            try:
                named["job"] = uuid.UUID(query["job"])
            except ValueError:
                raise Invalid.field("job", "Write a job's id.") from None
        if "webhook" in query:
            named["webhook"] = ids.number(query["webhook"])
            if not named["webhook"]:
                raise Invalid.field("webhook", "Write a webhook's id.")
        found, meta = base.page_of(rows.filter(**named), query)
        return Response({"deliveries": [present(each) for each in found], "meta": meta})


class DeliveryView(ContractView):
    """One delivery."""

    @extend_schema(operation_id="read_delivery", tags=[base.TAG], responses={200: DeliveryAnswer, **base.READ})
    def get(self, request: Request, delivery_id: str) -> Response:
        """Read a delivery with its attempts."""
        return Response({"delivery": present_delivery(reading.get(request.user, delivery_id))})


class RedeliverView(ContractView):
    """Again."""

    @extend_schema(operation_id="redeliver", tags=[base.TAG], request=None, responses={200: DeliveryAnswer, **base.MOVE})
    def post(self, request: Request, delivery_id: str) -> Response:
        """Try a delivery that is dead, or waits, again from now on, with the same id. What was sent is never sent again."""
        delivery = reading.get(request.user, delivery_id)
        if request.data != {}:
            raise Invalid("This call has no body.", code="invalid_json")
        return Response({"delivery": present_delivery(reading.redeliver(user_of(request), delivery))})


_DELIVERY = "v1/deliveries/<str:delivery_id>"
urlpatterns: list[URLPattern] = [
    *route("v1/deliveries", DeliveryListView.as_view(), "deliveries"),
    *route(_DELIVERY, DeliveryView.as_view(), "delivery"),
    *route(f"{_DELIVERY}/redeliver", RedeliverView.as_view(), "delivery-redeliver"),
]
