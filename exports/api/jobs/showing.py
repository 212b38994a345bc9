"""One job in the contract's words."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request

from exports.models import ExportFile, ExportJob
from exports.services import files, jobs
from exports.states import JobStatus
from taskexport.api.calls import stamp, user_of

TAG = "export jobs"


def find(request: Request, job_id: str) -> ExportJob:
    """The visible job of this id. Raises NotFound."""
    return jobs.get(request.user, job_id)


def present(request: Request, job: ExportJob, *, single: bool = False) -> dict[str, Any]:
    """The job in the contract's words; a single job also tells its place in the queue."""
    file = getattr(job, "file", None)
    rows_done, rows_total = getattr(job, "rows_done", None), getattr(job, "rows_total", None)
    if job.status not in {JobStatus.IN_PROGRESS, JobStatus.DONE}:
        rows_done, rows_total = 0, None
    share = jobs.percent(job.status, rows_done, rows_total) or 0.0
    live = file is not None and job.status == JobStatus.DONE and file.is_present
    body: dict[str, Any] = {
        "id": str(job.pk),
        "org_id": str(job.organization.uuid) if job.organization else "all",
        "org_name": job.org_name,
        "name": job.name,
        "type": job.type,
        "status": job.status,
        "result": {"error": job.error, "download_url": request.build_absolute_uri(files.link(user_of(request), file)) if live and file else ""},
        "creation_start_date": stamp(job.creation_start_date),
        "creation_end_date": stamp(job.creation_end_date),
        "version_rev": job.version_rev,
        "version_seq": job.version_seq,
        "format": job.format,
        "dataset": job.dataset,
        "trigger": job.trigger,
        "runner": job.runner,
        "progress": {"rows_done": rows_done or 0, "rows_total": rows_total, "percent": share},
        "file": file and _present_file(file),
        "attempt": job.attempt,
        "created_by": {"id": job.created_by.pk, "name": str(job.created_by)} if job.created_by else None,
        "created_at": stamp(job.created_at),
        "queued_at": stamp(job.queued_at),
        "started_at": stamp(job.started_at),
        "finished_at": stamp(job.finished_at),
    }
    if single:
        body["queue_position"] = jobs.queue_position(job)
    return body


def _present_file(file: ExportFile) -> dict[str, Any]:
    return {
        "name": file.name,
        "size": file.size,
        "sha256": file.sha256,
        "rows": file.rows,
        "expires_at": stamp(file.expires_at),
        "pinned": file.pinned,
    }


def one(request: Request, job_id: Any) -> dict[str, Any]:
    """The body that answers a call about one job, read anew."""
    return {"job": present(request, jobs.get(request.user, job_id), single=True)}
