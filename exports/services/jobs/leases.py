"""Leases that have lapsed: the tick takes their jobs back, or ends them."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from exports.models import ExportJob, JobAttempt, Runner
from exports.services.jobs.moving import give_up
from exports.services.jobs.working import requeue
from exports.states import JobStatus
from taskexport.errors import Conflict

MAX_CRASHES = 3  # leases lapsed since a person queued the job; a poison job must not run for ever
AT_ONCE = 1000  # by one tick
EXTERNAL_LEASE_SECONDS = 24 * 3600  # somebody else's machine beats when it likes
_GONE = {
    Runner.EXTERNAL: ("runner_lost", "Its external runner was silent for 24 hours."),
    Runner.WEB: ("client_gone", "Whoever asked for it stopped reading before the last row."),
}


def reap() -> int:
    """Takes jobs from whoever's lease has lapsed: from a worker back to the queue, failed at the third crash; from an external
    runner or a direct export failed at once. How many."""
    return sum(_reap_one(attempt) for attempt in _lapsed().select_related("job").order_by("pk")[:AT_ONCE])


def _lapsed() -> QuerySet[JobAttempt]:
    silent = Q(beat_at__lt=Now() - timedelta(seconds=settings.LEASE_SECONDS))
    for_a_day = Q(beat_at__lt=Now() - timedelta(seconds=EXTERNAL_LEASE_SECONDS))
    return JobAttempt.objects.filter(
        silent & (~Q(job__runner=Runner.EXTERNAL) | for_a_day), outcome="", job__status=JobStatus.IN_PROGRESS, number=F("job__attempt")
    )


def _reap_one(attempt: JobAttempt) -> bool:
    try:
        with transaction.atomic():  # the job's row before the attempt's, as everywhere: no deadlock
            outcome = _take_back(attempt.job, attempt.number)
            # The lease decides once more here: a beat that came meanwhile keeps the job, and all of this is undone.
            if not _still_lapsed(attempt).update(outcome=outcome, ended_at=Now()):
                raise Conflict("Its runner is alive after all.")
    except Conflict:  # it ended by itself meanwhile, and that stands
        return False
    return True


def _take_back(job: ExportJob, number: int) -> str:
    """Ends the job or queues it again; returns the attempt's outcome. Raises Conflict."""
    if job.runner in _GONE:
        code, error = _GONE[Runner(job.runner)]
        give_up(job.pk, number, error, error_code=code)
        return code
    crashes = job.crashes + 1
    if crashes >= MAX_CRASHES:
        give_up(job.pk, number, f"The export was lost {crashes} times together with its worker.", error_code="worker_lost", crashes=crashes)
    else:
        requeue(job.pk, number, "lease_lapsed", 0, detail="its worker was silent for too long", crashes=crashes)
    return "lease_lapsed"


def _still_lapsed(attempt: JobAttempt) -> QuerySet[JobAttempt]:
    seconds = EXTERNAL_LEASE_SECONDS if attempt.job.runner == Runner.EXTERNAL else settings.LEASE_SECONDS
    return JobAttempt.objects.filter(pk=attempt.pk, outcome="", beat_at__lt=Now() - timedelta(seconds=seconds))
