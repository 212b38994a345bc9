"""What was done to a schedule, and by whom: a line with each change, in its transaction."""

from __future__ import annotations

from django.db.models import QuerySet

from exports.models import ExportSchedule, ScheduleEvent
from tasks.models import User


def record(schedule: ExportSchedule, kind: ScheduleEvent.Kind, actor: User | None, detail: str = "") -> None:
    """A line of the schedule's ledger; without an actor the service's own."""
    ScheduleEvent.objects.create(
        organization_id=schedule.organization_id, schedule_id=schedule.pk, name=schedule.name, kind=kind, actor=actor, detail=detail
    )


def record_taken_over(schedule: ExportSchedule, actor: User) -> None:
    """The schedule, as it was read before, is the actor's now."""
    record(schedule, ScheduleEvent.Kind.TAKEN_OVER, actor, f"It was {schedule.owner}'s." if schedule.owner else "It was nobody's any more.")


def lines(schedule: ExportSchedule) -> QuerySet[ScheduleEvent]:
    """The ledger of a visible schedule, newest first."""
    return ScheduleEvent.objects.filter(schedule=schedule.pk).select_related("actor").order_by("-pk")
