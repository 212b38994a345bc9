"""What a schedule is asked to be, checked before it is kept, and where it stands in time."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime
from typing import Any

from django.db.models.functions import Now

from exports.datasets import DATASETS
from exports.datasets.chosen import is_text
from exports.models import ExportConfig, ExportSchedule, Kind, Missed, Overlap, Segment
from exports.services import jobs, segments
from exports.services.schedules import recurrence, runs, windows
from taskexport.errors import FieldError, Invalid, NotFound
from tasks.models import Organization, User
from tasks.models.fields import zones

NAME_LENGTH = 200
DESCRIPTION_LENGTH = 2000


def shown_once(schedule: ExportSchedule) -> datetime:
    """Its next run, or where there is none its last intended one, or its first."""
    if schedule.next_run_at:
        return schedule.next_run_at
    own = schedule.firings.filter(by_hand=False).values_list("intended_at", flat=True)
    last: datetime | None = vars(schedule)["last_intended_at"] if "last_intended_at" in vars(schedule) else own.first()  # as `reading` gives it
    wall = datetime.fromisoformat(schedule.starts_on_clock)
    # What runs once ran as of later where its time was past already; its own time may be the second one that the clock shows so.
    if last and (schedule.kind != Kind.ONCE or last.astimezone(zoneinfo.ZoneInfo(schedule.timezone)).replace(tzinfo=None) == wall):
        return last
    return recurrence.instant(wall, schedule.timezone)


def instant(moment: datetime, zone: str) -> datetime:
    """A moment, in UTC; one without a zone is a wall time in this one."""
    return moment.astimezone(UTC) if moment.tzinfo else recurrence.instant(moment, zone)


def checked(user: User, organization: Organization, name: str, first_run: datetime | None, values: dict[str, Any]) -> dict[str, Any]:
    """The values as they are kept, with where the schedule stands in time; its first job was tried. Raises Invalid with all that is
    wrong, Forbidden, NotFound."""
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
    goes_on = "window" if values["window"] == windows.SINCE_LAST else "changes_only" if values["changes_only"] else ""
    if goes_on and (values["missed"] == Missed.ALL or values["overlap"] == Overlap.QUEUE):
        reject(goes_on, "Runs that go on where the last one ended come one at a time: take missed latest or skip, and overlap skip.")
    if not isinstance(values["changes_only"], bool):
        reject("changes_only", "Write true or false.")
    elif values["changes_only"] and values["window"] == windows.SINCE_LAST:
        reject("window", "Changes are found between whole sets of rows; take another window.")
    elif values["changes_only"] and values["skip_when_empty"]:
        reject("skip_when_empty", "Whether anything has changed is known only once the export has run; leave it out with changes only.")
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
        raise Invalid.all(errors)
    settled = {"name": name, **values, "timezone": zone, **armed(first_run, zone, values)}
    settled.pop("month_day")  # it is in the first run's wall time
    draft = ExportSchedule(organization=organization, owner=user, **settled)
    wish = runs.wish_of(draft, datetime.now(UTC))
    jobs.require_create(user, organization, wish.spec)
    return settled


def armed(first_run: datetime | None, zone: str, values: dict[str, Any]) -> dict[str, Any]:
    """Where the schedule stands in time. Raises Invalid."""
    now = datetime.now(UTC)
    tz = zoneinfo.ZoneInfo(zone)
    try:
        wall = (first_run or now).astimezone(tz).replace(tzinfo=None) if first_run is None or first_run.tzinfo else first_run
    except OverflowError:
        wall = datetime.max
    if not recurrence.FIRST_YEAR < wall.year <= recurrence.LAST_YEAR:
        raise Invalid.field("first_run", f"Write a time from {recurrence.FIRST_YEAR + 1} to {recurrence.LAST_YEAR}.")
    first: datetime | None = instant(first_run, zone) if first_run else None
    if values["kind"] == Kind.CRON:
        rule = recurrence.Rule(Kind.CRON, zone, wall, values["cron"])
        first = next(recurrence.times(rule, now), None)
    if first and values["ends_at"] and first > values["ends_at"]:
        raise Invalid.field("ends_at", "It would end before its first run.")
    if values["kind"] == Kind.MONTHLY and values["month_day"]:
        wall = recurrence.anchored(wall, values["month_day"])
    return {"starts_on_clock": wall.isoformat(), "next_run_at": first, "armed_at": Now()}
