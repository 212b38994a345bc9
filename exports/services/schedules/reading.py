"""Schedules as they are read: their state, and their log, newest first, both told by their runs and these runs' jobs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection
from django.db.models import Case, CharField, Count, Exists, F, OuterRef, Q, QuerySet, Subquery, TextChoices, Value, When, Window
from django.db.models.functions import RowNumber

from exports.models import ExportIssue, ExportSchedule, Firing, Kind, Outcome
from exports.services.schedules import keeping
from exports.states import JobStatus

WAITING = (JobStatus.NEW, JobStatus.QUEUED)


class Code(TextChoices):
    """Where a schedule is."""

    READY = "READY"
    INPROGRESS = "INPROGRESS"
    DONE = "DONE"
    ERROR = "ERROR"


def with_state(rows: QuerySet[ExportSchedule]) -> QuerySet[ExportSchedule]:
    """The schedules with `code`, `last_fired_at`, `last_said` (the last outcome), `last_status` (of the last job), `last_intended_at`
    (of their own times) and `result_id` (of the last file)."""
    mine = Firing.objects.filter(schedule=OuterRef("pk"))
    latest = mine.order_by("-pk")
    open_runs = mine.filter(outcome="")
    ran = latest.exclude(outcome__in=[Outcome.MISSED, Outcome.SKIPPED])
    delivered = latest.filter(job__status=JobStatus.DONE, job__file__isnull=False)
    ended_well = Q(last_status=JobStatus.DONE) | Q(last_status=None, last_said__in=[Outcome.DONE, Outcome.LATE, Outcome.SKIPPED])
    # Something that runs once has had its run, by its time or by hand, since somebody set that time.
    has_run = Q(kind=Kind.ONCE, last_seen_at__gte=F("armed_at")) | Q(next_run_at=None)
    return rows.annotate(
        last_seen_at=Subquery(latest.values("fired_at")[:1]),
        last_fired_at=Subquery(ran.values("fired_at")[:1]),
        last_said=Subquery(latest.values("outcome")[:1]),
        last_status=Subquery(latest.values("job__status")[:1]),
        last_intended_at=Subquery(latest.filter(by_hand=False).values("intended_at")[:1]),
        result_id=Subquery(delivered.values("job__file")[:1]),
    ).annotate(
        code=Case(
            When(Exists(open_runs.filter(job__status=JobStatus.IN_PROGRESS)), then=Value(Code.INPROGRESS)),
            When(Exists(open_runs.filter(job__status__in=WAITING)), then=Value(Code.READY)),
            When(has_run & ended_well, then=Value(Code.DONE)),
            When(has_run & Q(last_seen_at__isnull=False), then=Value(Code.ERROR)),
            When(~Q(paused_reason=""), then=Value(Code.ERROR)),
            default=Value(Code.READY),
            output_field=CharField(),
        ),
    )


def at(rows: QuerySet[ExportSchedule], code: str) -> QuerySet[ExportSchedule]:
    """Those of the schedules, read with their state, that are there."""
    return rows.filter(**{"code": code})


def one(user: Any, schedule_id: int) -> ExportSchedule:
    """One visible schedule with its state. Raises NotFound."""
    return with_state(keeping.visible(user)).get(pk=keeping.get(user, schedule_id).pk)


# -- The log -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Line:
    """A line of the log; the numbers are there once a run has ended."""

    msg: str
    time: datetime
    total: int | None = None
    errors: int | None = None
    skips: int | None = None
    success: int | None = None


_TOLD = ("schedule_id", "intended_at", "fired_at", "outcome", "detail", "job_id")
_OF_JOB = tuple(f"job__{name}" for name in ("status", "started_at", "finished_at", "error", "file__rows"))


def logs(schedules: Iterable[ExportSchedule], limit: int, offset: int = 0) -> dict[int, list[Line]]:
    """The lines of each schedule's log, newest first, from `offset` on."""
    needed = offset + limit
    most = needed // 2 + 1  # enough where each run tells that it began and how it ended; it tells one line at least
    told = _told([schedule.pk for schedule in schedules], most)
    if few := [pk for pk, runs in told.items() if len(runs) == most and sum(map(_count, runs)) < needed]:
        told |= _told(few, needed)
    ended = [run.job_id for runs in told.values() for run in runs if run.job__status == JobStatus.DONE]
    issues = dict(ExportIssue.objects.filter(job__in=ended).order_by().values_list("job").annotate(Count("pk")))
    newest = {pk: [line for run in runs for line in reversed(list(_lines(run, issues)))] for pk, runs in told.items()}
    return {pk: lines[offset:needed] for pk, lines in newest.items()}


def _told(schedules: list[int], count: int) -> dict[int, list[Any]]:
    """What the log tells of each schedule's newest runs."""
    # No more than a line tells, of few runs: a page has hundreds of them.
    runs = Firing.objects.filter(pk__in=_newest(schedules, count)).order_by("schedule_id", "-pk").values_list(*_TOLD, *_OF_JOB, named=True)
    return {pk: list(mine) for pk, mine in itertools.groupby(runs, lambda run: run.schedule_id)}


def _newest(schedules: list[int], count: int) -> list[int]:
    """The ids of each schedule's newest runs. PostgreSQL takes so many entries out of an index for each; numbered, it would read all runs."""
    if connection.vendor == "postgresql":
        newest = ArraySubquery(Firing.objects.filter(schedule=OuterRef("pk")).order_by("-pk").values("pk")[:count])
        return [pk for found in ExportSchedule.objects.filter(pk__in=schedules).values_list(newest, flat=True) for pk in found]
    number = Window(RowNumber(), partition_by=[F("schedule")], order_by=[F("pk").desc()])
    return list(Firing.objects.filter(schedule__in=schedules).annotate(number=number).filter(number__lte=count).values_list("pk", flat=True))


def _count(run: Any) -> int:
    """How many lines `_lines` tells."""
    return bool(run.job__started_at) + (run.job__status != JobStatus.IN_PROGRESS)


def _lines(run: Any, issues: dict[Any, int]) -> Iterator[Line]:
    """A run's lines, oldest first."""
    status, ended_at = run.job__status, run.job__finished_at or run.fired_at
    if run.job_id is None:
        told = f": {run.detail}" if run.detail else ""
        yield Line(f"{run.outcome or 'READY'}{told} ({run.intended_at:%Y-%m-%dT%H:%M:%SZ})", run.fired_at)
        return
    if run.job__started_at:
        yield Line("READY -> INPROGRESS", run.job__started_at)
    if status == JobStatus.DONE:
        rows = run.job__file__rows or 0
        late = f" (late; it was due at {run.intended_at:%Y-%m-%dT%H:%M:%SZ})" if run.outcome == Outcome.LATE else ""
        yield Line(f"success{late}", ended_at, rows, issues.get(run.job_id, 0), 0, rows)
    elif status in {JobStatus.FAILED, JobStatus.CANCELLED}:
        yield Line(f"error: {run.job__error or status}", ended_at, 0, 1, 0, 0)
    elif status != JobStatus.IN_PROGRESS:
        yield Line("READY: queued", run.fired_at)
