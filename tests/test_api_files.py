"""Files: downloads, signed links, the download log, receipts."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.core import signing
from django.test import Client
from rest_framework.test import APIClient

from exports import storage
from exports.models import Download, ExportFile, ExportJob
from exports.services import receipts
from exports.states import JobStatus
from tasks import access, demo
from tasks.models import AccessToken, Member, Organization, Role, User
from tests.api import BYTES, JOBS, content, export, make_job, wish

ClientOf = Callable[[User], APIClient]
pytestmark = pytest.mark.django_db
SHA256 = hashlib.sha256(BYTES).hexdigest()
TAG = f'"{SHA256}"'
SIZE = len(BYTES)


@pytest.fixture
def job(acme: Organization, editor: User) -> ExportJob:
    """The editor's done job, with a file of BYTES."""
    return make_job(acme, editor, JobStatus.DONE)


def path(job: ExportJob, what: str = "download") -> str:
    return f"{JOBS}/{job.pk}/{what}"


def link(client: Any, job: ExportJob) -> str:
    url = client.get(f"{JOBS}/{job.pk}").json()["job"]["result"]["download_url"]
    assert url.startswith("http://testserver/d/")
    return str(url).removeprefix("http://testserver")


def code(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error_code"]


Fetch = Callable[..., Any]


@pytest.fixture(params=["download", "link"])
def fetch(request: pytest.FixtureRequest, client_of: ClientOf, viewer: User, job: ExportJob) -> Fetch:
    """Asks for the file, through the API or through the link in the job; both answer alike."""
    client = client_of(viewer)
    url = path(job) if request.param == "download" else link(client, job)
    caller: Any = client if request.param == "download" else Client()

    def fetch(method: str = "get", **headers: str) -> Any:
        return getattr(caller, method)(url, headers={key.replace("_", "-"): value for key, value in headers.items()})

    return fetch


# -- The bytes -----------------------------------------------------------------------------------------------------
def test_the_file_is_what_the_storage_holds(fetch: Fetch, job: ExportJob) -> None:
    response = fetch()
    assert content(response) == BYTES == storage.open_file(ExportFile.objects.get().key).read()
    assert {key: response[key] for key in ("Content-Type", "Content-Length", "ETag", "Accept-Ranges", "Cache-Control", "X-Content-Type-Options")} == {
        "Content-Type": "application/zip",
        "Content-Length": str(SIZE),
        "ETag": TAG,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
    }
    assert response["Content-Disposition"] == f'attachment; filename="{job.pk}-task-export.csv.zip"'


def test_head_has_the_headers_and_no_bytes(fetch: Fetch) -> None:
    for headers in ({}, {"Range": "bytes=0-9"}):  # a range is for GET alone
        response = fetch("head", **headers)
        assert (response.status_code, response.content, response["Content-Length"], response["ETag"]) == (200, b"", str(SIZE), TAG)
    assert not Download.objects.exists()


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        *(("bytes=0-0", 0, 0), ("bytes=5-9", 5, 9), ("bytes=1000-", 1000, SIZE - 1), ("bytes=-10", SIZE - 10, SIZE - 1)),
        *(("bytes=0-99999", 0, SIZE - 1), ("bytes=-99999", 0, SIZE - 1), ("Bytes=5-9", 5, 9), (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1)),
    ],
)
def test_a_range_is_206(fetch: Fetch, header: str, first: int, last: int) -> None:
    response = fetch(Range=header)
    assert response.status_code == 206
    assert content(response) == BYTES[first : last + 1]
    assert (response["Content-Range"], response["Content-Length"]) == (f"bytes {first}-{last}/{SIZE}", str(last - first + 1))


@pytest.mark.parametrize("header", [f"bytes={SIZE}-", "bytes=-0", "bytes=9-5", "bytes=99999-100000"])
def test_a_range_outside_is_416(fetch: Fetch, header: str) -> None:
    response = fetch(Range=header)
    assert (response.status_code, response.content, response["Content-Range"]) == (416, b"", f"bytes */{SIZE}")
    assert not Download.objects.exists()


@pytest.mark.parametrize("header", ["", "bytes", "bytes=", "bytes=-", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b", "bytes=0x1-2", f"bytes={'9' * 19}-"])
def test_what_is_no_single_range_gets_all(fetch: Fetch, header: str) -> None:
    response = fetch(Range=header)
    assert (response.status_code, content(response)) == (200, BYTES)


def test_a_resume_gets_the_rest_only_of_the_same_file(fetch: Fetch) -> None:
    same = fetch(Range="bytes=1000-", If_Range=TAG)
    assert (same.status_code, content(same)) == (206, BYTES[1000:])
    other = fetch(Range="bytes=1000-", If_Range='"other"')
    assert (other.status_code, content(other)) == (200, BYTES)


@pytest.mark.parametrize("header", [TAG, f'"x", {TAG}', f"W/{TAG}", "*"])
def test_a_known_file_is_304_and_no_download(fetch: Fetch, header: str) -> None:
    response = fetch(If_None_Match=header)
    assert (response.status_code, response.content, response["ETag"]) == (304, b"", TAG)
    assert not Download.objects.exists()
    assert content(fetch(If_None_Match='"other"')) == BYTES


def test_each_download_is_in_the_log(client_of: ClientOf, viewer: User, admin: User, job: ExportJob) -> None:
    assert client_of(admin).get(path(job, "downloads")).json() == {"downloads": []}
    client_of(viewer).get(path(job))
    Client().get(link(client_of(admin), job))
    client_of(viewer).head(path(job))
    found = client_of(viewer).get(path(job, "downloads")).json()["downloads"]
    assert [(each["user"], each["door"]) for each in found] == [
        ({"id": admin.pk, "name": "Admin"}, "link"),
        ({"id": viewer.pk, "name": "Viewer"}, "api"),
    ]


# -- No file -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("status", sorted(set(JobStatus.values) - {"done"}))
def test_without_a_file_it_is_409_that_names_the_status(client_of: ClientOf, editor: User, acme: Organization, status: str) -> None:
    job = make_job(acme, editor, status)
    for what in ("download", "receipt"):
        response = client_of(editor).get(path(job, what))
        assert code(response) == (409, "not_done")
        assert status in response.json()["message"]
    assert client_of(editor).get(f"{JOBS}/{job.pk}").json()["job"]["result"]["download_url"] == ""
    assert client_of(editor).get(path(job, "downloads")).json() == {"downloads": []}


def test_an_expired_file_is_410_with_the_cure_and_its_receipt_stays(fetch: Fetch, client_of: ClientOf, viewer: User, job: ExportJob) -> None:
    ExportFile.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    response = fetch()
    assert code(response) == (410, "file_expired")
    assert "again" in response.json()["message"]
    found = client_of(viewer).get(f"{JOBS}/{job.pk}").json()["job"]
    assert (found["result"]["download_url"], found["file"]["sha256"]) == ("", SHA256)
    assert client_of(viewer).get(path(job, "receipt")).status_code == 200
    assert not Download.objects.exists()


def test_a_deleted_file_is_410(fetch: Fetch) -> None:
    ExportFile.objects.update(deleted_at=datetime.now(UTC))
    assert code(fetch()) == (410, "file_expired")


def test_a_missing_object_is_410_and_no_download(fetch: Fetch) -> None:
    storage.delete(ExportFile.objects.get().key)
    assert code(fetch()) == (410, "file_missing")
    assert not Download.objects.exists()


# -- Links ---------------------------------------------------------------------------------------------------------
def test_a_link_opens_for_an_hour(client_of: ClientOf, viewer: User, job: ExportJob) -> None:
    with time_machine.travel(datetime.now(UTC), tick=False) as now:
        url = link(client_of(viewer), job)
        now.shift(settings.LINK_SECONDS - 1)
        assert content(Client().get(f"{url}/")) == BYTES
        assert link(client_of(viewer), job) != url
        now.shift(62)
        assert code(Client().get(url)) == (403, "link_expired")


def test_a_tampered_link_is_403(client_of: ClientOf, viewer: User, editor: User, job: ExportJob) -> None:
    payload, stamp, signature = link(client_of(viewer), job).removeprefix("/d/").split(":")
    other = base64.urlsafe_b64encode(json.dumps([ExportFile.objects.get().pk, editor.pk]).encode()).rstrip(b"=").decode()
    later = signing.b62_encode(signing.b62_decode(stamp) + 3600)
    foreign = signing.TimestampSigner(salt="other").sign_object([ExportFile.objects.get().pk, viewer.pk])
    for token in (
        *(f"{other}:{stamp}:{signature}", f"{payload}:{later}:{signature}", f"{payload}:{stamp}:{signature[:-1]}", f"{payload}:{stamp}", payload),
        *("x", "::", "%00", "%ff", "a" * 5000, foreign),
    ):
        assert code(Client().get(f"/d/{token}")) == (403, "link_invalid"), token
    assert not Download.objects.exists()


@pytest.mark.parametrize("reason", ["no member", "no role", "inactive", "deleted", "another organization's file"])
def test_a_link_whose_owner_lost_the_right_is_403(client_of: ClientOf, viewer: User, outsider: User, job: ExportJob, reason: str) -> None:
    url = link(client_of(viewer), job)
    members = Member.objects.filter(user=viewer)
    if reason == "no member":
        members.delete()
    elif reason == "no role":
        members.update(role=None)
    elif reason == "inactive":
        User.objects.filter(pk=viewer.pk).update(is_active=False)
    elif reason == "deleted":
        members.delete()
        viewer.delete()
    else:
        members.update(organization=outsider.memberships.get().organization)
    response = Client().get(url)
    assert code(response) == (403, "link_refused")
    assert response["Cache-Control"] == "private, no-store"
    assert not Download.objects.exists()


@pytest.mark.parametrize("change", ["revoked_at", "expires_at"])
def test_a_link_of_a_closed_access_token_is_403(job: ExportJob, acme: Organization, change: str) -> None:
    _, text = access.create_access_token(acme, name="ERP", role=Role.VIEWER)
    url = link(APIClient(headers={"Authorization": f"Bearer {text}"}), job)
    assert content(Client().get(url)) == BYTES
    AccessToken.objects.update(**{change: datetime.now(UTC)})
    assert code(Client().get(url)) == (403, "link_refused")


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
def test_a_link_is_only_read(client_of: ClientOf, viewer: User, job: ExportJob, method: str) -> None:
    response = getattr(Client(enforce_csrf_checks=True), method)(link(client_of(viewer), job))
    assert code(response) == (405, "method_not_allowed")
    assert response["Allow"] == "GET, HEAD"


# -- Receipts ------------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_the_receipt_of_a_real_export_verifies_and_notices_every_change(
    client_of: ClientOf, editor: User, acme: Organization, tmp_path: Path
) -> None:
    demo.make_tasks(acme, 50, 1)
    client = client_of(editor)
    job = export(client, wish(acme, creation_start_date="2024-01-01", creation_end_date="2027-01-01"))
    signed = client.get(f"{JOBS}/{job['id']}/receipt").json()
    published = APIClient().get("/api/receipt-key").json()
    assert published == {"algorithm": "Ed25519", "public_key": signed["public_key"]}

    data = content(client.get(f"{JOBS}/{job['id']}/download"))
    file = tmp_path / job["file"]["name"]
    file.write_bytes(data)
    assert receipts.verify(file, signed, published["public_key"]) == []
    receipt = signed["receipt"]
    assert (receipt["job"], receipt["organization"], receipt["requested_by"]) == (job["id"], str(acme.uuid), editor.pk)
    assert (receipt["rows_counted"], receipt["rows_written"], job["file"]["rows"]) == (50, 50, 50)
    assert (receipt["sha256"], receipt["size"]) == (job["file"]["sha256"], len(data)) == (hashlib.sha256(data).hexdigest(), job["file"]["size"])

    for at in (0, len(data) // 2, len(data) - 1):
        file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert "SHA-256" in receipts.verify(file, signed)[0]
    file.write_bytes(data[:-1])
    assert "bytes" in receipts.verify(file, signed)[0]
    file.write_bytes(data)
    for key, value in receipt.items():
        changed = {**signed, "receipt": {**receipt, key: [value]}}
        assert "signature" in receipts.verify(file, changed, published["public_key"])[0], key
    assert "signature" in receipts.verify(file, signed, base64.b64encode(bytes(31) + b"\x01").decode())[0]
    for broken in ({}, {**signed, "signature": "x"}, {**signed, "public_key": ""}, {**signed, "signature": None}):
        assert receipts.verify(file, broken)
    assert receipts.verify(file, signed) == []
