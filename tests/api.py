"""What the tests of the REST contracts share: the source's example body, jobs in any state, files, threads."""

from __future__ import annotations

import csv
import hashlib
import io
import threading
import uuid
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models.functions import Now

from exports import storage, worker
from exports.models import ExportFile, ExportJob
from exports.services import jobs, receipts, specs
from exports.services.operations import recording
from exports.states import JobStatus
from tasks.models import Organization, User

JOBS = "/api/v1/export-jobs"
BYTES = bytes(range(256)) * 4


def wish(organization: Organization, **changes: Any) -> dict[str, Any]:
    """The source's example request, word for word but for the organization's id."""
    return {
        "org_id": str(organization.uuid),
        "org_name": "My Organization",
        "name": "My Task Export",
        "type": "basic",
        "creation_start_date": "2019-08-24T14:15:22Z",
        "creation_end_date": "2019-08-24T14:15:22Z",
    } | changes


def make_job(organization: Organization, user: User, status: str = JobStatus.NEW, **changes: Any) -> ExportJob:
    """The user's job, moved by SQL to any status; in the database a done one has a file and its bytes are stored."""
    # What the service refuses to a role is still made here: as a superuser's, and then handed over.
    maker = User(pk=user.pk, is_superuser=True)
    job = jobs.create(maker, organization, specs.make(wish(organization)))
    times = {"queued_at": Now()} if status != JobStatus.NEW else {}
    ExportJob.objects.filter(pk=job.pk).update(status=status, **{**times, **changes})
    recording.follow(job=job)
    job = ExportJob.objects.get(pk=job.pk)
    if status == JobStatus.DONE:
        publish(job)
    return job


def publish(job: ExportJob, data: bytes = BYTES, **changes: Any) -> ExportFile:
    """A stored file of the job."""
    key = f"exports/{job.organization_id}/{job.pk}/1-{uuid.uuid4().hex[:16]}/{job.pk}-task-export.csv.zip"
    spool = storage.spool_path(uuid.uuid4().hex)
    spool.write_bytes(data)
    storage.put(spool, key)
    sha256 = hashlib.sha256(data).hexdigest()
    values: dict[str, Any] = {
        "attempt": 1,
        "key": key,
        "name": key.rpartition("/")[2],
        "content_type": "application/zip",
        "size": len(data),
        "sha256": sha256,
        "rows": 3,
        "receipt": receipts.sign({"sha256": sha256}),
        "expires_at": datetime.now(UTC) + timedelta(days=1),
    }
    return ExportFile.objects.create(job=job, **{**values, **changes})


def snapshot(job: ExportJob) -> dict[str, Any]:
    """The job's row and how long its timeline is: a refusal leaves both as they were."""
    return {**ExportJob.objects.filter(pk=job.pk).values().get(), "events": job.events.count()}


def export(client: Any, body: dict[str, Any]) -> dict[str, Any]:
    """Creates, starts and runs a job, in committed data; returns it as it is read afterwards."""
    job = client.post(JOBS, body).json()["job"]
    assert client.post(f"{JOBS}/{job['id']}/start").status_code == 200
    worker.run_next()
    found: dict[str, Any] = client.get(f"{JOBS}/{job['id']}").json()["job"]
    assert found["status"] == "done", found
    return found


def content(response: Any) -> bytes:
    """The bytes of a download."""
    assert response.status_code in {200, 206}, response
    return b"".join(response.streaming_content)


def rows(data: bytes) -> list[dict[str, str]]:
    """The rows of a zipped CSV."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def zipped(text: str = "id,title\n1,one\n2,two\n", name: str = "tasks.csv") -> bytes:
    """A zip with one member, as an external runner brings it; the same bytes at any time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def at_once(count: int, call: Callable[[int], Any]) -> list[Any]:
    """The results of this many threads that call at the same moment, each on a database connection of its own."""
    barrier, results = threading.Barrier(count), [None] * count

    def work(number: int) -> None:
        try:
            barrier.wait(10)
            results[number] = call(number)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results
