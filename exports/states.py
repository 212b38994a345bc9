"""The life of a job: which statuses there are, and from which each may be entered."""

from __future__ import annotations

from django.db import models


class JobStatus(models.TextChoices):
    """Where a job is."""

    NEW = "new", "new"
    QUEUED = "queued", "queued"
    IN_PROGRESS = "in progress", "in progress"
    DONE = "done", "done"
    FAILED = "failed", "failed"
    CANCELLED = "cancelled", "cancelled"


SOURCES: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.NEW: frozenset(),
    # from new by start; from failed and cancelled by retry; from in progress when a worker is lost or stops
    JobStatus.QUEUED: frozenset({JobStatus.NEW, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.IN_PROGRESS}),
    JobStatus.IN_PROGRESS: frozenset({JobStatus.QUEUED}),  # a direct export is born here
    JobStatus.DONE: frozenset({JobStatus.IN_PROGRESS}),
    JobStatus.FAILED: frozenset({JobStatus.NEW, JobStatus.QUEUED, JobStatus.IN_PROGRESS}),
    JobStatus.CANCELLED: frozenset({JobStatus.NEW, JobStatus.QUEUED, JobStatus.IN_PROGRESS}),
}
ENDED = frozenset({JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED})
ACTIVE = frozenset({JobStatus.QUEUED, JobStatus.IN_PROGRESS})
