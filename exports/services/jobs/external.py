"""External runners: somebody else's program claims a queued job, beats, and brings its file or says why there is none."""

from __future__ import annotations

import secrets
from typing import Any

from django.db import transaction
from django.db.models import Exists
from django.db.models.functions import Now

from exports.models import ExportJob, JobAttempt, Runner
from exports.services.jobs.moving import end_attempts, move, require_version
from exports.services.jobs.reading import may_change, require_change
from exports.services.jobs.working import Claim, run_rights
from exports.states import JobStatus
from taskexport.errors import AppError, Conflict, Forbidden
from tasks import access
from tasks.access import Action
from tasks.models import User

NO_REASON = "Its runner gave no reason."


def take(user: User, job: ExportJob, version_rev: str | None = None) -> None:
    """queued → in progress: the user's program runs the job from here on. Any editor may. Raises Conflict (`runs_here` for a job of
    our own workers), Forbidden."""
    _require_runner(user, job)
    try:
        run_rights(job)
    except AppError as error:
        raise Conflict(error.message, code=error.code) from None
    number = job.attempt + 1
    with transaction.atomic():
        move(
            job.pk,
            JobStatus.IN_PROGRESS,
            "claimed",
            attempt_is=job.attempt,
            version_rev=version_rev,
            actor=user,
            number=number,
            attempt=number,
            started_at=Now(),
        )
        JobAttempt.objects.create(job=job, number=number, token=secrets.token_hex(8), worker=_name(user))


def report_progress(user: User, job: ExportJob, rows_done: int, rows_total: int | None = None, version_rev: str | None = None) -> None:
    """Renews the lease of the job's runner, for a day, and notes how far it is. Raises Conflict, Forbidden."""
    claim = require_uploader(user, job, version_rev)
    running = ExportJob.objects.filter(pk=job.pk, status=JobStatus.IN_PROGRESS, attempt=claim.attempt.number)
    told: dict[str, Any] = {"rows_done": rows_done} | ({} if rows_total is None else {"rows_total": rows_total})
    if not JobAttempt.objects.filter(Exists(running), pk=claim.attempt.pk, outcome="").update(beat_at=Now(), **told):
        raise Conflict("The job is no longer in progress.", code="wrong_status")


def require_uploader(user: User, job: ExportJob, version_rev: str | None = None) -> Claim:
    """The user's claim on a job in progress. Raises Conflict (`runs_here`, `wrong_status`, `stale_version`), Forbidden for
    somebody else's claim unless the user is an admin."""
    _require_runner(user, job)
    require_version(job, version_rev)
    attempt = JobAttempt.objects.filter(job=job, number=job.attempt, outcome="").first()
    if job.status != JobStatus.IN_PROGRESS or attempt is None:
        raise Conflict(f"The job is {job.status}; its runner is heard while it is {JobStatus.IN_PROGRESS}.", code="wrong_status")
    if attempt.worker != _name(user) and not access.can(user, Action.ADMINISTER, job.organization_id):
        raise Forbidden("Another runner has claimed this job.")
    return Claim(job, attempt)


def report_failed(user: User, job: ExportJob, error: str, version_rev: str | None = None) -> None:
    """new, queued or in progress → failed, for the reason that the runner says. An external job may be failed by any editor, but by
    its runner alone while one has it; any other by whoever may change it. Raises Conflict, Forbidden."""
    if job.runner != Runner.EXTERNAL:
        require_change(user, job)
    else:
        access.require(user, Action.RUN, job.organization_id)
        if job.status == JobStatus.IN_PROGRESS and not may_change(user, job):
            require_uploader(user, job)
    error = error.strip() or NO_REASON
    with transaction.atomic():
        move(
            job.pk,
            JobStatus.FAILED,
            "failed",
            version_rev=version_rev,
            actor=user,
            detail=error,
            finished_at=Now(),
            error=error,
            error_code="reported_failed",
        )
        end_attempts(job.pk, "reported_failed")


def _require_runner(user: User, job: ExportJob) -> None:
    """Raises Forbidden or NotFound unless the user may act as a runner, Conflict where the job is none of theirs."""
    if job.organization_id is not None:
        access.require(user, Action.RUN, job.organization_id)
    if job.runner != Runner.EXTERNAL:
        raise Conflict("Workers of this service run this job; only a job with runner external can be run elsewhere.", code="runs_here")


def _name(user: User) -> str:
    return f"user:{user.pk}"
