"""Contract 1 as its source has it: the source's own example requests, word for word but for ids, and every field that it answers."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import encode_multipart
from rest_framework.test import APIClient

from exports import worker
from exports.models import ExportJob
from exports.states import JobStatus
from tasks.models import Organization, Platform, Task, User
from tests.api import content, rows, snapshot, zipped

ClientOf = Callable[[User], APIClient]
JOBS = "/api/v1/export-jobs"
TYPES: dict[str, Any] = {
    **{field: str for field in ("id", "org_id", "org_name", "name", "type", "status", "creation_start_date", "creation_end_date", "version_rev")},
    "result": dict,
    "version_seq": int,
}

CREATE = """{
  "org_id": "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
  "org_name": "My Organization",
  "name": "My Task Export",
  "type": "basic",
  "creation_start_date": "2019-08-24T14:15:22Z",
  "creation_end_date": "2019-08-24T14:15:22Z"
}"""
VERSION = """{
  "version_rev": "0-xxxxxxxx"
}"""
FAIL = """{
  "error": "An error occurred",
  "version_rev": "0-xxxxxxxx"
}"""
DIRECT = """{
  "org_id": "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx / all",
  "org_name": "My Organization",
  "name": "My Task Export",
  "platform_id": "platform-123",
  "creation_start_date": "2024-01-01T00:00:00Z",
  "creation_end_date": "2024-01-31T23:59:59Z"
}"""


def send(client: Any, method: str, path: str, body: str = "") -> Any:
    return client.generic(method, path, body, content_type="application/json")


def create(client: Any, acme: Organization, **changes: str) -> dict[str, Any]:
    """The source's create; an `external` runner is ours."""
    body = CREATE.replace("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", str(acme.uuid))
    response = send(client, "POST", JOBS, json.dumps(json.loads(body) | changes) if changes else body)
    assert response.status_code == 201, response.json()
    return checked(response)


def checked(response: Any) -> dict[str, Any]:
    """The job of an answer, with every field of the source in its type."""
    body = response.json()
    assert set(body) == {"job"}
    job: dict[str, Any] = body["job"]
    for field, kind in TYPES.items():
        assert isinstance(job[field], kind), field
    assert job["status"] in set(JobStatus.values)
    assert set(job["result"]) == {"error", "download_url"}
    assert all(isinstance(value, str) for value in job["result"].values())
    assert re.fullmatch(rf"{job['version_seq']}-[0-9a-f]{{8}}", job["version_rev"])
    return job


def at(text: str, job: dict[str, Any]) -> str:
    """The source's body with the job's own version in it."""
    assert "0-xxxxxxxx" in text
    return text.replace("0-xxxxxxxx", job["version_rev"])


def upload(client: Any, method: str, job: dict[str, Any], data: bytes, **fields: str) -> Any:
    file = SimpleUploadedFile(f"{job['id']}-task-export.csv.zip", data, content_type="application/zip")  # the recommended name
    body = encode_multipart("b", {"file": file, **fields})
    return client.generic(method, f"{JOBS}/{job['id']}/done", body, content_type="multipart/form-data; boundary=b")


@pytest.mark.django_db
def test_the_list_returns_the_jobs(client_of: ClientOf, editor: User, acme: Organization) -> None:
    client = client_of(editor)
    made = [create(client, acme) for _ in range(2)]
    body = client.get(JOBS).json()
    assert [job["id"] for job in body["jobs"]] == [job["id"] for job in reversed(made)]
    assert {key: body["jobs"][0][key] for key in TYPES} == {key: made[1][key] for key in TYPES}


@pytest.mark.django_db
def test_create_answers_the_job_and_read_reads_it(client_of: ClientOf, editor: User, acme: Organization) -> None:
    client = client_of(editor)
    job = create(client, acme)
    expected = json.loads(CREATE) | {"org_id": str(acme.uuid), "status": "new", "version_seq": 0, "result": {"error": "", "download_url": ""}}
    assert {key: job[key] for key in expected} == expected
    assert checked(client.get(f"{JOBS}/{job['id']}")) == job
    assert create(client, acme, type="fedex")["type"] == "fedex"
    refused = send(client, "POST", JOBS, CREATE)  # an organization that does not exist
    assert (refused.status_code, refused.json()["message"] != "") == (404, True)


@pytest.mark.django_db(transaction=True)
def test_start_queues_a_new_job_and_it_is_done_with_a_download_url(client_of: ClientOf, editor: User, acme: Organization) -> None:
    Task.objects.create(organization=acme, title="inside", created_at="2019-08-24T14:15:22Z")
    Task.objects.create(organization=acme, title="outside", created_at="2019-08-24T14:15:23Z")
    client = client_of(editor)
    job = create(client, acme)
    assert send(client, "POST", f"{JOBS}/{job['id']}/start", VERSION).status_code == 409  # the version stands for another
    started = checked(send(client, "POST", f"{JOBS}/{job['id']}/start", at(VERSION, job)))
    assert (started["status"], started["version_seq"]) == ("queued", 1)
    before = snapshot(ExportJob.objects.get())
    again = send(client, "PUT", f"{JOBS}/{job['id']}/start", at(VERSION, started))
    assert (again.status_code, "queued" in again.json()["message"]) == (409, True)
    assert snapshot(ExportJob.objects.get()) == before
    worker.run_next()
    done = checked(client.get(f"{JOBS}/{job['id']}"))
    assert (done["status"], done["result"]["error"]) == ("done", "")
    file = APIClient().get(done["result"]["download_url"].removeprefix("http://testserver"))
    assert file["Content-Disposition"].endswith(f'filename="{job["id"]}-task-export.csv.zip"')
    assert [row["title"] for row in rows(content(file))] == ["inside"]


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_in_progress_and_done_with_a_zip(client_of: ClientOf, editor: User, acme: Organization, method: str) -> None:
    client = client_of(editor)
    job = create(client, acme, runner="external")
    path = f"{JOBS}/{job['id']}"
    early = send(client, method, f"{path}/in-progress", at(VERSION, job))
    assert (early.status_code, "new" in early.json()["message"]) == (409, True)
    job = checked(send(client, method, f"{path}/start", at(VERSION, job)))
    assert upload(client, method, job, zipped()).status_code == 409  # not in progress yet
    job = checked(send(client, method, f"{path}/in-progress", at(VERSION, job)))
    assert (job["status"], job["version_seq"]) == ("in progress", 2)
    response = upload(client, method, job, zipped(), version_rev=job["version_rev"])
    assert (response.status_code, response.json()) == (200, {"message": "successfully update status to done"})
    done = checked(client.get(path))
    assert (done["status"], done["version_seq"]) == ("done", 3)
    assert content(APIClient().get(done["result"]["download_url"].removeprefix("http://testserver"))) == zipped()


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_failed_keeps_the_error(client_of: ClientOf, editor: User, acme: Organization, method: str) -> None:
    client = client_of(editor)
    job = create(client, acme)
    stale = send(client, method, f"{JOBS}/{job['id']}/failed", FAIL)
    assert (stale.status_code, ExportJob.objects.get().status) == (409, "new")
    response = send(client, method, f"{JOBS}/{job['id']}/failed", at(FAIL, job))
    assert (response.status_code, response.json()) == (200, {"message": "successfully update status to fail"})
    failed = checked(client.get(f"{JOBS}/{job['id']}"))
    assert (failed["status"], failed["result"]) == ("failed", {"error": "An error occurred", "download_url": ""})


@pytest.mark.django_db(transaction=True)
def test_direct_csv_downloads_at_once(
    client_of: ClientOf, owner: User, editor: User, acme: Organization, globex: Organization, platform: Platform
) -> None:
    for organization, title in ((acme, "a"), (globex, "g")):
        Task.objects.create(organization=organization, title=title, created_at="2024-01-31T23:59:59Z")
        Task.objects.create(organization=organization, title="outside", created_at="2024-02-01T00:00:00Z")
    client, both = client_of(owner), "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx / all"
    for org_id, expected in ((str(acme.uuid), ["a"]), ("all", ["a", "g"])):
        response = send(client, "POST", f"{JOBS}/direct-csv", DIRECT.replace(both, org_id).replace("platform-123", str(platform.pk)))
        assert (response.status_code, response["Content-Type"].partition(";")[0]) == (200, "text/csv")
        assert response["Content-Disposition"].startswith("attachment")
        found = csv.DictReader(io.StringIO(content(response).decode(), newline=""))
        assert [row["title"] for row in found] == expected
    foreign = send(client, "POST", f"{JOBS}/direct-csv", DIRECT.replace(both, "all"))  # platform-123 is nobody's
    assert (foreign.status_code, isinstance(foreign.json()["message"], str)) == (403, True)
    invalid = send(client, "POST", f"{JOBS}/direct-csv", DIRECT.replace(both, "all").replace("platform-123", str(platform.pk)).replace("2024", "x"))
    assert (invalid.status_code, invalid.json()["message"] != "") == (400, True)
    assert send(client_of(editor), "POST", f"{JOBS}/direct-csv", DIRECT.replace(both, "all")).status_code == 403


@pytest.mark.django_db
def test_every_call_needs_a_bearer_token() -> None:
    client = APIClient()
    calls = [("GET", ""), ("POST", ""), ("GET", "/x"), *((m, f"/x/{v}") for m in ("POST", "PUT") for v in ("start", "in-progress", "done", "failed"))]
    for method, path in [*calls, ("POST", "/direct-csv")]:
        response = client.generic(method, f"{JOBS}{path}")
        assert (response.status_code, response["WWW-Authenticate"].partition(" ")[0]) == (401, "Bearer")
        assert isinstance(response.json()["message"], str)
