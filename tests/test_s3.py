"""The promises of the storage, on a real S3 server and on a disk."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client

from exports import storage, worker
from exports.models import Download, ExportFile, ExportJob, JobAttempt, TickLease
from exports.services import files, jobs, readiness, retention, runner
from exports.services.supervising import Pulse
from tasks.models import Organization, Task, User
from tests import changing, s3
from tests.api import BYTES, JOBS, content, export, make_job, rows, wish
from tests.making import EVERYTHING, make_queued, make_tasks
from tests.scheduling import make_schedule

pytestmark = [pytest.mark.serial]
KEY = "exports/1/3f0c1b1e-0000-4000-8000-000000000001/1-abcdabcdabcdabcd/file.csv.zip"
LARGE = os.urandom(1024) * (20 * 1024)  # 20 MB: three parts


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    with s3.running() as found:
        yield found


@pytest.fixture
def bucket(server: dict[str, str], settings: Any, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The service keeps its files in a bucket, below a prefix that is this test's alone."""
    for name, value in server.items():
        setattr(settings, name, value)
    settings.S3_PREFIX = "t" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]
    settings.SPOOL_ROOT = tmp_path / "spool"


@pytest.fixture(params=["s3", "disk"])
def either(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> str:
    """Both storages in turn, empty."""
    settings.FILES_ROOT, settings.SPOOL_ROOT = tmp_path / "files", tmp_path / "spool"
    if request.param == "s3":
        request.getfixturevalue("bucket")
    return str(request.param)


def spooled(data: bytes, name: str = "x.part") -> Path:
    path = storage.spool_path(name)
    path.write_bytes(data)
    return path


def stored() -> list[str]:
    return [key for key, _ in storage.walk()]


def unfinished() -> list[Any]:
    """Uploads that were begun and neither finished nor aborted."""
    from exports.storage import s3 as store

    pages = store._client().get_paginator("list_multipart_uploads").paginate(Bucket=s3.BUCKET, Prefix=store._prefix())
    return [one for page in pages for one in page.get("Uploads", [])]


# -- Put, open, delete: the same on both ---------------------------------------------------------------------------
@pytest.mark.parametrize("data", [b"", b"small", LARGE], ids=["empty", "small", "large"])
def test_what_is_put_is_read_back_sought_and_deleted(either: str, data: bytes) -> None:
    spool = spooled(data)
    storage.put(spool, KEY, b'{"receipt": 1}')
    assert not spool.exists()
    assert stored() == [KEY, KEY + storage.RECEIPT]
    with storage.open_file(KEY) as file:
        assert file.read() == data
        file.seek(max(0, len(data) - 3))
        assert file.read(3) == data[-3:]
        assert file.read(3) == b""
    with storage.open_file(KEY + storage.RECEIPT) as file:
        assert file.read() == b'{"receipt": 1}'
    assert list(storage.walk(KEY)) == list(storage.walk())[1:]
    assert abs(next(storage.walk())[1] - time.time()) < 60
    storage.delete(KEY)
    storage.delete(KEY)
    assert stored() == []
    with pytest.raises(FileNotFoundError):
        storage.open_file(KEY)
    storage.check()


def test_a_folder_goes_as_a_whole_and_nothing_beside_it(either: str) -> None:
    folder = KEY.rpartition("/")[0]
    for name in (KEY, f"{folder}/other.csv.zip", f"{folder}0/beside.csv.zip"):
        storage.put(spooled(b"x"), name)
    assert storage.delete_folder(folder) == 2
    assert stored() == [f"{folder}0/beside.csv.zip"]
    assert storage.delete_folder(folder) == 0


def test_an_upload_whose_progress_raises_half_way_leaves_no_object(bucket: None) -> None:
    def stop() -> None:
        raise KeyError("stop")

    spool = spooled(LARGE)
    with pytest.raises(KeyError):
        storage.put(spool, KEY, b"{}", stop)
    assert stored() == []
    assert unfinished() == []
    assert spool.exists()  # whoever made it removes it


class Torn(io.BytesIO):
    """A file that breaks behind its first two parts."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() >= 16 * 1024 * 1024:
            raise RuntimeError("torn")
        return super().read(size)


def test_an_upload_whose_body_raises_half_way_leaves_no_object(bucket: None) -> None:
    from exports.storage import s3 as store

    with pytest.raises(RuntimeError, match="torn"):
        store.upload(Torn(LARGE), KEY, len(LARGE), lambda: None)
    assert stored() == []
    assert unfinished() == []
    # The way that is never taken: here the same error publishes a cut file.
    with contextlib.suppress(RuntimeError), store._storage().open(KEY, "wb") as file:
        file.write(LARGE[: 16 * 1024 * 1024])
        raise RuntimeError
    assert stored() == [KEY]


def test_what_has_arrived_is_measured(bucket: None) -> None:
    from exports.storage import s3 as store

    with pytest.raises(OSError, match="bytes of"):
        store.upload(io.BytesIO(b"short"), KEY, 6, lambda: None)


def test_a_disk_that_refuses_leaves_no_object(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.FILES_ROOT, settings.SPOOL_ROOT = tmp_path / "files", tmp_path / "spool"

    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(OSError, match="No space"):
        storage.put(spooled(LARGE), KEY, b"{}")
    assert stored() == []


def test_a_file_that_can_t_be_read_leaves_no_object_and_no_receipt(either: str) -> None:
    with pytest.raises(OSError):
        storage.put(storage.spool_path("gone.part"), KEY, b"{}")
    torn = storage.spool_path("torn.part")
    torn.mkdir()  # it is there, and reading it raises
    with pytest.raises(OSError):
        storage.put(torn, KEY, b"{}")
    assert stored() == []
    if either == "s3":
        assert unfinished() == []


def test_a_store_that_is_away_is_an_os_error_and_says_no_keys(bucket: None, settings: Any) -> None:
    settings.S3_ENDPOINT_URL = "http://127.0.0.1:9"  # nobody listens there
    for call in (lambda: storage.put(spooled(b"x"), KEY), lambda: storage.open_file(KEY), storage.check, stored):
        with pytest.raises(OSError) as error:
            call()
        assert not isinstance(error.value, FileNotFoundError)
        assert "127.0.0.1" not in str(error.value)
    settings.S3_ENDPOINT_URL, settings.S3_SECRET_ACCESS_KEY = settings.S3_PUBLIC_URL, "wrong"
    with pytest.raises(OSError, match="the storage refused"):
        storage.check()


# -- The service on it ---------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_an_export_is_stored_fetched_by_a_signed_url_and_expires(bucket: None, client_of: Any, acme: Organization, editor: User) -> None:
    make_tasks(acme, 3)
    client = client_of(editor)
    job = export(client, wish(acme, **EVERYTHING))
    file = ExportFile.objects.get()
    assert stored() == [file.key, file.key + storage.RECEIPT]
    through_web = client.get(f"{JOBS}/{job['id']}/download")
    data = content(through_web)
    assert len(rows(data)) == 3
    part = client.get(f"{JOBS}/{job['id']}/download", headers={"range": "bytes=5-9"})
    assert (part.status_code, content(part)) == (206, data[5:10])

    link = job["result"]["download_url"]
    clicked = Client().get(link[link.index("/d/") :])
    assert clicked.status_code == 302
    assert clicked["Cache-Control"] == "private, no-store"
    url = clicked["Location"]
    with urllib.request.urlopen(url, timeout=10) as response:
        assert response.read() == data
        assert response.headers["Content-Disposition"] == f'attachment; filename="{file.name}"'
        assert response.headers["Content-Type"] == "application/zip"
    for wrong in (url.partition("?")[0], url.replace("X-Amz-Expires=120", "X-Amz-Expires=9999")):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(wrong, timeout=10)
        assert refused.value.code == 403
    assert [one.door for one in Download.objects.order_by("pk")] == ["api", "api", "link"]
    assert Client().head(link[link.index("/d/") :]).status_code == 200
    ExportFile.objects.update(expires_at="2020-01-01T00:00:00Z")
    assert Client().get(link[link.index("/d/") :]).status_code == 410
    done = worker.tick()
    assert (done["expired"], done["litter_swept"]) == (1, 1)
    assert stored() == []


@pytest.mark.django_db
def test_without_links_of_the_store_web_passes_the_bytes_on(bucket: None, settings: Any, client_of: Any, acme: Organization, admin: User) -> None:
    settings.S3_PRESIGN = False
    job = make_job(acme, admin, "done")
    link = files.link(admin, job.file)
    assert content(Client().get(link)) == BYTES
    settings.S3_PRESIGN = True
    storage.delete(job.file.key)
    gone = Client().get(link)
    assert (gone.status_code, gone.json()["error_code"]) == (410, "file_missing")
    settings.S3_ENDPOINT_URL = "http://127.0.0.1:9"
    for away in (Client().get(link), client_of(admin).get(f"{JOBS}/{job.pk}/download")):
        assert (away.status_code, away.json()["error_code"]) == (503, "storage_unavailable")
    assert not Download.objects.filter(file=job.file, door="api").exists()
    assert [check.is_ok for check in readiness.look("storage")] == [False]


@pytest.mark.django_db(transaction=True)
def test_a_store_that_is_away_gives_the_job_back(bucket: None, settings: Any, acme: Organization, editor: User) -> None:
    make_tasks(acme, 3)
    job = make_queued(editor, acme)
    settings.S3_ENDPOINT_URL = "http://127.0.0.1:9"
    worker.run_next()
    job.refresh_from_db()
    assert (job.status, job.faults, job.attempts.get().outcome) == ("queued", 1, "storage_unavailable")
    settings.S3_ENDPOINT_URL = settings.S3_PUBLIC_URL
    ExportJob.objects.update(available_at=job.created_at)
    worker.run_next()
    job.refresh_from_db()
    assert job.status == "done"
    assert not list(settings.SPOOL_ROOT.iterdir())


@pytest.mark.django_db(transaction=True)
def test_a_store_that_hangs_is_a_fault_and_no_lost_worker(
    bucket: None, settings: Any, acme: Organization, editor: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from exports.storage import s3 as store

    monkeypatch.setattr(store, "READ_SECONDS", 2)
    monkeypatch.setattr(store, "TRIES", 1)
    make_tasks(acme, 3)
    job = make_queued(editor, acme)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections, and says nothing
        settings.S3_ENDPOINT_URL = f"http://127.0.0.1:{silent.getsockname()[1]}"
        worker.run_next()
    job.refresh_from_db()
    attempt = job.attempts.get()
    assert (job.status, job.faults, attempt.outcome) == ("queued", 1, "storage_unavailable")
    assert attempt.ended_at
    assert attempt.ended_at - attempt.claimed_at > timedelta(seconds=5)  # the upload, and taking back what may have come of it
    assert attempt.ended_at - attempt.beat_at < timedelta(seconds=3)


# In the middle of an upload of 160 MB, at the first bytes that have gone out, the process is killed as the kernel kills.
DIES = """
import os, signal, sys
import django
from django.conf import settings
django.setup()
for pair in sys.argv[2:]:
    name, _, value = pair.partition("=")
    setattr(settings, name, value)
from pathlib import Path
settings.SPOOL_ROOT = Path(settings.SPOOL_ROOT)
from exports import storage
spool = storage.spool_path("dying.part")
with spool.open("wb") as file:
    file.truncate(160 * 1024 * 1024)
storage.put(spool, sys.argv[1], b"{}", lambda: os.kill(os.getpid(), signal.SIGKILL))
"""


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_in_an_upload_leaves_nothing_at_any_key(
    bucket: None, server: dict[str, str], acme: Organization, editor: User, settings: Any, process_env: dict[str, str]
) -> None:
    make_tasks(acme, 3)
    job = make_queued(editor, acme)
    claim = jobs.claim("w")
    assert claim
    key = f"{claim.attempt.key_prefix}/whole.csv.zip"
    given = {**server, "S3_PREFIX": settings.S3_PREFIX, "SPOOL_ROOT": str(settings.SPOOL_ROOT)}
    command = [sys.executable, "-c", DIES, key, *(f"{name}={value}" for name, value in given.items())]
    env = {**os.environ, **process_env, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert stored() == [key + storage.RECEIPT]  # a receipt alone is no file
    assert [one["Key"] for one in unfinished()] == [f"{settings.S3_PREFIX}/{key}"]
    assert worker.tick()["swept"] == 0  # it may still be at it
    JobAttempt.objects.update(claimed_at=Now() - timedelta(days=1), beat_at=Now() - timedelta(days=1))
    done_ = worker.tick()
    assert (done_["reaped"], done_["swept"]) == (1, 1)
    assert stored() == []
    assert unfinished() == []
    ExportJob.objects.update(available_at=job.created_at)
    worker.run_next()
    job.refresh_from_db()
    assert (job.status, job.attempt) == ("done", 2)
    assert stored() == [job.file.key, job.file.key + storage.RECEIPT]


@pytest.mark.django_db(transaction=True)
def test_a_run_that_is_stopped_while_it_uploads_leaves_nothing(either: str, acme: Organization, editor: User, settings: Any) -> None:
    make_tasks(acme, 3)
    job = make_queued(editor, acme)
    claim = jobs.claim("w")
    assert claim
    pulse = Pulse()
    pulse.stop("lost")
    with pytest.raises(Exception, match="lost"):
        runner.produce(claim, pulse)
    assert stored() == []
    assert not list(settings.SPOOL_ROOT.iterdir())
    assert not ExportFile.objects.filter(job=job).exists()


@pytest.mark.django_db
def test_unfinished_uploads_and_orphans_are_swept(bucket: None, acme: Organization, admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    from exports.storage import s3 as store

    job = make_job(acme, admin, "done")
    orphan = f"exports/{acme.pk}/{job.pk}/9-{'cd' * 8}/left.csv.zip"
    storage.put(spooled(b"x"), orphan)
    store._client().create_multipart_upload(**store._at(f"{orphan}.half"))
    assert len(unfinished()) == 1
    assert retention.sweep_orphans() == 0  # they may still be needed
    assert len(unfinished()) == 1
    TickLease.objects.filter(name="orphans").update(until_at="2020-01-01T00:00:00Z")
    tomorrow = time.time() + 25 * 3600
    with monkeypatch.context() as patch:
        patch.setattr("time.time", lambda: tomorrow)
        assert retention.sweep_orphans() == 2
    assert stored() == [job.file.key]
    assert unfinished() == []


@pytest.mark.django_db(transaction=True)
def test_the_base_of_change_exports_lies_in_the_storage(either: str, acme: Organization, admin: User) -> None:
    make_tasks(acme, 3)
    schedule = make_schedule(admin, acme, changes_only=True, options={"archive": "none"})
    state = changing.applied({}, changing.deliver(schedule))
    Task.objects.filter(external_id="1").delete()
    (base,) = [key for key in stored() if key.startswith("bases/")]
    second = changing.deliver(schedule)
    assert changing.applied(state, second) == changing.whole(schedule)
    assert changing.said(second)["deleted"] == 1
    worker.tick()
    (following,) = [key for key in stored() if key.startswith("bases/")]
    assert following != base
    storage.delete_key(following)
    assert changing.said(changing.deliver(schedule))["why_full"] == "base_missing"
