"""Shortcuts to schedules for tests: made by the service, moved in time by SQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models.functions import Now

from exports.models import ExportJob, ExportSchedule, Firing
from exports.services.schedules import keeping
from tasks.models import Organization, User

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def now() -> datetime:
    return datetime.now(UTC)


def make_schedule(user: User, organization: Organization, first_run: datetime | None = None, name: str = "nightly", **values: Any) -> ExportSchedule:
    """The user's daily schedule of tasks, first due in an hour."""
    return keeping.create(user, organization, name, first_run or now() + HOUR, {"kind": "daily", "timezone": "UTC", **values})


def past(schedule: ExportSchedule, back: timedelta) -> datetime:
    """Moves the schedule's whole life back in time, its runs too; what is its next time then, UTC."""
    schedule.refresh_from_db()
    assert schedule.next_run_at
    due = schedule.next_run_at - back
    started = (due - 30 * DAY).replace(tzinfo=None)
    for run in schedule.firings.order_by("pk"):
        run.intended_at, run.fired_at = run.intended_at - back, run.fired_at - back
        run.window_until = run.window_until and run.window_until - back
        run.save()
    ExportSchedule.objects.filter(pk=schedule.pk).update(
        next_run_at=due, armed_at=schedule.armed_at - back - 30 * DAY, starts_on_clock=started.isoformat()
    )
    return due


def end_jobs(schedule: ExportSchedule, status: str = "done", error: str = "") -> int:
    """Ends the schedule's open jobs by SQL; how many."""
    jobs = ExportJob.objects.filter(firings__schedule=schedule, firings__outcome="").exclude(status="new")
    return ExportJob.objects.filter(pk__in=list(jobs.values_list("pk", flat=True))).update(status=status, error=error, finished_at=Now())


def outcomes(schedule: ExportSchedule) -> list[str]:
    """How the schedule's runs ended, oldest first."""
    return list(Firing.objects.filter(schedule=schedule).order_by("pk").values_list("outcome", flat=True))
