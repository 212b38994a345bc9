"""Whether the service can do its work now: database, storage, and the way through each queue, end to end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, F, Min, Q
from django.db.models.functions import Now
from django_q.tasks import async_task

from exports import storage
from exports.models import ExportJob, JobAttempt, QueueProbe, Runner, TaskImport, TickLease
from exports.services import jobs, limits
from exports.states import JobStatus
from taskexport.logs import where

log = logging.getLogger(__name__)

CLUSTERS = ("exports", "control")
# Five ticks: a cluster whose processes look alive may have stopped taking work, and only this shows it.
SILENT_SECONDS = 300


@dataclass(frozen=True)
class Check:
    """One thing that must be so, and how long something has waited or been silent, where that is what is asked."""

    name: str
    is_ok: bool
    detail: str = ""  # for whoever operates the service; never a path, a host or a key
    seconds: int | None = None


# -- The probe: a message that does nothing but come back ----------------------------------------------------------
def send_probes() -> int:
    """Puts a probe into each cluster's queue unless one is on its way; how many. One that was lost is replaced after a while."""
    sent = 0
    for cluster in CLUSTERS:
        QueueProbe.objects.get_or_create(cluster=cluster)
        back = Q(sent_at=None) | Q(echoed_at__gte=F("sent_at")) | Q(sent_at__lt=Now() - timedelta(seconds=2 * SILENT_SECONDS))
        with transaction.atomic():
            if QueueProbe.objects.filter(back, cluster=cluster).update(sent_at=Now()):
                async_task("exports.worker.echo", cluster, cluster=cluster, save=False)
                sent += 1
    return sent


def echo(cluster: str) -> None:
    """A probe has come back."""
    QueueProbe.objects.filter(cluster=cluster).update(echoed_at=Now())


# -- What is asked -------------------------------------------------------------------------------------------------
def look(*names: str) -> list[Check]:
    """Each check, or those named, in order; without the database only what can be said without it."""
    checks: dict[str, Callable[[], Check]] = {
        "database": _database,
        "storage": _storage,
        "waiting": _waiting,
        "tick": _tick,
        **{f"queue_{cluster}": partial(_queue, cluster) for cluster in CLUSTERS},
    }
    found: list[Check] = []
    for name, check in checks.items():
        if names and name not in names:
            continue
        try:
            found.append(check())
        except Exception as error:  # whatever it is, it is not ready
            log.warning("not ready", extra={"check": name, "where": where(error)})
            found.append(Check(name, False, "no answer"))
        if name == "database" and not found[-1].is_ok:
            break
    return found


def _database() -> Check:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    return Check("database", True)


def _storage() -> Check:
    try:
        storage.check()
    except OSError as error:
        log.warning("storage not ready", extra={"error": type(error).__name__})
        return Check("storage", False, "no space left below VAR" if not storage.has_space() else "it takes no files")
    return Check("storage", True)


def _waiting() -> Check:
    """How long the oldest job waits that a worker should take; one that waits for its organization's other jobs does not count."""
    running = ExportJob.objects.filter(status=JobStatus.IN_PROGRESS, runner=Runner.INTERNAL).order_by()
    counts = dict(running.values_list("organization").annotate(Count("pk")))
    first = jobs.waiting().order_by().values_list("organization", "organization__max_running").annotate(Min("available_at")).annotate(now=Now())
    waits = [(now - since).total_seconds() for one, own, since, now in first if counts.get(one, 0) < limits.max_running(own)]
    seconds = max(0, int(max(waits, default=0)))
    is_ok = seconds <= settings.READY_WAIT_MINUTES * 60
    return Check("waiting", is_ok, "" if is_ok else "jobs wait for too long: start more workers", seconds)


def _tick() -> Check:
    """When the last minute's chores were done, or are being done."""
    lease = TickLease.objects.filter(name="tick").annotate(now=Now()).first()
    if lease is None:
        return Check("tick", False, "never: start the control cluster")
    seconds = max(0, int((lease.now - lease.until_at).total_seconds()))
    return Check("tick", seconds <= SILENT_SECONDS, "" if seconds <= SILENT_SECONDS else "restart the control cluster", seconds)


def _queue(cluster: str) -> Check:
    """How long ago a probe came back through the queue. A cluster all of whose workers are at work may be silent."""
    probe = QueueProbe.objects.filter(cluster=cluster).annotate(now=Now()).first()
    name = f"queue_{cluster}"
    if probe is None or probe.echoed_at is None:
        return Check(name, False, f"nothing came back yet: start the {cluster} cluster")
    seconds = max(0, int((probe.now - probe.echoed_at).total_seconds()))
    if seconds <= SILENT_SECONDS:
        return Check(name, True, "", seconds)
    if cluster == "exports" and _at_work() >= settings.EXPORT_WORKERS:
        return Check(name, True, "all workers are at work", seconds)
    return Check(name, False, f"restart the {cluster} cluster", seconds)


def _at_work() -> int:
    """Workers that beat."""
    alive = Q(beat_at__gte=Now() - timedelta(seconds=settings.LEASE_SECONDS))
    running = JobAttempt.objects.filter(alive, outcome="", job__status=JobStatus.IN_PROGRESS, job__runner=Runner.INTERNAL).count()
    return running + TaskImport.objects.filter(alive, status=JobStatus.IN_PROGRESS).count()
