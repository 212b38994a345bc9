"""A schedule that the service pauses tells its people, once each, and its ledger says so."""

from __future__ import annotations

from typing import Any

import pytest

from exports.models import Delivery, ExportSchedule, ScheduleEvent
from exports.services.deliveries import mails
from exports.services.schedules import firing, keeping, pausing, settling
from exports.states import JobStatus
from tasks import access
from tasks.models import Member, Organization, Role, User
from tests.api import make_job
from tests.scheduling import DAY, HOUR, end_jobs, make_schedule, past

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _mails_go_out(settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example.com"


@pytest.fixture
def second(acme: Organization) -> User:
    """Another admin of acme."""
    user = User.objects.create_user("second@example.com", name="Second", is_staff=True)
    Member.objects.create(organization=acme, user=user, role=Role.ADMIN, name="Second")
    return user


def told() -> list[tuple[str, str]]:
    """Who is told, and of what."""
    return sorted((each.to.email, each.title) for each in Delivery.objects.filter(event="schedule.paused").select_related("to") if each.to)


def test_five_failures_are_told_once(admin: User, editor: User, second: User, acme: Organization, globex: Organization, outsider: User) -> None:
    access.create_access_token(acme, name="ERP", role=Role.ADMIN)  # a program reads no mail
    left = User.objects.create_user("left@example.com", is_active=False)
    Member.objects.create(organization=acme, user=left, role=Role.ADMIN, name="Left")
    schedule = make_schedule(admin, acme)
    for number in range(5):
        past(schedule, HOUR if not number else DAY)
        assert firing.fire_due() == 1
        end_jobs(schedule, "failed", f"reason {number}")
        assert told() == []
        settling.settle()
    for _ in range(2):
        settling.settle()
        firing.fire_due()
    title = "Schedule paused: nightly"
    assert told() == [("admin@example.com", title), ("second@example.com", title)]
    notice = Delivery.objects.filter(event="schedule.paused")[0]
    mail = mails.message(notice)
    assert mail.subject == title
    assert "5 runs in a row have failed, the last one so: reason 4" in mail.body
    assert f"/exportschedule/{schedule.pk}/" in mail.body
    assert str(mail.alternatives[0][0]).count("<a href") == 1
    User.objects.filter(pk=admin.pk).update(is_staff=False)  # who would follow the link in vain
    for_others = mails.message(Delivery.objects.get(to=admin))
    for text in (for_others.body, str(for_others.alternatives[0][0])):
        assert "/admin/" not in text
        assert "use the API" in text
    event = ScheduleEvent.objects.get(kind="paused")
    assert (event.actor, event.detail) == (None, ExportSchedule.objects.get().paused_detail)
    # The next five are another matter.
    pausing.resume(second, keeping.get(second, schedule.pk))
    for _ in range(5):
        past(schedule, DAY)
        firing.fire_due()
        end_jobs(schedule, "failed", "again")
        settling.settle()
    assert len(told()) == 4


def test_an_owner_who_left_is_not_told_and_one_whose_role_is_lower_is(admin: User, second: User, acme: Organization) -> None:
    for number, (change, people) in enumerate(
        [
            (lambda: Member.objects.filter(user=admin).update(role=Role.VIEWER), ["admin@example.com", "second@example.com"]),
            (lambda: User.objects.filter(pk=admin.pk).update(is_active=False), ["second@example.com"]),
        ]
    ):
        Delivery.objects.all().delete()
        Member.objects.filter(user=admin).update(role=Role.ADMIN)
        schedule = make_schedule(User.objects.get(pk=admin.pk), acme, name=f"nightly {number}")
        past(schedule, HOUR)
        change()
        for _ in range(2):
            assert firing.fire_due() == 0
        assert told() == [(email, f"Schedule paused: nightly {number}") for email in people]
        assert "may no longer export" in Delivery.objects.first().reason
    # Whoever pauses it by hand knows.
    Delivery.objects.all().delete()
    pausing.pause(second, keeping.get(second, make_schedule(second, acme).pk))
    assert told() == []


def test_a_broken_schedule_is_told_with_its_reason_and_nothing_where_it_was_rolled_back(admin: User, acme: Organization) -> None:
    from django.db import transaction

    schedule = make_schedule(admin, acme)
    past(schedule, HOUR)
    ExportSchedule.objects.update(format="papyrus")
    with transaction.atomic():
        firing.fire_due()
        assert len(told()) == 1
        transaction.set_rollback(True)
    assert told() == []
    assert not ScheduleEvent.objects.filter(kind="paused").exists()
    firing.fire_due()
    assert told() == [("admin@example.com", "Schedule paused: nightly")]
    assert "Write one of: csv" in Delivery.objects.get().reason


def test_a_mail_about_a_job_names_the_api_to_whoever_does_not_enter_the_admin(admin: User, acme: Organization) -> None:
    job = make_job(acme, admin, JobStatus.DONE)
    delivery = Delivery.objects.create(organization=acme, event="job.done", job=job, to=admin, message_id="<1@example.com>")
    for is_staff, path, other in ((True, f"/admin/exports/exportjob/{job.pk}/", "/api/"), (False, f"/api/v1/export-jobs/{job.pk}", "/admin/")):
        admin.is_staff = is_staff
        delivery.to = admin
        mail = mails.message(delivery)
        for text in (mail.body, str(mail.alternatives[0][0])):
            assert path in text
            assert other not in text
            assert ("Over the API" in text) != is_staff
