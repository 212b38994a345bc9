"""Webhooks as an organization's admins keep them."""

from __future__ import annotations

import base64
import secrets
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from exports.datasets.chosen import is_text
from exports.models import Delivery, Event, Webhook
from exports.services.deliveries import outbox, owned, sealing, sending
from taskexport import outbound
from taskexport.errors import Conflict, FieldError, Invalid, TooMany
from tasks import access
from tasks.access import Action
from tasks.models import Organization, User

EVENTS = (Event.DONE, Event.FAILED, Event.CANCELLED, Event.PAUSED)  # that a webhook may ask for
NAME_LENGTH = 200
MOST = 50  # of an organization
OLD_SECRET_HOURS = 24  # after a new one both sign
SECRET_BYTES = 32
DEFAULTS: dict[str, Any] = {"events": [Event.DONE.value, Event.FAILED.value], "enabled": True}
FIELDS = ("name", "url", "events", "enabled")


def visible(user: Any, organization: Organization | None = None) -> QuerySet[Webhook]:
    """The webhooks of the organizations that the user administers, by name."""
    return owned.visible(Webhook, user, organization)


def get(user: Any, webhook_id: Any) -> Webhook:
    """One webhook, for its organization's admins. Raises NotFound, Forbidden."""
    return owned.get(Webhook, user, webhook_id)


def create(user: User, organization: Organization, values: dict[str, Any]) -> tuple[Webhook, str]:
    """A new webhook of `name`, `url` and, optional, `events` and `enabled`; and its secret, which is never shown again.

    Raises Invalid, Conflict where the name is taken, TooMany, Forbidden, NotFound.
    """
    access.require(user, Action.ADMINISTER, organization)
    checked = _checked(DEFAULTS | values)
    if organization.webhooks.count() >= MOST:
        raise TooMany(f"An organization has at most {MOST} webhooks; delete one first.", code="too_many_webhooks")
    secret = _new_secret()
    try:
        with transaction.atomic():
            return Webhook.objects.create(organization=organization, created_by=user, sealed_secret=sealing.seal(secret), **checked), secret
    except IntegrityError:
        raise Conflict.name_taken("webhook") from None


def update(user: User, webhook: Webhook, values: dict[str, Any], *, version: int | None = None) -> Webhook:
    """The webhook with these values changed; switched on again, it forgets its failures. `version` insists on the one that was read.

    Raises Invalid, Conflict where it is stale or the name is taken, Forbidden, NotFound.
    """
    access.require(user, Action.ADMINISTER, webhook.organization_id)
    checked = _checked({name: getattr(webhook, name) for name in FIELDS} | values, webhook.url)
    rows = Webhook.objects.filter(pk=webhook.pk, version=webhook.version if version is None else version)
    forgiven = {"disabled_reason": "", "failing_since": None} if values.get("enabled") or values.get("url", webhook.url) != webhook.url else {}
    try:
        with transaction.atomic():
            changed = rows.update(**checked, **forgiven, version=F("version") + 1, updated_at=Now())
    except IntegrityError:
        raise Conflict.name_taken("webhook") from None
    found = get(user, webhook.pk)
    if not changed:
        raise Conflict.stale("webhook", found.version)
    return found


def delete(user: User, webhook: Webhook) -> None:
    """Removes it with its deliveries. May be called twice. Raises Forbidden, NotFound."""
    access.require(user, Action.ADMINISTER, webhook.organization_id)
    with transaction.atomic():
        rows = Webhook.objects.filter(pk=webhook.pk)
        list(rows.select_for_update().values_list("pk"))  # whoever writes a delivery now is waited for, and it goes too
        rows.delete()


def rotate_secret(user: User, webhook: Webhook) -> str:
    """A new secret, never shown again; for a day what goes out is signed with the old one too. Raises Forbidden, NotFound."""
    access.require(user, Action.ADMINISTER, webhook.organization_id)
    secret = _new_secret()
    with transaction.atomic():
        Webhook.objects.filter(pk=webhook.pk).update(
            sealed_old_secret=F("sealed_secret"),
            old_secret_until=Now() + timedelta(hours=OLD_SECRET_HOURS),
            sealed_secret=sealing.seal(secret),
            version=F("version") + 1,
            updated_at=Now(),
        )
    return secret


def test(user: User, webhook: Webhook) -> Delivery:
    """Calls it now with a `webhook.test`, once, switched on or not; the delivery says how that went. Raises TooMany, Forbidden, NotFound."""
    access.require(user, Action.ADMINISTER, webhook.organization_id)
    with owned.testing():
        return sending.try_now(outbox.write_test(webhook))


def _new_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"


def _checked(values: dict[str, Any], known_url: str = "") -> dict[str, Any]:
    errors: list[FieldError] = []

    def reject(field: str, detail: str, code: str = "invalid") -> None:
        errors.append(FieldError(field, code, detail))

    for key in values.keys() - set(FIELDS):
        reject(str(key), f"There is no such field; the fields are {', '.join(FIELDS)}.", "unknown")
    name, url, events = values.get("name"), values.get("url"), values["events"]
    if not is_text(name, NAME_LENGTH, 1) or not str(name).strip():
        reject("name", f"Write 1 to {NAME_LENGTH} characters.")
    try:
        if not known_url or url != known_url:  # one that is there may be renamed or switched off, whatever the settings say now
            outbound.check_url(url if isinstance(url, str) else "")
    except outbound.Refused as error:
        reject("url", str(error))
    if not isinstance(events, list) or not events or any(event not in EVENTS for event in events):
        reject("events", f"Name at least one of: {', '.join(EVENTS)}.")
    if not isinstance(values["enabled"], bool):
        reject("enabled", "Write true or false.")
    if errors:
        raise Invalid.all(errors)
    return {**values, "events": [event.value for event in EVENTS if event in events]}
