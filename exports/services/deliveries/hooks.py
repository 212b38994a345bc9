"""Calls of webhooks, as Standard Webhooks (standardwebhooks.com) has them: id, timestamp, signature in headers, JSON in the body."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

from django.db.models import Q
from django.db.models.functions import Now

from exports.models import Delivery, Event, Webhook
from exports.services.deliveries import sealing
from exports.services.deliveries.outbox import Undelivered
from taskexport import outbound

PREFIX = "whsec_"
AGENT = "taskexport"


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """`v1,` and the HMAC-SHA256 of `id.timestamp.body` under the secret, in base64."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return "v1," + base64.b64encode(hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()).decode()


def send(delivery: Delivery) -> int:
    """Calls it; the status of its answer. Raises Undelivered."""
    hook = delivery.webhook
    if hook is None or (not hook.enabled and delivery.event != Event.TEST):
        raise Undelivered("the webhook is switched off", is_final=True, is_endpoint=False)
    body, now = delivery.body.encode(), int(time.time())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": AGENT,
        "webhook-id": delivery.message_id,
        "webhook-timestamp": str(now),
        "webhook-signature": " ".join(signature(secret, delivery.message_id, now, body) for secret in _secrets(hook)),
    }
    try:
        answer = outbound.post(hook.url, body, headers)
    except (outbound.Refused, outbound.Unreachable) as error:
        raise Undelivered(str(error)) from None
    if 200 <= answer.status < 300:
        return answer.status
    said = "a redirect, which is not followed" if 300 <= answer.status < 400 else f"answered {answer.status}"
    gone = answer.status == 410
    raise Undelivered(said, status_code=answer.status, is_final=gone, retry_after_seconds=answer.retry_after_seconds)


def _secrets(hook: Webhook) -> list[str]:
    """The secret, and the one before it for as long as that counts."""
    old = Webhook.objects.filter(~Q(sealed_old_secret=""), pk=hook.pk, old_secret_until__gt=Now()).exists()
    try:
        return [sealing.unseal(sealed) for sealed in [hook.sealed_secret, *([hook.sealed_old_secret] if old else [])]]
    except sealing.Unreadable:
        raise Undelivered("its secret can't be read: ENCRYPTION_KEY or SECRET_KEY has changed", is_endpoint=False) from None
