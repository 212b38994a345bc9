"""The form of a schedule: what, which rows, when, and what if; each service refusal finds its field."""

from __future__ import annotations

import json
import uuid
import zoneinfo
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any, cast

from django import forms

from exports.datasets import CONFIGS, DATASETS, builtin_columns
from exports.formats import FORMATS
from exports.models import ExportConfig, ExportSchedule, Kind, Segment
from exports.services import configs, segments
from exports.services.deliveries import destinations, links
from exports.services.schedules import checking, keeping, recurrence, windows, words
from taskexport.errors import AppError, FieldError
from taskexport.screens import once, overtaken
from tasks.models import Organization, User
from tasks.models.fields import zones

MOST_CARRIED = 200_000  # characters of JSON that another page may hand over
MOST_OFFERED = 500  # saved configs and segments in a list
CARRIED_KEYS = ("dataset", "columns", "filter", "rules")
USUAL = ""  # of a format's option: what the format does unless told
BUILT_IN = {"basic": "Basic: the columns most people want", "fedex": "FedEx: what a shipping desk loads"}
KINDS = {"once": "Once", "daily": "Every day", "weekly": "Every week", "monthly": "Every month", "cron": "By a cron expression"}
MISSED = {"latest": "Run the latest one, late", "skip": "Leave them out", "all": "Run each of them"}
OVERLAP = {"skip": "Leave the new run out", "queue": "Let the new run wait"}
MAILS = {"ends": "When a run is done or has failed", "failures": "Only when a run has failed", "never": "None"}
# The service's field: ours.
FIELDS = {"first_run": "clock", "ends_at": "ends_on", "config": "what", "columns": "what", "dataset": "what", "type": "what"}
ROWS = ("segment", "segment_id", "rules", "filter", "join", "where")
FIRST_DAY, LAST_DAY = date(recurrence.FIRST_YEAR + 1, 1, 1), date(recurrence.LAST_YEAR, 12, 31)


class _Day(forms.DateInput):
    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d")


class _Clock(forms.TimeInput):
    input_type = "time"

    def __init__(self) -> None:
        super().__init__(format="%H:%M")


def option_name(format_name: str, key: str) -> str:
    """The form's field of a format's option."""
    return f"option_{format_name}_{key}"


class TimingForm(forms.Form):
    """When a schedule runs, by itself: what the preview reads."""

    kind = forms.ChoiceField(label="Repeats", choices=[(name, label) for name, label in KINDS.items()])
    on_day = forms.DateField(label="Day", required=False, widget=_Day())
    weekday = forms.TypedChoiceField(label="Day of the week", choices=list(enumerate(words.WEEKDAYS)), coerce=int, required=False, empty_value="0")
    day = forms.TypedChoiceField(
        label="Day of the month",
        choices=[(number, words.ordinal(number)) for number in range(1, 32)],
        coerce=int,
        required=False,
        empty_value="1",
        help_text="A shorter month takes its last day.",
    )
    clock = forms.TimeField(label="Time", required=False, widget=_Clock())
    cron = forms.CharField(
        label="Cron expression",
        required=False,
        max_length=recurrence.CRON_LENGTH,
        help_text="Minute, hour, day of month, month, day of week: 30 2 * * 1-5 is 02:30 from Monday to Friday.",
    )
    timezone = forms.ChoiceField(label="Time zone", choices=lambda: [(name, name) for name in sorted(zones())])
    starts_on = forms.DateField(label="First day", required=False, widget=_Day(), help_text="Empty: as soon as its time comes.")
    ends_on = forms.DateField(label="Last day", required=False, widget=_Day(), help_text="This day is included. Empty: without an end.")

    def clean(self) -> dict[str, Any]:
        """Asks for what the repetition needs."""
        found = self.cleaned_data
        needs = {"once": ("on_day", "clock"), "cron": ("cron",)}.get(found.get("kind", ""), ("clock",))
        for name in needs:
            if not found.get(name) and not (name == "clock" and found.get("clock") == time()) and not self.has_error(name):
                self.add_error(name, "Fill this in.")
        for name in ("on_day", "starts_on", "ends_on"):
            if found.get(name) and not FIRST_DAY <= found[name] <= LAST_DAY:
                self.add_error(name, f"Choose a day from {FIRST_DAY} to {LAST_DAY}.")
        return found

    def timing(self) -> tuple[datetime | None, dict[str, Any]]:
        """The first run's wall time (None: a cron's, from now on) and the values of time, as the service takes them; for a form without errors."""
        found = self.cleaned_data
        kind, zone = found["kind"], found["timezone"]
        values: dict[str, Any] = {"kind": kind, "timezone": zone, "cron": found["cron"].strip() if kind == Kind.CRON else "", "ends_at": None}
        if found["ends_on"]:
            values["ends_at"] = _midnight(found["ends_on"] + timedelta(days=1), zone) - timedelta(microseconds=1)
        if kind == Kind.ONCE:
            return datetime.combine(found["on_day"], found["clock"]), values
        starts = _midnight(found["starts_on"], zone) - timedelta(microseconds=1) if found["starts_on"] else None
        now = datetime.now(UTC)
        after = max(starts, now) if starts else now
        if kind == Kind.CRON:
            return (datetime.combine(found["starts_on"], time()) if starts and starts > now else None), values
        if kind == Kind.MONTHLY:
            values["month_day"] = int(found["day"])
        return recurrence.begin(kind, zone, found["clock"], after, weekday=int(found["weekday"]), day=int(found["day"])), values


def _midnight(day: date, zone: str) -> datetime:
    return recurrence.instant(datetime.combine(day, time()), zone)


class ScheduleForm(TimingForm):
    """All of a schedule, in one organization."""

    name = forms.CharField(max_length=200)
    description = forms.CharField(required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 2}), help_text="For whoever finds it later.")
    what = forms.ChoiceField(label="Columns")
    rows = forms.ChoiceField(label="Rows")
    window = forms.ChoiceField(label="Period", help_text="By the day of each run, in its time zone.")
    format = forms.ChoiceField(choices=[(name, name.upper()) for name in FORMATS])
    missed = forms.ChoiceField(label="Runs that were missed", choices=list(MISSED.items()), help_text="When nothing ran, such as during an outage.")
    overlap = forms.ChoiceField(label="If the last run still goes on", choices=list(OVERLAP.items()))
    skip_when_empty = forms.BooleanField(label="Skip a run that has no rows", required=False)
    changes_only = forms.BooleanField(
        label="Only what has changed since the last delivered file",
        required=False,
        help_text="The first file is whole. Each one after it has the rows that differ from the file before; its column _change says how.",
    )
    mail_on = forms.ChoiceField(label="Mails", choices=list(MAILS.items()), help_text="To the owner, and to whom you name below.")
    recipients = forms.CharField(
        label="Told beside the owner",
        required=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="E-mail addresses of the organization's people, one a line.",
    )
    attach_small = forms.BooleanField(label="Attach the file to the mail, if it is small", required=False)
    destination = forms.ChoiceField(label="Copy each file to", required=False)
    carried = forms.CharField(required=False, max_length=MOST_CARRIED, widget=forms.HiddenInput())
    nonce = forms.UUIDField(required=False, widget=forms.HiddenInput())
    version = forms.IntegerField(required=False, max_value=2**31 - 1, widget=forms.HiddenInput())

    field_order = ("name", "description", "what", "rows", "window", "format", "kind", "on_day", "weekday", "day", "clock", "cron", "timezone")

    def __init__(
        self,
        user: User,
        organization: Organization,
        data: Any = None,
        *,
        schedule: ExportSchedule | None = None,
        begun: dict[str, Any] | None = None,
        carried: dict[str, Any] | None = None,
    ) -> None:
        self.user, self.organization, self.schedule = user, organization, schedule
        initial = _usual(organization) | (_of_schedule(schedule) if schedule else begun or {})
        if carried is None and schedule:
            carried = _carried_of(schedule)
        initial["nonce"] = uuid.uuid4()
        initial["carried"] = json.dumps(carried) if carried else ""
        options = initial.pop("options", {})
        super().__init__(data, initial=initial, label_suffix="")
        self.brought = _read_carried(data.get("carried", "")) if data is not None else carried or {}
        self._offer_saved()
        for format_name, format_ in FORMATS.items():
            for key, option in format_.options.items():
                given = options.get(key) if initial.get("format") == format_name else None
                self.fields[option_name(format_name, key)] = _option_field(key, option, given, bool(_presets(format_)))

    def _offer_saved(self) -> None:
        fields: Any = self.fields
        carried, organization = self.brought, self.organization
        saved = list(configs.visible(self.user, organization)[:MOST_OFFERED])
        own = [("own", f"The {len(carried['columns'])} columns that it has now")] if carried.get("columns") is not None else []
        fields["what"].choices = [
            *own,
            ("Saved configs", [(f"config-{one.pk}", f"{one.name} ({one.dataset})") for one in saved]),
            ("Ready-made, of tasks", [(f"builtin-{name}", BUILT_IN.get(name, name)) for name in CONFIGS]),
            ("All columns", [(f"all-{name}", f"All columns of {name}") for name in DATASETS]),
        ]
        rows = list(segments.visible(self.user).filter(organization=organization)[:MOST_OFFERED])
        has_own = carried.get("filter") is not None or carried.get("rules") is not None
        fields["rows"].choices = [
            ("all", "All rows"),
            *([("own", "The conditions that it has now")] if has_own else []),
            ("Saved segments", [(f"segment-{one.pk}", f"{one.name} ({one.dataset})") for one in rows]),
        ]
        self._configs, self._segments = {one.pk: one for one in saved}, {one.pk: one for one in rows}
        places = destinations.visible(self.user, organization)[:MOST_OFFERED]
        fields["destination"].choices = [("", "nowhere"), *((str(one.pk), one.name) for one in places)]
        fields["window"].choices = [("", "Choose…"), *((name, words.WINDOWS[name][0].upper() + words.WINDOWS[name][1:]) for name in windows.WINDOWS)]

    def options_of(self) -> list[tuple[str, list[Any]]]:
        """Each format with the bound fields of its options."""
        return [(name, [self[option_name(name, key)] for key in format_.options]) for name, format_ in FORMATS.items() if format_.options]

    # -- What it asks of the service -------------------------------------------------------------------------------
    def save(self) -> ExportSchedule | None:
        """The schedule, made or changed; None where this same form has made it before. Raises AppError."""
        first_run, values = self.wished()
        name = self.cleaned_data["name"]
        if self.schedule is None:
            made = partial(keeping.create, self.user, self.organization, name, first_run, values, delivery=self._delivery())
            return cast("ExportSchedule | None", once(self.user, f"schedule {self.cleaned_data['nonce'] or uuid.uuid4()}", made))
        return keeping.update(self.user, self.schedule, name, first_run, values, delivery=self._delivery(), version=self.cleaned_data["version"])

    def _delivery(self) -> dict[str, Any]:
        found = self.cleaned_data
        return {
            "mail_on": found["mail_on"],
            "recipients": found["recipients"].replace(",", " ").split(),
            "attach_small": found["attach_small"],
            "destination": int(found["destination"]) if found["destination"] else None,
        }

    def wished(self) -> tuple[datetime | None, dict[str, Any]]:
        """The first run and the values, as the service takes them. Raises Invalid."""
        found = self.cleaned_data
        first_run, timing = self.timing()
        if self.schedule and not self._moves():
            first_run, timing = checking.shown_once(self.schedule), {name: getattr(self.schedule, name) for name in keeping.TIMING}
        chosen = found["format"]
        return first_run, {
            **timing,
            **self._what(found["what"]),
            **self._rows(found["rows"]),
            "description": found["description"],
            "window": found["window"],
            "format": chosen,
            "options": {key: value for key in FORMATS[chosen].options if (value := self._option(chosen, key)) is not None},
            "missed": found["missed"],
            "overlap": found["overlap"],
            "skip_when_empty": found["skip_when_empty"],
            "changes_only": found["changes_only"],
            "stem": self.schedule.stem if self.schedule else "",
        }

    def _moves(self) -> bool:
        """Whether anything of the time was changed."""
        return any(name in self.changed_data for name in TimingForm.base_fields)

    def _what(self, choice: str) -> dict[str, Any]:
        kind, _, name = choice.partition("-")
        if kind == "config":
            config: ExportConfig = self._configs[int(name)]
            return {"config": config, "dataset": config.dataset, "columns": None}
        if kind == "builtin":
            return {"dataset": "tasks", "columns": [{"key": key, "title": title} for key, title in builtin_columns(name)]}
        if kind == "all":
            return {"dataset": name, "columns": None}
        return {"dataset": self.brought.get("dataset", "tasks"), "columns": self.brought.get("columns")}

    def _rows(self, choice: str) -> dict[str, Any]:
        kind, _, name = choice.partition("-")
        if kind == "segment":
            segment: Segment = self._segments[int(name)]
            return {"segment": segment}
        return {key: self.brought[key] for key in ("filter", "rules") if self.brought.get(key) is not None} if kind == "own" else {}

    def _option(self, format_name: str, key: str) -> str | bool | None:
        value = self.cleaned_data[option_name(format_name, key)]
        if value == USUAL:
            return None
        return value if FORMATS[format_name].options[key].choices else value == "yes"

    def refuse(self, error: AppError) -> None:
        """Shows a service's refusal at the fields it names, or above the form."""
        for one in error.fields:
            self.add_error(self._field_of(one), self._detail_of(one))
        if self.schedule and error.code == "stale_version":
            overtaken(self, self.schedule.version)
        elif not error.fields:
            self.add_error(None, error.message)

    def _detail_of(self, error: FieldError) -> str:
        at = error.field.removeprefix("recipients.")
        return f"{self._delivery()['recipients'][int(at)]}: {error.detail}" if at.isdecimal() else error.detail

    def _field_of(self, error: FieldError) -> str | None:
        top, _, rest = error.field.partition(".")
        top = top.partition("[")[0]
        if top == "options":
            name = option_name(self.cleaned_data.get("format", ""), rest)
            return name if name in self.fields else "format"
        if top in ROWS:
            return "rows"
        name = FIELDS.get(top, top)
        if name == "clock" and self.cleaned_data.get("kind") == Kind.CRON:
            name = "starts_on"
        return name if name in self.fields else None


# -- With what it begins -------------------------------------------------------------------------------------------
def _usual(organization: Organization) -> dict[str, Any]:
    tomorrow = datetime.now(zoneinfo.ZoneInfo(organization.timezone)).date() + timedelta(days=1)
    return {
        "what": "builtin-basic",
        "rows": "all",
        "window": "yesterday",
        "format": "csv",
        "kind": "daily",
        "clock": time(6),
        "on_day": tomorrow,
        "weekday": 0,
        "day": 1,
        "timezone": organization.timezone,
        "missed": "latest",
        "overlap": "skip",
        "mail_on": "ends",
    }


def _of_schedule(schedule: ExportSchedule) -> dict[str, Any]:
    start = datetime.fromisoformat(schedule.starts_on_clock)
    zone = zoneinfo.ZoneInfo(schedule.timezone)
    if schedule.kind == Kind.ONCE:
        start = checking.shown_once(schedule).astimezone(zone).replace(tzinfo=None)
    has_begun = start.date() <= datetime.now(zone).date()
    own_rows = schedule.filter is not None or schedule.rules is not None
    return {
        "name": schedule.name,
        "description": schedule.description,
        "what": _what_of(schedule),
        "rows": f"segment-{schedule.segment_id}" if schedule.segment_id else "own" if own_rows else "all",
        "window": schedule.window,
        "format": schedule.format,
        "options": schedule.options,
        "kind": schedule.kind,
        "on_day": start.date(),
        "weekday": start.weekday(),
        "day": start.day,
        "clock": start.time(),
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "starts_on": None if has_begun or schedule.kind == Kind.ONCE else start.date(),
        "ends_on": schedule.ends_at.astimezone(zone).date() if schedule.ends_at else None,
        "missed": schedule.missed,
        "overlap": schedule.overlap,
        "skip_when_empty": schedule.skip_when_empty,
        "changes_only": schedule.changes_only,
        **links.shown(schedule),
        "recipients": "\n".join(links.shown(schedule)["recipients"]),
        "version": schedule.version,
    }


def _what_of(schedule: ExportSchedule) -> str:
    if schedule.config_id:
        return f"config-{schedule.config_id}"
    if schedule.columns is None:
        return f"all-{schedule.dataset}"
    for name in CONFIGS:
        if schedule.dataset == "tasks" and [tuple(column.get(key) for key in ("key", "title")) for column in schedule.columns] == list(
            builtin_columns(name)
        ):
            return f"builtin-{name}"
    return "own"


def _carried_of(schedule: ExportSchedule) -> dict[str, Any]:
    found = {name: getattr(schedule, name) for name in CARRIED_KEYS if getattr(schedule, name) is not None}
    return found if found.keys() - {"dataset"} else {}


def _read_carried(text: str) -> dict[str, Any]:
    """What came back in the hidden field; the services check what is in it."""
    try:
        found = json.loads(text) if text and len(text) <= MOST_CARRIED else {}
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    for name, kind in (("columns", list), ("dataset", str)):
        if not isinstance(found.get(name), kind):
            found.pop(name, None)
    return {name: found[name] for name in CARRIED_KEYS if found.get(name) is not None}


def _presets(format_: Any) -> list[str]:
    return [key for key, option in format_.options.items() if option.presets]


def _option_field(key: str, option: Any, given: Any, has_presets: bool) -> forms.ChoiceField:
    def shown(value: Any) -> str:
        return {True: "yes", False: "no", "\t": "tab"}.get(value, str(value))

    values = option.choices or ("yes", "no")
    usual = f"As usual ({shown(option.default)})" if option.presets or not has_presets else "As the preset says"
    return forms.ChoiceField(
        label=key.replace("_", " ").capitalize() if key != "bom" else "Byte order mark",
        required=False,
        choices=[(USUAL, usual), *((value, shown(value)) for value in values)],
        initial=given if option.choices else {True: "yes", False: "no"}.get(given, USUAL),
        help_text=option.help,
    )
