"""Shortcuts to schedules for tests: made by the service, moved in time by SQL."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models.functions import Now

from exports.models import ExportFile, ExportJob, ExportSchedule, Firing, Segment
from exports.services.schedules import keeping
from tasks.models import DataRecord, Organization, User

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def now() -> datetime:
    return datetime.now(UTC)


def make_schedule(user: User, organization: Organization, first_run: datetime | None = None, name: str = "nightly", **values: Any) -> ExportSchedule:
    """The user's daily schedule of tasks, first due in an hour."""
    return keeping.create(user, organization, name, first_run or now() + HOUR, {"kind": "daily", "timezone": "UTC", **values})


def past(schedule: ExportSchedule, back: timedelta, life: timedelta = 30 * DAY) -> datetime:
    """Moves the schedule's whole life back in time, its runs too, so that it has lived so long; what is its next time then, UTC."""
    schedule.refresh_from_db()
    assert schedule.next_run_at
    due = schedule.next_run_at - back
    started = (due - life).replace(tzinfo=None)
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


# -- For the tenancy matrix ----------------------------------------------------------------------------------------
SEGMENT = {"index": "tasks", "join": "all", "rules": [{"field_name": "status", "field_type": "keyword", "operator": "is", "value": "none"}]}


def fill(path: str, organization: Organization, text: str) -> str:
    """The path with a new schedule (that has a file), a new segment, an index in its place, all of them the organization's."""
    if "<str:schedule_id>" in path:
        schedule = ExportSchedule.objects.create(
            organization=organization,
            owner=organization.members.filter(role="admin").first().user,
            name=text,
            description=text,
            kind="daily",
            timezone="UTC",
            starts_on_clock="2030-01-01T00:00:00",
            next_run_at=datetime(2030, 1, 1, tzinfo=UTC),
            changes_only=True,
        )
        file = ExportFile.objects.filter(job__organization=organization).last()
        if file:
            Firing.objects.create(schedule=schedule, intended_at=now(), job=file.job, outcome="done", detail=text)
        path = path.replace("<str:schedule_id>", str(schedule.pk))
    if "<str:segment_id>" in path:
        values = {"dataset": SEGMENT["index"], "join": "all", "rules": SEGMENT["rules"], "entity": text}
        path = path.replace("<str:segment_id>", str(Segment.objects.create(organization=organization, name=uuid.uuid4().hex, **values).pk))
    return path.replace("<str:index>", "users")


def body_for(name: str, method: str, organization: Organization, text: str) -> dict[str, Any]:
    """A body with which the call succeeds."""
    task = {
        "desc": text,
        "trigger": {"once": "2030-01-01T00:00:00Z", "repeat": "daily"},
        "target": {"action": "export", "export_index": "users", "export_format": "csv"},
    }
    bodies: dict[tuple[str, str], dict[str, Any]] = {
        ("scheduled-tasks", "POST"): {"chain": organization.pk, **task},
        ("scheduled-task", "PUT"): task,
        ("segments", "POST"): {"chain": organization.pk, "name": uuid.uuid4().hex, **SEGMENT},
        ("segment", "PUT"): {"name": uuid.uuid4().hex, **SEGMENT},
        ("records", "PUT"): {"chain": organization.pk, "records": [{"external_id": text}]},
    }
    return bodies.get((name, method), {})


def kept() -> list[Any]:
    """All that schedules, segments and records are: a refusal leaves it as it was."""
    return [list(model.objects.order_by("pk").values()) for model in (ExportSchedule, Segment, Firing, DataRecord)]
