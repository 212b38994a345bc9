"""Schedules as people keep them: made, changed, deleted."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from exports.models import ExportSchedule, Firing, Kind, Missed, Overlap, ScheduleEvent
from exports.services import changes, jobs
from exports.services.deliveries import links
from exports.services.holding import hold
from exports.services.operations import recording
from exports.services.schedules import checking, ledger, recurrence, runs
from exports.states import JobStatus
from taskexport.errors import Conflict, Invalid, NotFound
from tasks import access
from tasks.access import Action
from tasks.models import Organization, User

DEFAULTS: dict[str, Any] = {
    "description": "",
    "cron": "",
    "ends_at": None,
    "missed": Missed.LATEST.value,
    "overlap": Overlap.SKIP.value,
    "dataset": "tasks",
    "format": "csv",
    "options": {},
    "columns": None,
    "filter": None,
    "config": None,
    "segment": None,
    "rules": None,
    "window": "all",
    "skip_when_empty": False,
    "changes_only": False,
    "stem": "",
    "month_day": None,
}
TIMING = ("kind", "timezone", "cron", "ends_at")


def visible(user: Any) -> QuerySet[ExportSchedule]:
    """The schedules that the user may see, oldest first."""
    # Few have the rest: to join it all for each takes the database longer to plan than to read what there is.
    rows = ExportSchedule.objects.select_related("organization", "owner", "change_base")
    rows = rows.prefetch_related("segment", "config__segment", "destination", "recipients")
    return access.visible_to(rows, user).order_by("pk")


def get(user: Any, schedule_id: int) -> ExportSchedule:
    """One visible schedule. Raises NotFound."""
    found = visible(user).filter(pk=schedule_id).first() if 0 < schedule_id < 2**63 else None
    if found is None:
        raise NotFound("There is no such scheduled task.")
    return found


def job_ids(user: Any, schedule_id: int) -> QuerySet[Any]:
    """The ids of the jobs that a schedule made, as a subquery; of none that the user may not see."""
    return Firing.objects.filter(schedule=schedule_id, schedule__in=visible(user), job__isnull=False).order_by().values("job")


def next_runs(schedule: ExportSchedule, count: int = 5) -> list[recurrence.Run]:
    """The coming runs in local time, clock changes marked; none while it is paused."""
    if schedule.next_run_at is None or schedule.paused_reason:
        return []
    found = itertools.islice(runs.following(schedule, schedule.next_run_at), count - 1)
    return recurrence.described(runs.rule_of(schedule), [schedule.next_run_at, *found])


def preview(first_run: datetime | None, values: dict[str, Any], count: int = 5) -> list[recurrence.Run]:
    """The first runs of a schedule that nobody has saved yet, as `create` takes it: of `kind`, `timezone` and what differs from DEFAULTS.

    Raises Invalid.
    """
    values = DEFAULTS | values
    if values["kind"] == Kind.CRON:
        try:
            recurrence.check_cron(values["cron"])
        except ValueError as error:
            raise Invalid.field("cron", str(error)) from None
    armed = checking.armed(first_run, values["timezone"], values)
    return next_runs(ExportSchedule(**{name: values[name] for name in TIMING}, **armed), count)


# -- Changing ------------------------------------------------------------------------------------------------------
def create(
    user: User,
    organization: Organization,
    name: str,
    first_run: datetime | None,
    values: dict[str, Any],
    *,
    delivery: dict[str, Any] | None = None,
) -> ExportSchedule:
    """A new schedule of `kind`, `timezone`, and what differs from DEFAULTS; it is the user's own.

    `first_run`: an instant, or without a zone a wall time in the schedule's; past, it runs at the next tick. None, for cron alone: from
    now on. `month_day` keeps a monthly one's day where the first run's month is too short for it. What the first job would be is checked
    now. `delivery`: where its runs go, as `links.checked` takes it.

    Raises Invalid with all that is wrong, Forbidden, NotFound.
    """
    access.require(user, Action.ADMINISTER, organization)
    settled = checking.checked(user, organization, name, first_run, DEFAULTS | values)
    linked = links.checked(organization, delivery or {})
    with transaction.atomic():
        hold(settled["config"], settled["segment"])
        made = ExportSchedule.objects.create(organization=organization, owner=user, **settled)
        links.apply(made, linked)
        ledger.record(made, ScheduleEvent.Kind.CREATED, user)
    return get(user, made.pk)


def update(
    user: User,
    schedule: ExportSchedule,
    name: str,
    first_run: datetime | None,
    values: dict[str, Any],
    *,
    version: int | None = None,
    delivery: dict[str, Any] | None = None,
) -> ExportSchedule:
    """The schedule with all of it said anew, its version one higher, no longer paused; it stays the owner's while that person may run it.

    Its place in time stays where neither the time nor the repetition changes: a time at which it ran is no new one. `version` insists on
    the one that was read. `delivery`: where its runs go from now on; None: where they went.
    Raises Invalid, Conflict while it runs or where it is stale, Forbidden, NotFound.
    """
    access.require(user, Action.ADMINISTER, schedule.organization)
    settled = checking.checked(user, schedule.organization, name, first_run, DEFAULTS | values)
    linked = links.checked(schedule.organization, delivery or {})
    same_time = all(settled[field] == getattr(schedule, field) for field in TIMING)
    if same_time and (first_run is None or _is_known(schedule, checking.instant(first_run, schedule.timezone))):
        # A month's day stays the 31st, although February showed the 29th.
        settled.pop("starts_on_clock")
        if not schedule.paused_reason:
            settled.pop("next_run_at"), settled.pop("armed_at")
        else:
            settled["next_run_at"] = runs.ahead(schedule)
    is_lost = not runs.may_run(schedule)
    if is_lost:
        settled["owner"] = user
    with transaction.atomic():
        _require_still(schedule)
        hold(settled["config"], settled["segment"])
        rows = ExportSchedule.objects.filter(pk=schedule.pk, version=schedule.version if version is None else version)
        changed = rows.update(**settled, version=F("version") + 1, updated_at=Now(), paused_reason="", paused_detail="", failures=0)
        if changed:
            links.apply(schedule, linked)
            ledger.record(schedule, ScheduleEvent.Kind.CHANGED, user, ledger.changes(schedule, settled))
            if is_lost:
                ledger.record_taken_over(schedule, user)
            if schedule.paused_reason:
                ledger.record(schedule, ScheduleEvent.Kind.RESUMED, user)
        if changed and settled["changes_only"] != schedule.changes_only:
            changes.drop(schedule.pk)  # whole files in between have told what this base does not know
    found = get(user, schedule.pk)
    if not changed:
        raise Conflict.stale("task", found.version)
    return found


def delete(user: User, schedule: ExportSchedule) -> None:
    """Removes it and its log; its jobs and their files stay. May be called twice. Raises Conflict while it runs, Forbidden, NotFound."""
    access.require(user, Action.ADMINISTER, schedule.organization)
    with transaction.atomic():
        _require_still(schedule)
        for run in schedule.firings.filter(outcome="", job__status=JobStatus.NEW).select_related("job"):
            if run.job:
                jobs.refuse(run.job, "Its scheduled task was deleted before its turn came.")
        recording.leave_firings(schedule)
        changes.drop(schedule.pk)
        if ExportSchedule.objects.filter(pk=schedule.pk).delete()[0]:
            ledger.record(schedule, ScheduleEvent.Kind.DELETED, user)


def reset(user: User, schedule: ExportSchedule) -> None:
    """Its next run is whole, as its first was; a run that goes on begins anew. May be called twice.

    Raises Conflict where it does not export changes, Forbidden, NotFound.
    """
    access.require(user, Action.ADMINISTER, schedule.organization)
    if not schedule.changes_only:
        raise Conflict("The task exports whole files; there is nothing to reset.", code="not_changes_only")
    with transaction.atomic():
        changes.drop(schedule.pk)
        ExportSchedule.objects.filter(pk=schedule.pk).update(updated_at=Now())
        ledger.record(schedule, ScheduleEvent.Kind.RESET, user)


def _is_known(schedule: ExportSchedule, at: datetime) -> bool:
    """Whether this is the schedule's time: as it is shown now, as a caller who read it before a run saw it, or as it was first asked for."""
    if at in {checking.shown_once(schedule), checking.instant(datetime.fromisoformat(schedule.starts_on_clock), schedule.timezone)}:
        return True
    if not schedule.firings.filter(intended_at=at, by_hand=False).exists():
        return False
    return at == next(recurrence.times(runs.rule_of(schedule), at - timedelta(microseconds=1)), None)  # and not of an earlier repetition


def _require_still(schedule: ExportSchedule) -> None:
    # A ticker that fires it holds this row, and is waited for.
    list(ExportSchedule.objects.select_for_update(no_key=True).filter(pk=schedule.pk).values_list("pk"))
    if schedule.firings.filter(outcome="", job__status=JobStatus.IN_PROGRESS).exists():
        raise Conflict("The task is running; wait until it has ended.", code="in_progress")
