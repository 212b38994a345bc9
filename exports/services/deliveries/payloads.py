"""What a webhook is told: ids, counts and where to read on; no names, no texts of people."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from exports.models import Event, ExportFile, ExportJob, ExportSchedule, Webhook


def of_job(job: ExportJob, schedule: ExportSchedule | None, event: Event) -> str:
    """The end of a job, with its file where there is one."""
    file = ExportFile.objects.filter(job=job).first() if event == Event.DONE else None
    url = f"{settings.SITE_URL}/api/v1/export-jobs/{job.pk}"
    data: dict[str, Any] = {
        "organization_id": str(job.organization.uuid) if job.organization else None,
        "job_id": str(job.pk),
        "schedule_id": schedule.pk if schedule else None,
        "status": str(event).removeprefix("job."),
        "dataset": job.dataset,
        "format": job.format,
        "trigger": job.trigger,
        "error_code": job.error_code or None,
        "rows": file.rows if file else None,
        "bytes": file.size if file else None,
        "sha256": file.sha256 if file else None,
        "expires_at": _stamp(file.expires_at) if file else None,
        "url": url,
        "download_url": f"{url}/download" if file else None,
    }
    return _body(event, data)


def of_schedule(schedule: ExportSchedule) -> str:
    """A schedule that the service has paused."""
    return _body(Event.PAUSED, {"organization_id": str(schedule.organization.uuid), "schedule_id": schedule.pk})


def of_test(webhook: Webhook) -> str:
    """A test."""
    return _body(Event.TEST, {"organization_id": str(webhook.organization.uuid), "webhook_id": webhook.pk})


def _body(event: Event, data: dict[str, Any]) -> str:
    return json.dumps({"type": str(event), "timestamp": _stamp(datetime.now(UTC)), "data": data}, separators=(",", ":"))


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
