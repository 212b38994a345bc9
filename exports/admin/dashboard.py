"""The first page: what goes on in one's organizations, and whether the service works."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from exports.admin import chart, shown
from exports.services import overview, readiness, totals
from exports.states import JobStatus
from taskexport.staff import may_anywhere
from tasks import access
from tasks.access import Action

DAYS = 14
KEPT_SHOWN = 5
NEARLY_FULL = 0.9
# By the check's name: how it is called when it is well and when it is not, and what whoever runs the service does then.
HEALTH = {
    "waiting": ("Jobs are taken", "Jobs wait for too long", "Start more workers: Q_CLUSTER_NAME=exports manage.py qcluster"),
    "queue_exports": ("Export workers answer", "Export workers do not answer", "Start them: Q_CLUSTER_NAME=exports manage.py qcluster"),
    "queue_control": (
        "The control worker answers",
        "The control worker does not answer",
        "Start it again: Q_CLUSTER_NAME=control manage.py qcluster",
    ),
    "tick": ("Chores are done", "The minute's chores are not done", "Start the control worker: Q_CLUSTER_NAME=control manage.py qcluster"),
}


@dataclass(frozen=True)
class Light:
    """One line about the service's health: what is watched, how it is, and what to do if it is not well."""

    label: str
    state: str  # ok, bad, or wait: it has not been heard of since the service was set up
    said: str
    cure: str


def view(request: HttpRequest) -> HttpResponse:
    """The overview; everything on it is bounded, and of the organizations that the person sees."""
    user: Any = request.user
    ids = access.organization_ids(user)
    lights = [_light(check) for check in readiness.look(*HEALTH)]
    counts = overview.by_status(ids)
    context = {
        "title": "Overview",
        "may_run": may_anywhere(request, Action.RUN),
        "organizations": len(ids),
        "counts": [(status, f"{'≈ ' if number.is_estimate else ''}{number.count:,}") for status, number in counts.items()],
        "is_empty": not any(number.count for number in counts.values()),
        "chart": chart.bars(totals.days(ids, DAYS)),
        "under_way": [_line(job) for job in overview.under_way(user, ids)],
        "under_way_all": sum(counts[status].count for status in (JobStatus.QUEUED, JobStatus.IN_PROGRESS)),
        "latest": [(job, shown.badge(shown.state_of(job))) for job in overview.latest_of(user, ids)],
        "next_runs": overview.next_runs(ids),
        "paused": overview.paused(ids),
        "kept": [_storage(kept) for kept in totals.kept(ids, KEPT_SHOWN)],
        "lights": lights,
        "health": next((state for state in ("bad", "wait") if any(light.state == state for light in lights)), "ok"),
        "now": timezone.now(),
    }
    return render(request, "admin/exports/dashboard.html", admin.site.each_context(request) | context)


def _line(job: dict[str, Any]) -> dict[str, Any]:
    now = shown.state(job)
    return {"job": job, "badge": shown.badge(now), "bar": shown.bar(now)}


def _storage(kept: totals.Kept) -> dict[str, Any]:
    share = kept.size / kept.most if kept.most else 0
    return {"kept": kept, "percent": round(100 * share), "is_nearly_full": share >= NEARLY_FULL}


def _light(check: readiness.Check) -> Light:
    well, ill, cure = HEALTH[check.name]
    if check.is_ok:
        cure = ""
    if check.name == "waiting":
        said = f"the longest wait: {_ago(check.seconds)}" if check.seconds else "none waits"
    elif check.seconds is None:
        return Light(well if check.is_ok else ill, "ok" if check.is_ok else "wait", "not heard of yet", cure)
    else:
        said = f"last {_ago(check.seconds)} ago"
    return Light(well if check.is_ok else ill, "ok" if check.is_ok else "bad", said, cure)


def _ago(seconds: int | None) -> str:
    seconds = seconds or 0
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
