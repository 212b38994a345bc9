"""Schedules as people keep them: made, changed, paused, taken over, deleted."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from exports.datasets import DATASETS
from exports.datasets.chosen import is_text
from exports.models import ExportConfig, ExportSchedule, Firing, Kind, Missed, Overlap, Segment
from exports.services import jobs, segments
from exports.services.schedules import recurrence, runs, windows
from exports.states import JobStatus
from taskexport.errors import Conflict, FieldError, Invalid, NotFound
from tasks import access
from tasks.access import Action
from tasks.models import Organization, User
from tasks.models.fields import zones

NAME_LENGTH = 200
DESCRIPTION_LENGTH = 2000
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
    "stem": "",
}
TIMING = ("kind", "timezone", "cron", "ends_at")


def visible(user: Any) -> QuerySet[ExportSchedule]:
    """The schedules that the user may see, oldest first."""
    rows = ExportSchedule.objects.select_related("organization", "owner", "segment", "config")
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
    found = [schedule.next_run_at]
    while len(found) < count and (at := runs.next_after(schedule, found[-1])):
        found.append(at)
    return recurrence.described(runs.rule_of(schedule), found)


# -- Changing ------------------------------------------------------------------------------------------------------
def create(user: User, organization: Organization, name: str, first_run: datetime | None, values: dict[str, Any]) -> ExportSchedule:
    """A new schedule of `kind`, `timezone`, and what differs from DEFAULTS; it is the user's own.

    `first_run`: an instant, or without a zone a wall time in the schedule's; past, it runs at the next tick. None, for cron alone: from
    now on. What the first job would be is checked now. Raises Invalid with all that is wrong, Forbidden, NotFound.
    """
    access.require(user, Action.ADMINISTER, organization)
    settled = _checked(user, organization, name, first_run, DEFAULTS | values)
    made = ExportSchedule.objects.create(organization=organization, owner=user, **settled)
    return get(user, made.pk)


def update(
    user: User, schedule: ExportSchedule, name: str, first_run: datetime | None, values: dict[str, Any], *, version: int | None = None
) -> ExportSchedule:
    """The schedule with all of it said anew, its version one higher, no longer paused; it stays the owner's while that person may run it.

    Its place in time stays where neither the time nor the repetition changes. `version` insists on the one that was read.
    Raises Invalid, Conflict while it runs or where it is stale, Forbidden, NotFound.
    """
    access.require(user, Action.ADMINISTER, schedule.organization)
    settled = _checked(user, schedule.organization, name, first_run, DEFAULTS | values)
    same_time = all(settled[field] == getattr(schedule, field) for field in TIMING)
    if same_time and (first_run is None or _instant(first_run, schedule.timezone) == shown_once(schedule)):
        # A month's day stays the 31st, although February showed the 29th.
        settled.pop("starts_on_clock")
        if not schedule.paused_reason:
            settled.pop("next_run_at"), settled.pop("armed_at")
        elif schedule.kind != Kind.ONCE:
            settled["next_run_at"] = _ahead(schedule)
    if not runs.may_run(schedule):
        settled["owner"] = user
    with transaction.atomic():
        _require_still(schedule)
        rows = ExportSchedule.objects.filter(pk=schedule.pk, version=schedule.version if version is None else version)
        changed = rows.update(**settled, version=F("version") + 1, updated_at=Now(), paused_reason="", paused_detail="", failures=0)
    found = get(user, schedule.pk)
    if not changed:
        raise Conflict(f"The task is at version {found.version} now. Read it again.", code="stale_version")
    return found


def delete(user: User, schedule: ExportSchedule) -> None:
    """Removes it and its log; its jobs and their files stay. May be called twice. Raises Conflict while it runs, Forbidden, NotFound."""
    access.require(user, Action.ADMINISTER, schedule.organization)
    with transaction.atomic():
        _require_still(schedule)
        for run in schedule.firings.filter(outcome="", job__status=JobStatus.NEW).select_related("job"):
            if run.job:
                jobs.refuse(run.job, "Its scheduled task was deleted before its turn came.")
        ExportSchedule.objects.filter(pk=schedule.pk).delete()


def pause(user: User, schedule: ExportSchedule) -> None:
    """It runs no more until somebody resumes it. May be called twice. Raises Forbidden, NotFound."""
    access.require(user, Action.ADMINISTER, schedule.organization)
    rows = ExportSchedule.objects.filter(pk=schedule.pk, paused_reason="")
    rows.update(paused_reason="paused", paused_detail=f"Paused by {user}.", version=F("version") + 1, updated_at=Now())


def resume(user: User, schedule: ExportSchedule) -> None:
    """It runs again, from its next time on; whoever resumes it takes it over if its owner may not run it. May be called twice.

    Raises Invalid where it can no longer run as it is, Forbidden, NotFound.
    """
    access.require(user, Action.ADMINISTER, schedule.organization)
    now = datetime.now(UTC)
    owner = {} if runs.may_run(schedule) else {"owner": user}
    runs.wish_of(schedule, now)
    rows = ExportSchedule.objects.filter(pk=schedule.pk).exclude(paused_reason="")
    rows.update(
        **owner,
        paused_reason="",
        paused_detail="",
        failures=0,
        armed_at=Now(),
        next_run_at=_ahead(schedule),
        version=F("version") + 1,
        updated_at=Now(),
    )


def _ahead(schedule: ExportSchedule) -> datetime | None:
    """Its next time that has not passed."""
    now = datetime.now(UTC)
    return schedule.next_run_at if schedule.next_run_at and schedule.next_run_at > now else runs.next_after(schedule, now)


def take_over(user: User, schedule: ExportSchedule) -> None:
    """The schedule is the user's from now on. May be called twice. Raises Forbidden, NotFound."""
    access.require(user, Action.ADMINISTER, schedule.organization)
    ExportSchedule.objects.filter(pk=schedule.pk).update(owner=user, version=F("version") + 1, updated_at=Now())


def _require_still(schedule: ExportSchedule) -> None:
    # A ticker that fires it holds this row, and is waited for.
    list(ExportSchedule.objects.select_for_update(no_key=True).filter(pk=schedule.pk).values_list("pk"))
    if schedule.firings.filter(outcome="", job__status=JobStatus.IN_PROGRESS).exists():
        raise Conflict("The task is running; wait until it has ended.", code="in_progress")


# -- Checking ------------------------------------------------------------------------------------------------------
def shown_once(schedule: ExportSchedule) -> datetime:
    """Its next run, or where there is none its last intended one, or its first."""
    if schedule.next_run_at:
        return schedule.next_run_at
    last: datetime | None = None
    if schedule.kind != Kind.ONCE:
        own = schedule.firings.filter(by_hand=False).values_list("intended_at", flat=True)
        last = vars(schedule)["last_intended_at"] if "last_intended_at" in vars(schedule) else own.first()  # as `reading` gives it
    first = recurrence.instant(datetime.fromisoformat(schedule.starts_on_clock), schedule.timezone)
    return last or first


def _instant(moment: datetime, zone: str) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else recurrence.instant(moment, zone)


def _checked(user: User, organization: Organization, name: str, first_run: datetime | None, values: dict[str, Any]) -> dict[str, Any]:
    errors: list[FieldError] = []

    def reject(field: str, detail: str) -> None:
        errors.append(FieldError(field, "invalid", detail))

    zone = values.get("timezone", organization.timezone)
    if not is_text(name, NAME_LENGTH, 1) or not name.strip():
        reject("name", f"Write 1 to {NAME_LENGTH} characters.")
    if not is_text(values["description"], DESCRIPTION_LENGTH):
        reject("description", f"Write at most {DESCRIPTION_LENGTH} characters.")
    for field, choices in (("kind", Kind.values), ("missed", Missed.values), ("overlap", Overlap.values), ("window", windows.WINDOWS)):
        if values.get(field) not in choices:
            reject(field, f"Write one of: {', '.join(choices)}.")
    if zone not in zones():
        reject("timezone", "Write an IANA time zone such as Europe/Amsterdam.")
    if values["kind"] == Kind.CRON:
        try:
            recurrence.check_cron(values["cron"])
        except ValueError as error:
            reject("cron", str(error))
    elif values["cron"]:
        reject("cron", "Send either a repetition or cron.")
    if first_run is None and values["kind"] != Kind.CRON:
        reject("first_run", "Say when it runs first.")
    if values["window"] == windows.SINCE_LAST and (values["missed"] == Missed.ALL or values["overlap"] == Overlap.QUEUE):
        reject("window", "Runs that go on where the last one ended come one at a time: take missed latest or skip, and overlap skip.")
    if values["segment"] is not None and values["rules"] is not None:
        reject("segment", "Send a segment or a saved one's id, not both.")
    for field, model in (("config", ExportConfig), ("segment", Segment)):
        if values[field] is not None and values[field].organization_id != organization.pk:
            raise NotFound(f"There is no such {model._meta.model_name}.")
    if values["rules"] is not None and values["dataset"] in DATASETS:
        try:
            _, values["rules"] = segments.checked(values["rules"], organization, values["dataset"], at="rules")
        except Invalid as error:
            errors.extend(error.fields)
    if errors:
        raise Invalid("; ".join(f"{error.field}: {error.detail}" for error in errors), fields=errors)
    settled = {"name": name, **values, "timezone": zone, **_armed(first_run, zone, values)}
    draft = ExportSchedule(organization=organization, owner=user, **settled)
    wish = runs.wish_of(draft, datetime.now(UTC))
    jobs.require_create(user, organization, wish.spec)
    return settled


def _armed(first_run: datetime | None, zone: str, values: dict[str, Any]) -> dict[str, Any]:
    """Where the schedule stands in time."""
    now = datetime.now(UTC)
    tz = zoneinfo.ZoneInfo(zone)
    try:
        wall = (first_run or now).astimezone(tz).replace(tzinfo=None) if first_run is None or first_run.tzinfo else first_run
    except OverflowError:
        wall = datetime.max
    if not recurrence.FIRST_YEAR < wall.year <= recurrence.LAST_YEAR:
        raise Invalid.field("first_run", f"Write a time from {recurrence.FIRST_YEAR + 1} to {recurrence.LAST_YEAR}.")
    first: datetime | None = _instant(first_run, zone) if first_run else None
    if values["kind"] == Kind.CRON:
        rule = recurrence.Rule(Kind.CRON, zone, wall, values["cron"])
        first = next(recurrence.times(rule, now), None)
    if first and values["ends_at"] and first > values["ends_at"]:
        raise Invalid.field("ends_at", "It would end before its first run.")
    return {"starts_on_clock": wall.isoformat(), "next_run_at": first, "armed_at": Now()}
