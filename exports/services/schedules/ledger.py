"""What was done to a schedule, and by whom: a line with each change, in its transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

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


UNSAID = {"next_run_at", "armed_at", "owner", "stem"}  # they follow from the rest, or are told elsewhere
LONG = 100  # characters of a value; of a longer one only its field is named


def changes(schedule: ExportSchedule, settled: dict[str, Any]) -> str:
    """What these values change of a schedule, as it was read before, such as `format: csv → xlsx; columns`."""

    def shown(value: Any) -> str:
        return f"{value:%Y-%m-%d %H:%M} UTC" if isinstance(value, datetime) else str(value) if value not in ("", None) else "none"

    told = []
    for field, value in settled.items():
        before = getattr(schedule, field)
        if field not in UNSAID and before != value:
            is_long = isinstance(before or value, dict | list) or max(len(str(before)), len(str(value))) > LONG
            word = field.replace("_", " ")
            told.append(word if is_long else f"{word}: {shown(before)} → {shown(value)}")
    return "; ".join(told)


def lines(schedule: ExportSchedule) -> QuerySet[ScheduleEvent]:
    """The ledger of a visible schedule, newest first."""
    return ScheduleEvent.objects.filter(schedule=schedule.pk).select_related("actor").order_by("-pk")
