"""Mails about ended jobs and runs of schedules: one each, through a real SMTP server, again after a failure, never about what one did oneself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models import Q

from exports import storage, worker
from exports.models import Delivery, DeliveryState, ExportFile, ExportJob, ExportSchedule
from exports.services import jobs, specs
from exports.services.deliveries import links, mails, outbox
from exports.services.schedules import firing
from tasks.models import Member, Organization, User
from tests import making, scheduling, smtp

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server(settings: Any) -> Iterator[smtp.Server]:
    with smtp.running() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", server.port, False
        settings.SITE_URL = "https://exports.example.com"
        yield server


def queued(user: User, organization: Organization, *, notify: bool = True, name: str = "Tasks & <more>\nof May") -> ExportJob:
    wish = specs.make({"org_name": "x", "name": name, "type": "basic", **making.EVERYTHING})
    job = jobs.create(user, organization, wish, notify=notify)
    jobs.start(user, job)
    return job


def later() -> None:
    """What waits is due."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    Delivery.objects.filter(state=DeliveryState.PENDING).update(next_at=past)
    Delivery.objects.filter(claimed_until__isnull=False).update(claimed_until=past)


def test_a_done_job_is_told_once(server: smtp.Server, editor: User, acme: Organization) -> None:
    making.make_tasks(acme, 3)
    job = queued(editor, acme)
    assert not Delivery.objects.exists()
    worker.run_next()
    waiting = Delivery.objects.get()
    assert (waiting.job_id, waiting.to, waiting.event, waiting.state) == (job.pk, editor, "job.done", "pending")
    assert worker.deliver() == 1
    assert worker.deliver() == 0
    (mail,) = server.mails
    file = ExportFile.objects.get()
    assert (mail["To"], mail["Subject"]) == (editor.email, "Export ready: Tasks & <more> of May")
    assert mail["Message-ID"] == waiting.message_id
    assert mail["Message-ID"].endswith("@exports.example.com>")
    text, html = (mail.get_body([kind]).get_content() for kind in ("plain", "html"))
    for said in ("Rows: 3", file.name, file.expires_at.strftime("%Y-%m-%d"), f"https://exports.example.com/admin/exports/exportjob/{job.pk}/change/"):
        assert said in text
        assert said in html
    assert 'The export "Tasks & <more> of May" of Acme is ready.' in text
    assert "<b>Tasks &amp; &lt;more&gt; of May</b>" in html
    assert not re.search(r"/d/|signature|download", text + html)
    sent = Delivery.objects.get()
    assert (sent.state, sent.attempts, sent.error) == ("sent", 1, "")
    assert sent.sent_at


def test_a_failed_job_is_told_with_its_reason(server: smtp.Server, editor: User, acme: Organization) -> None:
    queued(editor, acme)
    Member.objects.filter(user=editor).update(role="viewer")
    worker.run_next()
    assert worker.deliver() == 1
    (mail,) = server.mails
    assert mail["Subject"] == "Export failed: Tasks & <more> of May"
    assert ExportJob.objects.get().error in mail.get_body(["plain"]).get_content()


def test_only_whoever_wants_a_mail_and_does_not_know_yet_gets_one(
    server: smtp.Server, editor: User, admin: User, acme: Organization, settings: Any
) -> None:
    queued(editor, acme, notify=False)
    worker.run_next()
    jobs.cancel(editor, queued(editor, acme))
    service = User.objects.create_user("service@service.invalid", is_service=True)
    Member.objects.create(organization=acme, user=service, role="editor", name="Service")
    queued(service, acme)
    worker.run_next()
    assert not Delivery.objects.exists()
    jobs.cancel(admin, queued(editor, acme))
    assert (Delivery.objects.get().event, Delivery.objects.get().reason) == ("job.cancelled", "cancelled")
    settings.EMAIL_HOST = ""
    queued(editor, acme)
    worker.run_next()
    assert Delivery.objects.count() == 1


def test_a_mail_is_tried_again_with_the_same_id_and_at_last_given_up(server: smtp.Server, editor: User, acme: Organization) -> None:
    queued(editor, acme)
    worker.run_next()
    server.answer = "451 not now, editor@example.com"
    assert worker.deliver() == 0
    first = Delivery.objects.get()
    assert (first.state, first.attempts, first.error) == ("pending", 1, "SMTPDataError 451")
    assert first.next_at > datetime.now(UTC) + timedelta(seconds=30)
    assert worker.deliver() == 0  # not before its time
    assert Delivery.objects.get().attempts == 1
    later()
    server.answer = "250 taken"
    assert worker.deliver() == 1
    assert [mail["Message-ID"] for mail in server.mails] == [first.message_id]
    Delivery.objects.update(state="pending", attempts=outbox.MOST_TRIES - 1)
    later()
    server.answer = "451 not now"
    worker.deliver()
    assert Delivery.objects.get().state == "dead"
    later()
    assert worker.deliver() == 0


def test_a_refused_address_is_given_up_at_once_and_the_next_mail_goes_out(
    server: smtp.Server, editor: User, acme: Organization, caplog: pytest.LogCaptureFixture
) -> None:
    queued(editor, acme)
    worker.run_next()
    server.recipient = "550 no such editor@example.com"
    assert worker.deliver() == 0
    dead = Delivery.objects.get()
    assert (dead.state, dead.error) == ("dead", "SMTPRecipientsRefused 550")
    assert editor.email not in caplog.text
    server.recipient = ""
    queued(editor, acme)
    worker.run_next()
    assert worker.deliver() == 1


def test_a_sender_that_died_half_way_sends_again_with_the_same_id(server: smtp.Server, editor: User, acme: Organization) -> None:
    queued(editor, acme)
    worker.run_next()
    claimed = outbox.claim(Q(pk=None))
    assert claimed
    mails.message(claimed).send()  # and here it dies
    assert worker.deliver() == 0  # somebody may be at it
    later()
    assert worker.deliver() == 1
    assert [mail["Message-ID"] for mail in server.mails] == [claimed.message_id] * 2


def test_whoever_left_is_told_nothing(server: smtp.Server, editor: User, acme: Organization) -> None:
    queued(editor, acme)
    worker.run_next()
    Member.objects.filter(user=editor).delete()
    assert worker.deliver() == 0
    assert (Delivery.objects.get().state, server.mails) == ("dead", [])


def test_a_server_that_is_away_stops_nothing(server: smtp.Server, editor: User, acme: Organization, settings: Any) -> None:
    settings.EMAIL_PORT = 9  # nobody listens
    queued(editor, acme)
    worker.run_next()
    assert worker.deliver() == 0
    assert ExportJob.objects.get().status == "done"
    assert Delivery.objects.get().error == "ConnectionRefusedError"


def test_nothing_is_told_of_an_end_that_was_rolled_back(server: smtp.Server, editor: User, acme: Organization) -> None:
    queued(editor, acme)
    claim = jobs.claim("here")
    assert claim
    with pytest.raises(AttributeError):
        jobs.publish(claim, None)  # type: ignore[arg-type]
    assert (ExportJob.objects.get().status, Delivery.objects.exists()) == ("in progress", False)


# -- Runs of schedules ---------------------------------------------------------------------------------------------
TASKS = "/api/services/tasks"


def run(schedule: ExportSchedule) -> ExportJob:
    """A run of the schedule by the tick, ended."""
    schedule.refresh_from_db()
    scheduling.past(schedule, (schedule.next_run_at or scheduling.now()) - scheduling.now() + timedelta(seconds=1))
    assert firing.fire_due() == 1
    worker.run_next()
    return ExportJob.objects.latest("created_at")


def recipients(server: smtp.Server) -> list[str]:
    """Who was written to, in alphabetical order, and forgotten then."""
    found = sorted(mail["To"] for mail in server.mails)
    server.mails.clear()
    return found


def test_a_run_is_told_to_the_owner_and_to_recipients_who_may_still_read_it(
    server: smtp.Server, client_of: Any, admin: User, editor: User, viewer: User, outsider: User, owner: User, acme: Organization
) -> None:
    making.make_tasks(acme, 3)
    client = client_of(admin)
    wish = {
        "desc": "Nightly",
        "trigger": {"once": "2040-01-01T00:00:00Z", "repeat": "daily"},
        "target": {"action": "export", "export_index": "tasks", "export_format": "csv"},
        "delivery": {"recipients": [viewer.email, editor.email.upper(), owner.email], "attach_small": True},
    }
    made = client.post(TASKS, wish)
    told = {"recipients": sorted([viewer.email, editor.email, owner.email]), "mail_on": "ends", "attach_small": True, "destination": None}
    assert (made.status_code, made.json()["delivery"]) == (201, told)
    schedule = ExportSchedule.objects.get()
    job = run(schedule)
    Member.objects.filter(user=viewer).delete()
    assert worker.deliver() == 3
    mail = server.mails[0]
    (attached,) = mail.iter_attachments()
    assert (attached.get_filename(), attached.get_payload(decode=True)) == (job.file.name, storage.open_file(job.file.key).read())
    assert "It is attached." in mail.get_body(["plain"]).get_content()
    assert f"/admin/exports/exportjob/{job.pk}/change/" in mail.get_body(["html"]).get_content()
    assert recipients(server) == sorted([admin.email, editor.email, owner.email])
    gone = Delivery.objects.get(to=viewer)
    assert (gone.state, gone.error) == ("dead", mails.GONE)
    # Said anew without it, it stays; with it, all of it is anew.
    path = f"{TASKS}/{schedule.pk}"
    assert client.put(path, {name: wish[name] for name in ("desc", "trigger", "target")}).json()["delivery"]["attach_small"] is True
    changed = client.put(path, wish | {"delivery": {"mail_on": "failures"}}).json()["delivery"]
    assert changed == {"recipients": [], "mail_on": "failures", "attach_small": False, "destination": None}
    for wrong, field in (
        ({"recipients": [outsider.email]}, "delivery.recipients.0"),
        ({"recipients": ["nobody@example.com"]}, "delivery.recipients.0"),
        ({"recipients": admin.email}, "delivery.recipients"),
        ({"mail_on": "always"}, "delivery.mail_on"),
        ({"attach_small": 1}, "delivery.attach_small"),
        ({"destination": 7}, "delivery.destination"),
        ({"to": []}, "delivery.to"),
    ):
        refused = client.put(path, wish | {"delivery": wrong})
        assert (refused.status_code, refused.json()["field_errors"][0]["field"]) == (400, field), wrong
    assert links.shown(ExportSchedule.objects.get()) == changed


def test_failures_alone_or_nothing_are_told_where_that_was_asked_for(server: smtp.Server, admin: User, editor: User, acme: Organization) -> None:
    schedule = scheduling.make_schedule(admin, acme)
    links.change(admin, schedule, {"mail_on": "failures", "recipients": [editor.email]})
    run(schedule)
    assert worker.deliver() == 0
    making.make_tasks(acme, 1)
    scheduling.past(schedule, scheduling.DAY)
    firing.fire_due()
    claim = jobs.claim("here")
    assert claim
    jobs.fail(claim, "incomplete", "Rows were lost.")
    assert worker.deliver() == 2
    assert "Rows were lost." in server.mails[0].get_body(["plain"]).get_content()
    assert recipients(server) == [admin.email, editor.email]
    links.change(admin, schedule, {"mail_on": "never"})
    run(schedule)
    assert worker.deliver() == 0


def test_a_file_that_is_too_large_or_has_gone_is_not_attached(server: smtp.Server, admin: User, acme: Organization, settings: Any) -> None:
    schedule = scheduling.make_schedule(admin, acme)
    links.change(admin, schedule, {"attach_small": True})
    settings.MAIL_ATTACH_BYTES = 10
    run(schedule)
    assert worker.deliver() == 1
    settings.MAIL_ATTACH_BYTES = 5_000_000
    run(schedule)
    ExportFile.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert worker.deliver() == 1
    run(schedule)
    storage.delete(ExportFile.objects.latest("pk").key)
    assert worker.deliver() == 1
    assert len(server.mails) == 3
    for mail in server.mails:
        assert list(mail.iter_attachments()) == []
        assert "too large to attach, or has gone" in mail.get_body(["plain"]).get_content()


def test_a_pause_by_the_service_is_told_to_owner_and_admins(server: smtp.Server, admin: User, editor: User, acme: Organization) -> None:
    schedule = scheduling.make_schedule(admin, acme, name="Nightly\nBcc: x@example.com")
    ExportSchedule.objects.update(owner=editor)
    Member.objects.filter(user=editor).update(role="viewer")
    scheduling.past(schedule, scheduling.DAY)
    assert firing.fire_due() == 0
    assert worker.deliver() == 2
    mail = server.mails[0]
    assert mail["Subject"] == "Schedule paused: Nightly Bcc: x@example.com"
    assert mail["Bcc"] is None
    assert ExportSchedule.objects.get().paused_detail in mail.get_body(["plain"]).get_content()
    assert recipients(server) == [admin.email, editor.email]
