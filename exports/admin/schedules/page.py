"""One schedule's page: what it shows, and its buttons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page

from exports.admin.schedules import shown
from exports.admin.shown import options
from exports.models import ExportSchedule, Firing
from exports.services import jobs
from exports.services.schedules import checking, firing, keeping, ledger, pausing
from taskexport.screens import badge
from taskexport.staff import LongPaginator
from tasks import access
from tasks.access import Action
from tasks.models import User

RUNS_SHOWN = 25
EVENTS_SHOWN = 50


@dataclass(frozen=True)
class Verb:
    """A button: its label, the service behind it, the role that it asks for, for which schedules it is, and what to say then."""

    label: str
    act: Callable[[User, ExportSchedule], Any]
    action: Action
    fits: Callable[[User, ExportSchedule], bool]
    said: str
    style: str = "quiet"


def _may_make(user: User, one: ExportSchedule) -> bool:
    """Whether its export may be one of theirs."""
    return access.can(user, jobs.needed(one.options), one.organization_id)


VERBS: dict[str, Verb] = {
    "run": Verb("Run now", firing.execute, Action.RUN, _may_make, "It runs now, as an export of yours; its own times stay.", ""),
    "pause": Verb(
        "Pause", pausing.pause, Action.ADMINISTER, lambda user, one: not one.paused_reason, "It is paused; nothing runs until it is resumed."
    ),
    "resume": Verb(
        "Resume", pausing.resume, Action.ADMINISTER, lambda user, one: bool(one.paused_reason), "It runs again from its next time on.", ""
    ),
    "take-over": Verb(
        "Take over",
        pausing.take_over,
        Action.ADMINISTER,
        lambda user, one: one.owner_id != user.pk,
        "It is yours: its exports are made in your name.",
    ),
    "reset": Verb(
        "Reset to a full file",
        keeping.reset,
        Action.ADMINISTER,
        lambda user, one: one.changes_only,
        "Its next file is whole; the ones after it have changes again.",
    ),
}


def verbs(user: Any, schedule: ExportSchedule) -> list[tuple[str, Verb]]:
    """The buttons that would do something for this user."""
    may = {action: access.can(user, action, schedule.organization_id) for action in (Action.RUN, Action.ADMINISTER)}
    return [(name, verb) for name, verb in VERBS.items() if may[verb.action] and verb.fits(user, schedule)]


def firings(schedule: ExportSchedule, number: str) -> Page:
    """A page of its runs, newest first."""
    runs = Firing.objects.filter(schedule=schedule.pk).select_related("job", "job__file").defer("job__spec", "job__file__receipt").order_by("-pk")
    pages = LongPaginator(runs, RUNS_SHOWN)
    return pages.get_page(number)


def line(run: Firing, zone: str) -> dict[str, Any]:
    """A run as the ledger shows it."""
    word, tone = shown.outcome(run)
    file = getattr(run.job, "file", None) if run.job else None
    return {
        "run": run,
        "badge": badge(word, tone),
        "due": shown.local(run.intended_at, zone),
        "began": shown.local(run.fired_at, zone) if run.job_id else "",
        "rows": f"{file.rows:,}" if file else "",
        "detail": run.detail or (run.job.error if run.job else ""),
    }


def context(user: Any, schedule: Any, number: str) -> dict[str, Any]:
    """All that the page shows of a schedule of `reading.one`."""
    page = firings(schedule, number)
    may_change = access.can(user, Action.ADMINISTER, schedule.organization_id)
    return {
        "schedule": schedule,
        "title": schedule.name,
        "badge": badge(*shown.state(schedule)),
        "advice": shown.advice(schedule) if may_change else "",
        "when": shown.when(schedule),
        "coming": shown.coming(keeping.next_runs(schedule)),
        "what": shown.what(schedule),
        "rows": shown.rows(schedule),
        "window": shown.words.WINDOWS.get(schedule.window, schedule.window),
        "starts": shown.local(checking.shown_once(schedule), schedule.timezone),
        "ends": shown.local(schedule.ends_at, schedule.timezone),
        "changes": shown.changes(schedule),
        "options": options(schedule.format, schedule.options),
        "mails": shown.mails(schedule),
        "verbs": verbs(user, schedule),
        "may_change": may_change,
        "page": page,
        "events": [shown.event(event, schedule.timezone) for event in ledger.lines(schedule)[:EVENTS_SHOWN]],
        "runs": [line(run, schedule.timezone) for run in page.object_list],
    }
