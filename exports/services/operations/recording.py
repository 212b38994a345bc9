"""Whatever runs by itself leaves an operation, in the transaction that makes it, and each move of it shows there."""

from __future__ import annotations

import json
from typing import Any

from django.db.models import Case, CharField, DateTimeField, F, OuterRef, Subquery, Value, When
from django.db.models.functions import Coalesce

from exports.models import ExportJob, Operation, TaskImport
from exports.states import JobStatus

# What a job's or an import's status is called here.
WORDS: dict[str, str] = {
    JobStatus.NEW: "pending",
    JobStatus.QUEUED: "pending",
    JobStatus.IN_PROGRESS: "running",
    JobStatus.DONE: "completed",
    JobStatus.FAILED: "failed",
    JobStatus.CANCELLED: "failed",
}
EXPORT, IMPORT, SWEEP = "ExportHandler", "ImportHandler", "SweepHandler"


def of_job(job: ExportJob, *, parent: Operation | None = None) -> Operation:
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


def of_sweep(organization_id: int, removed: dict[str, Any]) -> Operation:
    """The operation of a sweep that removed something of an organization."""
    return Operation.objects.create(organization_id=organization_id, handler=SWEEP, status="completed", own_response=json.dumps(removed))


def follow(**what: Any) -> None:
    """Brings the operations of a job or an import, found by these conditions, up to its status and its last change; called in the
    transaction that moves it, and harmless when called again."""
    now = Operation.objects.filter(pk=OuterRef("pk")).annotate(now_status=_status(), now_updated_at=_updated_at())
    Operation.objects.filter(**what).update(status=Subquery(now.values("now_status")), updated_at=Subquery(now.values("now_updated_at")))


def _status() -> Case:
    behind = [When(**{f"{what}__status": status}, then=Value(word)) for what in ("job", "task_import") for status, word in WORDS.items()]
    return Case(*behind, default=F("status"), output_field=CharField())


def _updated_at() -> Case:
    def last(what: str, *names: str) -> Coalesce:
        return Coalesce(*(F(f"{what}__{name}") for name in names))

    return Case(
        When(job__isnull=False, then=last("job", "finished_at", "started_at", "queued_at", "created_at")),
        When(task_import__isnull=False, then=last("task_import", "finished_at", "started_at", "created_at")),
        default=F("updated_at"),
        output_field=DateTimeField(),
    )
