"""Direct exports: what a platform's owner may stream, and what becomes of the job when the reader goes."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import http.client
import io
import json
import socket
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.db.models.functions import Now
from rest_framework.test import APIClient

from exports import storage
from exports.models import ExportFile, ExportJob, JobAttempt
from exports.services import direct, jobs, receipts
from taskexport import processes
from tasks.models import Organization, Platform, Task, User
from tests.api import JOBS, content, make_job, snapshot
from tests.fixtures import PASSWORD
from tests.making import grow_tasks, make_tasks

ClientOf = Callable[[User], APIClient]
DIRECT = f"{JOBS}/direct-csv"


def asked(org_id: Any = "all", **changes: Any) -> dict[str, Any]:
    """The source's example request, over everything."""
    return {
        "org_id": str(org_id),
        "org_name": "My Organization",
        "name": "My Task Export",
        "creation_start_date": "2000-01-01T00:00:00Z",
        "creation_end_date": "2090-01-31T23:59:59Z",
    } | changes


def titles(data: bytes) -> list[str]:
    return sorted(row["title"] for row in csv.DictReader(io.StringIO(data.decode(), newline="")))


@pytest.fixture
def tasks(acme: Organization, globex: Organization) -> None:
    """Two tasks of acme, one of globex, and one of an organization of nobody's platform."""
    stranger = Organization.objects.create(slug="stranger", name="Stranger", platform=Platform.objects.create(name="Other"))
    for organization, title in ((acme, "a1"), (acme, "a2"), (globex, "g1"), (stranger, "s1")):
        Task.objects.create(organization=organization, title=title)


# -- What is in it -------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_a_direct_export_is_a_csv_of_the_owners_organizations_and_a_job(
    client_of: ClientOf, owner: User, acme: Organization, globex: Organization, platform: Platform, tasks: None
) -> None:
    client = client_of(owner)
    empty = Platform.objects.create(name="Empty")
    empty.owners.add(owner)
    for org_id, platform_id, expected in (
        ("all", None, ["a1", "a2", "g1"]),
        ("all", platform.pk, ["a1", "a2", "g1"]),
        ("all", empty.pk, []),
        (acme.uuid, None, ["a1", "a2"]),
        (globex.pk, platform.pk, ["g1"]),
    ):
        response = client.post(DIRECT, asked(org_id, **({"platform_id": str(platform_id)} if platform_id else {})))
        assert (response.status_code, response["Content-Type"]) == (200, "text/csv; charset=utf-8")
        job_id = response["X-Export-Job"]
        assert response["Content-Disposition"] == f'attachment; filename="{job_id}-task-export.csv"'
        assert (response["Cache-Control"], response["X-Content-Type-Options"]) == ("private, no-store", "nosniff")
        data = content(response)
        assert titles(data) == expected
        job = client.get(f"{JOBS}/{job_id}").json()["job"]
        assert (job["status"], job["trigger"], job["runner"], job["type"], job["attempt"]) == ("done", "direct", "web", "basic", 1)
        assert job["org_id"] == ("all" if org_id == "all" else str(Organization.objects.get(slug={"a": "acme", "g": "globex"}[expected[0][0]]).uuid))
        assert (job["file"]["rows"], job["file"]["size"]) == (len(expected), len(data))
        assert job["file"]["sha256"] == hashlib.sha256(data).hexdigest()
        assert job["result"] == {"error": "", "download_url": ""}
        refusal = client.get(f"{JOBS}/{job_id}/download")
        assert (refusal.status_code, refusal.json()["error_code"]) == (410, "file_not_kept")
    listed = client.get(JOBS).json()
    assert listed["meta"]["total"] == 5
    assert [each["org_id"] for each in listed["jobs"][2:]] == ["all"] * 3
    assert not django_settings.FILES_ROOT.exists() or not list(django_settings.FILES_ROOT.rglob(f"{job_id}*"))


@pytest.mark.django_db(transaction=True)
def test_the_receipt_of_a_direct_export_verifies_what_was_received(
    client_of: ClientOf, owner: User, acme: Organization, globex: Organization, tasks: None, tmp_path: Path
) -> None:
    client = client_of(owner)
    response = client.post(DIRECT, asked())
    (tmp_path / "received.csv").write_bytes(content(response))
    signed = client.get(f"{JOBS}/{response['X-Export-Job']}/receipt").json()
    assert receipts.verify(tmp_path / "received.csv", signed) == []
    assert signed["receipt"]["organizations"] == [str(acme.uuid), str(globex.uuid)]
    (tmp_path / "received.csv").write_bytes(b"id\n")
    assert receipts.verify(tmp_path / "received.csv", signed)


@pytest.mark.django_db(transaction=True)
def test_both_dates_bound_the_rows(client_of: ClientOf, owner: User, acme: Organization) -> None:
    for moment in ("2023-12-31T23:59:59.9Z", "2024-01-01T00:00:00Z", "2024-01-31T23:59:59.5Z", "2024-02-01T00:00:00Z"):
        Task.objects.create(organization=acme, title=moment, created_at=moment)
    body = asked(acme.uuid, creation_start_date="2024-01-01T00:00:00Z", creation_end_date="2024-01-31T23:59:59Z")
    assert titles(content(client_of(owner).post(DIRECT, body))) == ["2024-01-01T00:00:00Z", "2024-01-31T23:59:59.5Z"]


# -- Who may -------------------------------------------------------------------------------------------------------
@pytest.mark.django_db
@pytest.mark.parametrize("role", ["outsider", "viewer", "editor", "admin"])
def test_only_a_platform_owner_may(request: pytest.FixtureRequest, client_of: ClientOf, acme: Organization, globex: Organization, role: str) -> None:
    client = client_of(request.getfixturevalue(role))
    for org_id in ("all", acme.uuid, globex.uuid, "nothing"):
        assert client.post(DIRECT, asked(org_id)).status_code == 403
    assert not ExportJob.objects.exists()


@pytest.mark.django_db
def test_an_owner_gets_no_further_than_the_platforms_of_their_own(
    client_of: ClientOf, owner: User, admin: User, acme: Organization, tasks: None, platform: Platform
) -> None:
    stranger = Organization.objects.get(slug="stranger")
    client = client_of(owner)
    other = Platform.objects.get(name="Other")
    for body, status in (
        (asked(stranger.uuid), 404),
        (asked(stranger.pk), 404),
        (asked("nothing"), 404),
        (asked(platform_id=str(other.pk)), 403),
        (asked(acme.uuid, platform_id=str(other.pk)), 403),
        (asked(stranger.uuid, platform_id=str(other.pk)), 403),
        (asked(platform_id="platform-123"), 403),
        (asked(platform_id="999999999999999999999999"), 403),
        (asked(stranger.uuid, platform_id=str(platform.pk)), 404),
    ):
        assert client.post(DIRECT, body).status_code == status, body
    # An owner of one platform who is a member elsewhere exports only what the platform has.
    other.owners.add(admin)
    response = client_of(admin).post(DIRECT, asked(acme.uuid))
    assert (response.status_code, response.json()["error_code"]) == (403, "forbidden")
    response = client_of(admin).post(DIRECT, asked(acme.uuid, platform_id=str(other.pk)))
    assert (response.status_code, response.json()["field_errors"][0]["field"]) == (400, "platform_id")
    assert not ExportJob.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("field", ["org_id", "org_name", "name", "creation_start_date", "creation_end_date"])
def test_each_field_but_the_platform_is_required(client_of: ClientOf, owner: User, acme: Organization, field: str) -> None:
    body = asked(acme.uuid)
    del body[field]
    for wrong in (body, {**body, field: 5}, {**body, field: ""}):
        found = client_of(owner).post(DIRECT, wrong)
        assert (found.status_code, [each["field"] for each in found.json()["field_errors"]]) == (400, [field])
    for more in ({"type": "basic"}, {"platform_id": ""}, {"platform_id": 1}, {"creation_end_date": "1999-01-01"}):
        assert client_of(owner).post(DIRECT, asked(acme.uuid, **more)).status_code == 400
    assert not ExportJob.objects.exists()


@pytest.mark.django_db
def test_who_sees_a_direct_job(client_of: ClientOf, owner: User, viewer: User, outsider: User, acme: Organization, platform: Platform) -> None:
    partner = User.objects.create_user("partner@example.com")
    platform.owners.add(partner)
    other = Platform.objects.create(name="Other")
    other.owners.add(owner)
    ids = {}
    for name, body in (("one", asked(acme.uuid)), ("platform", asked(platform_id=str(platform.pk))), ("all", asked())):
        ids[name] = client_of(owner).post(DIRECT, body)
        content(ids[name])
    seen = {
        user.email: {name for name, response in ids.items() if client_of(user).get(f"{JOBS}/{response['X-Export-Job']}").status_code == 200}
        for user in (owner, partner, viewer, outsider)
    }
    assert seen == {
        "owner@example.com": {"one", "platform", "all"},
        "partner@example.com": {"one", "platform"},  # the last is over a platform that is not theirs, too
        "viewer@example.com": {"one"},
        "outsider@example.com": set(),
    }
    platform.owners.remove(owner)
    other.owners.remove(owner)
    assert client_of(owner).get(JOBS).json()["jobs"] == []


@pytest.mark.django_db
def test_a_direct_job_is_not_queued_again(client_of: ClientOf, owner: User, admin: User, acme: Organization) -> None:
    response = client_of(owner).post(DIRECT, asked(acme.uuid))
    content(response)
    job = ExportJob.objects.get()
    path = f"{JOBS}/{job.pk}"
    ExportJob.objects.update(status="failed")
    before = snapshot(job)
    for verb in ("retry", "again"):
        found = client_of(admin).post(f"{path}/{verb}")
        assert (found.status_code, found.json()["error_code"]) == (409, "runs_in_request")
    assert client_of(admin).post(f"{path}/in-progress").json()["error_code"] == "runs_here"
    assert snapshot(job) == before


# -- Its end -------------------------------------------------------------------------------------------------------
def begin(owner: User, acme: Organization) -> direct.Stream:
    return direct.begin(owner, asked(acme.pk), lambda: None)


@pytest.mark.django_db(transaction=True)
def test_a_reader_who_goes_ends_the_job_at_once(owner: User, acme: Organization) -> None:
    make_tasks(acme, 3000)
    for read in (0, 1, 2):
        stream = begin(owner, acme)
        for _ in range(read):
            next(stream)
        assert ExportJob.objects.get(pk=stream.job_id).status == "in progress"
        stream.close()
        stream.close()
        job = ExportJob.objects.get(pk=stream.job_id)
        assert (job.status, job.error_code, job.attempts.get().outcome) == ("failed", "client_gone", "client_gone")
    assert not ExportFile.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("fault", ["cancelled", "database"])
def test_a_stream_that_breaks_never_looks_whole(owner: User, acme: Organization, fault: str) -> None:
    make_tasks(acme, 3000)
    Task.objects.update(title="t" * 500)  # more than a block, so that there is something to break off
    stream = begin(owner, acme)
    next(stream)  # the header
    next(stream)
    job = ExportJob.objects.get()
    if fault == "cancelled":
        assert jobs.may_change(owner, job)
        jobs.cancel(owner, job)
    else:
        snapshot_: Any = stream._pulse.snapshot
        snapshot_.close()
    with pytest.raises(direct.BrokenOff):
        list(stream)
    stream.close()
    job.refresh_from_db()
    assert job.status == ("cancelled" if fault == "cancelled" else "failed")
    assert job.error_code
    assert not ExportFile.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_reader_who_is_silent_for_a_lease_is_gone(owner: User, acme: Organization) -> None:
    make_tasks(acme, 3000)
    stream = begin(owner, acme)
    next(stream)
    assert jobs.reap() == 0
    JobAttempt.objects.update(beat_at=Now() - timedelta(seconds=django_settings.LEASE_SECONDS + 1))
    assert jobs.reap() == 1
    job = ExportJob.objects.get()
    assert (job.status, job.error_code) == ("failed", "client_gone")
    with pytest.raises(direct.BrokenOff):
        list(stream)
    job.refresh_from_db()
    assert (job.status, job.error_code) == ("failed", "client_gone")


@pytest.mark.django_db(transaction=True)
def test_only_so_many_run_at_once(client_of: ClientOf, owner: User, acme: Organization, platform: Platform, settings: Any) -> None:
    make_tasks(acme, 3)
    settings.DIRECT_RUNNING, settings.DIRECT_RUNNING_USER = 3, 2
    partner = User.objects.create_user("partner@example.com")
    platform.owners.add(partner)
    make_job(acme, owner, "in progress")  # others do not count
    streams = [begin(owner, acme), begin(owner, acme)]
    for user, fits in ((owner, False), (partner, True), (partner, False)):
        if fits:
            streams.append(begin(user, acme))
            continue
        response = client_of(user).post(DIRECT, asked(acme.pk))
        assert (response.status_code, response.json()["error_code"]) == (429, "too_many_direct")
        assert int(response["Retry-After"]) > 0
    assert ExportJob.objects.filter(runner="web").count() == 3
    for stream in streams:
        stream.close()
    assert client_of(owner).post(DIRECT, asked(acme.pk)).status_code == 200


# -- On the real server --------------------------------------------------------------------------------------------
class Reader:
    """A client that reads as much as it likes: its window is small, so the server waits for it."""

    def __init__(self, port: int, token: str, body: dict[str, Any]) -> None:
        self.connection = http.client.HTTPConnection(processes.HOST, port, timeout=30)
        self.connection.sock = socket.socket()
        self.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.connection.sock.settimeout(30)
        self.connection.sock.connect((processes.HOST, port))
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.connection.request("POST", DIRECT, json.dumps(body), headers)
        self.response = self.connection.getresponse()
        self.job_id = self.response.headers.get("X-Export-Job", "")

    @property
    def job(self) -> ExportJob:
        return ExportJob.objects.get(pk=self.job_id)

    def close(self) -> None:
        self.response.close()
        self.connection.close()


def wait_for(what: Callable[[], Any], seconds: float = 20) -> bool:
    until = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def snapshots_left() -> int:
    """How many connections still hold a transaction open."""
    if connection.vendor != "postgresql":
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()"
        )
        return int(cursor.fetchone()[0])


@contextlib.contextmanager
def web(port: int, env: dict[str, str]) -> Iterator[None]:
    process = processes.start(processes._web_command(port), env, Path(django_settings.VAR) / "log" / "direct.log")
    try:
        assert wait_for(lambda: process.poll() is not None or processes._answers(port), 60)
        yield
    finally:
        processes.stop(process)


@pytest.mark.serial
@pytest.mark.django_db(transaction=True)
def test_on_the_real_server(process_env: dict[str, str], owner: User, acme: Organization) -> None:
    make_tasks(acme, 20)
    Task.objects.update(title="t" * 500)
    total = grow_tasks(acme, 11)
    port = processes.free_port()
    with web(port, {**process_env, "DIRECT_RUNNING_USER": "2"}):
        login = http.client.HTTPConnection(processes.HOST, port, timeout=30)
        login.request("POST", "/api/token", json.dumps({"email": owner.email, "password": PASSWORD}), {"Content-Type": "application/json"})
        token = json.loads(login.getresponse().read())["access"]

        # The first bytes come while the rest is not yet read; the whole is what the receipt says.
        reader = Reader(port, token, asked())
        assert (reader.response.status, reader.response.headers["Transfer-Encoding"]) == (200, "chunked")
        data = reader.response.read(1000)
        assert reader.job.status == "in progress"
        data += reader.response.read()
        assert wait_for(lambda: reader.job.status == "done")
        assert data.count(b"\n") == total + 1
        file = reader.job.file
        assert (file.rows, file.size, file.sha256) == (total, len(data), hashlib.sha256(data).hexdigest())
        reader.close()

        # A reader who goes half way.
        reader = Reader(port, token, asked())
        reader.response.read(200_000)
        assert reader.job.status == "in progress"
        reader.close()
        assert wait_for(lambda: reader.job.status == "failed", 10)
        assert reader.job.error_code == "client_gone"
        assert wait_for(lambda: snapshots_left() == 0, 5)

        # Readers who take nothing more keep their places, and lose them with their leases; they see a broken transfer.
        silent = [Reader(port, token, asked()) for _ in range(2)]
        refused = Reader(port, token, asked())
        assert (refused.response.status, int(refused.response.headers["Retry-After"])) == (429, 10)
        refused.close()
        lapsed = JobAttempt.objects.filter(job=silent[0].job)
        assert wait_for(lambda: lapsed.get().rows_done > 0)  # it has sent what the sockets hold
        assert wait_for(lambda: lapsed.update(beat_at=Now() - timedelta(seconds=django_settings.LEASE_SECONDS + 1)) and jobs.reap())
        jobs.cancel(owner, silent[1].job)
        for reader in silent:
            with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                reader.response.read()
            reader.close()
        assert [reader.job.status for reader in silent] == ["failed", "cancelled"]
        assert wait_for(lambda: snapshots_left() == 0, 5)
        assert ExportFile.objects.count() == 1
        reader = Reader(port, token, asked())
        assert reader.response.status == 200
        assert reader.response.read().count(b"\n") == total + 1
        reader.close()
    assert not list(storage.spool_path("x").parent.iterdir())
