"""The one way a status moves, and the timeline."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import Any

from django.db.models import F
from django.db.models.functions import Now

from exports.models import ExportJob, JobAttempt, JobEvent, Trigger
from exports.services import totals
from exports.services.deliveries import outbox
from exports.services.operations import recording
from exports.states import ENDED, SOURCES, JobStatus
from taskexport.errors import Conflict, NotFound
from tasks.models import User

TRIES = 10  # a rival may change the row between the look and the UPDATE


def move(
    job_id: Any,
    to: JobStatus,
    kind: str,
    *,
    sources: Collection[JobStatus] | None = None,
    attempt_is: int | None = None,
    version_rev: str | None = None,
    actor: User | None = None,
    detail: str = "",
    number: int | None = None,
    **changes: Any,
) -> None:
    """Moves the job to a status, with a line in its timeline and, at its end, what is to be told of it; of a done one `publish` tells, with its file.

    Raises Conflict (`wrong_status`, `stale_version`, `lost_attempt`), NotFound.
    """
    allowed = SOURCES[to] if sources is None else SOURCES[to] & frozenset(sources)

    def check(job: ExportJob) -> None:
        if job.status not in allowed:
            words = " or ".join(sorted(allowed))
            raise Conflict(f"The job is {job.status}; only a job that is {words} can become {to}.", code="wrong_status")
        if attempt_is is not None and job.attempt != attempt_is:
            raise Conflict("Another attempt has taken the job over.", code="lost_attempt")

    job = _change(job_id, check, version_rev, status=to, **changes)
    recording.follow(job=job_id)
    if job.trigger == Trigger.SCHEDULE:
        recording.follow(firing__job=job_id, firing__outcome="")
    record(job, kind, came_from=JobStatus(job.status), to=to, actor=actor, detail=detail, number=number or job.attempt)
    if to in ENDED and to != JobStatus.DONE:
        outbox.write_end(job_id, to, changes.get("error", ""), actor)
    if to == JobStatus.FAILED:
        totals.note(job.organization_id, failed=1)


def edit(job_id: Any, kind: str, sources: Collection[JobStatus], verb: str, *, version_rev: str | None = None, actor: User, **changes: Any) -> None:
    """Changes something of the job other than its status, which must be one of the sources. Raises as `move` does."""

    def check(job: ExportJob) -> None:
        if job.status not in sources:
            raise Conflict(f"The job is {job.status}; only a job that is {' or '.join(sorted(sources))} can be {verb}.", code="wrong_status")

    job = _change(job_id, check, version_rev, **changes)
    record(job, kind, actor=actor, number=job.attempt)


def require_version(job: ExportJob, version_rev: str | None) -> None:
    """Raises Conflict `stale_version` if the caller insists on a version that is not the job's."""
    if version_rev is not None and version_rev != job.version_rev:
        raise Conflict(f"version_rev {version_rev} is stale; the job is at {job.version_rev}. Read it again.", code="stale_version")


def _change(job_id: Any, check: Any, version_rev: str | None, **changes: Any) -> ExportJob:
    """One conditional UPDATE of the job as it was checked; returns it as it was before."""
    for _ in range(TRIES):
        seen = ExportJob.objects.filter(pk=job_id, deleted_at=None)
        job = seen.only("status", "trigger", "version_seq", "version_nonce", "attempt", "organization").first()
        if job is None:
            raise NotFound("There is no such export job.")
        require_version(job, version_rev)
        check(job)
        unchanged = ExportJob.objects.filter(pk=job_id, status=job.status, version_seq=job.version_seq, attempt=job.attempt)
        if unchanged.update(version_seq=F("version_seq") + 1, version_nonce=secrets.token_hex(4), **changes):
            return job
    raise Conflict("The job changes too fast; try again.", code="busy")


def record(
    job: ExportJob,
    kind: str,
    *,
    to: JobStatus | None = None,
    came_from: JobStatus | None = None,
    actor: User | None = None,
    detail: str = "",
    number: int = 0,
) -> None:
    """A line of the job's timeline."""
    JobEvent.objects.create(job=job, kind=kind, from_status=came_from or "", to_status=to or "", attempt=number, actor=actor, detail=detail)


def end_attempts(job_id: Any, outcome: str) -> None:
    """Ends the attempt that still runs, if one does."""
    JobAttempt.objects.filter(job=job_id, outcome="").update(outcome=outcome, ended_at=Now())


def give_up(job_id: Any, number: int, error: str, **changes: Any) -> None:
    """in progress → failed, for an attempt. Raises Conflict."""
    # Only from in progress: a job that was taken back and waits for another worker still has this attempt's number.
    running = {JobStatus.IN_PROGRESS}
    move(job_id, JobStatus.FAILED, "failed", sources=running, attempt_is=number, detail=error, error=error, finished_at=Now(), **changes)
