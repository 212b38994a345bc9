"""Whatever runs by itself leaves an operation, in the transaction that makes it."""

from __future__ import annotations

import json
from typing import Any

from exports.models import ExportJob, Operation, TaskImport

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
        organization=job.organization, handler=EXPORT, user=job.created_by, entity_id=str(job.pk), request=json.dumps(asked), parent=parent, job=job
    )


def of_import(task_import: TaskImport) -> Operation:
    """The operation of a new import."""
    asked = {"upload_id": str(task_import.upload_id), "map": task_import.mapping, "skip_bad": task_import.skip_bad} if task_import.upload_id else None
    return Operation.objects.create(
        organization=task_import.organization,
        handler=IMPORT,
        user=task_import.created_by,
        entity_id=str(task_import.pk),
        request=None if asked is None else json.dumps(asked),
        task_import=task_import,
    )


def of_sweep(organization_id: int, removed: dict[str, Any]) -> Operation:
    """The operation of a sweep that removed something of an organization."""
    return Operation.objects.create(organization_id=organization_id, handler=SWEEP, own_status="completed", own_response=json.dumps(removed))
