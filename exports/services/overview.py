"""What goes on in a person's organizations, for one page: every read is bounded, however many jobs there are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, IntegerField, Value, When

from exports.models import ExportJob, ExportSchedule
from exports.services import jobs
from exports.states import ACTIVE, JobStatus
from tasks import lists

UNDER_WAY_SHOWN, LATEST_SHOWN, RUNS_SHOWN = 8, 5, 5


@dataclass(frozen=True)
class Number:
    """So many jobs; `is_estimate` where they were too many to count for a page."""

    count: int
    is_estimate: bool


def by_status(organization_ids: Collection[int]) -> dict[JobStatus, Number]:
    """How many jobs are at each status now."""
    rows = ExportJob.objects.filter(organization__in=organization_ids, deleted_at=None)
    counts = {status: lists.estimate(rows.filter(status=status)) for status in JobStatus}
    return {status: Number(count, lists.is_estimate(count)) for status, count in counts.items()}


def under_way(user: Any, organization_ids: Collection[int]) -> list[dict[str, Any]]:
    """The jobs that run, longest first, then those that wait, first in the queue first; as `jobs.watched` shows them."""
    running_first = Case(When(status=JobStatus.IN_PROGRESS, then=Value(0)), default=Value(1), output_field=IntegerField())
    rows = ExportJob.objects.filter(organization__in=organization_ids, deleted_at=None, status__in=ACTIVE)
    ids = list(rows.order_by(running_first, "queued_at", "pk").values_list("pk", flat=True)[:UNDER_WAY_SHOWN])
    found = {job["pk"]: job for job in jobs.watched(user, ids)}
    return [found[pk] for pk in ids if pk in found]


def latest_of(user: Any, organization_ids: Collection[int]) -> list[ExportJob]:
    """The newest jobs that the user made."""
    rows = ExportJob.objects.filter(organization__in=organization_ids, deleted_at=None, created_by=user)
    return list(rows.select_related("file").defer("spec", "file__receipt").order_by("-created_at", "-pk")[:LATEST_SHOWN])


def next_runs(organization_ids: Collection[int]) -> list[ExportSchedule]:
    """The schedules that run next, the soonest first."""
    rows = ExportSchedule.objects.filter(organization__in=organization_ids, paused_reason="", next_run_at__isnull=False)
    return list(rows.select_related("organization").order_by("next_run_at", "pk")[:RUNS_SHOWN])


def paused(organization_ids: Collection[int]) -> int:
    """How many schedules stand still and wait for a person."""
    return ExportSchedule.objects.filter(organization__in=organization_ids).exclude(paused_reason="").count()
