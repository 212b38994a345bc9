"""Rows that are older than a year, with all that hangs on them; and what the queue keeps of its own messages."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now
from django_q.models import Task as QueueTask

from exports.models import DayTotal, Delivery, Download, ExportJob, Firing, JobAttempt, Operation, Outcome, Removal, ScheduleEvent, TaskImport
from exports.services.operations import recording
from exports.services.retention.turns import take_turn, yield_turn
from exports.states import ENDED, JobStatus

PRUNE_SECONDS = 30  # of a tick; what is left waits for the next
EVERY_SECONDS = 3600
BATCH = 500
QUEUE_DAYS = 30  # of the queue's own notes of what it ran


Gone = dict[int, Counter[str]]  # by organization: how many of what


def prune() -> int:
    """Once an hour: deletes what has ended more than PRUNE_DAYS ago, in short transactions. How many rows, without what hung on them.

    What an organization lost of jobs, imports and runs is an operation of it.
    """
    if take_turn("prune", EVERY_SECONDS) is None:
        return 0
    gone: Gone = defaultdict(Counter)
    try:
        return _prune(time.monotonic() + PRUNE_SECONDS, gone)
    finally:
        recording.of_sweeps(gone)


def _prune(until: float, gone: Gone) -> int:
    pruned = 0
    # Operations are not told of: that would leave one for each, for ever.
    units: list[tuple[str, Callable[[], QuerySet[Any]], Callable[[Any], int]]] = [
        ("jobs", _jobs, _prune_job),
        ("imports", _imports, _prune_import),
        ("", _operations, lambda pk: _delete(_operations().filter(pk=pk))),
    ]
    for word, rows, prune_one in units:
        while found := list(rows().order_by("pk").values_list("pk", "organization")[:BATCH]):
            done = 0
            for pk, organization_id in found:
                if time.monotonic() > until:
                    yield_turn("prune")
                    return pruned + done
                if prune_one(pk):
                    done += 1
                    gone[organization_id or 0][word] += 1
            pruned += done
            if not done:  # somebody else holds them
                break
    for batch in _batches(_firings(), until, "schedule__organization"):
        pruned += len(batch)
        for organization_id in batch:
            gone[organization_id]["runs"] += 1
    for plain in (_events(), _removals(), _days(), _notices(), _queue_tasks()):
        pruned += sum(len(batch) for batch in _batches(plain, until))
    if time.monotonic() > until:
        yield_turn("prune")
    return pruned


def _before() -> Any:
    return Now() - timedelta(days=settings.PRUNE_DAYS)


def _has_parts(parent: str) -> Exists:
    """Whether operations hang on it that must go first: younger ones, and those with a job or an import of their own."""
    parts = Operation.objects.filter(Q(created_at__gte=_before()) | Q(job__isnull=False) | Q(task_import__isnull=False))
    return Exists(parts.filter(**{parent: OuterRef("pk")}))


# -- Which ---------------------------------------------------------------------------------------------------------
def _jobs() -> QuerySet[ExportJob]:
    """Ended long ago, or never started since; without stored bytes, without litter, and with no operation hanging on theirs that must go first."""
    over = Q(status__in=ENDED, finished_at__lt=_before()) | Q(status=JobStatus.NEW, created_at__lt=_before())
    unswept = JobAttempt.objects.filter(job=OuterRef("pk"), swept=False).exclude(outcome="done")
    without_bytes = Q(file=None) | Q(file__deleted_at__isnull=False)
    # A run that its schedule still waits for has not ended, whatever its job says.
    awaited = Firing.objects.filter(job=OuterRef("pk"), outcome="")
    return ExportJob.objects.filter(over, without_bytes, ~Exists(unswept), ~_has_parts("parent__job"), ~Exists(awaited)).order_by()


def _imports() -> QuerySet[TaskImport]:
    return TaskImport.objects.filter(~_has_parts("parent__task_import"), status__in=ENDED, finished_at__lt=_before()).order_by()


def _operations() -> QuerySet[Operation]:
    """Those that stand for themselves, such as sweeps."""
    return Operation.objects.filter(~_has_parts("parent"), job=None, task_import=None, created_at__lt=_before()).order_by()


def _firings() -> QuerySet[Firing]:
    """All but each schedule's last delivered one, where its next window begins."""
    delivered = Firing.objects.filter(schedule=OuterRef("schedule"), outcome__in=[Outcome.DONE, Outcome.LATE], window_until__isnull=False)
    last = Coalesce(Subquery(delivered.order_by("-window_until").values("pk")[:1]), 0)
    return Firing.objects.filter(fired_at__lt=_before()).exclude(outcome="").exclude(pk=last).order_by()


def _events() -> QuerySet[ScheduleEvent]:
    return ScheduleEvent.objects.filter(at__lt=_before()).order_by()


def _removals() -> QuerySet[Removal]:
    return Removal.objects.filter(at__lt=_before()).order_by()


def _days() -> QuerySet[DayTotal]:
    return DayTotal.objects.filter(day__lt=_before()).order_by()


def _notices() -> QuerySet[Delivery]:
    """Deliveries about no job; a job's go with it."""
    return Delivery.objects.filter(job=None, created_at__lt=_before()).order_by()


def _queue_tasks() -> QuerySet[QueueTask]:
    return QueueTask.objects.filter(stopped__lt=Now() - timedelta(days=QUEUE_DAYS)).order_by()


# -- How -----------------------------------------------------------------------------------------------------------
def _prune_job(pk: Any) -> int:
    # What may be many goes first, in batches: the last transaction stays short.
    if not _jobs().filter(pk=pk).exists():
        return 0
    job = ExportJob(pk=pk)
    for many in (Download.objects.filter(file__job=pk), job.issues.all(), job.events.all(), job.deliveries.all()):
        deque(_batches(many.order_by()), maxlen=0)
    return _delete(_jobs().filter(pk=pk))


def _prune_import(pk: Any) -> int:
    return _delete(_imports().filter(pk=pk))


def _delete(rows: QuerySet[Any]) -> int:
    """Deletes what of these is free now and still to be pruned."""
    with transaction.atomic():
        free = list(rows.select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True))
        rows.model._default_manager.filter(pk__in=free).delete()
    return len(free)


def _batches(rows: QuerySet[Any], until: float | None = None, telling: str = "pk") -> Iterator[list[Any]]:
    """Deletes the rows batch by batch, and gives this column of each."""
    while found := list(rows.values_list("pk", telling)[:BATCH]):
        rows.model._default_manager.filter(pk__in=[pk for pk, _ in found]).delete()
        yield [value for _, value in found]
        if until is not None and time.monotonic() > until:
            break
