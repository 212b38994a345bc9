"""What an organization may: jobs at once, rows in 24 hours, bytes kept; and room on the disk."""

from __future__ import annotations

import shutil
from collections import namedtuple
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from exports import worker
from exports.models import ExportFile, ExportJob
from exports.services import jobs, limits
from exports.states import JobStatus
from taskexport.errors import Conflict
from tasks.models import Organization, User
from tests.api import JOBS, make_job, snapshot
from tests.making import make_queued
from tests.scheduling import make_schedule

pytestmark = pytest.mark.django_db
Usage = namedtuple("Usage", "total used free")
MB = 1024 * 1024


def limit(organization: Organization, **values: int | None) -> None:
    Organization.objects.filter(pk=organization.pk).update(**values)


def exported(organization: Organization, user: User, *, hours_ago: float = 0, expires_in_hours: float = 24, **values: Any) -> ExportFile:
    """A file of the organization, made then."""
    job = make_job(organization, user, JobStatus.DONE)
    times = {"created_at": Now() - timedelta(hours=hours_ago), "expires_at": Now() + timedelta(hours=expires_in_hours)}
    ExportFile.objects.filter(job=job).update(**times, **values)
    return ExportFile.objects.get(job=job)


def test_jobs_at_once_by_the_settings_or_the_organization(
    acme: Organization, globex: Organization, editor: User, outsider: User, settings: Any
) -> None:
    settings.MAX_RUNNING = 2
    limit(acme, max_running=1)
    for number in range(4):
        make_queued(editor, acme, str(number))
        make_queued(outsider, globex, str(number))
    claimed = []
    while claim := jobs.claim("w"):
        claimed.append(claim.job.organization)
    assert (claimed.count(acme), claimed.count(globex)) == (1, 2)


def test_rows_of_a_day_and_when_they_clear(
    client_of: Any, acme: Organization, globex: Organization, admin: User, outsider: User, settings: Any
) -> None:
    settings.ROWS_A_DAY = 1000
    exported(acme, admin, hours_ago=25, rows=5000)
    exported(acme, admin, hours_ago=20, rows=100)
    exported(acme, admin, hours_ago=10, rows=800)
    exported(globex, outsider, rows=5000)
    limits.require_room(acme)
    exported(acme, admin, hours_ago=1, rows=300, deleted_at=Now())  # a direct export's, or deleted: it was exported all the same
    job = make_job(acme, admin)
    before = snapshot(job)
    client = client_of(admin)
    refused = client.post(f"{JOBS}/{job.pk}/start")
    assert (refused.status_code, refused.json()["error_code"]) == (429, "quota_rows")
    assert "1,000 rows" in refused.json()["message"]
    assert 14 * 3600 - 60 < int(refused["Retry-After"]) <= 14 * 3600  # the oldest hundred are not enough
    assert snapshot(job) == before
    failed = make_job(acme, admin, JobStatus.FAILED)
    assert client.post(f"{JOBS}/{failed.pk}/retry").status_code == 429
    limit(acme, rows_a_day=0)  # none
    assert client.post(f"{JOBS}/{job.pk}/start").status_code == 200
    limit(acme, rows_a_day=1201)
    assert client.post(f"{JOBS}/{failed.pk}/retry").status_code == 200


def test_bytes_kept_and_what_makes_room(client_of: Any, acme: Organization, admin: User, settings: Any) -> None:
    settings.KEPT_MB = 10
    exported(acme, admin, size=20 * MB, expires_in_hours=-1)  # expired
    exported(acme, admin, size=20 * MB, deleted_at=Now())
    exported(acme, admin, size=3 * MB, expires_in_hours=2)
    big = exported(acme, admin, size=8 * MB, expires_in_hours=5)
    job = make_job(acme, admin)
    client = client_of(admin)
    refused = client.post(f"{JOBS}/{job.pk}/start")
    assert (refused.status_code, refused.json()["error_code"]) == (429, "quota_bytes")
    assert 2 * 3600 - 60 < int(refused["Retry-After"]) <= 2 * 3600
    ExportFile.objects.filter(pk=big.pk).update(size=20 * MB, pinned=True)
    refused = client.post(f"{JOBS}/{job.pk}/start")
    assert refused.status_code == 429
    assert "Retry-After" not in refused  # by itself it never clears
    assert "unpin" in refused.json()["message"]
    assert client.delete(f"{JOBS}/{big.job_id}").status_code == 204
    assert client.post(f"{JOBS}/{job.pk}/start").status_code == 200


def test_a_direct_export_is_counted_and_refused_too(client_of: Any, acme: Organization, owner: User, admin: User, settings: Any) -> None:
    settings.ROWS_A_DAY = 10
    exported(acme, admin, rows=10)
    count = ExportJob.objects.count()
    body = {"org_id": str(acme.uuid), "org_name": "Acme", "name": "x", "creation_start_date": "2024-01-01", "creation_end_date": "2024-01-02"}
    refused = client_of(owner).post(f"{JOBS}/direct-csv", body)
    assert (refused.status_code, refused.json()["error_code"]) == (429, "quota_rows")
    assert ExportJob.objects.count() == count


def test_jobs_that_wait_when_the_quota_fills_are_put_off_and_told(
    acme: Organization, globex: Organization, editor: User, outsider: User, admin: User, settings: Any
) -> None:
    settings.ROWS_A_DAY = 100
    mine = [make_queued(editor, acme, str(number)) for number in range(2)]
    theirs = make_queued(outsider, globex)
    exported(acme, admin, rows=100)
    claim = jobs.claim("w")
    assert claim
    assert claim.job == theirs
    for _ in range(2):
        assert jobs.claim("w") is None
        for job in mine:
            job.refresh_from_db()
            assert job.status == "queued"
            event = job.events.get(kind="quota_rows")
            assert "100 rows" in event.detail
        ExportJob.objects.update(available_at=Now())
    limit(acme, rows_a_day=101)
    claim = jobs.claim("w")
    assert claim
    assert claim.job == mine[0]


def test_a_schedule_s_job_waits_where_a_person_s_is_refused(acme: Organization, admin: User, settings: Any) -> None:
    settings.ROWS_A_DAY = 1
    exported(acme, admin, rows=1)
    job = make_job(acme, admin, trigger="schedule")
    jobs.start(admin, job)
    job.refresh_from_db()
    assert job.status == "queued"
    with pytest.raises(Conflict):
        jobs.start(admin, job)


def test_a_person_who_runs_a_schedule_or_a_contract_s_export_at_a_full_quota_is_told_what_clears_it(
    client_of: Any, acme: Organization, admin: User, settings: Any
) -> None:
    settings.KEPT_MB = 1
    exported(acme, admin, size=2 * MB, expires_in_hours=3)
    schedule, client = make_schedule(admin, acme), client_of(admin)
    export = {"download": "json", "fields": "_id"}
    calls = [
        (f"/api/services/tasks/{schedule.pk}/execute", None),
        ("/api/v3/tasks/export", {**export, "background": True}),
        ("/api/v3/tasks/export", {**export, "background": False}),
    ]
    for path, body in calls:
        before = ExportJob.objects.count()
        refused = client.post(path, body)
        assert (refused.status_code, refused.json()["error_code"], ExportJob.objects.count()) == (429, "quota_bytes", before), path
        assert "Delete jobs" in str(refused.json())
        assert " UTC" in str(refused.json())
        assert 3 * 3600 - 60 < int(refused["Retry-After"]) <= 3 * 3600
    assert not schedule.firings.exists()


def test_nothing_is_claimed_while_the_disk_is_full(acme: Organization, editor: User, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_queued(editor, acme)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: Usage(100, 100, 0))
        worker.run_next()
    job.refresh_from_db()
    assert (job.status, job.attempt, job.faults) == ("queued", 0, 0)
    assert jobs.claim("w")


def test_nobody_sets_their_own_organization_s_limits(staff_client_of: Any, acme: Organization, admin: User) -> None:
    url = f"/admin/tasks/organization/{acme.pk}/change/"
    staff_client_of(admin).post(url, {"name": "Acme", "timezone": "UTC", "rows_a_day": "999", "max_running": "99", "file_days": "9", "kept_mb": "9"})
    acme.refresh_from_db()
    assert (acme.rows_a_day, acme.max_running, acme.file_days, acme.kept_mb) == (None,) * 4
    admin.is_superuser = True
    admin.save()
    values = {"name": "Acme", "slug": "acme", "timezone": "UTC", "rows_a_day": "999", "max_running": "99", "file_days": "9", "kept_mb": "0"}
    assert staff_client_of(admin).post(url, {**values, "max_running": "0"}).status_code == 200  # refused
    assert staff_client_of(admin).post(url, values).status_code == 302
    acme.refresh_from_db()
    assert (acme.rows_a_day, acme.max_running, acme.file_days, acme.kept_mb) == (999, 99, 9, 0)
