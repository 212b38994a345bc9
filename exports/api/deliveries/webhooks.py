"""`/api/v1/webhooks`."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from exports.api.deliveries import base
from exports.api.deliveries.deliveries import DeliveryAnswer, present_delivery
from exports.models import Webhook
from exports.services.deliveries import webhooks
from taskexport import ids
from taskexport.api.calls import IDEMPOTENCY_KEY, answer_once, organization_of, stamp, user_of
from taskexport.api.strict import Flag, StrictSerializer, Text, parse_body, parse_query
from taskexport.api.views import ContractView, etag, require_match, route
from taskexport.errors import Invalid
from taskexport.idempotency import Answer
from tasks.access import Action

EVENTS = [event.value for event in webhooks.EVENTS]


class WebhookWish(StrictSerializer):
    """A new webhook."""

    name = Text(max_length=200)
    url = Text(max_length=2000, help_text="https, of a public address; see docs/deliveries.md.")
    events = serializers.ListField(child=serializers.ChoiceField(EVENTS), min_length=1, max_length=20, required=False, help_text="done and failed.")
    enabled = Flag(required=False)


class WebhookChange(StrictSerializer):
    """What is to change."""

    name = Text(max_length=200, required=False)
    url = Text(max_length=2000, required=False)
    events = serializers.ListField(child=serializers.ChoiceField(EVENTS), min_length=1, max_length=20, required=False)
    enabled = Flag(required=False, help_text="true: it forgets why it was switched off.")


class WebhookShape(serializers.Serializer):
    """A webhook."""

    id = serializers.IntegerField()
    organization_id = serializers.UUIDField()
    name = serializers.CharField()
    url = serializers.CharField()
    events = serializers.ListField(child=serializers.CharField())
    enabled = serializers.BooleanField()
    disabled_reason = serializers.CharField(allow_blank=True, help_text="Why the service switched it off.")
    failing_since = serializers.DateTimeField(allow_null=True, help_text="Since when nothing has arrived; null: all is well.")
    version = serializers.IntegerField()
    created_by = base.ActorShape(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class WebhookAnswer(serializers.Serializer):
    """One webhook."""

    webhook = WebhookShape()


class WebhookWithSecret(serializers.Serializer):
    """One webhook with its new secret, which is never shown again."""

    webhook = WebhookShape()
    secret = serializers.CharField(help_text="whsec_ and 32 random bytes in base64: what its calls are signed with.")


class WebhookList(serializers.Serializer):
    """A page of webhooks."""

    webhooks = WebhookShape(many=True)
    meta = base.ListPlace()


EXAMPLE = {"name": "ERP", "url": "https://erp.example.com/hooks/exports", "events": ["job.done", "job.failed"]}


def present(hook: Webhook) -> dict[str, Any]:
    """A webhook in this face's words, without its secret."""
    return {
        "id": hook.pk,
        "organization_id": str(hook.organization.uuid),
        "name": hook.name,
        "url": hook.url,
        "events": hook.events,
        "enabled": hook.enabled,
        "disabled_reason": hook.disabled_reason,
        "failing_since": stamp(hook.failing_since),
        "version": hook.version,
        "created_by": base.actor(hook.created_by),
        "created_at": stamp(hook.created_at),
        "updated_at": stamp(hook.updated_at),
    }


def _require_empty(request: Request) -> None:
    if request.data != {}:
        raise Invalid("This call has no body.", code="invalid_json")


class WebhookListView(ContractView):
    """All webhooks of an organization, and new ones."""

    @extend_schema(
        operation_id="list_webhooks", tags=[base.TAG], parameters=[base.ORGANIZATION, *base.PAGES], responses={200: WebhookList, **base.READ}
    )
    def get(self, request: Request) -> Response:
        """List the organization's webhooks by name."""
        rows = webhooks.visible(request.user, organization_of(request, Action.ADMINISTER))
        found, meta = base.page_of(rows, parse_query(request, {"page", "per_page"}))
        return Response({"webhooks": [present(hook) for hook in found], "meta": meta})

    @extend_schema(
        operation_id="create_webhook",
        tags=[base.TAG],
        request=WebhookWish,
        parameters=[base.ORGANIZATION, IDEMPOTENCY_KEY],
        responses={201: WebhookWithSecret, **base.CREATE},
        examples=[OpenApiExample("Ends of exports", EXAMPLE, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """Create a webhook; its secret is in this answer alone. An answer to a repeated Idempotency-Key leaves the secret out."""
        organization = organization_of(request, Action.ADMINISTER)
        body, secrets = parse_body(WebhookWish, request), list[str]()

        def make() -> Answer:
            hook, secret = webhooks.create(user_of(request), organization, body)
            secrets.append(secret)
            # What is kept for a repetition is kept in the clear, so it holds no secret.
            return Answer(201, {"webhook": present(webhooks.get(request.user, hook.pk)), "secret": ""}, {"Location": _url(request, hook)})

        answer = answer_once(request, make)
        if secrets:
            answer.data = {**answer.data, "secret": secrets[0]}
        return answer


def _url(request: Request, hook: Webhook) -> str:
    return request.build_absolute_uri(f"/api/v1/webhooks/{hook.pk}")


class WebhookView(ContractView):
    """One webhook."""

    @extend_schema(operation_id="read_webhook", tags=[base.TAG], responses={200: WebhookAnswer, **base.READ})
    def get(self, request: Request, webhook_id: str) -> Response:
        """Read a webhook."""
        hook = webhooks.get(request.user, ids.number(webhook_id))
        body = {"webhook": present(hook)}
        return Response(body, headers={"ETag": etag(body, str(hook.version))})

    @extend_schema(
        operation_id="change_webhook",
        tags=[base.TAG],
        request=WebhookChange,
        parameters=[base.IF_MATCH],
        responses={200: WebhookAnswer, **base.CHANGE},
        examples=[OpenApiExample("Switch it on again", {"enabled": True}, request_only=True)],
    )
    def patch(self, request: Request, webhook_id: str) -> Response:
        """Change what the body names of a webhook."""
        hook = webhooks.get(request.user, ids.number(webhook_id))
        matched = require_match(request, str(hook.version))
        values = parse_body(WebhookChange, request)
        changed = webhooks.update(user_of(request), hook, values, version=int(matched) if matched else None)
        return Response({"webhook": present(changed)})

    @extend_schema(operation_id="delete_webhook", tags=[base.TAG], responses={204: None, **base.DELETE})
    def delete(self, request: Request, webhook_id: str) -> Response:
        """Delete a webhook with its deliveries."""
        webhooks.delete(user_of(request), webhooks.get(request.user, ids.number(webhook_id)))
        return Response(status=204)


class WebhookTestView(ContractView):
    """A test."""

    @extend_schema(operation_id="test_webhook", tags=[base.TAG], request=None, responses={200: DeliveryAnswer, **base.MOVE})
    def post(self, request: Request, webhook_id: str) -> Response:
        """Call a webhook now with a `webhook.test`, once; the delivery in the answer says how that went."""
        hook = webhooks.get(request.user, ids.number(webhook_id))
        _require_empty(request)
        return Response({"delivery": present_delivery(webhooks.test(user_of(request), hook))})


class WebhookSecretView(ContractView):
    """A new secret."""

    @extend_schema(operation_id="rotate_webhook_secret", tags=[base.TAG], request=None, responses={200: WebhookWithSecret, **base.MOVE})
    def post(self, request: Request, webhook_id: str) -> Response:
        """Give a webhook a new secret; for 24 hours its calls are signed with the old one too."""
        hook = webhooks.get(request.user, ids.number(webhook_id))
        _require_empty(request)
        secret = webhooks.rotate_secret(user_of(request), hook)
        return Response({"webhook": present(webhooks.get(request.user, hook.pk)), "secret": secret})


_WEBHOOK = "v1/webhooks/<str:webhook_id>"
urlpatterns: list[URLPattern] = [
    *route("v1/webhooks", WebhookListView.as_view(), "webhooks"),
    *route(_WEBHOOK, WebhookView.as_view(), "webhook"),
    *route(f"{_WEBHOOK}/test", WebhookTestView.as_view(), "webhook-test"),
    *route(f"{_WEBHOOK}/rotate-secret", WebhookSecretView.as_view(), "webhook-rotate-secret"),
]
