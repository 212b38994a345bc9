"""Mails about ended jobs, and notices: text and HTML, with links to our own pages, which ask who reads them."""

from __future__ import annotations

import smtplib
from collections.abc import Mapping
from email import encoders
from email.mime.base import MIMEBase

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse

from exports import storage
from exports.models import Delivery, Event, ExportFile, ExportJob
from exports.services.deliveries import outbox
from exports.services.deliveries.outbox import Undelivered

SUBJECT_CHARS = 150
GONE = "whoever it was for may no longer read it"


def send(delivery: Delivery) -> None:
    """Sends it, if whoever it is for may still read what it is about. Raises Undelivered."""
    if not outbox.may_read(delivery):
        raise Undelivered(GONE, is_final=True, is_endpoint=False)
    try:
        message(delivery).send()
    except (smtplib.SMTPException, OSError) as error:
        is_final = _is_final(error)
        refused = isinstance(error, (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError))
        raise Undelivered(_in_words(error), is_final=is_final, is_endpoint=not refused) from None


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
    """The mail as it stands. It links to a page of ours, never to the file; a small file comes along where that was asked for.

    Raises Undelivered where our storage does not answer.
    """
    return _about_job(delivery, delivery.job) if delivery.job else _notice(delivery)


def _about_job(delivery: Delivery, job: ExportJob) -> EmailMultiAlternatives:
    file = getattr(job, "file", None) if delivery.event == Event.DONE else None
    name = _one_line(job.name)
    word = "ready" if file else "was cancelled" if delivery.event == Event.CANCELLED else "failed"
    url = settings.SITE_URL + (reverse("admin:exports_exportjob_change", args=[job.pk]) if _may_enter(delivery) else f"/api/v1/export-jobs/{job.pk}")
    is_small = file is not None and delivery.attach and file.size <= settings.MAIL_ATTACH_BYTES and file.is_present
    attachment = _attachment(file) if file and is_small else None
    shown = {
        "job": job,
        "name": name,
        "file": file,
        "reason": delivery.reason,
        "url": url,
        "word": word,
        "attach": delivery.attach,
        "is_attached": attachment is not None,
    }
    mail = _mail(delivery, f"Export {word}: {name}", "exports/mail/ended", shown)
    if attachment:
        mail.attach(attachment)
    return mail


def _notice(delivery: Delivery) -> EmailMultiAlternatives:
    title = _one_line(delivery.title)
    url = settings.SITE_URL + delivery.path if _may_enter(delivery) else ""
    shown = {"title": title, "organization": delivery.organization, "reason": delivery.reason, "url": url}
    return _mail(delivery, title, "exports/mail/notice", shown)


def _may_enter(delivery: Delivery) -> bool:
    """Whether whoever is told may open pages of the admin; else the mail names the API, or nobody could follow its link."""
    return bool(delivery.to and delivery.to.is_staff)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:SUBJECT_CHARS]  # a header is one line


def _attachment(file: ExportFile) -> MIMEBase | None:
    """The file, None where it is gone. Raises Undelivered."""
    # In base64, of text too: what goes as text comes with other line ends, and fits its receipt no more.
    part = MIMEBase(*file.content_type.partition(";")[0].split("/", 1))
    try:
        with storage.open_file(file.key) as stored:
            part.set_payload(stored.read())
    except FileNotFoundError:
        return None
    except OSError:  # no fault of the mail server's: other mails go out
        raise Undelivered("our own storage did not give the file", is_endpoint=False) from None
    encoders.encode_base64(part)
    part.add_header("Content-Disposition", "attachment", filename=file.name)
    return part


def _mail(delivery: Delivery, subject: str, template: str, shown: Mapping[str, object]) -> EmailMultiAlternatives:
    assert delivery.to  # noqa: S101 - it may read
    headers = {"Message-ID": delivery.message_id, "Auto-Submitted": "auto-generated"}
    shown = {**shown, "may_enter": _may_enter(delivery)}
    mail = EmailMultiAlternatives(subject, render_to_string(f"{template}.txt", dict(shown)), to=[delivery.to.email], headers=headers)
    mail.attach_alternative(render_to_string(f"{template}.html", dict(shown)), "text/html")
    return mail
