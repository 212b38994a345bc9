"""Deliveries as a person reads them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.safestring import SafeString

from exports.models import Delivery, DeliveryKind, DeliveryState, Event
from exports.services.deliveries import reading
from taskexport.screens import badge

RECENT = 10
EVENTS = {
    Event.DONE: "an export is done",
    Event.FAILED: "an export has failed",
    Event.CANCELLED: "an export was cancelled",
    Event.PAUSED: "the service has paused a schedule",
    Event.DISABLED: "a webhook was switched off",
    Event.TEST: "a test",
}
KINDS = {DeliveryKind.MAIL: "Mail", DeliveryKind.WEBHOOK: "Webhook", DeliveryKind.COPY: "Copy"}


def state(delivery: Delivery) -> SafeString:
    """Whether it has arrived."""
    if delivery.state == DeliveryState.SENT:
        return badge("Delivered", "ok")
    if delivery.state == DeliveryState.DEAD:
        return badge("Given up", "bad")
    return badge("Tried again soon" if delivery.attempts else "Waits", "wait")


def utc(at: datetime | None) -> str:
    """A time, in UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""


def about(delivery: Delivery) -> str:
    """What has happened."""
    return EVENTS[Event(delivery.event)]


def line(delivery: Delivery) -> dict[str, Any]:
    """A delivery in a list on another page."""
    return {
        "delivery": delivery,
        "at": utc(delivery.created_at),
        "event": about(delivery),
        "state": state(delivery),
        "to": reading.where_to(delivery),
        "kind": KINDS[DeliveryKind(delivery.kind)],
    }
