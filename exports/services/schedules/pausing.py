"""Schedules paused, by a person or by the service, and let run again."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from exports.models import ExportSchedule, Pause, ScheduleEvent
from exports.services.deliveries import outbox
from exports.services.schedules import ledger, runs
from tasks import access
from tasks.access import Action
from tasks.models import User

log = logging.getLogger(__name__)


def pause(user: User, schedule: ExportSchedule) -> None:
    """It runs no more until somebody resumes it. May be called twice. Raises Forbidden, NotFound."""
    access.require(user, Action.ADMINISTER, schedule.organization)
    values = {"paused_reason": Pause.PAUSED, "paused_detail": f"Paused by {user}.", "version": F("version") + 1, "updated_at": Now()}
    with transaction.atomic():
        if ExportSchedule.objects.filter(pk=schedule.pk, paused_reason="").update(**values):
            ledger.record(schedule, ScheduleEvent.Kind.PAUSED, user)


def by_itself(schedule: ExportSchedule, reason: Pause, detail: str) -> bool:
    """Pauses it for a reason of the service's, and has its people told, once; inside a transaction. False where it was paused already."""
    values = {"paused_reason": reason, "paused_detail": detail, "updated_at": Now()}
    if not ExportSchedule.objects.filter(pk=schedule.pk, paused_reason="").update(**values):
        return False
    log.warning("schedule paused", extra={"schedule": schedule.pk, "reason": str(reason)})
    ledger.record(schedule, ScheduleEvent.Kind.PAUSED, None, detail)
    outbox.write_paused(schedule, detail)
    return True


def resume(user: User, schedule: ExportSchedule) -> None:
    """It runs again, from its next time on; whoever resumes it takes it over if its owner may not run it. May be called twice.

    Raises Invalid where it can no longer run as it is, Forbidden, NotFound.
    """
    access.require(user, Action.ADMINISTER, schedule.organization)
    is_lost = not runs.may_run(schedule)
    runs.wish_of(schedule, datetime.now(UTC))
    rows = ExportSchedule.objects.filter(pk=schedule.pk).exclude(paused_reason="")
    values = {"next_run_at": runs.ahead(schedule), "armed_at": Now(), "version": F("version") + 1, "updated_at": Now()}
    with transaction.atomic():
        if rows.update(**values, **({"owner": user} if is_lost else {}), paused_reason="", paused_detail="", failures=0):
            if is_lost:
                ledger.record_taken_over(schedule, user)
            ledger.record(schedule, ScheduleEvent.Kind.RESUMED, user)


def take_over(user: User, schedule: ExportSchedule) -> None:
    """The schedule is the user's from now on; one that is paused stays so. May be called twice. Raises Forbidden, NotFound."""
    access.require(user, Action.ADMINISTER, schedule.organization)
    rows = ExportSchedule.objects.filter(pk=schedule.pk).exclude(owner=user)
    with transaction.atomic():
        if rows.update(owner=user, version=F("version") + 1, updated_at=Now()):
            ledger.record_taken_over(schedule, user)
