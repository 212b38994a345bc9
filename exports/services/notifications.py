"""Mails about jobs that have ended: written with the end, sent by the tick, at least once each.

Claim, commit, send, record: a process that dies between sending and recording sends the mail again, with the same Message-ID.
"""

from __future__ import annotations

import logging
import smtplib
import time
import uuid
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.template.loader import render_to_string
from django.urls import reverse

from exports.models import Delivery, DeliveryState, ExportJob
from exports.states import JobStatus
from tasks import access
from tasks.access import Action
from tasks.models import User

log = logging.getLogger(__name__)

TICK_SECONDS = 60  # of one tick; what is left waits for the next
TRY_SECONDS = 300  # longer than a try ever takes; after it another may
BACKOFF_SECONDS = 60  # doubled at each failure
BACKOFF_MAX_SECONDS = 6 * 3600
MOST_TRIES = 10  # with the back-off this is more than eight hours
SUBJECT_CHARS = 150
GONE = "nobody to tell"


# -- With the job's end --------------------------------------------------------------------------------------------
def write(job_id: Any, about: JobStatus, reason: str, actor: User | None) -> None:
    """Writes the mail about the end of a job whose maker wants one; inside the transaction that ends it. Nobody is told of
    what they did themselves."""
    if not settings.EMAIL_HOST:
        return
    people = ExportJob.objects.filter(pk=job_id, notify=True, created_by__is_active=True, created_by__is_service=False)
    for user_id in people.values_list("created_by", flat=True):
        if actor is None or actor.pk != user_id:
            host = urlsplit(settings.SITE_URL).hostname or "localhost"
            Delivery.objects.create(job_id=job_id, to_id=user_id, about=about, reason=reason, message_id=f"<{uuid.uuid4()}@{host}>")


# -- By the tick ---------------------------------------------------------------------------------------------------
def deliver() -> int:
    """Sends what is due, for as long as a tick has time; how many went out."""
    until, sent = time.monotonic() + TICK_SECONDS, 0
    while time.monotonic() < until:
        delivery = _claim()
        if delivery is None:
            break
        sent += _try(delivery)
    return sent


def _claim() -> Delivery | None:
    with transaction.atomic():
        due = Delivery.objects.filter(state=DeliveryState.PENDING, next_at__lte=Now())
        delivery = due.order_by("next_at", "pk").select_for_update(skip_locked=True, no_key=True).first()
        if delivery is None:
            return None
        Delivery.objects.filter(pk=delivery.pk).update(attempts=F("attempts") + 1, next_at=Now() + timedelta(seconds=TRY_SECONDS))
    return Delivery.objects.select_related("to", "job", "job__file", "job__organization").get(pk=delivery.pk)


def _try(delivery: Delivery) -> bool:
    extra = {"delivery": str(delivery.pk), "job": str(delivery.job_id), "attempts": delivery.attempts}
    if not delivery.to.is_active or not access.can(delivery.to, Action.READ, delivery.job.organization_id):
        _record(delivery, state=DeliveryState.DEAD, error=GONE)
        return False
    try:
        message(delivery).send()
    except Exception as error:  # whatever it is, the next mail is tried too
        is_last = delivery.attempts >= MOST_TRIES or _is_final(error)
        wait = min(BACKOFF_SECONDS * 2 ** (delivery.attempts - 1), BACKOFF_MAX_SECONDS)
        state = DeliveryState.DEAD if is_last else DeliveryState.PENDING
        _record(delivery, state=state, error=_in_words(error), next_at=Now() + timedelta(seconds=wait))
        log.warning("mail not sent", extra=extra | {"error": type(error).__name__, "dead": is_last})
        return False
    _record(delivery, state=DeliveryState.SENT, error="", sent_at=Now())
    log.info("mail sent", extra=extra)
    return True


def _record(delivery: Delivery, **changes: Any) -> None:
    Delivery.objects.filter(pk=delivery.pk, state=DeliveryState.PENDING).update(**changes)


def _codes(error: Exception) -> list[int]:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return [code for code, _ in error.recipients.values()]
    return [error.smtp_code] if isinstance(error, smtplib.SMTPResponseException) else []


def _is_final(error: Exception) -> bool:
    """Whether the server refused this mail for good; that it refuses us is no mail's fault."""
    codes = _codes(error)
    return isinstance(error, (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError)) and bool(codes) and min(codes) >= 500


def _in_words(error: Exception) -> str:
    # Never the server's own text: it quotes addresses.
    return " ".join([type(error).__name__, *map(str, _codes(error))])


# -- The mail ------------------------------------------------------------------------------------------------------
def message(delivery: Delivery) -> EmailMultiAlternatives:
    """The mail as it stands, text and HTML. It links to the job's page, which asks who reads it, never to the file."""
    job = delivery.job
    file = getattr(job, "file", None) if delivery.about == JobStatus.DONE else None
    name = " ".join(job.name.split())[:SUBJECT_CHARS]  # a header is one line
    word = "ready" if file else "failed"
    url = settings.SITE_URL + reverse("admin:exports_exportjob_change", args=[job.pk])
    shown = {"job": job, "name": name, "file": file, "reason": delivery.reason, "url": url, "word": word}
    mail = EmailMultiAlternatives(
        f"Export {word}: {name}",
        render_to_string("exports/mail/ended.txt", shown),
        to=[delivery.to.email],
        headers={"Message-ID": delivery.message_id, "Auto-Submitted": "auto-generated"},
    )
    mail.attach_alternative(render_to_string("exports/mail/ended.html", shown), "text/html")
    return mail
