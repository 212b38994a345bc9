"""External runners: claim, beat, bring the file or say why there is none; what is refused leaves the job as it was."""

from __future__ import annotations

import io
import json
import os
import struct
import time
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db.models.functions import Now
from django.test.client import encode_multipart
from django_q.models import OrmQ
from rest_framework.test import APIClient

from exports import storage, worker
from exports.models import ExportFile, ExportJob, JobAttempt
from exports.services import jobs, litter, receipts, uploads
from tasks.models import Member, Organization, User
from tests.api import JOBS, at_once, content, snapshot, wish, zipped

ClientOf = Callable[[User], APIClient]
pytestmark = pytest.mark.django_db
DONE = {"message": "successfully update status to done"}
FAILED = {"message": "successfully update status to fail"}


@pytest.fixture
def runner(acme: Organization) -> User:
    """Another editor of acme: the external runner."""
    user = User.objects.create_user("runner@example.com", name="Runner", is_service=True)
    Member.objects.create(organization=acme, user=user, role="editor", name="Runner")
    return user


def path(job: Any, verb: str = "") -> str:
    return f"{JOBS}/{job['id'] if isinstance(job, dict) else job.pk}" + (f"/{verb}" if verb else "")


def make(client: Any, acme: Organization, status: str = "queued", **changes: Any) -> ExportJob:
    """An external job of this client, moved on by its calls."""
    job = client.post(JOBS, wish(acme, runner="external", **changes)).json()["job"]
    assert job["runner"] == "external"
    for verb in {"new": (), "queued": ("start",), "in progress": ("start", "in-progress")}[status]:
        assert client.post(path(job, verb)).status_code == 200
    return ExportJob.objects.get(pk=job["id"])


def version(rev: str, **more: Any) -> str:
    return json.dumps({"version_rev": rev, **more})


def bring(client: Any, job: Any, data: bytes | None = None, *, name: str = "x.csv.zip", kind: str = "application/zip", **fields: Any) -> Any:
    """The `done` call."""
    method = fields.pop("method", "POST")
    headers = fields.pop("headers", {})
    body = {**fields, "file": SimpleUploadedFile(name, zipped() if data is None else data, content_type=kind)}
    return client.generic(
        method, path(job, "done"), encode_multipart("boundary", body), content_type="multipart/form-data; boundary=boundary", headers=headers
    )


def refused(response: Any, status: int, code: str, field: str | None = None) -> str:
    body = response.json()
    assert (response.status_code, body["error_code"]) == (status, code), body
    if field:
        assert [each["field"] for each in body["field_errors"]] == [field], body
    return str(body["message"])


def no_files() -> bool:
    """Whether nothing lies in the spool, and nothing in the storage but published files."""
    stored = {str(found.relative_to(django_settings.FILES_ROOT)) for found in django_settings.FILES_ROOT.rglob("*") if found.is_file()}
    published = set(ExportFile.objects.values_list("key", flat=True))
    spooled = list(django_settings.SPOOL_ROOT.glob(f"*{uploads.SUFFIX}")) if django_settings.SPOOL_ROOT.exists() else []
    return not spooled and not {key for key in stored if "/" in key and key not in published and _is_of_a_job(key)}


def _is_of_a_job(key: str) -> bool:
    return ExportJob.objects.filter(pk=key.split("/")[2]).exists()


# -- The whole way -------------------------------------------------------------------------------------------------
def test_the_file_that_a_runner_brought_is_verified_by_its_receipt(client_of: ClientOf, editor: User, acme: Organization, tmp_path: Path) -> None:
    client = client_of(editor)
    job = make(client, acme, "in progress")
    assert bring(client, job).json() == DONE
    file, receipt = ExportFile.objects.get(), tmp_path / "receipt.json"
    receipt.write_text(json.dumps(file.receipt))
    said = io.StringIO()
    call_command("verify_export", str(django_settings.FILES_ROOT / file.key), str(receipt), stdout=said)
    assert f"{file.rows:,} rows, {file.size:,} bytes, as brought at 20" in said.getvalue()


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_runner_drives_a_job_from_new_to_done(client_of: ClientOf, editor: User, runner: User, acme: Organization, method: str) -> None:
    people, machine = client_of(editor), client_of(runner)
    job = people.post(JOBS, wish(acme, runner="external")).json()["job"]
    started = people.generic(method, path(job, "start")).json()["job"]
    assert (started["status"], started["queue_position"]) == ("queued", None)
    assert not OrmQ.objects.exists()  # no doorbell for our own workers
    assert jobs.claim("ours") is None
    assert jobs.ring_for_waiting() == 0
    claimed = machine.generic(method, path(job, "in-progress"), version(started["version_rev"]), content_type="application/json")
    claimed = claimed.json()["job"]
    assert (claimed["status"], claimed["attempt"], claimed["version_seq"]) == ("in progress", 1, 2)
    told = machine.post(path(job, "progress"), {"rows_done": 1, "rows_total": 2}).json()["job"]
    assert told["progress"] == {"rows_done": 1, "rows_total": 2, "percent": 50.0}
    assert told["version_rev"] == claimed["version_rev"]  # a beat is no change of the job
    data = zipped('id,title\n1,one\n2,"two\nlines"\n')
    response = bring(machine, job, data, method=method, name=f"{job['id']}-task-export.csv.zip", version_rev=claimed["version_rev"])
    assert (response.status_code, response.json()) == (200, DONE)
    found = people.get(path(job)).json()["job"]
    assert (found["status"], found["result"]["error"], found["progress"]["rows_done"]) == ("done", "", 2)
    assert found["file"]["name"] == f"{job['id']}-task-export.csv.zip"
    assert (found["file"]["size"], found["file"]["rows"]) == (len(data), 2)
    assert content(people.get(path(job, "download"))) == data
    assert content(APIClient().get(found["result"]["download_url"].removeprefix("http://testserver"))) == data
    events = people.get(path(job, "events")).json()["events"]
    assert [(each["kind"], each["attempt"], each["actor"]["name"]) for each in events] == [
        ("created", 0, "Editor"),
        ("started", 0, "Editor"),
        ("claimed", 1, "Runner"),
        ("done", 1, "Runner"),
    ]
    assert no_files()


@pytest.mark.parametrize("header", ["id,a,b,c", '\ufeff"the\nid",a'])
def test_the_receipt_of_an_uploaded_file_verifies(client_of: ClientOf, editor: User, acme: Organization, header: str) -> None:
    client = client_of(editor)
    job = make(client, acme, "in progress")
    bring(client, job, zipped(f'{header}\n"1\n2",é\n\n3,4\n'), name="theirs.csv.zip")
    signed = client.get(path(job, "receipt")).json()
    file = ExportFile.objects.get()
    assert signed["receipt"]["uploaded"]["name"] == "theirs.csv.zip"
    assert (signed["receipt"]["rows_written"], signed["receipt"]["sha256"]) == (2, file.sha256)
    assert receipts.verify(django_settings.FILES_ROOT / file.key, signed) == []


def test_a_claim_again_after_a_retry_is_another_attempt(client_of: ClientOf, editor: User, acme: Organization) -> None:
    client = client_of(editor)
    job = make(client, acme, "in progress")
    assert client.post(path(job, "failed"), {"error": "no disk"}).json() == FAILED
    assert client.post(path(job, "retry")).json()["job"]["status"] == "queued"
    assert not OrmQ.objects.exists()
    assert client.post(path(job, "in-progress")).json()["job"]["attempt"] == 2
    assert bring(client, job).status_code == 200
    assert list(job.attempts.values_list("number", "outcome")) == [(1, "reported_failed"), (2, "done")]
    twin = client.post(path(job, "again")).json()["job"]
    assert (twin["status"], twin["runner"]) == ("new", "external")


# -- Failing -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("status", ["new", "queued", "in progress"])
def test_a_job_that_has_not_ended_may_be_failed(client_of: ClientOf, editor: User, acme: Organization, status: str, method: str) -> None:
    client = client_of(editor)
    job = make(client, acme, status)
    body = version(job.version_rev, error="An error occurred")
    response = client.generic(method, path(job, "failed"), body, content_type="application/json")
    assert (response.status_code, response.json()) == (200, FAILED)
    found = client.get(path(job)).json()["job"]
    assert (found["status"], found["result"]) == ("failed", {"error": "An error occurred", "download_url": ""})
    refused(client.post(path(job, "failed"), {"error": "again"}), 409, "wrong_status")
    assert client.get(path(job)).json()["job"]["result"]["error"] == "An error occurred"


def test_an_internal_job_may_be_failed_by_who_may_change_it(client_of: ClientOf, editor: User, runner: User, acme: Organization) -> None:
    job = client_of(editor).post(JOBS, wish(acme)).json()["job"]
    refused(client_of(runner).post(path(job, "failed"), {"error": "x"}), 403, "forbidden")
    assert client_of(editor).post(path(job, "failed"), {}).json() == FAILED
    assert client_of(editor).get(path(job)).json()["job"]["result"]["error"] != ""


# -- Refusals that leave the job as it was -------------------------------------------------------------------------
def encrypted() -> bytes:
    data = bytearray(zipped())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.index(signature) + at
        data[place] |= 1
    return bytes(data)


def several() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.csv", "id\n1\n")
        archive.writestr("b.csv", "id\n1\n")
    return buffer.getvalue()


def damaged() -> bytes:
    data = bytearray(zipped("id\n" + "1\n" * 10_000))
    data[60] ^= 0xFF
    return bytes(data)


def link() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        member = zipfile.ZipInfo("x.csv")
        member.external_attr = 0o120777 << 16
        archive.writestr(member, "/etc/passwd")
    return buffer.getvalue()


def other_method() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("x.csv", "id\n1\n")
    return buffer.getvalue()


def pointing_before_itself() -> bytes:
    """A zip whose directory is said to lie further behind than it does, and so its member before the file's start."""
    data = bytearray(zipped())
    place = data.rindex(b"PK\x05\x06") + 16
    data[place : place + 4] = struct.pack("<L", struct.unpack_from("<L", data, place)[0] + 100)
    return bytes(data)


def wide_directory() -> bytes:
    """A zip that says that its directory is 3 MB: zipfile would read all of it at once."""
    data = zipped()
    end = data.rindex(b"PK\x05\x06")
    head = data[:end] + b"\0" * 3_000_000
    return head + b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 1, 1, 3_000_000 + end - data.index(b"PK\x01\x02"), data.index(b"PK\x01\x02"), 0)


WRONG_FILES: dict[str, tuple[dict[str, Any], int, str]] = {
    "empty": ({"data": b""}, 400, "invalid"),
    "no zip": ({"data": b"id,title\n1,one\n"}, 400, "invalid"),
    "cut off": ({"data": zipped()[:-30]}, 400, "invalid"),
    "damaged": ({"data": damaged()}, 400, "invalid"),
    "two members": ({"data": several()}, 400, "invalid"),
    "no members": ({"data": b"PK\x05\x06" + b"\0" * 18}, 400, "invalid"),
    "no csv in it": ({"data": zipped(name="tasks.txt")}, 400, "invalid"),
    "a folder": ({"data": zipped("", name="tasks.csv/")}, 400, "invalid"),
    "absolute": ({"data": zipped(name="/tasks.csv")}, 400, "invalid"),
    "a drive": ({"data": zipped(name="C:\\tasks.csv")}, 400, "invalid"),
    "upwards": ({"data": zipped(name="a/../../tasks.csv")}, 400, "invalid"),
    "upwards by backslash": ({"data": zipped(name="a\\..\\tasks.csv")}, 400, "invalid"),
    "a link": ({"data": link()}, 400, "invalid"),
    "encrypted": ({"data": encrypted()}, 400, "invalid"),
    "packed otherwise": ({"data": other_method()}, 400, "invalid"),
    "a member before the start": ({"data": pointing_before_itself()}, 400, "invalid"),
    "a wide directory": ({"data": wide_directory()}, 400, "invalid"),
    "a bomb": ({"data": zipped("0" * 40_000_000)}, 400, "invalid"),
    "a quote without end": ({"data": zipped('"' + "a,1234567890\n" * 2_000_000)}, 400, "invalid"),
    "another name": ({"name": "x.zip"}, 400, "invalid"),
    "another type": ({"kind": "application/octet-stream"}, 415, "unsupported_media_type"),
    "csv": ({"kind": "text/csv", "name": "x.csv", "data": b"id\n1\n"}, 415, "unsupported_media_type"),
    "too large": ({"data": b"x" * (4 * 1024 * 1024 + 1)}, 413, "too_large"),
    "too large by its headers": ({"data": b"x" * (4 * 1024 * 1024 + 200_000)}, 413, "too_large"),
    "too large unpacked": ({"data": zipped("id,title\n" + "".join(f"{n},{n * 7919}\n" for n in range(180_000)))}, 413, "too_large"),
    "stale": ({"version_rev": "0-xxxxxxxx"}, 409, "stale_version"),
    "an unknown field": ({"status": "done"}, 400, "invalid"),
    "an empty version": ({"version_rev": ""}, 400, "invalid"),
    "two versions": ({"version_rev": ["a", "b"]}, 400, "invalid"),
}


def test_what_is_no_file_is_refused_and_the_job_stays(client_of: ClientOf, editor: User, acme: Organization, settings: Any) -> None:
    settings.UPLOAD_MB, settings.UPLOAD_UNPACKED_MB = 4, 2
    client = client_of(editor)
    job = make(client, acme, "in progress")
    before = snapshot(job)
    for name, (what, status, code) in WRONG_FILES.items():
        if name in {"a bomb", "a quote without end"}:
            settings.UPLOAD_UNPACKED_MB = 64
        response = bring(client, job, **what)
        assert (response.status_code, response.json()["error_code"]) == (status, code), (name, response.json())
        assert snapshot(job) == before, name
        settings.UPLOAD_UNPACKED_MB = 2
    assert not ExportFile.objects.exists()
    assert list(job.attempts.values_list("outcome", flat=True)) == [""]
    assert no_files()
    assert bring(client, job).json() == DONE


@pytest.mark.parametrize(
    ("kind", "body", "status", "code"),
    [
        ("application/json", b"{}", 415, "unsupported_media_type"),
        ("application/zip", b"PK", 415, "unsupported_media_type"),
        ("multipart/form-data", b"x", 400, "parse_error"),
        ("multipart/form-data; boundary=b", b"", 400, "invalid"),
        ("multipart/form-data; boundary=b", b"--b--\r\n", 400, "invalid"),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nPK\r\n--b--\r\n', 400, "invalid"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="other"; filename="x.csv.zip"\r\nContent-Type: application/zip\r\n\r\nPK\r\n--b--\r\n',
            400,
            "invalid",
        ),
        (
            "multipart/form-data; boundary=b",
            2 * b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.csv.zip"\r\nContent-Type: application/zip\r\n\r\nPK\r\n'
            + b"--b--\r\n",
            400,
            "invalid",
        ),
    ],
)
def test_a_body_of_another_form_is_refused(
    client_of: ClientOf, editor: User, acme: Organization, kind: str, body: Any, status: int, code: str
) -> None:
    client = client_of(editor)
    job = make(client, acme, "in progress")
    before = snapshot(job)
    for method in ("POST", "PUT"):
        refused(client.generic(method, path(job, "done"), body, content_type=kind), status, code)
    assert snapshot(job) == before
    assert no_files()


@pytest.mark.parametrize("status", ["new", "queued", "in progress", "done", "failed", "cancelled"])
def test_each_call_is_heard_in_its_statuses_alone(client_of: ClientOf, editor: User, acme: Organization, status: str) -> None:
    client = client_of(editor)
    job = make(client, acme, "in progress")
    JobAttempt.objects.filter(job=job).update(outcome="" if status == "in progress" else "x")
    ExportJob.objects.filter(pk=job.pk).update(status=status)
    before = snapshot(job)
    calls: dict[str, tuple[str, Callable[[], Any]]] = {
        "in-progress": ("queued", lambda: client.post(path(job, "in-progress"))),
        "progress": ("in progress", lambda: client.post(path(job, "progress"), {"rows_done": 1})),
        "done": ("in progress", lambda: bring(client, job)),
    }
    for allowed, call in calls.values():
        if allowed != status:
            assert status in refused(call(), 409, "wrong_status")
    assert snapshot(job) == before


def test_a_job_of_our_own_workers_is_409_runs_here(client_of: ClientOf, editor: User, acme: Organization) -> None:
    client = client_of(editor)
    job = client.post(JOBS, wish(acme)).json()["job"]
    for status in ("queued", "in progress"):
        ExportJob.objects.filter(pk=job["id"]).update(status=status, queued_at=Now())
        before = snapshot(ExportJob.objects.get())
        refused(client.post(path(job, "in-progress")), 409, "runs_here")
        refused(client.put(path(job, "in-progress")), 409, "runs_here")
        refused(client.post(path(job, "progress"), {"rows_done": 1}), 409, "runs_here")
        refused(bring(client, job), 409, "runs_here")
        assert snapshot(ExportJob.objects.get()) == before


def test_another_runner_is_refused_and_an_admin_is_not(client_of: ClientOf, editor: User, runner: User, admin: User, acme: Organization) -> None:
    job = make(client_of(editor), acme, "queued")
    assert client_of(runner).post(path(job, "in-progress")).status_code == 200
    before = snapshot(job)
    client = client_of(editor)
    for response in (client.post(path(job, "progress"), {"rows_done": 1}), bring(client, job)):
        refused(response, 403, "forbidden")
    assert snapshot(job) == before
    assert bring(client_of(admin), job).json() == DONE


def test_only_the_runner_or_the_maker_fails_a_claimed_job(client_of: ClientOf, editor: User, runner: User, acme: Organization) -> None:
    other = User.objects.create_user("other@example.com")
    Member.objects.create(organization=acme, user=other, role="editor", name="Other")
    job = make(client_of(editor), acme, "queued")
    client_of(runner).post(path(job, "in-progress"))
    refused(client_of(other).post(path(job, "failed"), {"error": "x"}), 403, "forbidden")
    assert client_of(runner).post(path(job, "failed"), {"error": "x"}).json() == FAILED


@pytest.mark.parametrize(("role", "status"), [("outsider", 404), ("viewer", 403), ("owner", 403)])
def test_who_may_not_act_as_a_runner(
    request: pytest.FixtureRequest, client_of: ClientOf, editor: User, acme: Organization, role: str, status: int
) -> None:
    client = client_of(request.getfixturevalue(role))
    for at in ("queued", "in progress"):
        job = make(client_of(editor), acme, at)
        before = snapshot(job)
        answers = [
            client.post(path(job, "in-progress")),
            client.post(path(job, "progress"), {"rows_done": 1}),
            bring(client, job),
            client.post(path(job, "failed"), {"error": "x"}),
        ]
        assert {answer.status_code for answer in answers} == {status}
        assert snapshot(job) == before


def test_a_maker_who_lost_the_role_has_nothing_exported(client_of: ClientOf, editor: User, runner: User, acme: Organization) -> None:
    job = make(client_of(editor), acme, "queued")
    Member.objects.filter(user=editor).update(role="viewer")
    before = snapshot(job)
    refused(client_of(runner).post(path(job, "in-progress")), 409, "permission_lost")
    assert snapshot(job) == before


@pytest.mark.parametrize("verb", ["in-progress", "progress", "failed", "done"])
def test_a_stale_version_is_409_and_a_stale_if_match_412(client_of: ClientOf, editor: User, acme: Organization, verb: str) -> None:
    client = client_of(editor)
    job = make(client, acme, "queued" if verb == "in-progress" else "in progress")
    before = snapshot(job)
    extra: dict[str, Any] = {"rows_done": 1} if verb == "progress" else {}
    if verb == "done":
        refused(bring(client, job, version_rev="0-xxxxxxxx"), 409, "stale_version")
        refused(bring(client, job, headers={"If-Match": '"0-xxxxxxxx"'}), 412, "stale_etag")
        assert snapshot(job) == before
        assert bring(client, job, headers={"If-Match": client.get(path(job))["ETag"]}).status_code == 200
    else:
        refused(client.post(path(job, verb), {**extra, "version_rev": "0-xxxxxxxx"}), 409, "stale_version")
        refused(client.post(path(job, verb), extra, headers={"If-Match": '"0-xxxxxxxx"'}), 412, "stale_etag")
        assert snapshot(job) == before
        assert client.post(path(job, verb), {**extra, "version_rev": job.version_rev}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [{}, {"rows_done": -1}, {"rows_done": "1"}, {"rows_done": True}, {"rows_done": 1.5}, {"rows_done": 10**30}, {"rows_done": 1, "percent": 5}],
)
def test_progress_that_is_no_number_of_rows_is_400(client_of: ClientOf, editor: User, acme: Organization, body: Any) -> None:
    client = client_of(editor)
    job = make(client, acme, "in progress")
    refused(client.post(path(job, "progress"), body), 400, "invalid")
    assert job.attempts.get().rows_done == 0


@pytest.mark.parametrize("body", [{"error": 5}, {"error": None}, {"error": "x" * 2001}, {"reason": "x"}, []])
def test_a_failure_in_other_words_is_400(client_of: ClientOf, editor: User, acme: Organization, body: Any) -> None:
    client = client_of(editor)
    job = make(client, acme, "new")
    assert client.post(path(job, "failed"), body).status_code == 400
    assert ExportJob.objects.get().status == "new"


@pytest.mark.parametrize(
    "changes", [{"format": "xlsx"}, {"format": "json"}, {"options": {"archive": "gz"}}, {"options": {"archive": "none"}}, {"runner": "web"}]
)
def test_what_an_external_runner_cannot_bring_is_refused_at_the_start(client_of: ClientOf, editor: User, acme: Organization, changes: Any) -> None:
    refused(client_of(editor).post(JOBS, wish(acme, **{"runner": "external", **changes})), 400, "invalid", "runner")
    assert not ExportJob.objects.exists()


# -- Leases and races ----------------------------------------------------------------------------------------------
def test_an_external_lease_lives_a_day_and_progress_renews_it(client_of: ClientOf, editor: User, acme: Organization) -> None:
    client = client_of(editor)
    job = make(client, acme, "in progress")
    attempts = JobAttempt.objects.filter(job=job)
    attempts.update(beat_at=Now() - timedelta(hours=23, minutes=59))
    assert jobs.reap() == 0
    client.post(path(job, "progress"), {"rows_done": 1})
    attempts.update(beat_at=Now() - timedelta(hours=24, minutes=1))
    assert jobs.reap() == 1
    found = client.get(path(job)).json()["job"]
    assert (found["status"], ExportJob.objects.get().error_code) == ("failed", "runner_lost")
    assert "24 hours" in found["result"]["error"]
    refused(bring(client, job), 409, "wrong_status")
    refused(client.post(path(job, "progress"), {"rows_done": 2}), 409, "wrong_status")
    assert no_files()


@pytest.mark.django_db(transaction=True)
def test_of_two_runners_one_gets_the_job_and_of_two_files_one_is_published(client_of: ClientOf, editor: User, acme: Organization) -> None:
    clients = [client_of(editor) for _ in range(4)]
    job = make(clients[0], acme, "queued")
    assert sorted(at_once(4, lambda n: clients[n].post(path(job, "in-progress")).status_code)) == [200, 409, 409, 409]
    files = [zipped(f"id\n{n}\n") for n in range(4)]
    answers = at_once(4, lambda n: bring(clients[n], job, files[n]).status_code)
    assert sorted(answers) == [200, 409, 409, 409]
    assert content(clients[0].get(path(job, "download"))) == files[answers.index(200)]
    assert no_files()


def test_a_job_cancelled_in_mid_upload_leaves_no_file(client_of: ClientOf, editor: User, acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_of(editor)
    job = make(client, acme, "in progress")
    replace = os.replace

    def replace_and_cancel(*paths: Any) -> None:
        replace(*paths)
        jobs.cancel(editor, ExportJob.objects.get())

    monkeypatch.setattr("os.replace", replace_and_cancel)
    refused(bring(client, job), 409, "wrong_status")
    assert ExportJob.objects.get().status == "cancelled"
    assert no_files()


def test_a_full_disk_is_503_and_the_job_stays(client_of: ClientOf, editor: User, acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_of(editor)
    job = make(client, acme, "in progress")
    before = snapshot(job)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        response = bring(client, job)
    refused(response, 503, "storage_unavailable")
    assert int(response["Retry-After"]) > 0
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", full)
        refused(bring(client, job), 503, "storage_unavailable")
    assert snapshot(job) == before
    assert no_files()
    assert bring(client, job).json() == DONE


@pytest.mark.parametrize("by", ["the tick", "the next upload on the same machine"])
def test_what_a_killed_upload_left_is_swept_after_a_day(client_of: ClientOf, editor: User, acme: Organization, by: str) -> None:
    old, young = (storage.spool_path(f"{name}{uploads.SUFFIX}") for name in ("old", "young"))
    for found in (old, young):
        found.write_bytes(b"x")
    os.utime(old, (time.time() - 90_000,) * 2)
    if by == "the tick":
        assert worker.tick()["litter_swept"] == 1
    else:
        assert bring(client_of(editor), make(client_of(editor), acme, "in progress")).json() == DONE
    assert (old.exists(), young.exists()) == (False, True)
    young.unlink()
    assert litter.sweep_spool() == 0
