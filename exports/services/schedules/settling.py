"""Runs of schedules after they were made: how they ended is taken down, and those that waited are started."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from exports.models import ExportSchedule, Firing, Outcome, Pause, Trigger
from exports.services import jobs
from exports.services.operations import recording
from exports.services.schedules import pausing
from exports.states import ENDED, JobStatus
from taskexport import seats
from taskexport.errors import AppError

log = logging.getLogger(__name__)

ON_TIME = timedelta(minutes=5)  # a tick comes each minute; a run that is made later than this is late
MOST_FAILURES = 5  # in a row, then the schedule is paused
AT_ONCE = 1000
WAIT_STEP_SECONDS = 0.2
OPEN = frozenset(JobStatus) - ENDED


def wait_for(firing: Firing, seconds: float) -> None:
    """Returns once the run has ended, or after so many seconds; at once while enough others wait."""
    until = time.monotonic() + seconds
    with seats.taken() as is_free:
        while is_free and not Firing.objects.filter(Q(job__status__in=ENDED) | Q(job=None), pk=firing.pk).exists():
            if time.monotonic() >= until:
                return
            time.sleep(WAIT_STEP_SECONDS)


def settle(schedule_id: int | None = None) -> int:
    """Takes down how the runs (of this schedule) ended whose jobs have, and starts those that waited for them. How many ended."""
    open_runs = Firing.objects.filter(outcome="").filter(Q(job__status__in=ENDED) | Q(job=None))
    if schedule_id is not None:
        open_runs = open_runs.filter(schedule=schedule_id)
    ended = list(open_runs.select_related("job", "schedule").order_by("pk")[:AT_ONCE])
    settled = sum(_settle(firing) for firing in ended)
    _start_waiting(schedule_id)
    return settled


def _settle(firing: Firing) -> int:
    status = firing.job.status if firing.job else None
    if status == JobStatus.DONE:
        is_late = not firing.by_hand and firing.fired_at - firing.intended_at > ON_TIME
        outcome, detail = (Outcome.LATE if is_late else Outcome.DONE), ""
    else:
        outcome, detail = Outcome.FAILED, firing.job.error if firing.job else "its job was removed"
    with transaction.atomic():
        rows = ExportSchedule.objects.filter(pk=firing.schedule_id)
        list(rows.select_for_update(no_key=True).values_list("pk"))  # the schedule before its runs, as everywhere
        if not Firing.objects.filter(pk=firing.pk, outcome="").update(outcome=outcome, detail=detail):
            return 0
        firing.outcome, firing.detail = outcome, detail
        recording.end_firing(firing)
        if status == JobStatus.DONE:
            rows.update(last_outcome=outcome, result_job=firing.job, failures=0)
        else:
            # What somebody cancelled or ran by hand says nothing about the next run.
            counts = status == JobStatus.FAILED and not firing.by_hand
            rows.update(last_outcome=outcome, failures=F("failures") + int(counts))
            if rows.filter(failures__gte=MOST_FAILURES).exists():
                why = f"{MOST_FAILURES} runs in a row have failed, the last one so: {detail}"
                pausing.by_itself(firing.schedule, Pause.FAILURES, why)
    return 1


def _start_waiting(schedule_id: int | None) -> None:
    """Starts the oldest waiting run of each schedule of which none is going on."""
    going_on = Firing.objects.filter(schedule=OuterRef("schedule"), outcome="", job__status__in=OPEN - {JobStatus.NEW})
    waiting: QuerySet[Firing] = Firing.objects.filter(~Exists(going_on), outcome="", job__status=JobStatus.NEW, job__trigger=Trigger.SCHEDULE)
    if schedule_id is not None:
        waiting = waiting.filter(schedule=schedule_id)
    started = set()
    for firing in waiting.select_related("job", "job__created_by").order_by("pk")[:AT_ONCE]:
        if firing.schedule_id in started or firing.job is None or firing.job.created_by is None:
            continue
        started.add(firing.schedule_id)
        try:
            jobs.start(firing.job.created_by, firing.job)
        except AppError as error:
            try:
                jobs.refuse(firing.job, error.message)
            except AppError:  # somebody else has moved it
                log.info("run not started", extra={"job": str(firing.job.pk), "code": error.code})
