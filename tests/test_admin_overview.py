"""The overview: only what one's organizations show, in a constant number of bounded queries, and what to do when something stands still."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from exports import worker
from exports.admin.chart import HEIGHT
from exports.models import DayTotal, ExportFile, ExportJob, ExportSchedule, KeptTotal, Kind, TickLease
from exports.services import jobs, retention, totals
from exports.states import JobStatus
from tasks.models import Organization, User
from tests.making import make_job, make_queued, make_tasks

StaffClientOf = Callable[[User], Client]
HOME = "/admin/"


def page(client: Client) -> str:
    response = client.get(HOME)
    assert response.status_code == 200
    return response.content.decode()


def schedule(organization: Organization, name: str, **values: Any) -> ExportSchedule:
    said = {"kind": Kind.DAILY, "timezone": "UTC", "starts_on_clock": "2030-01-01T02:30:00", "next_run_at": timezone.now() + timedelta(hours=5)}
    return ExportSchedule.objects.create(organization=organization, name=name, **(said | values))


def run(user: User, organization: Organization, name: str) -> ExportJob:
    """A job that runs and has told how far it is."""
    make_queued(user, organization, name)
    claim = jobs.claim("worker:1")
    assert claim
    jobs.beat(claim, rows_done=250, rows_total=1000)
    return claim.job


def test_signed_out_and_without_the_door_s_key_it_leads_to_the_sign_in(admin: User) -> None:
    assert Client().get(HOME)["Location"] == "/admin/login/?next=/admin/"
    admin.is_staff = False
    admin.save()
    client = Client()
    client.force_login(admin)
    assert client.get(HOME)["Location"].startswith("/admin/login/")


def test_everybody_sees_their_own_organizations_alone(
    admin: User, viewer: User, outsider: User, owner: User, acme: Organization, globex: Organization, staff_client_of: StaffClientOf
) -> None:
    run(admin, acme, "Acme runs")
    make_queued(admin, acme, "Acme waits")
    run(outsider, globex, "Globex runs")
    schedule(acme, "Acme nightly")
    schedule(globex, "Globex nightly")
    schedule(acme, "Acme paused", paused_reason="failing")
    for one, rows in ((acme, 1_234), (globex, 98_765)):
        DayTotal.objects.create(organization=one, day=datetime.now(UTC).date(), done=3, failed=1, rows=rows)
        KeptTotal.objects.create(organization=one, files=7, size=5 * 1024**2)
    mine, theirs = page(staff_client_of(viewer)), page(staff_client_of(outsider))
    for text in ("Acme runs", "Acme waits", "Acme nightly", "1,234", "1 paused", "25 %", "number 1 in the queue"):
        assert text in mine, text
        assert text not in theirs or text == "25 %", text
    for text in ("Globex runs", "Globex nightly", "98,765"):
        assert text not in mine, text
        assert text in theirs, text
    both = page(staff_client_of(owner))
    assert "Acme runs" in both
    assert "Globex runs" in both
    assert "99,999" in both  # of both together
    assert 'data-count="in progress"' in both
    assert "/admin/exports/exportjob/add/" not in both.replace("addlink", "")


def test_it_takes_as_many_queries_for_many_as_for_one(admin: User, acme: Organization, globex: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(admin)

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            page(client)
        return len(queries)

    run(admin, acme, "One")
    schedule(acme, "One")
    one = count()
    for number in range(12):
        make_queued(admin, acme, f"Waits {number}")
        schedule(acme, f"Schedule {number}")
        job = make_job(admin, acme, f"Done {number}")
        ExportJob.objects.filter(pk=job.pk).update(status=JobStatus.DONE)
        add_file(job)
        DayTotal.objects.create(organization=acme, day=datetime.now(UTC).date() - timedelta(days=number), done=number)
    assert count() == one <= 40


def add_file(job: ExportJob, **values: Any) -> ExportFile:
    said: dict[str, Any] = {"size": 1000, "rows": 10, "receipt": {}, "sha256": "", "name": "x.zip", "content_type": "application/zip"}
    return ExportFile.objects.create(
        job=job, attempt=1, key=f"exports/{job.pk}", **(said | {"expires_at": timezone.now() + timedelta(days=1)} | values)
    )


def test_it_is_empty_in_words_and_a_person_of_no_organization_is_told(
    editor: User, viewer: User, acme: Organization, staff_client_of: StaffClientOf
) -> None:
    assert "Make the first one" in page(staff_client_of(editor))
    looks = page(staff_client_of(viewer))
    assert "Make the first one" not in looks
    assert "An editor or admin of your organization" in looks
    viewer.memberships.all().delete()
    assert "You are in no organization yet" in page(staff_client_of(viewer))


def test_what_stands_still_is_red_and_says_what_to_do(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(admin)
    text = page(client)
    assert 'data-health="wait"' in text  # a new service is no alarm
    assert "The workers have not answered yet" in text
    assert "Export workers do not answer" in text
    assert "qcluster" not in text
    boss = staff_client_of(User.objects.create_superuser("boss@example.com"))
    assert "Q_CLUSTER_NAME=exports manage.py qcluster" in page(boss)
    worker.tick()
    worker.echo("exports")
    worker.echo("control")
    assert 'data-health="ok"' in page(client)
    assert "do not answer" not in page(client)
    TickLease.objects.filter(name="tick").update(until_at=timezone.now() - timedelta(hours=3))
    late = page(client)
    assert 'data-health="bad"' in late
    assert "chores are not done" in late
    assert "Tell whoever runs this service" in late


@pytest.mark.django_db(transaction=True)
def test_days_count_what_ended_and_files_what_is_kept(editor: User, acme: Organization, globex: Organization, staff_client_of: StaffClientOf) -> None:
    make_tasks(acme, 3)
    for _ in range(2):
        make_queued(editor, acme)
        worker.run_next()
    make_queued(editor, acme)
    claim = jobs.claim("worker:1")
    assert claim
    jobs.fail(claim, "deadline", "It ran too long.")
    jobs.cancel(editor, make_queued(editor, acme))  # neither done nor failed
    today = totals.days([acme.pk], 14)
    assert [(day.done, day.failed, day.rows) for day in today[-2:]] == [(0, 0, 0), (2, 1, 6)]
    assert len(today) == 14
    jobs.retry(editor, jobs.get(editor, claim.job.pk))
    worker.run_next()
    assert totals.days([acme.pk, globex.pk], 1)[0].done == 3
    assert totals.days([globex.pk], 1)[0].done == 0

    gone = ExportFile.objects.order_by("pk")[0]
    ExportFile.objects.filter(pk=gone.pk).update(expires_at=timezone.now() - timedelta(days=1))
    assert retention.count_kept() == 1
    kept = KeptTotal.objects.get(organization=acme)
    assert (kept.files, kept.size) == (2, sum(ExportFile.objects.exclude(pk=gone.pk).values_list("size", flat=True)))
    ExportFile.objects.update(deleted_at=timezone.now())
    assert retention.count_kept() == 0  # not yet time
    TickLease.objects.filter(name="kept").update(until_at=timezone.now() - timedelta(seconds=1))
    retention.count_kept()
    assert KeptTotal.objects.get(organization=acme).files == 0
    Organization.objects.filter(pk=acme.pk).update(kept_mb=1)
    KeptTotal.objects.filter(organization=acme).update(size=950 * 1024, files=4)
    text = page(staff_client_of(editor))
    assert "Nearly full" in text
    assert 'value="93"' in text


def test_a_chart_says_its_numbers_in_words_too(editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    today = datetime.now(UTC).date()
    DayTotal.objects.create(organization=acme, day=today, done=30, failed=10, rows=2_000_000)
    DayTotal.objects.create(organization=acme, day=today - timedelta(days=20), done=500)  # before the chart begins
    response = staff_client_of(editor).get(HOME)
    text, chart = response.content.decode(), response.context["chart"]
    assert "30 done and 10 failed in the last 14 days" in text
    assert "2,000,000 rows exported" in text
    assert text.count('<th scope="row">') >= 14
    assert [(bar["tone"], bar["height"], bar["y"]) for bar in chart["runs"]] == [("ok", 72, HEIGHT - 72), ("bad", 24, 0)]
