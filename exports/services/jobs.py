"""The lifecycle of export jobs. Nothing else moves a status.

Every transition is one conditional UPDATE whose row count decides, with a line in the job's timeline in the same
short transaction. A stale worker fails at the UPDATE, whatever it believes.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, F, Min, OuterRef, QuerySet, Subquery
from django.db.models.functions import Now
from django_q.models import OrmQ
from django_q.tasks import async_task

from exports.datasets import Spec
from exports.formats.issues import Issue
from exports.models import ExportFile, ExportIssue, ExportJob, JobAttempt, JobEvent, Runner, Trigger
from exports.services import specs
from exports.states import SOURCES, JobStatus
from taskexport.errors import AppError, Conflict, Forbidden, NotFound
from tasks import access
from tasks.access import Action
from tasks.models import Organization, User

MAX_CRASHES = 3  # leases lapsed since a person queued the job; a poison job must not run for ever
MAX_FAULTS = 8  # transient faults; with the back-off below this is about an hour of trying
BACKOFF_SECONDS = 15  # doubled at each fault
BACKOFF_MAX_SECONDS = 1800
QUEUE = "exports"


# -- Reading -------------------------------------------------------------------------------------------------------
def visible(user: Any) -> QuerySet[ExportJob]:
    """The jobs the user may see, newest first, each with `rows_done` and `rows_total` of its present attempt."""
    present = JobAttempt.objects.filter(job=OuterRef("pk"), number=OuterRef("attempt"))
    rows = ExportJob.objects.select_related("organization", "file", "created_by").annotate(
        rows_done=Subquery(present.values("rows_done")), rows_total=Subquery(present.values("rows_total"))
    )
    return access.visible_to(rows, user)


def get(user: Any, job_id: Any) -> ExportJob:
    """One visible job. Raises NotFound."""
    job = visible(user).filter(pk=job_id).first()
    if job is None:
        raise NotFound("There is no such export job.")
    return job


def queue_position(job: ExportJob) -> int | None:
    """How many queued jobs were queued before this one, plus one; None unless it is queued. Fairness may serve it sooner."""
    if job.status != JobStatus.QUEUED:
        return None
    return ExportJob.objects.filter(status=JobStatus.QUEUED, runner=Runner.INTERNAL, queued_at__lt=job.queued_at).count() + 1


def percent(status: str, rows_done: int | None, rows_total: int | None) -> float | None:
    """How far a job is, 0 to 100, below 100 until it is done; None while it runs and nothing is counted yet."""
    if status == JobStatus.DONE:
        return 100.0
    if status != JobStatus.IN_PROGRESS:
        return 0.0
    return min(99.9, round(100 * (rows_done or 0) / rows_total, 1)) if rows_total else None


def may_change(user: Any, job: ExportJob) -> bool:
    """Whether the user may start, cancel or retry this job: its maker as an editor, or an admin."""
    action = Action.RUN if user is not None and job.created_by_id == user.pk else Action.ADMINISTER
    return access.can(user, action, job.organization_id)


def _require_change(user: Any, job: ExportJob) -> None:
    access.require(user, Action.RUN, job.organization_id)
    if not may_change(user, job):
        raise Forbidden("Only an admin may change another person's job.")


# -- By people -----------------------------------------------------------------------------------------------------
def require_create(user: User, organization: Organization | int | None, spec: Spec) -> None:
    """Raises Forbidden or NotFound unless the user may make a job of this spec."""
    access.require(user, needed(spec.options), organization)


def needed(options: dict[str, Any]) -> Action:
    """What whoever makes a job with these options of its format must be allowed to do."""
    # Without the guard a file may run formulas in whoever's spreadsheet opens it.
    return Action.ADMINISTER if options.get("guard") == "none" else Action.RUN


def create(user: User, organization: Organization, wish: specs.Wish, *, trigger: Trigger = Trigger.API) -> ExportJob:
    """A new job of a checked wish, not yet queued. Raises Forbidden, NotFound."""
    require_create(user, organization, wish.spec)
    with transaction.atomic():
        job = ExportJob.objects.create(
            organization=organization,
            org_name=wish.org_name,
            name=wish.name,
            type=wish.type,
            dataset=wish.spec.dataset,
            format=wish.spec.format,
            creation_start_date=wish.creation_start_date,
            creation_end_date=wish.creation_end_date,
            spec=wish.spec.to_json(),
            trigger=trigger,
            created_by=user,
        )
        _event(job, "created", to=JobStatus.NEW, actor=user)
    return job


def start(user: User, job: ExportJob, version_rev: str | None = None) -> None:
    """new → queued. Raises Conflict."""
    _require_change(user, job)
    _queue(job, "started", {JobStatus.NEW}, user, version_rev)


def retry(user: User, job: ExportJob, version_rev: str | None = None) -> None:
    """failed or cancelled → queued, its crashes and faults forgiven. Raises Conflict."""
    _require_change(user, job)
    _queue(job, "retried", {JobStatus.FAILED, JobStatus.CANCELLED}, user, version_rev)


def _queue(job: ExportJob, kind: str, sources: set[JobStatus], user: User, version_rev: str | None) -> None:
    with transaction.atomic():
        fresh: dict[str, Any] = {"crashes": 0, "faults": 0, "error": "", "error_code": "", "started_at": None, "finished_at": None}
        _move(job.pk, JobStatus.QUEUED, kind, sources=sources, actor=user, version_rev=version_rev, queued_at=Now(), available_at=Now(), **fresh)
        ring()


def cancel(user: User, job: ExportJob, version_rev: str | None = None) -> None:
    """new, queued or in progress → cancelled; a worker that is at it stops within seconds. Raises Conflict."""
    _require_change(user, job)
    with transaction.atomic():
        _move(
            job.pk,
            JobStatus.CANCELLED,
            "cancelled",
            actor=user,
            version_rev=version_rev,
            finished_at=Now(),
            error="cancelled",
            error_code="cancelled",
        )
        _end_attempts(job.pk, "cancelled")


def again(user: User, job: ExportJob, *, trigger: Trigger = Trigger.API) -> ExportJob:
    """A new job of the same frozen spec as one that has ended. Raises Conflict while it has not, Forbidden."""
    if job.status not in {JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED}:
        raise Conflict(f"The job is {job.status}; it can be made again once it has ended.", code="wrong_status")
    require_create(user, job.organization_id, Spec.from_json(job.spec))
    copied = ("organization", "org_name", "name", "type", "dataset", "format", "creation_start_date", "creation_end_date", "spec")
    with transaction.atomic():
        twin = ExportJob.objects.create(**{name: getattr(job, name) for name in copied}, trigger=trigger, created_by=user, again_of=job)
        _event(twin, "created", to=JobStatus.NEW, actor=user, detail=f"again of {job.pk}")
    return twin


# -- By workers ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Claim:
    """A job that is ours to run, and the attempt that says so."""

    job: ExportJob
    attempt: JobAttempt


def _waiting() -> QuerySet[ExportJob]:
    return ExportJob.objects.filter(status=JobStatus.QUEUED, runner=Runner.INTERNAL, available_at__lte=Now())


def claim(worker: str) -> Claim | None:
    """Takes the fairest waiting job for this worker, or None.

    Organizations with the fewest running jobs come first, then whoever was served longest ago, then the oldest job.
    """
    for organization_id in _organizations_in_turn():
        with transaction.atomic():
            # Claims of one organization queue up here for a few milliseconds, so its limit is exact. No key: a big import
            # that commits holds the organization's key for long, and must not hold up every worker.
            organization = Organization.objects.select_for_update(no_key=True).get(pk=organization_id)
            if _running().filter(organization=organization).count() >= settings.MAX_RUNNING:
                continue
            job = _waiting().filter(organization=organization).order_by("queued_at", "pk").select_for_update(skip_locked=True, no_key=True).first()
            if job is None:
                continue
            number = job.attempt + 1
            try:
                _move(job.pk, JobStatus.IN_PROGRESS, "claimed", attempt_is=job.attempt, number=number, attempt=number, started_at=Now())
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
    waiting = _waiting().order_by().values("organization").annotate(first=Min("queued_at"), served=F("organization__last_claimed_at"))
    running = dict(_running().order_by().values_list("organization").annotate(Count("pk")))
    never = datetime.min.replace(tzinfo=UTC)
    turns = [(running.get(row["organization"], 0), row["served"] or never, row["first"], row["organization"]) for row in waiting]
    return [turn[-1] for turn in sorted(turns) if turn[0] < settings.MAX_RUNNING]


def beat(claim: Claim, *, rows_done: int, rows_total: int | None) -> bool:
    """Renews the lease and notes progress; False: the job is no longer this attempt's."""
    return bool(_held(claim).update(beat_at=Now(), rows_done=rows_done, rows_total=rows_total))


def holds(claim: Claim) -> bool:
    """Whether the job is still this attempt's, without renewing anything."""
    return _held(claim).exists()


def _held(claim: Claim) -> QuerySet[JobAttempt]:
    mine = ExportJob.objects.filter(pk=claim.job.pk, status=JobStatus.IN_PROGRESS, attempt=claim.attempt.number)
    return JobAttempt.objects.filter(Exists(mine), pk=claim.attempt.pk, outcome="")


def publish(claim: Claim, file: ExportFile, issues: Sequence[Issue] = ()) -> None:
    """in progress → done with this file and what it could not hold, all in one. Raises Conflict if the job is no longer this attempt's."""
    with transaction.atomic():
        _move(claim.job.pk, JobStatus.DONE, "done", attempt_is=claim.attempt.number, detail=f"{file.rows} rows", finished_at=Now())
        file.save(force_insert=True)
        listed = (ExportIssue(job=claim.job, row_id=issue.row_id, column=issue.column, reason=issue.reason, text=issue.text) for issue in issues)
        ExportIssue.objects.bulk_create(listed, batch_size=100)
        _held_or_not(claim).update(outcome="done", ended_at=Now(), beat_at=Now(), rows_done=file.rows, rows_total=file.rows)


def fail(claim: Claim, code: str, error: str) -> None:
    """in progress → failed by the attempt's own worker. Raises Conflict if the job is no longer this attempt's."""
    with transaction.atomic():
        _give_up(claim.job.pk, claim.attempt.number, error, error_code=code)
        _held_or_not(claim).update(outcome=code, ended_at=Now())


def give_back(claim: Claim, code: str, error: str, *, is_fault: bool) -> None:
    """in progress → queued, at once after a graceful stop, later and later after a fault; too many faults fail it. Raises Conflict."""
    faults = claim.job.faults + is_fault
    if faults > MAX_FAULTS:
        return fail(claim, code, f"{error} Tried {faults} times.")
    wait = min(BACKOFF_SECONDS * 2 ** (faults - 1), BACKOFF_MAX_SECONDS) if is_fault else 0
    with transaction.atomic():
        _requeue(claim.job.pk, claim.attempt.number, code, wait, detail=error, faults=faults)
        _held_or_not(claim).update(outcome=code, ended_at=Now())
        if not wait:
            ring()
    return None


def _held_or_not(claim: Claim) -> QuerySet[JobAttempt]:
    return JobAttempt.objects.filter(pk=claim.attempt.pk, outcome="")


def _give_up(job_id: Any, number: int, error: str, **changes: Any) -> None:
    # Only from in progress: a job that was taken back and waits for another worker still has this attempt's number.
    running = {JobStatus.IN_PROGRESS}
    _move(job_id, JobStatus.FAILED, "failed", sources=running, attempt_is=number, detail=error, error=error, finished_at=Now(), **changes)


def _requeue(job_id: Any, number: int, kind: str, wait_seconds: int, **changes: Any) -> None:
    _move(
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
        _move(
            job.pk,
            JobStatus.FAILED,
            "failed",
            sources={JobStatus.NEW},
            detail=error,
            error=error,
            error_code="permission_lost",
            finished_at=Now(),
        )


# -- By the tick ---------------------------------------------------------------------------------------------------
def reap() -> int:
    """Takes jobs from workers whose lease has lapsed: back to the queue, or failed at the third crash. How many."""
    lapsed = JobAttempt.objects.filter(
        outcome="",
        beat_at__lt=Now() - timedelta(seconds=settings.LEASE_SECONDS),
        job__status=JobStatus.IN_PROGRESS,
        job__runner=Runner.INTERNAL,
        number=F("job__attempt"),
    ).select_related("job")
    return sum(_reap_one(attempt) for attempt in lapsed.order_by("pk")[:1000])


def _reap_one(attempt: JobAttempt) -> bool:
    job = attempt.job
    crashes = job.crashes + 1
    try:
        with transaction.atomic():  # the job's row before the attempt's, as everywhere: no deadlock
            if crashes >= MAX_CRASHES:
                error = f"The export was lost {crashes} times together with its worker."
                _give_up(job.pk, attempt.number, error, error_code="worker_lost", crashes=crashes)
            else:
                _requeue(job.pk, attempt.number, "lease_lapsed", 0, detail="its worker was silent for too long", crashes=crashes)
            # The lease decides once more here: a beat that came meanwhile keeps the job, and all of this is undone.
            still_lapsed = JobAttempt.objects.filter(pk=attempt.pk, outcome="", beat_at__lt=Now() - timedelta(seconds=settings.LEASE_SECONDS))
            if not still_lapsed.update(outcome="lease_lapsed", ended_at=Now()):
                raise Conflict("The worker is alive after all.")
    except Conflict:  # it ended by itself meanwhile, and that stands
        return False
    return True


def ring() -> None:
    """Puts a doorbell without content into the workers' queue; inside a transaction it commits with it."""
    async_task("exports.worker.run_next", cluster=QUEUE, save=False)


def ring_for_waiting() -> int:
    """Rings as often as waiting jobs and workers want beyond the rings already there; heals whatever lost one. How many."""
    waiting = _waiting().count()
    # A ring that was heard is locked for more than an hour; a minute's room is for clocks that differ.
    rings = OrmQ.objects.filter(key=QUEUE, lock__lt=Now() + timedelta(seconds=60)).count()
    wanted = max(0, min(waiting, settings.EXPORT_WORKERS) - rings)
    for _ in range(wanted):
        ring()
    return wanted


def ring_if_waiting() -> None:
    """Rings once if jobs wait: a worker that finishes passes the work on."""
    if _waiting().exists():
        ring()


# -- The one way a status moves ------------------------------------------------------------------------------------
def _move(
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
    allowed = SOURCES[to] if sources is None else SOURCES[to] & frozenset(sources)
    for _ in range(10):  # a rival may change the row between the look and the UPDATE; then look again
        job = ExportJob.objects.filter(pk=job_id).only("status", "version_seq", "version_nonce", "attempt").first()
        if job is None:
            raise NotFound("There is no such export job.")
        if version_rev is not None and version_rev != job.version_rev:
            raise Conflict(f"version_rev {version_rev} is stale; the job is at {job.version_rev}. Read it again.", code="stale_version")
        if job.status not in allowed:
            words = " or ".join(sorted(allowed))
            raise Conflict(f"The job is {job.status}; only a job that is {words} can become {to}.", code="wrong_status")
        if attempt_is is not None and job.attempt != attempt_is:
            raise Conflict("Another attempt has taken the job over.", code="lost_attempt")
        unchanged = ExportJob.objects.filter(pk=job_id, status=job.status, version_seq=job.version_seq, attempt=job.attempt)
        if unchanged.update(status=to, version_seq=F("version_seq") + 1, version_nonce=secrets.token_hex(4), **changes):
            _event(job, kind, came_from=JobStatus(job.status), to=to, actor=actor, detail=detail, number=number or job.attempt)
            return
    raise Conflict("The job changes too fast; try again.", code="busy")


def _event(
    job: ExportJob, kind: str, *, to: JobStatus, came_from: JobStatus | None = None, actor: User | None = None, detail: str = "", number: int = 0
) -> None:
    JobEvent.objects.create(job=job, kind=kind, from_status=came_from or "", to_status=to, attempt=number, actor=actor, detail=detail)


def _end_attempts(job_id: Any, outcome: str) -> None:
    JobAttempt.objects.filter(job=job_id, outcome="").update(outcome=outcome, ended_at=Now())


def run_rights(job: ExportJob) -> None:
    """Checked again when the job runs: its maker must still be allowed to. Raises AppError `permission_lost`."""
    if not access.can(job.created_by, needed(Spec.from_json(job.spec).options), job.organization_id):
        raise AppError("Whoever made this job may no longer export from this organization.", code="permission_lost")
