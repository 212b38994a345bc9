"""Uploads, and the imports that workers make of them."""

from __future__ import annotations

import hashlib
import io
import json
import resource
import tracemalloc
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db.models.functions import Now
from openpyxl import Workbook
from rest_framework.test import APIClient

from exports import storage, worker
from exports.models import Litter, Operation, TaskImport, Upload
from exports.services import litter, upkeep
from exports.services.imports import running as imports
from exports.services.imports import uploads
from exports.states import JobStatus
from taskexport.errors import Conflict
from tasks.models import Member, Organization, Role, Task, User

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], APIClient]
UPLOADS, TASK = "/api/v1/uploads", "/api/v2/task"
CSV = b"Number,Subject\r\n1,First\r\n2,Second\r\n"
MAP = {"columns": {"Number": "external_id", "Subject": "title"}}


def send(client: APIClient, data: bytes = CSV, name: str = "tasks.csv", **extra: Any) -> Any:
    headers = extra.pop("headers", {})
    return client.post(UPLOADS, {"file": SimpleUploadedFile(name, data), **extra}, format="multipart", headers=headers)


def stored() -> list[Path]:
    return [path for root in (settings.FILES_ROOT / "uploads", settings.SPOOL_ROOT) for path in root.rglob("*") if path.is_file()]


@pytest.fixture(autouse=True)
def nothing_stored() -> None:
    for path in stored():
        path.unlink()


def start(client: APIClient, upload_id: str, mapping: Any = MAP, **more: Any) -> Any:
    return client.post(f"{TASK}/create", {"handler": "ImportHandler", "request": json.dumps({"upload_id": upload_id, "map": mapping, **more})})


# -- The file ------------------------------------------------------------------------------------------------------
def test_a_csv_is_kept_for_its_owner(client_of: ClientOf, acme: Organization, editor: User) -> None:
    response = send(client_of(editor), name="../x/t\u00e4sks.csv")
    assert response.status_code == 201
    shown = response.json()["upload"]
    upload = Upload.objects.get()
    assert shown["id"] == str(upload.pk)
    assert (shown["name"], shown["kind"], shown["size"], shown["sha256"]) == ("täsks.csv", "csv", len(CSV), hashlib.sha256(CSV).hexdigest())
    assert (upload.organization, upload.created_by) == (acme, editor)
    assert timedelta(hours=23) < upload.expires_at - upload.created_at < timedelta(hours=25)
    with storage.open_file(upload.key) as file:
        assert file.read() == CSV
    assert [path.stat().st_mode & 0o777 for path in stored()] == [0o600]


def workbook(**members: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/").replace("_xml", ".xml"), data)
    return target.getvalue()


def test_what_is_refused_leaves_nothing(client_of: ClientOf, editor: User, viewer: User, settings: Any) -> None:
    client = client_of(editor)
    settings.IMPORT_UNPACKED_MAX_BYTES = 10_000
    refused = [
        (send(client, b""), 400),
        (send(client, b"%PDF-1.7 ..."), 415),
        (send(client, b"a\0b"), 415),
        (send(client, b"PK\x03\x04 and no more"), 415),
        (send(client, workbook(a_xml=b"x"), "a.xlsx"), 415),
        (send(client, workbook(xl__workbook_xml=b"x", big=bytes(20_000)), "a.xlsx"), 400),
        (send(client, more="field"), 400),
        (client.post(UPLOADS, {"file": "no file"}, format="multipart"), 400),
        (client.post(UPLOADS, {"file": [SimpleUploadedFile("a", CSV), SimpleUploadedFile("b", CSV)]}, format="multipart"), 400),
        (client.post(UPLOADS, {"file": "x"}, format="json"), 415),
        (client.generic("POST", UPLOADS, "--x\r\nbroken", content_type="multipart/form-data"), 400),
        (client.generic("POST", UPLOADS, "broken", content_type="multipart/form-data; boundary=x"), 400),
        (send(client_of(viewer)), 403),
    ]
    assert [response.status_code for response, _ in refused] == [status for _, status in refused]
    assert not Upload.objects.exists()
    assert stored() == []


def test_a_workbook_with_a_vast_directory_is_refused_before_that_is_read(client_of: ClientOf, editor: User) -> None:
    members = {f"{number:0300}": b"" for number in range(8_000)}  # fewer than it may have, but who could tell before it has read them?
    data = workbook(xl__workbook_xml=b"x", **members)
    tracemalloc.start()
    try:
        assert send(client_of(editor), data, "a.xlsx").status_code == 415
        assert tracemalloc.get_traced_memory()[1] < len(data) + 8 * 1024 * 1024
    finally:
        tracemalloc.stop()
    assert (Upload.objects.count(), stored()) == (0, [])


def test_a_file_too_large_is_refused_before_or_while_it_arrives(client_of: ClientOf, editor: User, settings: Any) -> None:
    settings.IMPORT_MAX_BYTES = 1000
    assert send(client_of(editor), b"x" * 100_000).status_code == 413
    assert send(client_of(editor), b"x" * 1001).status_code == 413
    assert (Upload.objects.count(), stored()) == (0, [])
    assert send(client_of(editor), b"x" * 1000).status_code == 201


def test_a_full_disk_is_503_and_leaves_nothing(client_of: ClientOf, editor: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    for what in ("os.replace", "shutil.disk_usage"):
        with monkeypatch.context() as patch:
            patch.setattr(what, full)
            response = send(client_of(editor))
        assert (response.status_code, response.json()["error_code"]) == (503, "storage_unavailable"), what
        assert int(response["Retry-After"]) > 0
    assert (Upload.objects.count(), stored()) == (0, [])
    assert send(client_of(editor)).status_code == 201


def test_an_organization_has_so_many_open_uploads(client_of: ClientOf, acme: Organization, editor: User) -> None:
    later = Now() + timedelta(hours=1)
    Upload.objects.bulk_create([Upload(organization=acme, created_by=editor, expires_at=later) for _ in range(uploads.OPEN_MOST)])
    assert send(client_of(editor)).json()["error_code"] == "too_many_uploads"
    Upload.objects.update(expires_at=Now())
    assert send(client_of(editor)).status_code == 201


# -- Imported ------------------------------------------------------------------------------------------------------
def test_an_upload_becomes_tasks_once(client_of: ClientOf, acme: Organization, editor: User, outsider: User) -> None:
    client = client_of(editor)
    upload = send(client).json()["upload"]["id"]
    for other in (client_of(outsider),):
        assert start(other, upload).json()["field_errors"][0]["field"] == "request.upload_id"
    made = start(client, upload).json()
    assert (made["status"], made["user_id"], made["handler"]) == ("pending", str(editor.pk), "ImportHandler")
    claim = imports.claim()
    assert claim
    assert client.get(f"{TASK}/view/{made['task_id']}").json()["status"] == "running"
    assert imports.claim() is None
    imports.run(claim)
    shown = client.get(f"{TASK}/view/{made['task_id']}").json()
    assert shown["status"] == "completed"
    assert json.loads(shown["response"]) == {"rows_read": 2, "created": 2, "updated": 0, "bad": 0, "errors": []}
    assert sorted(Task.objects.filter(organization=acme).values_list("external_id", "title")) == [("1", "First"), ("2", "Second")]
    assert Operation.objects.filter(organization=acme).count() == 1
    assert start(client, upload).status_code == 422  # it has been imported
    assert uploads.sweep() == 1
    assert litter.sweep() == 2
    assert stored() == []
    sweep = Operation.objects.get(handler="SweepHandler")
    assert (sweep.organization, sweep.own_response) == (acme, '{"uploads": 1}')
    assert client.get(f"{TASK}/view/{made['task_id']}").json() == shown  # the import keeps what it was


def test_an_xlsx_is_imported_by_an_update_s_request(client_of: ClientOf, acme: Organization, editor: User) -> None:
    client, target, book = client_of(editor), io.BytesIO(), Workbook()
    for row in (["Number", "Subject"], [7, "Seventh"]):
        book.active.append(row)
    book.save(target)
    upload = send(client, target.getvalue(), "b.xlsx").json()["upload"]
    assert upload["kind"] == "xlsx"
    waiting = client.post(f"{TASK}/create", {"handler": "ImportHandler"}).json()
    request = json.dumps({"upload_id": upload["id"], "map": MAP})
    assert client.put(f"{TASK}/update/{waiting['task_id']}", {"request": request}).status_code == 200
    worker.import_next()
    assert client.get(f"{TASK}/view/{waiting['task_id']}").json()["status"] == "completed"
    assert Task.objects.get(organization=acme).title == "Seventh"


def test_bad_rows_fail_it_unless_they_may_be_skipped(client_of: ClientOf, acme: Organization, editor: User) -> None:
    client = client_of(editor)
    upload = send(client, b"Number,Subject\n1,First\n1,Twice\n").json()["upload"]["id"]
    made = start(client, upload).json()
    worker.import_next()
    shown = client.get(f"{TASK}/view/{made['task_id']}").json()
    told = json.loads(shown["response"])
    assert (shown["status"], told["error_code"], told["bad"], told["errors"][0]["line"]) == ("failed", "bad_rows", 1, 3)
    assert not Task.objects.exists()
    assert start(client, upload, skip_bad=True).status_code == 201  # the upload is still there
    worker.import_next()
    assert Task.objects.get().title == "First"


def test_a_file_that_does_not_fit_its_map_fails_in_the_caller_s_words(client_of: ClientOf, editor: User) -> None:
    client = client_of(editor)
    upload = send(client).json()["upload"]["id"]
    made = start(client, upload, {"columns": {"Nummer": "external_id"}}).json()
    worker.import_next()
    shown = client.get(f"{TASK}/view/{made['task_id']}").json()
    assert shown["status"] == "failed"
    assert json.loads(shown["response"])["field_errors"][0]["field"] == "columns.Nummer"
    broken = send(client, workbook(xl__workbook_xml=b"x"), "broken.xlsx").json()["upload"]["id"]
    made = start(client, broken).json()
    worker.import_next()
    text = client.get(f"{TASK}/view/{made['task_id']}").json()["response"]
    assert "broken.xlsx is no workbook" in text
    assert str(settings.VAR) not in text
    assert stored()
    assert not list(settings.SPOOL_ROOT.glob("import-*"))


def test_rights_are_asked_again_when_it_runs(client_of: ClientOf, acme: Organization, editor: User) -> None:
    made = start(client_of(editor), send(client_of(editor)).json()["upload"]["id"]).json()
    Member.objects.filter(user=editor).update(role=Role.VIEWER)
    worker.import_next()
    shown = client_of(editor).get(f"{TASK}/view/{made['task_id']}").json()
    assert (shown["status"], json.loads(shown["response"])["error_code"]) == ("failed", "permission_lost")
    assert not Task.objects.exists()


def test_a_silent_worker_loses_the_import_and_never_imports_twice(client_of: ClientOf, acme: Organization, editor: User) -> None:
    client = client_of(editor)
    made = start(client, send(client).json()["upload"]["id"]).json()
    for attempt in (1, 2):
        lost = imports.claim()
        assert lost
        assert lost.attempt == attempt
        assert imports.reap() == 0
        TaskImport.objects.update(beat_at=Now() - timedelta(seconds=settings.LEASE_SECONDS + 5))
        assert imports.reap() == 1
        assert client.get(f"{TASK}/view/{made['task_id']}").json()["status"] == "pending"
    third = imports.claim()
    assert third
    assert lost
    imports.run(lost)  # it wakes up: the rows it writes are undone
    assert not Task.objects.exists()
    assert TaskImport.objects.get().status == JobStatus.IN_PROGRESS
    TaskImport.objects.update(beat_at=Now() - timedelta(seconds=settings.LEASE_SECONDS + 5))
    assert imports.reap() == 1
    shown = client.get(f"{TASK}/view/{made['task_id']}").json()
    assert (shown["status"], json.loads(shown["response"])["error_code"]) == ("failed", "worker_lost")
    assert imports.ring_for_waiting() == 0


def test_the_command_s_import_leaves_an_operation(tmp_path: Path, acme: Organization) -> None:
    (tmp_path / "t.csv").write_bytes(CSV)
    (tmp_path / "m.json").write_text(json.dumps(MAP))
    options = {"organization": "acme", "map": tmp_path / "m.json"}
    call_command("import_tasks", str(tmp_path / "t.csv"), dry_run=True, stdout=io.StringIO(), **options)
    assert not Operation.objects.exists()
    call_command("import_tasks", str(tmp_path / "t.csv"), stdout=io.StringIO(), **options)
    operation = Operation.objects.get()
    assert (operation.handler, operation.user, operation.organization) == ("ImportHandler", None, acme)
    assert operation.task_import
    assert (operation.task_import.result or {})["created"] == 2


# -- Swept ---------------------------------------------------------------------------------------------------------
def test_a_forced_delete_takes_import_and_upload(client_of: ClientOf, acme: Organization, admin: User) -> None:
    client = client_of(admin)
    first = start(client, send(client).json()["upload"]["id"]).json()
    refused = client.delete(f"{TASK}/delete/{first['task_id']}")
    assert [one["entity_type"] for one in refused.json()["entities"]] == ["import", "upload"]
    assert client.delete(f"{TASK}/delete/{first['task_id']}?force=true").status_code == 204
    assert (TaskImport.objects.count(), Upload.objects.count(), Litter.objects.count()) == (0, 0, 1)
    assert litter.sweep() == 1
    assert stored() == []


def test_the_tick_sweeps_what_never_arrived_and_what_expired_but_nothing_that_waits(client_of: ClientOf, acme: Organization, editor: User) -> None:
    client = client_of(editor)
    waiting = start(client, send(client).json()["upload"]["id"]).json()
    Upload.objects.update(expires_at=Now())
    fresh = uploads.begin(editor, acme)
    given_up = uploads.begin(editor, acme)
    Upload.objects.filter(pk=given_up.pk).update(created_at=Now() - timedelta(hours=2))
    given_up_part = storage.spool_path(given_up.spool_name)
    given_up_part.write_bytes(b"half")
    done = upkeep.tick("t")
    assert done["uploads_swept"] == 1
    assert not given_up_part.exists()
    assert Upload.objects.filter(pk=fresh.pk).exists()
    spool = storage.spool_path("late")
    spool.write_bytes(CSV)
    with pytest.raises(Conflict):
        uploads.finish(given_up, spool, name="late.csv", size=len(CSV), sha256="")
    worker.import_next()
    assert client.get(f"{TASK}/view/{waiting['task_id']}").json()["status"] == "completed"


def test_a_spool_takes_all_of_a_write_or_refuses_it(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with storage.open_spool(tmp_path / "spool") as spool:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # as a disk with room for a part
            with pytest.raises(OSError, match="too large"):
                spool.write(b"x" * 1500)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert spool.tell() == 1000
        assert spool.write(b"y" * 500) == 500
    assert (tmp_path / "spool").stat().st_size == 1500
