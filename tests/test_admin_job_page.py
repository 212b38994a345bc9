"""One job's page and what the list does with many: links, pins, calls of the API, filters, and many files as one zip."""

from __future__ import annotations

import io
import json
import shlex
import uuid
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from exports import storage, worker
from exports.models import Delivery, Destination, Download, ExportFile, ExportIssue, ExportJob, ExportSchedule, Firing, JobEvent, Kind, Webhook
from exports.services import bundles, jobs
from exports.states import JobStatus
from tasks.models import Organization, User
from tests.api import JOBS
from tests.making import make_job, make_queued, make_tasks

StaffClientOf = Callable[[User], Client]
LIST = "/admin/exports/exportjob/"


def page(job: ExportJob, name: str = "change") -> str:
    return f"{LIST}{job.pk}/{name}/"


def done(user: User, organization: Organization, name: str = "job", **values: Any) -> ExportJob:
    """A job that was run for real."""
    job = make_queued(user, organization, name, **values)
    worker.run_next()
    return jobs.get(user, job.pk)


def names(client: Client, **query: str) -> set[str]:
    return {job.name for job in client.get(LIST, query).context["cl"].result_list}


# -- The page ------------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_the_page_of_a_done_job(editor: User, viewer: User, admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    make_tasks(acme, 3)
    job = done(editor, acme, "It's done")
    client, looks = staff_client_of(editor), staff_client_of(viewer)
    text, theirs = client.get(page(job)).content.decode(), looks.get(page(job)).content.decode()
    for button in ('data-verb="pin"', 'data-verb="again"'):
        assert button in text
        assert button not in theirs
    for shown in (page(job, "download"), page(job, "link"), 'data-page="job"', "Taken by a worker", "Made</strong> by Editor", "3 rows"):
        assert shown in text, shown
    assert page(job, "download") in theirs

    link = looks.get(page(job, "link")).json()["url"]
    assert link.startswith("http://testserver/d/")
    body = b"".join(Client().get(link.removeprefix("http://testserver")).streaming_content)  # type: ignore[attr-defined]
    assert len(body) == job.file.size
    assert Download.objects.get().user == viewer
    assert "Viewer" in client.get(page(job)).content.decode()

    # Kept past its expiry, by whoever may change it, with their names in the timeline.
    looks.post(page(job, "pin"))
    assert not ExportFile.objects.get().pinned
    client.post(page(job, "pin"))
    ExportFile.objects.update(expires_at=timezone.now() - timedelta(days=1))
    text = client.get(page(job)).content.decode()
    assert 'data-verb="unpin"' in text
    assert "data-expired" not in text
    staff_client_of(admin).post(page(job, "unpin"))
    assert [(event.kind, event.actor) for event in job.events.order_by("pk")][-2:] == [("pinned", editor), ("unpinned", admin)]

    text = client.get(page(job)).content.decode()
    assert "data-expired" in text
    assert "Make it again" in text
    assert "Make it again" not in looks.get(page(job)).content.decode()
    assert page(job, "download") not in text
    refused = client.get(page(job, "link"))
    assert (refused.status_code, "has expired" in refused.json()["message"]) == (410, True)


def test_links_and_pins_of_what_is_not_one_s_own_are_refused(
    admin: User, viewer: User, outsider: User, acme: Organization, staff_client_of: StaffClientOf
) -> None:
    job = make_job(admin, acme, "Secret name")
    client = staff_client_of(outsider)
    refused = client.get(page(job, "link"))
    assert refused.status_code == 404
    assert "Secret" not in refused.content.decode()
    assert staff_client_of(viewer).get(page(job, "link")).status_code == 409  # not done
    before = JobEvent.objects.count()
    for verb in ("pin", "unpin"):
        assert client.post(page(job, verb))["Location"] == "/admin/"
        assert staff_client_of(viewer).post(page(job, verb))["Location"] == page(job)
    assert JobEvent.objects.count() == before
    assert Client().get(page(job, "link"))["Location"].startswith("/admin/login/")


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"format": "xlsx", "timezone": "Europe/Amsterdam", "filter": {"column": "title", "op": "contains", "value": 'it\'s "quoted" $HOME'}},
        {"type": "custom", "dataset": "tasks", "columns": [{"key": "id", "title": "Nr."}, {"title": "a", "constant": "b"}], "options": {"bom": True}},
    ],
)
def test_the_curl_of_a_job_makes_the_same_job(
    values: dict[str, Any], editor: User, acme: Organization, staff_client_of: StaffClientOf, client_of: Any
) -> None:
    job = make_job(editor, acme, "O'Neill & Söhne", **values)
    calls = {call.name: call.text for call in staff_client_of(editor).get(page(job)).context["calls"]}
    assert set(calls) == {"create", "read", "again"}
    for text in calls.values():
        assert '-H "Authorization: Bearer $TOKEN"' in text
    words = shlex.split(calls["create"])
    assert words[:3] == ["curl", "-sS", "http://127.0.0.1:8000/api/v1/export-jobs"]
    answer = client_of(editor).post(JOBS, json.loads(words[words.index("-d") + 1]), format="json")
    assert answer.status_code == 201, answer.content
    twin = ExportJob.objects.get(pk=answer.json()["job"]["id"])
    assert twin.spec == job.spec
    assert (twin.name, twin.creation_end_date) == (job.name, job.creation_end_date)


def test_no_call_makes_a_file_of_changes(editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    job = make_job(editor, acme, type="custom", dataset="tasks", columns=["id"], changes_of=1)
    answer = staff_client_of(editor).get(page(job))
    assert [call.name for call in answer.context["calls"]] == ["read"]
    assert "Copy as curl" not in answer.content.decode()


def test_the_first_of_many_issues_are_shown_and_that_there_are_more(editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    job = make_job(editor, acme)
    ExportIssue.objects.bulk_create(ExportIssue(job=job, row_id=number, column="body", reason="cell_too_long", text="x") for number in range(1, 101))
    client = staff_client_of(editor)
    assert "Here are the first" not in client.get(page(job)).content.decode()
    ExportIssue.objects.create(job=job, row_id=101, column="body", reason="cell_too_long", text="x")
    text = client.get(page(job)).content.decode()
    assert "Here are the first 100 of them." in text
    assert "<td>101</td>" not in text


def test_a_delivery_is_told_with_its_receiver(editor: User, admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    job = make_job(editor, acme)
    for number in range(3):
        Delivery.objects.create(organization=acme, job=job, event="job.failed", to=admin, message_id=f"<{number}>", state="dead", error="no mailbox")
    text = staff_client_of(editor).get(page(job)).content.decode()
    assert text.count("no mailbox") == 3
    assert "<td>Admin</td>" in text
    assert "Given up" in text


def test_webhooks_and_destinations_are_told_to_admins_alone(
    editor: User, viewer: User, admin: User, acme: Organization, staff_client_of: StaffClientOf
) -> None:
    job = make_job(editor, acme)
    hook = Webhook.objects.create(organization=acme, name="Hook of the ERP", url="https://erp.example.com/", events=["job.done"])
    bucket = Destination.objects.create(organization=acme, name="Data lake", bucket="acme-data", access_key_id="x")
    receivers: tuple[tuple[str, dict[str, Any]], ...] = (("webhook", {"webhook": hook}), ("copy", {"destination": bucket}), ("mail", {"to": admin}))
    for kind, to in receivers:
        Delivery.objects.create(organization=acme, job=job, event="job.done", kind=kind, message_id=kind, state="dead", error=f"{kind} failed", **to)
    for user in (editor, viewer, admin):
        text = staff_client_of(user).get(page(job)).content.decode()
        for shown in ("Hook of the ERP", "webhook failed", "Data lake", "copy failed"):
            assert (shown in text) == (user == admin), (user, shown)
        assert "mail failed" in text


# -- The list ------------------------------------------------------------------------------------------------------
def test_jobs_are_found_by_format_owner_schedule_and_day(
    editor: User, admin: User, outsider: User, acme: Organization, globex: Organization, staff_client_of: StaffClientOf
) -> None:
    make_job(editor, acme, "Mine", format="xlsx")
    hers = make_job(admin, acme, "Hers")
    theirs = make_job(outsider, globex, "Theirs", format="xlsx")
    old = make_job(editor, acme, "Old")
    ExportJob.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=60))
    schedules = [
        ExportSchedule.objects.create(
            organization=one, name=f"Nightly of {one}", kind=Kind.DAILY, timezone="UTC", starts_on_clock="2030-01-01T02:30:00"
        )
        for one in (acme, globex)
    ]
    for schedule, job in zip(schedules, (hers, theirs), strict=True):
        Firing.objects.create(schedule=schedule, intended_at=timezone.now(), job=job)
    client = staff_client_of(editor)
    text = client.get(LIST).content.decode()
    assert "Nightly of Acme" in text
    assert "Nightly of Globex" not in text
    assert names(client, format="xlsx") == {"Mine"}
    assert names(client, format="none") == set()
    assert names(client, by=str(editor.pk)) == {"Mine", "Old"}
    assert names(client, by=str(admin.pk)) == {"Hers"}
    assert names(client, by=str(outsider.pk)) == names(client, by="x") == set()
    assert names(client, schedule=str(schedules[0].pk)) == {"Hers"}
    assert names(client, schedule=str(schedules[1].pk)) == set()
    today = timezone.now().date()
    assert names(client, created_at__gte=f"{today} 00:00:00+00:00") == {"Mine", "Hers"}
    assert names(client, status__exact="new", format="csv", q="her") == {"Hers"}
    assert "Nothing matches" in client.get(LIST, {"q": "no such name"}).content.decode()


# -- Many files as one zip -----------------------------------------------------------------------------------------
def chosen(*found: ExportJob) -> dict[str, Any]:
    return {"action": "download", "_selected_action": [str(job.pk) for job in found]}


@pytest.mark.django_db(transaction=True)
def test_many_files_come_as_one_zip_each_with_its_line_in_the_log(
    editor: User, viewer: User, acme: Organization, staff_client_of: StaffClientOf, settings: Any
) -> None:
    make_tasks(acme, 2)
    found = [done(editor, acme, f"Job {number}", format=name) for number, name in enumerate(("csv", "xlsx", "json"))]
    client = staff_client_of(viewer)
    response: Any = client.post(LIST, chosen(*found))
    assert response["Content-Type"] == "application/zip"
    assert response["Content-Disposition"].startswith('attachment; filename="exports-')
    with zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content))) as archive:
        assert archive.testzip() is None
        for job in found:
            file: Any = ExportFile.objects.get(job=job)
            with storage.open_file(file.key) as stored:
                assert archive.read(file.name) == stored.read()
    assert sorted((row.file.job.name, row.user, row.door) for row in Download.objects.all()) == [(f"Job {n}", viewer, "bundle") for n in range(3)]

    # One whose bytes are gone, and a file that is shorter than it was: nothing, or a transfer that breaks.
    last = ExportFile.objects.get(job=found[2])
    ExportFile.objects.filter(pk=last.pk).update(size=last.size + 1)
    with pytest.raises(bundles.Broken):
        b"".join(client.post(LIST, chosen(found[2])).streaming_content)  # type: ignore[attr-defined]
    Download.objects.all().delete()
    storage.delete(last.key)
    text = client.post(LIST, chosen(*found), follow=True).content.decode()
    assert "Job 2: The file is gone from the storage." in text
    assert not Download.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_files_of_one_name_stand_in_the_zip_side_by_side(editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    make_tasks(acme, 1)
    found = [done(editor, acme, f"Job {number}") for number in range(3)]
    ExportFile.objects.filter(job__in=found[:2]).update(name="Task_Export-7.csv.zip")  # as all files of a schedule
    response: Any = staff_client_of(editor).post(LIST, chosen(*found))
    with zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content))) as archive:
        assert set(archive.namelist()) == {*(f"{job.pk}-Task_Export-7.csv.zip" for job in found[:2]), f"{found[2].pk}-task-export.csv.zip"}


def test_a_zip_of_what_is_no_file_or_not_one_s_own_or_too_much_is_refused(
    editor: User, admin: User, outsider: User, acme: Organization, globex: Organization, staff_client_of: StaffClientOf, monkeypatch: Any
) -> None:
    mine, theirs = make_job(editor, acme, "Mine"), make_job(outsider, globex, "Theirs")
    client = staff_client_of(editor)
    assert "Mine: The job is new" in client.post(LIST, chosen(mine), follow=True).content.decode()
    assert "Theirs" not in client.post(LIST, chosen(theirs), follow=True).content.decode()
    many = [make_job(editor, acme, f"{number}") for number in range(bundles.MOST_FILES + 1)]
    assert "Choose 1 to 50 jobs" in client.post(LIST, chosen(*many), follow=True).content.decode()
    ExportJob.objects.filter(pk=mine.pk).update(status=JobStatus.DONE)
    ExportFile.objects.create(
        job=mine,
        attempt=1,
        key=f"exports/{uuid.uuid4()}",
        name="big.zip",
        content_type="application/zip",
        size=bundles.MOST_BYTES + 1,
        sha256="",
        rows=1,
        receipt={},
        expires_at=timezone.now() + timedelta(days=1),
    )
    assert "one zip takes 4 GB" in client.post(LIST, chosen(mine), follow=True).content.decode()
    assert not Download.objects.exists()
