"""The rows of what is to be delivered: written in the transaction of what they are about, claimed, and what became of them.

Claim, commit, send, record: a process that dies between sending and recording sends again, with the same id.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now
from django.urls import reverse
from django_q.tasks import async_task

from exports.models import Delivery, DeliveryKind, DeliveryState, DeliveryTry, Event, ExportJob, ExportSchedule, MailOn, Trigger, Webhook
from exports.services.deliveries import payloads
from exports.states import JobStatus
from tasks import access
from tasks.access import Action
from tasks.models import Member, Organization, Role, User

QUEUE = "control"
RUN_SECONDS = 3500  # of a worker that delivers, a copy included; the queue's own timeout of a control message is shorter
# Between one try and the next: ten tries in a day, less a few minutes.
WAITS_SECONDS = (60, 300, 900, 1800, 3600, 2 * 3600, 4 * 3600, 6 * 3600, 10 * 3600)
MOST_TRIES = len(WAITS_SECONDS) + 1
JITTER = 0.1  # of a wait, either way, so that what failed together is not tried together for ever
RETRY_AFTER_MAX_SECONDS = 6 * 3600  # whatever a receiver asks for
CLAIM_SECONDS = 300  # longer than a try ever takes without a sign of life; after it another may
FAILING_DAYS = 5  # a webhook that took nothing for so long is switched off
ERROR_LENGTH = 200
_EVENTS = {JobStatus.DONE: Event.DONE, JobStatus.FAILED: Event.FAILED, JobStatus.CANCELLED: Event.CANCELLED}
_random = random.SystemRandom()


class Undelivered(Exception):
    """A try that failed; `said` names nobody and no address of ours."""

    def __init__(
        self, said: str, *, status_code: int | None = None, is_final: bool = False, is_endpoint: bool = True, retry_after_seconds: int | None = None
    ) -> None:
        super().__init__(said)
        self.said = said[:ERROR_LENGTH]
        self.status_code = status_code
        self.is_final = is_final  # trying again changes nothing
        self.is_endpoint = is_endpoint  # the whole endpoint is at fault, not this delivery
        self.retry_after_seconds = retry_after_seconds


def ring() -> None:
    """Asks the control cluster to deliver; inside a transaction it commits with it."""
    async_task("exports.worker.deliver", cluster=QUEUE, save=False, timeout=RUN_SECONDS)


# -- Writing ---------------------------------------------------------------------------------------------------------
def write_end(job_id: Any, status: JobStatus, reason: str, actor: User | None) -> None:
    """What is to be told and brought after the end of a job: inside the transaction that ends it, after its file's row is there.

    By mail to its maker where that was asked for, and where a schedule made it to its owner and recipients; nobody is told of what they did
    themselves. To the organization's webhooks. For a schedule with a destination, a copy.
    """
    job = ExportJob.objects.select_related("organization", "created_by").get(pk=job_id)
    firing = job.firings.select_related("schedule", "schedule__owner").first() if job.trigger == Trigger.SCHEDULE else None
    schedule = firing.schedule if firing else None
    event = _EVENTS[status]
    common: dict[str, Any] = {"organization_id": job.organization_id, "job": job, "event": event, "reason": reason}
    attach = bool(schedule and schedule.attach_small and status == JobStatus.DONE)
    rows = [_mail(user, attach=attach, **common) for user in _told(job, schedule, status) if actor is None or actor.pk != user.pk]
    rows += _hooks(job.organization, event, lambda: payloads.of_job(job, schedule, event), job=job)
    if schedule and schedule.destination_id and status == JobStatus.DONE:
        rows.append(Delivery(kind=DeliveryKind.COPY, destination_id=schedule.destination_id, message_id=f"copy_{uuid.uuid4()}", **common))
    _write(rows)


def write_paused(schedule: ExportSchedule, detail: str) -> None:
    """Tells the owner and the organization's admins, by mail, and its webhooks that the service has paused a schedule; inside the transaction
    that pauses it."""
    people = {user.pk: user for user in [*([schedule.owner] if schedule.owner else []), *admins(schedule.organization_id)]}
    path = page("exportschedule", schedule.pk)
    title = f"Schedule paused: {schedule.name}"
    rows = _notices(schedule.organization_id, people.values(), Event.PAUSED, title, detail, path)
    rows += _hooks(schedule.organization, Event.PAUSED, lambda: payloads.of_schedule(schedule))
    _write(rows)


def write_disabled(webhook: Webhook, detail: str) -> None:
    """Tells the organization's admins by mail that a webhook was switched off."""
    title = f"Webhook switched off: {webhook.name}"
    _write(_notices(webhook.organization_id, admins(webhook.organization_id), Event.DISABLED, title, detail, page("webhook", webhook.pk)))


def write_test(webhook: Webhook) -> Delivery:
    """A test of the webhook, already claimed by whoever asked for it."""
    return Delivery.objects.create(
        organization_id=webhook.organization_id,
        kind=DeliveryKind.WEBHOOK,
        event=Event.TEST,
        webhook=webhook,
        body=payloads.of_test(webhook),
        message_id=f"msg_{uuid.uuid4()}",
        attempts=1,
        next_at=Now() + timedelta(seconds=CLAIM_SECONDS),
        claimed_until=Now() + timedelta(seconds=CLAIM_SECONDS),
    )


def admins(organization_id: int) -> list[User]:
    """The people who administer the organization."""
    ids = Member.objects.filter(organization=organization_id, role=Role.ADMIN).values("user")
    return list(User.objects.filter(pk__in=ids, is_active=True, is_service=False).order_by("pk"))


def page(model: str, pk: Any) -> str:
    """The path of a row's page in the admin."""
    return reverse(f"admin:exports_{model}_change", args=[pk])


def _told(job: ExportJob, schedule: ExportSchedule | None, status: JobStatus) -> list[User]:
    people: dict[int, User] = {}
    if job.notify and job.created_by:
        people[job.created_by.pk] = job.created_by
    if schedule and (schedule.mail_on == MailOn.ENDS or (schedule.mail_on == MailOn.FAILURES and status != JobStatus.DONE)):
        people |= {user.pk: user for user in [*([schedule.owner] if schedule.owner else []), *schedule.recipients.order_by("pk")]}
    return [user for user in people.values() if not user.is_service]  # whoever has left is looked for when it is sent, and noted


def _mail(user: User, **values: Any) -> Delivery:
    host = urlsplit(settings.SITE_URL).hostname or "localhost"
    return Delivery(kind=DeliveryKind.MAIL, to=user, message_id=f"<{uuid.uuid4()}@{host}>", **values)


def _notices(organization_id: int, people: Iterable[User], event: Event, title: str, reason: str, path: str) -> list[Delivery]:
    values = {"organization_id": organization_id, "event": event, "title": title[:200], "reason": reason, "path": path}
    return [_mail(user, **values) for user in people if user.is_active and not user.is_service]


def _hooks(organization: Organization | None, event: Event, payload: Any, **values: Any) -> list[Delivery]:
    # Held until the transaction ends: were one deleted meanwhile, its row here would break what it is about, such as a job's end.
    held = Webhook.objects.filter(organization=organization, enabled=True).order_by("pk").select_for_update(no_key=True)
    hooks = [hook for hook in held if event in hook.events]
    body = payload() if hooks else ""
    return [
        Delivery(
            organization=organization, kind=DeliveryKind.WEBHOOK, event=event, webhook=hook, body=body, message_id=f"msg_{uuid.uuid4()}", **values
        )
        for hook in hooks
    ]


def _write(rows: list[Delivery]) -> None:
    if not settings.EMAIL_HOST:
        rows = [row for row in rows if row.kind != DeliveryKind.MAIL]
    if rows:
        Delivery.objects.bulk_create(rows)
        ring()


# -- Claiming --------------------------------------------------------------------------------------------------------
def due() -> Any:
    """The deliveries whose time has come and that nobody is at."""
    free = Q(claimed_until=None) | Q(claimed_until__lte=Now())
    return Delivery.objects.filter(free, state=DeliveryState.PENDING, next_at__lte=Now())


def claim(shut: Q) -> Delivery | None:
    """Takes the delivery that has waited longest, of those that are not shut out, or None."""
    with transaction.atomic():
        found = due().exclude(shut).order_by("next_at", "pk").select_for_update(skip_locked=True, no_key=True).values_list("pk", flat=True).first()
        if found is None:
            return None
        claimed = {"attempts": F("attempts") + 1, "claimed_until": Now() + timedelta(seconds=CLAIM_SECONDS)}
        if not due().filter(pk=found).update(**claimed):
            return None
    related = ("to", "job", "job__file", "job__organization", "webhook", "destination", "organization")
    return Delivery.objects.select_related(*related).get(pk=found)


def keep(delivery: Delivery) -> None:
    """A sign of life: it is still being sent."""
    _mine(delivery).update(claimed_until=Now() + timedelta(seconds=CLAIM_SECONDS))


def _mine(delivery: Delivery) -> Any:
    return Delivery.objects.filter(pk=delivery.pk, state=DeliveryState.PENDING, attempts=delivery.attempts)


# -- Recording -------------------------------------------------------------------------------------------------------
def record_sent(delivery: Delivery, seconds: float, status_code: int | None) -> None:
    """It has arrived, whoever may be at it by now: it is never sent again."""
    with transaction.atomic():
        if not _hold(delivery):
            return
        DeliveryTry.objects.create(delivery=delivery, seconds=seconds, status_code=status_code)
        sent = {"state": DeliveryState.SENT, "error": "", "status_code": status_code, "sent_at": Now(), "claimed_until": None}
        Delivery.objects.filter(pk=delivery.pk).exclude(state=DeliveryState.SENT).update(**sent)
        if delivery.webhook_id:
            Webhook.objects.filter(pk=delivery.webhook_id, failing_since__isnull=False).update(failing_since=None)


def record_failed(delivery: Delivery, seconds: float, error: Undelivered) -> bool:
    """It has not arrived: tried again later, or given up. True if it is dead now."""
    is_dead = error.is_final or delivery.attempts >= MOST_TRIES or delivery.event == Event.TEST
    values: dict[str, Any] = {"error": error.said, "status_code": error.status_code, "claimed_until": None}
    if is_dead:
        values["state"] = DeliveryState.DEAD
    else:
        values["next_at"] = Now() + timedelta(seconds=_wait(delivery.attempts, error.retry_after_seconds))
    with transaction.atomic():
        if not _hold(delivery):
            return True
        DeliveryTry.objects.create(delivery=delivery, seconds=seconds, status_code=error.status_code, error=error.said)
        _mine(delivery).update(**values)
        if delivery.webhook and delivery.event != Event.TEST and error.is_endpoint:
            _note_failure(delivery.webhook, error, is_dead)
    return is_dead


def _hold(delivery: Delivery) -> bool:
    """Keeps it there until the transaction ends; False: it was deleted meanwhile, with its webhook or its job."""
    if delivery.webhook_id:  # a webhook before its deliveries, as everywhere
        list(Webhook.objects.select_for_update(no_key=True).filter(pk=delivery.webhook_id).values_list("pk"))
    return bool(list(Delivery.objects.select_for_update(no_key=True).filter(pk=delivery.pk).values_list("pk")))


def _wait(attempts: int, asked_seconds: int | None) -> float:
    wait = WAITS_SECONDS[min(attempts, len(WAITS_SECONDS)) - 1] * _random.uniform(1 - JITTER, 1 + JITTER)
    return max(wait, min(asked_seconds or 0, RETRY_AFTER_MAX_SECONDS))


def _note_failure(webhook: Webhook, error: Undelivered, is_dead: bool) -> None:
    rows = Webhook.objects.filter(pk=webhook.pk)
    rows.update(failing_since=Coalesce("failing_since", Now()))
    if error.status_code == 410:
        _disable(webhook, "Its receiver answered 410: it is gone for good.")
    elif is_dead and rows.filter(failing_since__lte=Now() - timedelta(days=FAILING_DAYS)).exists():
        _disable(webhook, f"It has taken nothing for {FAILING_DAYS} days; at last: {error.said}.")


def _disable(webhook: Webhook, why: str) -> None:
    if Webhook.objects.filter(pk=webhook.pk, enabled=True).update(enabled=False, disabled_reason=why, version=F("version") + 1, updated_at=Now()):
        write_disabled(webhook, why)


def may_read(delivery: Delivery) -> bool:
    """Whether whoever a mail is for may still read what it is about."""
    return delivery.to is not None and delivery.to.is_active and access.can(delivery.to, Action.READ, delivery.organization_id)
