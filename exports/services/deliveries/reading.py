"""Deliveries as an organization's admins look at them, and send them again."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from exports.models import Delivery, DeliveryKind, DeliveryState
from exports.services.deliveries import sending
from taskexport.errors import Conflict, NotFound
from tasks import access
from tasks.access import Action
from tasks.models import Organization, User


def visible(user: Any, organization: Organization | None = None) -> QuerySet[Delivery]:
    """The deliveries of the organizations that the user administers, newest first."""
    rows = Delivery.objects.select_related("organization", "job", "to", "webhook", "destination")
    if organization is not None:
        rows = rows.filter(organization=organization)
    return access.listed_for(rows, user, Action.ADMINISTER).order_by("-created_at", "-pk")


def get(user: Any, delivery_id: Any) -> Delivery:
    """One delivery, for its organization's admins. Raises NotFound, Forbidden."""
    try:
        pk = delivery_id if isinstance(delivery_id, uuid.UUID) else uuid.UUID(str(delivery_id))
    except ValueError:
        pk = None
    found = Delivery.objects.select_related("organization", "job", "to", "webhook", "destination").filter(pk=pk).first() if pk else None
    if found is None or not access.can(user, Action.READ, found.organization_id):
        raise NotFound("There is no such delivery.")
    access.require(user, Action.ADMINISTER, found.organization_id)
    return found


def may_redeliver(delivery: Delivery) -> bool:
    """Whether `redeliver` would take it: what has arrived is never sent again."""
    return delivery.state != DeliveryState.SENT


def redeliver(user: User, delivery: Delivery) -> Delivery:
    """Tries it again from now on, with the same id; one that waits waits no longer.

    Raises Conflict (`already_sent`, `in_progress`), Forbidden, NotFound.
    """
    access.require(user, Action.ADMINISTER, delivery.organization_id)
    with transaction.atomic():
        free = Q(claimed_until=None) | Q(claimed_until__lte=Now())
        again = Delivery.objects.filter(free, pk=delivery.pk).exclude(state=DeliveryState.SENT)
        if not again.update(state=DeliveryState.PENDING, attempts=0, next_at=Now(), claimed_until=None):
            if Delivery.objects.filter(pk=delivery.pk, state=DeliveryState.SENT).exists():
                raise Conflict("It has been sent, and what was sent is never sent again.", code="already_sent")
            raise Conflict("It is being sent at this moment.", code="in_progress")
        sending.ring()
    return get(user, delivery.pk)


def where_to(delivery: Delivery) -> str:
    """Whom or what it goes to, for people."""
    if delivery.kind == DeliveryKind.WEBHOOK:
        return delivery.webhook.name if delivery.webhook else ""
    if delivery.kind == DeliveryKind.COPY:
        return delivery.destination.name if delivery.destination else ""
    return str(delivery.to) if delivery.to else ""
