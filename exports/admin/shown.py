"""A job's state as a person sees it: word and shape, rows and percent, and what to do about an error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from django.db.models import Model
from django.utils.html import format_html
from django.utils.safestring import SafeString

from exports.formats import FORMATS
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


def state(job: Mapping[str, Any]) -> dict[str, Any]:
    """What changes while a job runs, of one of `jobs.watched`; `percent` is None where nobody knows it yet, `live` says whether to ask
    again, `pace` how fast it goes and how long that takes, or how many jobs wait before it."""
    status, rows_done, rows_total = job["status"], job["rows_done"], job["rows_total"]
    done = status == JobStatus.DONE
    running = status == JobStatus.IN_PROGRESS
    rows = ""
    if done or (running and rows_done):
        rows = f"{rows_done or 0:,} rows" if done or not rows_total else f"{rows_done or 0:,} of {rows_total:,} rows"
    percent = jobs.percent(status, rows_done, rows_total)
    return {
        "id": str(job["pk"]),
        "name": job["name"],
        "status": status,
        "badge": f"badge badge-{status.replace(' ', '-')}",
        "rows": rows or {JobStatus.QUEUED: "waits for a worker", JobStatus.IN_PROGRESS: "counting rows"}.get(JobStatus(status), ""),
        "percent": percent,
        "percent_text": f"{percent:g} %" if running and percent is not None else "",
        "pace": _pace(job),
        "error": job["error"] if status == JobStatus.FAILED else "",
        "live": status in ACTIVE,
    }


def _pace(job: Mapping[str, Any]) -> str:
    ahead = job.get("ahead")
    if ahead is not None:
        return f"number {ahead + 1:,} in the queue"
    rows, total, since, until = (job.get(name) for name in ("rows_done", "rows_total", "claimed_at", "beat_at"))
    if job["status"] != JobStatus.IN_PROGRESS or not rows or not since or not until:
        return ""
    rate = rows / max(1.0, (until - since).total_seconds())
    said = f"{rate:,.0f} rows a second" if rate >= 1 else "less than a row a second"
    return f"{said}, {_left((total - rows) / rate)}" if total and total > rows else said


def _left(seconds: float) -> str:
    if seconds < 5:
        return "a few seconds left"
    if seconds < 90:
        return f"about {math.ceil(seconds / 5) * 5} seconds left"
    minutes = math.ceil(seconds / 60)
    return f"about {minutes} minutes left" if minutes < 120 else f"about {math.ceil(minutes / 60)} hours left"


def state_of(job: Any) -> dict[str, Any]:
    """The same of a job whose pace nobody asked for; its progress too, where it is of `jobs.visible`."""
    return state({name: getattr(job, name, None) for name in ("pk", "name", "status", "rows_done", "rows_total", "error")})


def states(user: Any, ids: list[Any]) -> list[dict[str, Any]]:
    """The states of those of the jobs that the user may see, by one query."""
    return [state(job) for job in jobs.watched(user, ids[:LIVE_MOST])]


def badge(now: dict[str, Any]) -> SafeString:
    """The status as a word with a shape and a colour; the page keeps it up to date while it is live."""
    live = format_html(' data-live="{}"', now["id"]) if now["live"] else ""
    return format_html('<span class="{}" data-job="{}" data-part="badge"{}>{}</span>', now["badge"], now["id"], live, now["status"])


def bar(now: dict[str, Any]) -> SafeString:
    """Progress as a bar and in words; nothing but the words for a job that never ran."""
    value = "" if now["percent"] is None else format_html(' value="{}"', now["percent"])
    idle = "" if now["live"] or now["status"] == JobStatus.DONE else format_html(" {}", "hidden")
    return format_html(
        '<div class="progress"><progress max="100" aria-label="Progress of {name}" data-job="{id}" data-part="bar"{value}{idle}></progress>'
        '<span data-job="{id}" data-part="rows">{rows}</span> <span data-job="{id}" data-part="percent_text">{percent}</span>'
        '<span class="pace" data-job="{id}" data-part="pace">{pace}</span></div>',
        id=now["id"],
        name=now["name"],
        value=value,
        idle=idle,
        rows=now["rows"],
        percent=now["percent_text"],
        pace=now["pace"],
    )


def person(user: Model | None) -> str:
    """A person's name, or a dash for the service itself and for somebody deleted."""
    return str(user) if user else "–"


def options(format_name: str, chosen: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The options of a format and their values, in words and in the format's own order; PostgreSQL keeps them in another."""
    known = list(FORMATS[format_name].options) if format_name in FORMATS else []
    names = [name for name in known if name in chosen] + [name for name in chosen if name not in known]
    return [(name.replace("_", " "), _option(chosen[name])) for name in names]


def _option(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {True: "yes", False: "no", None: "none"}[value]
    text = {"\t": "tab", " ": "space"}.get(value, value) if isinstance(value, str) else str(value)
    return text if text[:1].isalnum() else f"“{text}”"
