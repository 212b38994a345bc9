"""What goes in time: files after their days, rows after a year, stored bytes without a row."""

from __future__ import annotations

import io
import json
import os
import time
import uuid
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.models import Session as BrowserSession
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone
from django_q.models import Task as QueueTask

from exports import storage, worker
from exports.models import (
    Delivery,
    Download,
    ExportFile,
    ExportIssue,
    ExportJob,
    ExportSchedule,
    Firing,
    JobAttempt,
    JobEvent,
    Litter,
    Operation,
    Removal,
    TaskImport,
    TickLease,
    Upload,
)
from exports.services import limits, retention
from exports.services.schedules import firing
from exports.states import JobStatus
from tasks import sessions
from tasks.models import Organization, Session, User
from tests.api import JOBS, content, export, make_job, publish, snapshot, wish
from tests.fixtures import PASSWORD
from tests.making import EVERYTHING, make_tasks

pytestmark = pytest.mark.django_db
YEAR = timedelta(days=366)


@pytest.fixture(autouse=True)
def _storage_of_its_own(settings: Any, tmp_path: Path) -> None:
    settings.FILES_ROOT, settings.SPOOL_ROOT = tmp_path / "files", tmp_path / "spool"


def ago(**delta: float) -> Any:
    return Now() - timedelta(**delta)


def path(key: str) -> Path:
    from django.conf import settings

    return Path(settings.FILES_ROOT) / key


def again() -> None:
    """The next hour, or day, has come."""
    TickLease.objects.filter(name__in=["prune", "orphans"]).update(until_at=ago(days=1))


# -- Files ---------------------------------------------------------------------------------------------------------
def test_an_expired_file_answers_410_at_every_door_and_its_bytes_go(client_of: Any, acme: Organization, globex: Organization, admin: User) -> None:
    old, young, pinned, just_now = (make_job(acme, admin, JobStatus.DONE) for _ in range(4))
    for job in (old, pinned):
        ExportFile.objects.filter(job=job).update(expires_at=ago(minutes=11))
    ExportFile.objects.filter(job=pinned).update(pinned=True)
    ExportIssue.objects.create(job=old, row_id=1, column="title", reason="cell_too_long", text="all of it")
    client = client_of(admin)
    link = client.get(f"{JOBS}/{just_now.pk}").json()["job"]["result"]["download_url"]
    ExportFile.objects.filter(job=just_now).update(expires_at=ago(seconds=1))
    done = worker.tick()
    assert (done["expired"], done["litter_swept"]) == (1, 1)
    keys = {job.pk: ExportFile.objects.get(job=job).key for job in (old, young, pinned, just_now)}
    assert [path(keys[job.pk]).exists() for job in (old, young, pinned, just_now)] == [False, True, True, True]  # somebody may still read on
    assert not Litter.objects.exists()
    assert not ExportIssue.objects.exists()
    for job in (old, just_now):
        for call in (client.get(f"{JOBS}/{job.pk}/download"), client.put(f"{JOBS}/{job.pk}/pin")):
            assert (call.status_code, call.json()["error_code"]) == (410, "file_expired")
            assert f"POST /api/v1/export-jobs/{job.pk}/again" in call.json()["message"]
        assert client.get(f"{JOBS}/{job.pk}/receipt").status_code == 200
        shown = client.get(f"{JOBS}/{job.pk}").json()["job"]
        assert shown["status"] == "done"
        assert "download_url" not in shown["result"] or not shown["result"]["download_url"]
    assert client.get(link[link.index("/d/") :]).status_code == 410
    assert client.get(f"{JOBS}/{pinned.pk}/download").status_code == 200
    assert client.get(f"{JOBS}/{old.pk}/events").json()["events"][-1]["kind"] == "expired"
    sweep = Operation.objects.get(handler="SweepHandler")
    assert (sweep.organization, json.loads(sweep.own_response or "")) == (acme, {"files": 1, "bytes": ExportFile.objects.get(job=old).size})
    assert worker.tick()["expired"] == 0


def fetched(client: Any, link: str) -> bytes:
    """What a link to a file gives, unzipped where it is a zip: its times of making differ."""
    data = content(client.get(link[link.index("/d/") :]))
    if not data.startswith(b"PK"):
        return data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return b"".join(archive.read(name) for name in archive.namelist())


@pytest.mark.django_db(transaction=True)
def test_an_expired_file_is_made_again_and_equal_at_every_door(client_of: Any, staff_client_of: Any, acme: Organization, admin: User) -> None:
    make_tasks(acme, 3)
    client = client_of(admin)
    # Our own, a background export of contract 4, a scheduled task of contract 5.
    ours = export(client, wish(acme, **EVERYTHING))
    assert client.post("/api/v3/tasks/export", {"download": "json", "background": True, "fields": "_id,title"}).status_code == 200
    worker.run_next()
    task = {"desc": "x", "trigger": {"once": "2030-01-01T00:00:00Z"}, "target": {"action": "export", "export_index": "tasks", "export_format": "csv"}}
    path = f"/api/services/tasks/{client.post('/api/services/tasks', task).json()['id']}"
    settling_run = firing.execute(admin, ExportSchedule.objects.get())
    worker.run_next()

    def log() -> list[dict[str, Any]]:
        return [entry["_source"] | {"id": entry["_id"]} for entry in client.get("/api/v3/tasks/export-log").json()["data"]]

    contract_4 = next(entry for entry in log() if entry["fileType"] == "json")
    links = {
        ours["id"]: ours["result"]["download_url"],
        contract_4["id"]: contract_4["fileUrl"],
        str(settling_run.job_id): client.get(f"{path}/download_url").json()["url"],
    }
    before = {job_id: fetched(client, link) for job_id, link in links.items()}
    assert [len(data) > 20 for data in before.values()] == [True] * 3
    # Whatever was decided meanwhile: what runs again is the frozen spec.
    Organization.objects.filter(pk=acme.pk).update(timezone="Asia/Kathmandu")
    ExportFile.objects.update(expires_at=ago(days=1))
    assert worker.tick()["expired"] == 3
    for link in links.values():
        assert client.get(link[link.index("/d/") :]).status_code == 410
    assert {entry["fileUrl"] for entry in log()} == {None}
    refused = client.get(f"{path}/download_url")
    assert (refused.status_code, refused.json()["error_code"]) == (410, "file_expired")
    assert f"/api/v1/export-jobs/{settling_run.job_id}/again" in refused.json()["error"]["description"]
    for job_id in links:
        twin = client.post(f"{JOBS}/{job_id}/again").json()["job"]["id"]
        client.post(f"{JOBS}/{twin}/start")
        worker.run_next()
        again = client.get(f"{JOBS}/{twin}").json()["job"]
        assert again["file"]["expires_at"] > ours["file"]["expires_at"]
        assert fetched(client, again["result"]["download_url"]) == before[job_id]
        if job_id == contract_4["id"]:
            (entry,) = (entry for entry in log() if entry["id"] == twin)
            assert fetched(client, entry["fileUrl"]) == before[job_id]
        if job_id == str(settling_run.job_id):
            assert fetched(client, client.get(f"{path}/download_url").json()["url"]) == before[job_id]
    # And in the admin.
    page = staff_client_of(admin).post(f"/admin/exports/exportjob/{ours['id']}/again/", {"nonce": "n"}, follow=True)
    assert page.status_code == 200
    specs_ = ExportJob.objects.filter(again_of=ours["id"]).values_list("spec", flat=True)
    assert [spec == ExportJob.objects.get(pk=ours["id"]).spec for spec in specs_] == [True, True]


def test_an_expired_file_of_a_direct_export_is_asked_for_again(client_of: Any, acme: Organization, admin: User) -> None:
    job = make_job(acme, admin, JobStatus.DONE, runner="web")
    ExportFile.objects.filter(job=job).update(expires_at=ago(days=1))
    gone = client_of(admin).get(f"{JOBS}/{job.pk}/download")
    assert gone.status_code == 410
    assert "again in the same way" in gone.json()["message"]


def test_an_organization_may_keep_its_files_for_days_of_its_own(acme: Organization, globex: Organization, settings: Any) -> None:
    settings.FILE_DAYS = 30
    acme.file_days = 3
    days = [round((limits.expiry(one) - datetime.now(UTC)) / timedelta(days=1)) for one in (acme, globex, None)]
    assert days == [3, 30, 30]


def test_a_storage_that_refuses_is_asked_again(acme: Organization, admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(acme, admin, JobStatus.DONE)
    ExportFile.objects.update(expires_at=ago(days=1))

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        assert worker.tick()["expired"] == 1
    key = ExportFile.objects.get(job=job).key
    assert path(key).exists()
    assert Litter.objects.get().name == key
    worker.tick()
    assert not path(key).exists()
    assert not Litter.objects.exists()


# -- Rows ----------------------------------------------------------------------------------------------------------
def test_what_ended_a_year_ago_is_pruned_with_all_that_hangs_on_it(acme: Organization, admin: User) -> None:
    long_ago = ago(days=366)
    old, kept, unswept, young, queued, never = (
        make_job(acme, admin, status) for status in (JobStatus.DONE, JobStatus.DONE, "failed", JobStatus.DONE, "queued", JobStatus.NEW)
    )
    ExportJob.objects.exclude(pk=young.pk).update(created_at=long_ago)
    ExportJob.objects.filter(pk__in=[old.pk, kept.pk, unswept.pk]).update(finished_at=long_ago)
    ExportJob.objects.filter(pk=young.pk).update(finished_at=ago(days=364))
    ExportFile.objects.filter(job=old).update(deleted_at=long_ago)
    ExportFile.objects.filter(job=kept).update(pinned=True)
    JobAttempt.objects.create(job=unswept, number=1, token="t", worker="w", outcome="lease_lapsed")
    JobAttempt.objects.create(job=old, number=1, token="t", worker="w", outcome="done")
    Download.objects.bulk_create([Download(file=old.file, user=admin, door="api") for _ in range(1200)])
    twin = make_job(acme, admin, again_of=old)
    before = {job.pk: snapshot(job) for job in (kept, unswept, young, queued)}
    Operation.objects.update(created_at=long_ago)

    assert retention.prune() == 2
    assert set(ExportJob.objects.values_list("pk", flat=True)) == {kept.pk, unswept.pk, young.pk, queued.pk, twin.pk}
    assert {job.pk: snapshot(job) for job in (kept, unswept, young, queued)} == before
    for model in (Download, ExportFile, JobAttempt, JobEvent, Operation):
        field = {Download: "file__job", Operation: "entity_id"}.get(model, "job")
        assert not model.objects.filter(**{field: str(old.pk)}).exists(), model
    assert not Operation.objects.filter(entity_id=str(never.pk)).exists()
    twin.refresh_from_db()
    assert twin.again_of is None
    again()
    assert retention.prune() == 0


def test_an_operation_stays_until_what_hangs_on_it_has_gone(acme: Organization, admin: User) -> None:
    job = make_job(acme, admin, "failed", finished_at=ago(days=400))
    parent = Operation.objects.get(job=job)
    child = Operation.objects.create(organization=acme, handler="Other", parent=parent)
    sweep = Operation.objects.create(organization=acme, handler="SweepHandler")
    Operation.objects.exclude(pk=child.pk).update(created_at=ago(days=400))
    imported = TaskImport.objects.create(organization=acme, name="x.csv", status=JobStatus.DONE, finished_at=timezone.now() - YEAR)
    Operation.objects.create(organization=acme, handler="ImportHandler", task_import=imported)
    Removal.objects.create(organization=acme, operation_id=uuid.uuid4(), detail={})
    Removal.objects.update(at=ago(days=366))
    for number, days in enumerate((366, 1)):
        notice = Delivery.objects.create(organization=acme, to=admin, event="webhook.disabled", message_id=str(number))
        Delivery.objects.filter(pk=notice.pk).update(created_at=ago(days=days))
    assert retention.prune() == 4  # the sweep, the import, the removal, the old notice
    assert Delivery.objects.get().message_id == "1"
    told = Operation.objects.get(handler="SweepHandler")
    assert (told.pk != sweep.pk, json.loads(told.own_response or "")) == (True, {"imports": 1})
    assert set(Operation.objects.values_list("pk", flat=True)) == {parent.pk, child.pk, told.pk}
    Operation.objects.update(created_at=ago(days=400))
    assert retention.prune() == 0  # an hour has not passed
    again()
    assert retention.prune() >= 1
    again()
    retention.prune()
    assert set(Operation.objects.values_list("own_response", flat=True)) == {'{"jobs": 1}'}
    assert not ExportJob.objects.exists()


def test_runs_of_schedules_go_but_not_the_last_delivered_one(acme: Organization, admin: User) -> None:
    schedule = ExportSchedule.objects.create(
        organization=acme, owner=admin, name="s", kind="daily", timezone="UTC", starts_on_clock="2020-01-01T00:00:00"
    )
    start = timezone.now() - timedelta(days=500)

    def firing(day: int, outcome: str, **values: Any) -> Firing:
        return Firing.objects.create(
            schedule=schedule, intended_at=start + timedelta(days=day), fired_at=start + timedelta(days=day), outcome=outcome, **values
        )

    until = start + timedelta(days=2)
    first, last, _failed, open_, young = (
        firing(1, "done", window_until=start),
        firing(2, "late", window_until=until),
        firing(3, "failed"),
        firing(4, ""),
        firing(400, "missed"),
    )
    assert first.pk
    assert retention.prune() == 2
    assert set(Firing.objects.values_list("pk", flat=True)) == {last.pk, open_.pk, young.pk}


def test_the_queue_s_own_notes_go_after_thirty_days() -> None:
    for days in (1, 29, 31, 400):
        at = timezone.now() - timedelta(days=days)
        QueueTask.objects.create(id=uuid.uuid4().hex, name=str(days), func="f", started=at, stopped=at, success=days % 2 == 0)
    assert retention.prune() == 2
    assert set(QueueTask.objects.values_list("name", flat=True)) == {"1", "29"}


# -- Orphans -------------------------------------------------------------------------------------------------------
def test_ended_sign_ins_of_browsers_and_of_programs_go(admin: User, viewer: User) -> None:
    for user in (admin, viewer):
        Client().force_login(user)
        sessions.sign_in(None, user.email, PASSWORD)
    first = BrowserSession.objects.order_by("expire_date")[0]
    BrowserSession.objects.filter(pk=first.pk).update(expire_date=ago(minutes=1))
    Session.objects.filter(user=admin).update(expires_at=ago(minutes=1))
    assert worker.tick()["forgotten"] == 2
    assert (BrowserSession.objects.count(), Session.objects.get().user) == (1, viewer)


def test_old_bytes_without_a_row_are_swept_and_nothing_else(acme: Organization, admin: User) -> None:
    job = make_job(acme, admin, JobStatus.DONE)
    running = make_job(acme, admin, "in progress", attempt=2)
    open_ = JobAttempt.objects.create(job=running, number=2, token="ab" * 8, worker="w")
    gone = make_job(acme, admin)
    publish(gone)
    ExportFile.objects.filter(job=gone).update(deleted_at=Now())
    upload = Upload.objects.create(organization=acme, created_by=admin, expires_at=timezone.now() + timedelta(days=1))
    named = [job.file.key, f"{open_.key_prefix}/file.csv.zip", upload.key]
    orphans = [
        gone.file.key,
        f"exports/{acme.pk}/{job.pk}/9-{'cd' * 8}/left.csv.zip",
        f"exports/{acme.pk}/{uuid.uuid4()}/1-{'ef' * 8}/left.csv.zip",
        f"uploads/{acme.pk}/{uuid.uuid4()}",
    ]
    strange = ["exports/readme.txt", f"exports/{acme.pk}/backup.tar", "other/thing"]
    young = f"exports/{acme.pk}/{job.pk}/8-{'cd' * 8}/young.csv.zip"
    for key in [*named[1:], *orphans[1:], *strange, young]:
        spool = storage.spool_path("orphan")
        spool.write_bytes(b"x")
        storage.put(spool, key, b"{}" if key == orphans[1] else b"")
    for key in [*named, *orphans, orphans[1] + storage.RECEIPT, *strange]:
        os.utime(path(key), times=(time.time() - 90_000,) * 2)
    assert list(key for key, _ in storage.walk()) == sorted([*named, *orphans, orphans[1] + storage.RECEIPT, *strange, young])
    assert worker.tick()["orphans_swept"] == 5
    assert {key for key, _ in storage.walk()} == {*named, *strange, young}
    assert worker.tick()["orphans_swept"] == 0


def test_a_walk_goes_on_where_it_was_interrupted(settings: Any, tmp_path: Path) -> None:
    settings.FILES_ROOT = tmp_path
    keys = ["a/1", "a-b/2", "a/b/3", "a.txt", "b/4", "a/b-c"]
    for key in keys:
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).touch()
    for number, after in enumerate(["", *sorted(keys)]):
        assert [key for key, _ in storage.walk(after)] == sorted(keys)[number:]
    assert [key for key, _ in storage.walk("a/b")] == ["a/b-c", "a/b/3", "b/4"]
