"""Schedules and their runs as a person reads them: words, a tone for the badge, and local times."""

from __future__ import annotations

import zoneinfo
from datetime import datetime
from typing import Any

from django.utils.safestring import SafeString

from exports.models import ExportSchedule, MailOn, Outcome, ScheduleEvent
from exports.services.schedules import recurrence, runs, words
from exports.services.schedules.reading import Code
from exports.states import JobStatus
from taskexport.screens import badge

PAUSES = {"paused": "Paused", "owner_lost": "Paused: owner lost", "failures": "Paused: failures", "broken": "Paused: broken"}
OUTCOMES = {
    Outcome.DONE: ("Done", "ok"),
    Outcome.LATE: ("Done, late", "ok"),
    Outcome.SKIPPED: ("Skipped", "off"),
    Outcome.MISSED: ("Missed", "bad"),
    Outcome.FAILED: ("Failed", "bad"),
}
OPEN = {
    JobStatus.NEW: ("Waits its turn", "wait"),
    JobStatus.QUEUED: ("Waits", "wait"),
    JobStatus.IN_PROGRESS: ("Runs", "work"),
}
ADVICE = {
    "paused": "Press Resume, and it goes on with its next time.",
    "owner_lost": "An admin who presses Resume becomes its owner.",
    "failures": "Open the last failed run, mend what it says, then press Resume.",
    "broken": "Edit it, or press Resume to try it as it is.",
}


def state(schedule: Any) -> tuple[str, str]:
    """Where a schedule, read with its state, is: in words, and their tone."""
    if schedule.code == Code.INPROGRESS:
        return "Runs now", "work"
    if schedule.paused_reason:
        return PAUSES.get(schedule.paused_reason, "Paused"), "wait" if schedule.paused_reason == "paused" else "bad"
    if schedule.next_run_at is None:
        return "Ended", "off"
    return "On", "ok"


def advice(schedule: ExportSchedule) -> str:
    """What to do about a paused one."""
    return ADVICE.get(schedule.paused_reason, ADVICE["paused"]) if schedule.paused_reason else ""


def when(schedule: ExportSchedule) -> str:
    """When it runs, in words; by its zone's clocks."""
    try:
        return words.when(runs.rule_of(schedule))
    except ValueError:
        return "never"


def local(at: datetime | None, zone: str) -> str:
    """A time by the zone's clocks."""
    return f"{at.astimezone(zoneinfo.ZoneInfo(zone)):%a %Y-%m-%d %H:%M}" if at else ""


def coming(found: list[recurrence.Run]) -> list[dict[str, str]]:
    """Coming runs as the page and its preview show them."""
    return [
        {
            "local": f"{run.local:%a %Y-%m-%d %H:%M}",
            "offset": f"{run.local:UTC%z}"[:6] + ":" + f"{run.local:%z}"[3:5],
            "at": run.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "change": run.change,
        }
        for run in found
    ]


def outcome(run: Any) -> tuple[str, str]:
    """How a run ended, or where it is: in words, and their tone."""
    if run.outcome:
        return OUTCOMES[run.outcome]
    return OPEN.get(run.job.status, (run.job.status.capitalize(), "wait")) if run.job else ("Its job was removed", "off")


def event(line: ScheduleEvent, zone: str) -> dict[str, str]:
    """A line of what was done to a schedule, and by whom."""
    return {
        "at": local(line.at, zone),
        "what": line.get_kind_display().capitalize(),
        "who": str(line.actor or "the service"),
        "detail": line.detail,
        "tone": {"paused": "wait", "resumed": "ok", "created": "ok"}.get(line.kind, ""),
    }


def last(schedule: Any) -> SafeString | str:
    """How the last run, of a schedule read with its state, ended."""
    if schedule.last_said:
        return badge(*OUTCOMES[schedule.last_said])
    if schedule.last_status:
        said = {JobStatus.DONE: ("Done", "ok"), JobStatus.FAILED: ("Failed", "bad"), JobStatus.CANCELLED: ("Cancelled", "off")} | OPEN
        return badge(*said[schedule.last_status])
    return "no run yet"


def changes(schedule: ExportSchedule) -> str:
    """What a file has, of a schedule that exports changes; empty for any other."""
    if not schedule.changes_only:
        return ""
    base = getattr(schedule, "change_base", None)
    since = f"since {local(base.snapshot_at, schedule.timezone)}" if base else "once the first, whole file is delivered"
    return f"only what has changed, {since}"


def mails(schedule: ExportSchedule) -> str:
    """Who is told of its runs, and when."""
    if schedule.mail_on == MailOn.NEVER:
        return "none"
    others = sorted(str(user) for user in schedule.recipients.all())
    attached = ", with the file if it is small" if schedule.attach_small else ""
    return f"at {schedule.get_mail_on_display()}, to {', '.join(['the owner', *others])}{attached}"


def what(schedule: ExportSchedule) -> str:
    """Its columns in words."""
    if schedule.config:
        return f"the columns of the config “{schedule.config.name}”"
    if schedule.columns is None:
        return f"all columns of {schedule.dataset}"
    return ", ".join(str(column.get("title") or column.get("key")) for column in schedule.columns)


def rows(schedule: ExportSchedule) -> str:
    """Its rows in words, without the period."""
    return runs.in_words(schedule)
