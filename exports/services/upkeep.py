"""What happens each minute, one at a time: lost workers reaped, schedules fired, waiting jobs rung for, files expired, litter swept."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from exports import storage
from exports.models import JobAttempt, TickLease
from exports.services import changes, jobs, litter, readiness, retention
from exports.services.deliveries import sending
from exports.services.imports import running
from exports.services.imports import uploads as import_uploads
from exports.services.schedules import firing, settling
from taskexport import idempotency
from taskexport.logs import where
from tasks import sessions

log = logging.getLogger(__name__)

TICK_LEASE_SECONDS = 240  # longer than a tick ever takes; the control cluster kills it at 300


def tick(holder: str) -> dict[str, int]:
    """Does each unit on its own, so that one that breaks stops no other; returns what each did. Empty: another tick is at it."""
    if not _take_lease(holder):
        return {}
    units: dict[str, Callable[[], int]] = {
        "reaped": jobs.reap,
        "settled": settling.settle,
        "fired": firing.fire_due,
        "rung": jobs.ring_for_waiting,
        "probed": readiness.send_probes,
        "imports_reaped": running.reap,
        "imports_rung": running.ring_for_waiting,
        "deliveries_rung": sending.ring_for_waiting,
        "swept": sweep,
        "uploads_swept": import_uploads.sweep,
        "expired": retention.expire,
        "litter_swept": litter.sweep,
        "forgotten": _forget,
        "pruned": retention.prune,
        "orphans_swept": retention.sweep_orphans,
        "kept_counted": retention.count_kept,
    }
    done = {}
    try:
        for name, unit in units.items():
            try:
                done[name] = unit()
            except Exception as error:
                log.warning("tick unit failed", extra={"unit": name, "where": where(error)})
    finally:
        TickLease.objects.filter(name="tick", holder=holder).update(until_at=Now())
    return done


def _take_lease(holder: str) -> bool:
    with transaction.atomic():
        TickLease.objects.get_or_create(name="tick", defaults={"until_at": Now()})
        free = TickLease.objects.filter(name="tick", until_at__lte=Now())
        return bool(free.update(holder=holder, until_at=Now() + timedelta(seconds=TICK_LEASE_SECONDS)))


def _forget() -> int:
    """Drops what has outlived its use: answers kept for repeated calls, ended sign-ins."""
    return idempotency.forget() + sessions.forget()


def sweep() -> int:
    """Deletes what attempts that ended without publishing left in spool and storage; a published file never. How many files."""
    swept, until = 0, time.monotonic() + litter.SWEEP_SECONDS
    for attempt in JobAttempt.objects.filter(swept=False).exclude(outcome__in=["", "done"]).select_related("job").order_by("pk")[:1000]:
        try:
            swept += _sweep_one(attempt)
        except OSError as error:  # the next tick tries again; the others do not wait for it
            log.warning("not swept", extra={"job": str(attempt.job_id), "attempt": attempt.number, "error": type(error).__name__})
        if time.monotonic() > until:
            break
    return swept


def _sweep_one(attempt: JobAttempt) -> int:
    found = 0
    spool = storage.spool_path(attempt.spool_name)
    for path in spool.parent.glob(f"{spool.stem}.*"):
        path.unlink(missing_ok=True)
        found += 1
    found += storage.delete_folder(attempt.key_prefix)
    if changes.is_one(attempt.job):
        changes.delete_unused(attempt.base_key)
    JobAttempt.objects.filter(pk=attempt.pk).update(swept=True)
    return found
