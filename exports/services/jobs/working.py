"""What workers do to jobs: claim, beat, publish, fail, give back. An attempt's number is the fence."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, F, Min, QuerySet
from django.db.models.functions import Now

from exports import storage
from exports.datasets import Spec
from exports.formats.issues import Issue
from exports.models import ExportFile, ExportIssue, ExportJob, JobAttempt, JobEvent, Runner
from exports.services import changes, limits, totals
from exports.services.deliveries import outbox
from exports.services.jobs.moving import give_up, move, record
from exports.services.jobs.people import needed
from exports.services.jobs.ringing import ring, waiting
from exports.states import JobStatus
from taskexport.errors import AppError, Conflict
from tasks import access
from tasks.models import Organization, User

log = logging.getLogger(__name__)

MAX_FAULTS = 8  # transient faults; with the back-off below this is about an hour of trying
PUT_OFF_SECONDS = 300  # somebody may make room before the quota clears by itself
PUT_OFF_MOST = 1000  # at once
BACKOFF_SECONDS = 15  # doubled at each fault
BACKOFF_MAX_SECONDS = 1800


@dataclass(frozen=True)
class Claim:
    """A job that is ours to run, and the attempt that says so."""

    job: ExportJob
    attempt: JobAttempt


def claim(worker: str) -> Claim | None:
    """Takes the fairest waiting job for this worker, or None.

    Organizations with the fewest running jobs come first, then whoever was served longest ago, then the oldest job. Jobs of one
    whose quota is full are put off; where the disk is full, all wait for the tick's next ring.
    """
    if not storage.has_space():
        log.warning("no space for exports")
        return None
    for organization_id in _organizations_in_turn():
        with transaction.atomic():
            # Claims of one organization queue up here for a few milliseconds, so its limit is exact. No key: a big import
            # that commits holds the organization's key for long, and must not hold up every worker.
            organization = Organization.objects.select_for_update(no_key=True).get(pk=organization_id)
            if _running().filter(organization=organization).count() >= limits.max_running(organization.max_running):
                continue
            full = limits.quota_full(organization)
            if full:
                _put_off(organization, full)
                continue
            job = waiting().filter(organization=organization).order_by("queued_at", "pk").select_for_update(skip_locked=True, no_key=True).first()
            if job is None:
                continue
            number = job.attempt + 1
            try:
                move(job.pk, JobStatus.IN_PROGRESS, "claimed", attempt_is=job.attempt, number=number, attempt=number, started_at=Now())
            except Conflict:  # cancelled in this very moment
                continue
            attempt = JobAttempt.objects.create(job=job, number=number, token=secrets.token_hex(8), worker=worker)
            Organization.objects.filter(pk=organization.pk).update(last_claimed_at=Now())
        job = ExportJob.objects.select_related("organization", "created_by").get(pk=job.pk)
        return Claim(job, attempt)
    return None


def _running() -> QuerySet[ExportJob]:
    return ExportJob.objects.filter(status=JobStatus.IN_PROGRESS, runner=Runner.INTERNAL)


def _organizations_in_turn() -> list[int]:
    first = (
        waiting()
        .order_by()
        .values("organization", "organization__max_running")
        .annotate(first=Min("queued_at"), served=F("organization__last_claimed_at"))
    )
    running = dict(_running().order_by().values_list("organization").annotate(Count("pk")))
    never = datetime.min.replace(tzinfo=UTC)
    turns = [
        (running.get(row["organization"], 0), row["served"] or never, row["first"], row["organization"])
        for row in first
        if running.get(row["organization"], 0) < limits.max_running(row["organization__max_running"])
    ]
    return [turn[-1] for turn in sorted(turns)]


def _put_off(organization: Organization, full: limits.QuotaFull) -> None:
    """The organization's waiting jobs wait on, and their timeline says for what, once."""
    jobs = list(
        waiting().filter(organization=organization).select_for_update(skip_locked=True, no_key=True).order_by("queued_at", "pk")[:PUT_OFF_MOST]
    )
    ids = [job.pk for job in jobs]
    told = set(
        JobEvent.objects.filter(job__in=ids, kind=full.code, attempt=F("job__attempt"), at__gte=F("job__queued_at")).values_list("job", flat=True)
    )
    wait = timedelta(seconds=min(full.retry_after_seconds or PUT_OFF_SECONDS, PUT_OFF_SECONDS))
    ExportJob.objects.filter(pk__in=ids, status=JobStatus.QUEUED).update(available_at=Now() + wait)
    for job in jobs:
        if job.pk not in told:
            record(job, full.code, number=job.attempt, detail=full.message)


def beat(claim: Claim, *, rows_done: int, rows_total: int | None) -> bool:
    """Renews the lease and notes progress; False: the job is no longer this attempt's."""
    return bool(_held(claim).update(beat_at=Now(), rows_done=rows_done, rows_total=rows_total))


def holds(claim: Claim) -> bool:
    """Whether the job is still this attempt's, without renewing anything."""
    return _held(claim).exists()


def _held(claim: Claim) -> QuerySet[JobAttempt]:
    mine = ExportJob.objects.filter(pk=claim.job.pk, status=JobStatus.IN_PROGRESS, attempt=claim.attempt.number)
    return JobAttempt.objects.filter(Exists(mine), pk=claim.attempt.pk, outcome="")


def publish(
    claim: Claim,
    file: ExportFile,
    issues: Sequence[Issue] = (),
    *,
    actor: User | None = None,
    version_rev: str | None = None,
    base: changes.NextBase | None = None,
    detail: str = "",
) -> None:
    """in progress → done with this file, what it could not hold, and its rows as its schedule's base, all in one.

    Raises Conflict if the job is no longer this attempt's, BaseMoved if the base is no longer the one that the file was compared with.
    """
    number, detail = claim.attempt.number, f"{file.rows:,} rows{detail and f': {detail}'}"
    with transaction.atomic():
        if base:
            changes.take(base)  # locks the schedule, which comes before its jobs everywhere
        move(claim.job.pk, JobStatus.DONE, "done", attempt_is=number, version_rev=version_rev, actor=actor, detail=detail, finished_at=Now())
        file.save(force_insert=True)
        listed = (ExportIssue(job=claim.job, row_id=issue.row_id, column=issue.column, reason=issue.reason, text=issue.text) for issue in issues)
        ExportIssue.objects.bulk_create(listed, batch_size=100)
        _held_or_not(claim).update(outcome="done", ended_at=Now(), beat_at=Now(), rows_done=file.rows, rows_total=file.rows)
        outbox.write_end(claim.job.pk, JobStatus.DONE, "", actor)
        totals.note(claim.job.organization_id, done=1, rows=file.rows)


def fail(claim: Claim, code: str, error: str) -> None:
    """in progress → failed by the attempt's own worker. Raises Conflict if the job is no longer this attempt's."""
    with transaction.atomic():
        give_up(claim.job.pk, claim.attempt.number, error, error_code=code)
        _held_or_not(claim).update(outcome=code, ended_at=Now())


def give_back(claim: Claim, code: str, error: str, *, is_fault: bool) -> None:
    """in progress → queued, at once after a graceful stop, later and later after a fault; too many faults fail it.

    What runs in a request is failed at once: nobody waits for it in the queue. Raises Conflict.
    """
    if claim.job.runner == Runner.WEB:
        return fail(claim, code, error)
    faults = claim.job.faults + is_fault
    if faults > MAX_FAULTS:
        return fail(claim, code, f"{error} Tried {faults} times.")
    wait = min(BACKOFF_SECONDS * 2 ** (faults - 1), BACKOFF_MAX_SECONDS) if is_fault else 0
    with transaction.atomic():
        requeue(claim.job.pk, claim.attempt.number, code, wait, detail=error, faults=faults)
        _held_or_not(claim).update(outcome=code, ended_at=Now())
        if not wait:
            ring()
    return None


def _held_or_not(claim: Claim) -> QuerySet[JobAttempt]:
    return JobAttempt.objects.filter(pk=claim.attempt.pk, outcome="")


def requeue(job_id: Any, number: int, kind: str, wait_seconds: int, **changes: Any) -> None:
    """in progress → queued, to be claimed after a wait. Raises Conflict."""
    move(
        job_id,
        JobStatus.QUEUED,
        kind,
        sources={JobStatus.IN_PROGRESS},
        attempt_is=number,
        available_at=Now() + timedelta(seconds=wait_seconds),
        **changes,
    )


def refuse(job: ExportJob, error: str) -> None:
    """new → failed: a job that waited for its turn can no longer be started. Raises Conflict."""
    with transaction.atomic():
        ended: dict[str, Any] = {"error": error, "error_code": "permission_lost", "finished_at": Now()}
        move(job.pk, JobStatus.FAILED, "failed", sources={JobStatus.NEW}, detail=error, **ended)


def run_rights(job: ExportJob) -> None:
    """Checked again when the job runs: its maker must still be allowed to. Raises AppError `permission_lost`."""
    if not access.can(job.created_by, needed(Spec.from_json(job.spec).options), job.organization_id):
        raise AppError("Whoever made this job may no longer export from this organization.", code="permission_lost")
