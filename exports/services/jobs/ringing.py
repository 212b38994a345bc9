"""Doorbells: a message without content tells a worker that jobs wait; the jobs' rows say which."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Now
from django_q.models import OrmQ
from django_q.tasks import async_task

from exports.models import ExportJob, Runner
from exports.states import JobStatus

QUEUE = "exports"


def waiting() -> QuerySet[ExportJob]:
    """The jobs that a worker of ours may claim now."""
    return ExportJob.objects.filter(status=JobStatus.QUEUED, runner=Runner.INTERNAL, available_at__lte=Now())


def ring() -> None:
    """Puts a doorbell without content into the workers' queue; inside a transaction it commits with it."""
    async_task("exports.worker.run_next", cluster=QUEUE, save=False)


def ring_for_waiting() -> int:
    """Rings as often as waiting jobs and workers want beyond the rings already there; heals whatever lost one. How many."""
    jobs = waiting().count()
    # A ring that was heard is locked for more than an hour; a minute's room is for clocks that differ.
    rings = OrmQ.objects.filter(key=QUEUE, lock__lt=Now() + timedelta(seconds=60)).count()
    wanted = max(0, min(jobs, settings.EXPORT_WORKERS) - rings)
    for _ in range(wanted):
        ring()
    return wanted


def ring_if_waiting() -> None:
    """Rings once if jobs wait: a worker that finishes passes the work on."""
    if waiting().exists():
        ring()
