"""Whatever runs by itself leaves an operation, in the transaction that makes it, and each move of it shows there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.db.models import Case, CharField, DateTimeField, F, OuterRef, Subquery, Value, When
from django.db.models.functions import Coalesce, Now

from exports.models import ExportJob, ExportSchedule, Firing, Operation, Outcome, TaskImport
from exports.states import JobStatus
from tasks.models import Organization, User

# What a job's or an import's status is called here.
WORDS: dict[str, str] = {
    JobStatus.NEW: "pending",
    JobStatus.QUEUED: "pending",
    JobStatus.IN_PROGRESS: "running",
    JobStatus.DONE: "completed",
    JobStatus.FAILED: "failed",
    JobStatus.CANCELLED: "failed",
}
EXPORT, IMPORT, SWEEP, SCHEDULE = "ExportHandler", "ImportHandler", "SweepHandler", "ScheduleHandler"


def of_job(job: ExportJob, parent: Operation | None = None) -> Operation:
    """The operation of a new export job; what was asked for stands in its request."""
    asked = {
        "org_id": str(job.organization.uuid) if job.organization else "all",
        "org_name": job.org_name,
        "name": job.name,
        "type": job.type,
        "creation_start_date": job.creation_start_date.isoformat(),
        "creation_end_date": job.creation_end_date.isoformat(),
        "dataset": job.dataset,
        "format": job.format,
    }
    return Operation.objects.create(
        organization=job.organization,
        handler=EXPORT,
        user=job.created_by,
        entity_id=str(job.pk),
        status=WORDS[job.status],
        request=json.dumps(asked),
        parent=parent,
        job=job,
    )


def of_import(task_import: TaskImport) -> Operation:
    """The operation of a new import."""
    asked = {"upload_id": str(task_import.upload_id), "map": task_import.mapping, "skip_bad": task_import.skip_bad} if task_import.upload_id else None
    return Operation.objects.create(
        organization=task_import.organization,
        handler=IMPORT,
        user=task_import.created_by,
        entity_id=str(task_import.pk),
        status=WORDS[task_import.status],
        request=None if asked is None else json.dumps(asked),
        task_import=task_import,
    )


def of_firings(schedule: ExportSchedule, firings: list[Firing], user: User | None) -> list[Operation]:
    """The operations of new runs of one schedule; the export that a run makes hangs on the run's own."""
    return Operation.objects.bulk_create(
        Operation(
            organization_id=schedule.organization_id,
            handler=SCHEDULE,
            user=user,
            entity_id=str(schedule.pk),
            status=_of_outcome(firing.outcome),
            request=json.dumps({"schedule": schedule.name, "intended_at": firing.intended_at.isoformat(), "by_hand": firing.by_hand}),
            own_response=_told(firing),
            firing=firing,
        )
        for firing in firings
    )


def end_firing(firing: Firing) -> None:
    """The run has this outcome now; called in the transaction that takes it down."""
    Operation.objects.filter(firing=firing).update(status=_of_outcome(firing.outcome), own_response=_told(firing), updated_at=Now())


def leave_firings(schedule: ExportSchedule) -> None:
    """The schedule is being deleted: what still runs of it goes on as an export alone."""
    left = json.dumps({"outcome": "", "detail": "the scheduled task was deleted; the export goes on by itself", "job": None})
    open_runs = Operation.objects.filter(firing__schedule=schedule, firing__outcome="", status__in=["pending", "running"])
    open_runs.update(status="completed", own_response=left, updated_at=Now())


def _of_outcome(outcome: str) -> str:
    if not outcome:
        return "pending"
    return "failed" if outcome in {Outcome.FAILED, Outcome.MISSED} else "completed"


def _told(firing: Firing) -> str | None:
    """What came of a run, or null while it is open."""
    job_id = str(firing.job_id) if firing.job_id else None
    return json.dumps({"outcome": firing.outcome, "detail": firing.detail, "job": job_id}) if firing.outcome else None


def of_sweeps(removed: Mapping[int, Mapping[str, int]]) -> None:
    """An operation for each organization (by id) of which a sweep has removed something: how many of what."""
    told = {pk: {what: count for what, count in counts.items() if what and count} for pk, counts in removed.items()}
    present = Organization.objects.filter(pk__in=[pk for pk, counts in told.items() if counts])
    Operation.objects.bulk_create(
        Operation(organization=one, handler=SWEEP, status="completed", own_response=json.dumps(told[one.pk])) for one in present
    )


def follow(**what: Any) -> None:
    """Brings the operations of a job or an import, found by these conditions, up to its status and its last change; called in the
    transaction that moves it, and harmless when called again. A run's follows its job until the run's outcome is taken down."""
    now = Operation.objects.filter(pk=OuterRef("pk")).annotate(now_status=_status(), now_updated_at=_updated_at())
    Operation.objects.filter(**what).update(status=Subquery(now.values("now_status")), updated_at=Subquery(now.values("now_updated_at")))


def _status() -> Case:
    ways = ("job", "task_import", "firing__job")
    behind = [When(**{f"{what}__status": status}, then=Value(word)) for what in ways for status, word in WORDS.items()]
    return Case(*behind, default=F("status"), output_field=CharField())


def _updated_at() -> Case:
    def last(what: str, *names: str) -> Coalesce:
        return Coalesce(*(F(f"{what}__{name}") for name in names))

    return Case(
        When(job__isnull=False, then=last("job", "finished_at", "started_at", "queued_at", "created_at")),
        When(task_import__isnull=False, then=last("task_import", "finished_at", "started_at", "created_at")),
        When(firing__job__isnull=False, then=last("firing__job", "finished_at", "started_at", "queued_at", "created_at")),
        default=F("updated_at"),
        output_field=DateTimeField(),
    )
