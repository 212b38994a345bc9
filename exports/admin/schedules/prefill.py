"""With what the form of a new schedule begins.

Other pages hand over to `admin:exports_exportschedule_add` in one of three ways:

- `?from_job=UUID`, a plain link: the job's columns, rows, format and options. "Repeat this…" of a job's page.
- `staff.hand_over(request, choices, to=NEW_SCHEDULE)`, whose address they redirect to (`?draft=KEY`): the choices of the page of a new
  export, as `exports.admin.new` takes them. All are optional; what a schedule has no place for (`sort`, `date_format`) is left out, and said.
- `?config=ID` or `?segment=ID`, a plain link: a saved one's.

`?organization=ID` alone chooses where the schedule is to be. A schedule's window is relative: two fixed days become the name of a window
where one fits, and else the person chooses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest

from exports.admin.new.beginning import own_columns
from exports.datasets import CONFIGS, DATASETS, Spec
from exports.formats import FORMATS
from exports.models import ExportConfig, ExportJob
from exports.services import configs, jobs, segments, specs
from exports.services.schedules import windows
from taskexport import ids
from taskexport.staff import handed_over

LEFT_OUT = {"sort": "the order of its rows", "date_format": "its date format"}


@dataclass(frozen=True)
class Beginning:
    """What the form starts with: the organization's id (None: to be chosen), the form's values, the carried columns and rows, and what to say."""

    organization: int | None = None
    initial: dict[str, Any] = field(default_factory=dict)
    carried: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def beginning(request: HttpRequest) -> Beginning:
    """What the address asks for. Raises NotFound, AppError for a job of another release."""
    query, user = request.GET, request.user
    if "from_job" in query:
        return of_job(jobs.get(user, query["from_job"]))
    draft = handed_over(request)
    if draft is not None:
        return of_choices(draft)
    if "config" in query:
        config = configs.find(user, ids.number(query["config"]))
        return Beginning(config.organization_id, {"name": config.name, "what": f"config-{config.pk}", "timezone": config.timezone})
    if "segment" in query:
        segment = segments.get(user, query["segment"])
        return Beginning(segment.organization_id, {"name": segment.name, "what": f"all-{segment.dataset}", "rows": f"segment-{segment.pk}"})
    return Beginning(ids.number(query.get("organization", "")) or None)


def of_job(job: ExportJob) -> Beginning:
    """A job's frozen choices. Raises AppError for one of another release."""
    spec = Spec.from_json(job.spec)
    initial: dict[str, Any] = {"name": job.name, "format": spec.format, "options": spec.options, "timezone": spec.timezone}
    if spec.changes_of is not None:
        initial["changes_only"] = True
    carried: dict[str, Any] = {"dataset": spec.dataset}
    notes = [f"It begins with what the export “{job.name}” was."]
    config = ExportConfig.objects.filter(pk=spec.config_id, organization=job.organization_id).first() if spec.config_id is not None else None
    if config is not None:
        initial["what"] = f"config-{config.pk}"
        if config.version != spec.config_version:
            notes.append(f"The config “{config.name}” was changed since; the schedule takes it as it is.")
    elif job.type in CONFIGS:
        initial["what"] = f"builtin-{job.type}"
    else:
        initial["what"], carried["columns"] = "own", own_columns(spec)
    if spec.filter is not None:
        if config is not None:
            # The job's tree holds the config's own conditions as well; the schedule asks the config again.
            notes.append("Its rows are the config's; choose a segment if the export had further conditions.")
        else:
            initial["rows"], carried["filter"] = "own", spec.filter
            notes.append("Its conditions are kept as they were, with any times of them fixed.")
    window = _window(spec, job.created_at)
    if window:
        initial["window"] = window
    else:
        notes.append("The export covered fixed days; choose which rows each run takes.")
    if spec.sort:
        notes.append(f"A schedule does not keep {LEFT_OUT['sort']}.")
    if spec.date_format != (config.date_format if config is not None else "iso"):
        notes.append(f"A schedule does not keep {LEFT_OUT['date_format']}.")
    return Beginning(job.organization_id, initial, carried, tuple(notes))


def of_choices(choices: dict[str, Any]) -> Beginning:
    """The choices of the page of a new export, as far as they have the right shape; the form checks them like anything that is typed."""
    told = {name: value for name, value in choices.items() if isinstance(value, str)}
    known: dict[str, Any] = {name: told[name] for name in ("name", "format", "timezone") if told.get(name)}
    if isinstance(choices.get("options"), dict):
        known["options"] = choices["options"]
    dataset = told["dataset"] if told.get("dataset") in DATASETS else "tasks"
    carried: dict[str, Any] = {"dataset": dataset}
    notes: list[str] = []
    if choices.get("config_id"):
        known["what"] = f"config-{choices['config_id']}"
    elif isinstance(choices.get("columns"), list):
        known["what"], carried["columns"] = "own", choices["columns"]
    elif told.get("type") in CONFIGS and dataset == "tasks":
        known["what"] = f"builtin-{told['type']}"
    else:
        known["what"] = f"all-{dataset}"
    if choices.get("segment_id"):
        known["rows"] = f"segment-{choices['segment_id']}"
    if choices.get("filter"):
        carried["filter"] = choices["filter"]
        known.setdefault("rows", "own")
        if known["rows"] != "own":
            notes.append("A schedule takes a segment or conditions of its own; the conditions beside the segment are left out.")
    if told.get("window") in windows.WINDOWS:
        known["window"] = told["window"]
    else:
        notes.append("Choose which rows each run takes: fixed days would give the same rows each time.")
    notes += [f"A schedule does not keep {word}." for name, word in LEFT_OUT.items() if choices.get(name) and choices[name] != "iso"]
    if known.get("format") not in FORMATS:
        known.pop("format", None)
    return Beginning(ids.number(choices.get("organization")) or None, known, carried, tuple(notes))


def _window(spec: Spec, made_at: datetime) -> str:
    """The relative window that these bounds were when the job was made; empty where none fits."""
    start, behind = spec.created_from, spec.created_before or datetime.max.replace(tzinfo=UTC)
    for name in windows.WINDOWS:
        if name != windows.SINCE_LAST and windows.pinned(name, made_at, spec.timezone, None) == (start, behind):
            return name
    ever = specs.make({"org_name": "x", "name": "x", "type": "basic", **specs.EVER}).spec
    return "all" if (spec.created_from, spec.created_before) == (ever.created_from, ever.created_before) else ""
