"""A job's state as a person sees it: word and shape, rows and percent, and what to do about an error."""

from __future__ import annotations

from typing import Any

from django.db.models import Model
from django.utils.html import format_html
from django.utils.safestring import SafeString

from exports.models import ExportJob
from exports.services import jobs
from exports.states import ACTIVE, JobStatus

LIVE_MOST = 200  # jobs asked about at once; a list's page holds fewer

_AGAIN_LATER = "Press Retry; if it fails again, give the job's id to whoever runs this service."
_ADVICE = {
    "cancelled": "Press Retry if the file is wanted after all.",
    "permission_lost": "An admin of the organization can give the role back; or press Make again, and the export is yours.",
    "worker_lost": "Press Retry. If it is lost again, export a shorter period and give the job's id to whoever runs this service.",
    "deadline": "Make a new export of a shorter period.",
    "storage_unavailable": "Press Retry once the storage answers again.",
    "database_unavailable": "Press Retry once the database answers again.",
    "reported_failed": "It comes from an external runner. Press Retry, and a runner may claim it again.",
    "runner_lost": "Press Retry, and a runner may claim it again.",
    "client_gone": "Ask for the direct export again, or make a job.",
    "schedule_gone": "Make a new scheduled task with the same choices.",
    "spec_version": "Make a new export with the same choices.",
}


def advice(job: ExportJob) -> str:
    """What to do about a job that failed or was cancelled; empty for any other."""
    return _ADVICE.get(job.error_code, _AGAIN_LATER) if job.status in {JobStatus.FAILED, JobStatus.CANCELLED} else ""


def state(job_id: Any, status: str, rows_done: int | None, rows_total: int | None, error: str) -> dict[str, Any]:
    """What changes while a job runs; `percent` is None where nobody knows it yet, `live` says whether to ask again."""
    done = status == JobStatus.DONE
    running = status == JobStatus.IN_PROGRESS
    rows = ""
    if done or (running and rows_done):
        rows = f"{rows_done or 0:,} rows" if done or not rows_total else f"{rows_done or 0:,} of {rows_total:,} rows"
    return {
        "id": str(job_id),
        "status": status,
        "badge": f"badge badge-{status.replace(' ', '-')}",
        "rows": rows or {JobStatus.QUEUED: "waits for a worker", JobStatus.IN_PROGRESS: "counting rows"}.get(JobStatus(status), ""),
        "percent": jobs.percent(status, rows_done, rows_total),
        "error": error if status == JobStatus.FAILED else "",
        "live": status in ACTIVE,
    }


def state_of(job: Any) -> dict[str, Any]:
    """The same of a job of `jobs.visible`."""
    return state(job.pk, job.status, job.rows_done, job.rows_total, job.error)


def states(user: Any, ids: list[Any]) -> list[dict[str, Any]]:
    """The states of those of the jobs that the user may see, by one query."""
    fields = ("pk", "status", "rows_done", "rows_total", "error")
    return [state(*row) for row in jobs.visible(user).filter(pk__in=ids[:LIVE_MOST]).order_by().values_list(*fields)]


def badge(job: Any) -> SafeString:
    """The status as a word with a shape and a colour; the page keeps it up to date while it is live."""
    now = state_of(job)
    live = format_html(' data-live="{}"', now["id"]) if now["live"] else ""
    return format_html('<span class="{}" data-job="{}" data-part="badge"{}>{}</span>', now["badge"], now["id"], live, now["status"])


def bar(job: Any) -> SafeString:
    """Progress as a bar and in words; nothing but the words for a job that never ran."""
    now = state_of(job)
    value = "" if now["percent"] is None else format_html(' value="{}"', now["percent"])
    idle = "" if now["live"] or job.status == JobStatus.DONE else format_html(" {}", "hidden")
    return format_html(
        '<div class="progress"><progress max="100" aria-label="progress" data-job="{id}" data-part="bar"{value}{idle}></progress>'
        '<span data-job="{id}" data-part="rows">{rows}</span> <span data-job="{id}" data-part="percent">{percent}</span></div>',
        id=now["id"],
        value=value,
        idle=idle,
        rows=now["rows"],
        percent=f"{now['percent']:g} %" if job.status == JobStatus.IN_PROGRESS and now["percent"] is not None else "",
    )


def person(user: Model | None) -> str:
    """A person's name, or a dash for the service itself and for somebody deleted."""
    return str(user) if user else "–"
