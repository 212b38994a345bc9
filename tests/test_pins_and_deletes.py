"""A file kept past its expiry, and a job that is taken away while its audit stays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from rest_framework.test import APIClient

from exports.models import Download, ExportFile, ExportIssue, ExportJob, JobAttempt
from exports.services import retention, upkeep
from exports.states import JobStatus
from tasks.models import Organization, User
from tests.api import JOBS, at_once, content, make_job, snapshot

ClientOf = Callable[[User], APIClient]
pytestmark = pytest.mark.django_db


@pytest.fixture
def job(acme: Organization, editor: User) -> ExportJob:
    """The editor's done job, with a file."""
    return make_job(acme, editor, JobStatus.DONE)


def path(job: ExportJob, what: str = "") -> str:
    return f"{JOBS}/{job.pk}" + (f"/{what}" if what else "")


def code(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error_code"]


def expire(job: ExportJob) -> None:
    ExportFile.objects.filter(job=job).update(expires_at=datetime.now(UTC) - timedelta(days=1))


# -- Pins ----------------------------------------------------------------------------------------------------------
def test_a_pinned_file_outlives_its_expiry(client_of: ClientOf, editor: User, job: ExportJob) -> None:
    client = client_of(editor)
    pinned = client.put(path(job, "pin"), {"version_rev": job.version_rev}).json()["job"]
    assert (pinned["file"]["pinned"], pinned["version_seq"], pinned["status"]) == (True, 1, "done")
    assert client.put(path(job, "pin")).json()["job"]["version_rev"] == pinned["version_rev"]  # pinned is pinned
    expire(job)
    assert content(client.get(path(job, "download")))
    link = client.get(path(job)).json()["job"]["result"]["download_url"].removeprefix("http://testserver")
    assert Client().get(link).status_code == 200
    unpinned = client.delete(path(job, "pin")).json()["job"]
    assert (unpinned["file"]["pinned"], unpinned["version_seq"], unpinned["result"]["download_url"]) == (False, 2, "")
    assert code(client.get(path(job, "download"))) == (410, "file_expired")
    assert Client().get(link).status_code == 410
    assert code(client.put(path(job, "pin"))) == (410, "file_expired")
    assert [event["kind"] for event in client.get(path(job, "events")).json()["events"]] == ["created", "pinned", "unpinned"]


def test_a_stale_pin_changes_nothing(client_of: ClientOf, editor: User, job: ExportJob) -> None:
    client, before = client_of(editor), snapshot(job)
    for method in (client.put, client.delete):
        assert code(method(path(job, "pin"), {"version_rev": "0-xxxxxxxx"})) == (409, "stale_version")
        assert code(method(path(job, "pin"), headers={"If-Match": '"0-xxxxxxxx"'})) == (412, "stale_etag")
        assert method(path(job, "pin"), {"pinned": True}).status_code == 400
    assert (snapshot(job), ExportFile.objects.get().pinned) == (before, False)


@pytest.mark.parametrize("status", sorted(set(JobStatus.values) - {"done"}))
def test_only_a_done_job_is_pinned(client_of: ClientOf, editor: User, acme: Organization, status: str) -> None:
    job = make_job(acme, editor, status)
    before = snapshot(job)
    assert code(client_of(editor).put(path(job, "pin"))) == (409, "not_done")
    assert snapshot(job) == before


def test_another_editor_may_not_pin(client_of: ClientOf, editor: User, admin: User, acme: Organization) -> None:
    job = make_job(acme, admin, JobStatus.DONE)
    before = snapshot(job)
    assert code(client_of(editor).put(path(job, "pin"))) == (403, "forbidden")
    assert snapshot(job) == before


# -- Deletes -------------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_a_deleted_job_is_gone_for_everybody_and_its_audit_stays(client_of: ClientOf, admin: User, editor: User, job: ExportJob) -> None:
    client = client_of(admin)
    content(client_of(editor).get(path(job, "download")))
    link = client.get(path(job)).json()["job"]["result"]["download_url"].removeprefix("http://testserver")
    ExportIssue.objects.create(job=job, row_id=1, column="title", reason="too_long", text="canary")
    client.put(path(job, "pin"))
    stored = settings.FILES_ROOT / job.file.key
    assert stored.exists()
    response = client.delete(path(job), {"version_rev": ExportJob.objects.get().version_rev})
    assert (response.status_code, response.content) == (204, b"")
    assert not stored.exists()
    assert not ExportIssue.objects.exists()
    for user in (admin, editor):
        assert client_of(user).get(JOBS).json()["meta"]["total"] == 0
        for what in ("", "events", "receipt", "download", "downloads", "issues"):
            assert client_of(user).get(path(job, what)).status_code == 404
        for verb in ("start", "retry", "cancel", "again"):
            assert client_of(user).post(path(job, verb)).status_code == 404
    assert client.delete(path(job)).status_code == 404
    assert Client().get(link).status_code == 410
    kept = ExportJob.objects.get()
    assert (kept.status, kept.deleted_at is not None, kept.file.deleted_at is not None, kept.file.pinned) == ("done", True, True, False)
    last = kept.events.order_by("-pk")[0]
    assert (last.kind, last.actor) == ("deleted", admin)
    assert Download.objects.filter(file=kept.file).count() == 1
    assert kept.file.sha256


@pytest.mark.django_db(transaction=True)
def test_a_file_that_the_storage_would_not_delete_is_swept(client_of: ClientOf, admin: User, job: ExportJob, monkeypatch: pytest.MonkeyPatch) -> None:
    token = job.file.key.split("/")[3].partition("-")[2]
    JobAttempt.objects.create(job=job, number=1, token=token, worker="w", outcome="done")
    stored = settings.FILES_ROOT / job.file.key

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.unlink", refuse)
        assert client_of(admin).delete(path(job)).status_code == 204
    assert stored.exists()
    assert upkeep.sweep() == 1
    assert not stored.exists()


@pytest.mark.parametrize("status", ["new", "queued", "in progress"])
def test_a_job_that_has_not_ended_is_not_deleted(client_of: ClientOf, admin: User, acme: Organization, status: str) -> None:
    job = make_job(acme, admin, status)
    before = snapshot(job)
    response = client_of(admin).delete(path(job))
    assert code(response) == (409, "wrong_status")
    assert status in response.json()["message"]
    assert snapshot(job) == before


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_an_ended_job_without_a_file_is_deleted(client_of: ClientOf, admin: User, acme: Organization, status: str) -> None:
    job = make_job(acme, admin, status)
    assert client_of(admin).delete(path(job)).status_code == 204
    assert client_of(admin).get(path(job)).status_code == 404


@pytest.mark.parametrize(("role", "status"), [("outsider", 404), ("viewer", 403), ("editor", 403), ("owner", 403)])
def test_only_an_admin_deletes(request: pytest.FixtureRequest, client_of: ClientOf, job: ExportJob, role: str, status: int) -> None:
    before = snapshot(job)
    assert client_of(request.getfixturevalue(role)).delete(path(job)).status_code == status
    assert snapshot(job) == before
    assert (settings.FILES_ROOT / job.file.key).exists()


def test_a_stale_delete_changes_nothing(client_of: ClientOf, admin: User, job: ExportJob) -> None:
    client, before = client_of(admin), snapshot(job)
    assert code(client.delete(path(job), {"version_rev": "0-xxxxxxxx"})) == (409, "stale_version")
    assert code(client.delete(path(job), headers={"If-Match": '"0-xxxxxxxx"'})) == (412, "stale_etag")
    assert snapshot(job) == before
    assert (settings.FILES_ROOT / job.file.key).exists()


@pytest.mark.django_db(transaction=True)
def test_who_pins_deletes_and_expires_at_once_never_waits_for_another_for_ever(admin: User, acme: Organization) -> None:
    """Whoever is last is told so; PostgreSQL would end one of two that lock the job and its file the other way round."""

    def act(number: int) -> int:
        client = APIClient()
        client.force_authenticate(admin)
        if number == 0:
            retention.expire()
            return 0
        return int((client.put(f"{target}/pin") if number == 1 else client.delete(target if number == 2 else forced)).status_code)

    for _ in range(12):
        job = make_job(acme, admin, JobStatus.DONE)
        target, forced = path(job), f"/api/v2/task/delete/{job.operation.pk}?force=true"
        expire(job)
        assert set(at_once(4, act)) <= {0, 200, 204, 404, 409, 410}
