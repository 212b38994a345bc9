"""A wish becomes a checked spec, before any job exists. Every refusal names its field and the cure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from exports import filters
from exports.cells import DATE_FORMATS
from exports.datasets import CONFIGS, DATASETS, Spec, builtin_columns, chosen
from exports.datasets.known import CONFIG_VERSION
from exports.formats import FORMATS, settled_options
from exports.models import ExportConfig
from exports.services import configs, segments
from taskexport.errors import FieldError, Invalid
from taskexport.moments import Moment, moment
from tasks.models.fields import zones

NAME_LENGTH = 200
TYPES = (*CONFIGS, "custom")
# Bounds that leave no task out; a day's room on both sides is for time zones.
EVER = {"creation_start_date": "0001-01-02", "creation_end_date": "9999-12-30"}


@dataclass(frozen=True)
class Wish:
    """A job as it was asked for, checked, with its frozen spec."""

    org_name: str
    name: str
    type: str
    creation_start_date: datetime
    creation_end_date: datetime
    spec: Spec


_FIRST, _LAST = moment(EVER["creation_start_date"]), moment(EVER["creation_end_date"])


def make(
    values: dict[str, Any],
    config: ExportConfig | None = None,
    *,
    segment: dict[str, Any] | None = None,
    now: datetime | None = None,
) -> Wish:
    """A wish from plain values: `org_name`, `name`, `type`, `creation_start_date`, `creation_end_date` (texts or Moments),
    `format` (default csv) with its `options`, `timezone` (default UTC), `date_format`, and for type custom `dataset` and `columns`;
    `filter` (its relative times are pinned to `now`) and `sort`; `window`, `stem` and `changes_of` as a Spec has them. A saved `config` gives
    what is not said, and its filter and segment must hold too; so must a `segment`, a definition that was checked before.
    Raises Invalid with all that is wrong at once."""
    errors: list[FieldError] = []
    given = values
    if config:
        values = configs.as_wish(config) | values

    def reject(field: str, detail: str) -> None:
        errors.append(FieldError(field, "invalid", detail))

    moments = {}
    for field in ("creation_start_date", "creation_end_date"):
        value = values[field]
        try:
            moments[field] = value if isinstance(value, Moment) else moment(value)
        except ValueError as error:
            reject(field, str(error))
    if len(moments) == 2 and moments["creation_end_date"].stated < moments["creation_start_date"].at:
        reject("creation_end_date", "The end lies before the start; exchange them.")
    zone = values.get("timezone", "UTC")
    if zone not in zones():
        reject("timezone", "Write an IANA time zone such as Europe/Amsterdam.")
    dataset = values.get("dataset", "tasks")
    columns: tuple[dict[str, Any], ...] = ()
    try:
        columns = _columns(values, dataset) if config is None else _saved_columns(given, config)
        if values.get("changes_of") is not None:
            columns = chosen.with_change(columns)
    except Invalid as error:
        errors.extend(error.fields)
    tree: dict[str, Any] | None = None
    sort: list[dict[str, str]] = []
    if dataset in DATASETS and zone in zones():
        try:
            now = now or datetime.now(UTC)
            found = [
                filters.checked(each, DATASETS[dataset], now=now, zone=zone)
                for each in (config.filter if config else None, given.get("filter"))
                if each is not None
            ]
            saved = segments.definition(config.segment) if config and config.segment else None
            found += [_of_segment(each, dataset, now, zone) for each in (saved, segment) if each]
            tree = {"all": found} if len(found) > 1 else found[0] if found else None
            sort = filters.checked_sort(values.get("sort", []), DATASETS[dataset])
        except Invalid as error:
            errors.extend(error.fields)
    date_format = values.get("date_format", "iso")
    if date_format not in DATE_FORMATS:
        reject("date_format", f"Write one of: {', '.join(DATE_FORMATS)}.")
    format_name = values.get("format", "csv")
    if format_name not in FORMATS:
        reject("format", f"Write one of: {', '.join(FORMATS)}.")
    for field in ("org_name", "name"):
        if not values[field].strip() or len(values[field]) > NAME_LENGTH:
            reject(field, f"Write 1 to {NAME_LENGTH} characters.")
    options: dict[str, Any] = {}
    if format_name in FORMATS:
        try:
            options = settled_options(FORMATS[format_name], values.get("options", {}))
        except Invalid as error:
            errors.extend(error.fields)
    if errors:
        raise Invalid.all(errors)
    start, end = moments["creation_start_date"], moments["creation_end_date"]
    spec = Spec(
        dataset=dataset,
        config=config.name if config else values["type"],
        config_version=config.version if config else CONFIG_VERSION,
        config_id=config.pk if config else None,
        columns=columns,
        created_from=start.at,
        created_before=end.until,
        format=format_name,
        timezone=zone,
        date_format=date_format,
        options=options,
        filter=tree,
        sort=sort,
        window=values.get("window"),
        stem=values.get("stem", ""),
        changes_of=values.get("changes_of"),
    )
    return Wish(values["org_name"], values["name"], values["type"], start.at, end.stated, spec)


def _of_segment(segment: dict[str, Any], dataset: str, now: datetime, zone: str) -> dict[str, Any]:
    if segment["index"] != dataset:
        raise Invalid.field("segment_id", f"The segment is one of {segment['index']}, the export one of {dataset}.")
    return segments.tree(segment, now=now, zone=zone)


def _columns(values: dict[str, Any], dataset: str) -> tuple[dict[str, Any], ...]:
    """The frozen columns; a dataset without a choice of columns gives all that it declares. Raises Invalid."""
    if values["type"] not in TYPES:
        raise Invalid.field("type", f"Write one of: {', '.join(TYPES)}.")
    if dataset not in DATASETS:
        raise Invalid.field("dataset", f"Write one of: {', '.join(DATASETS)}.")
    if values["type"] in CONFIGS:
        if "columns" in values or dataset != "tasks":
            raise Invalid.field("type", f"{values['type']} has columns of its own, of tasks; write custom to choose others.")
        return tuple({"key": key, "title": title} for key, title in builtin_columns(values["type"]))
    if "columns" not in values and "dataset" not in values:
        raise Invalid.field("type", "A custom export says which columns; send columns, or a dataset for all of its columns.")
    return chosen.checked(values.get("columns", list(DATASETS[dataset].columns)), DATASETS[dataset])


def _saved_columns(given: dict[str, Any], config: ExportConfig) -> tuple[dict[str, Any], ...]:
    """The config's columns as they were saved; those that are gone stay, empty. Raises Invalid."""
    if given["type"] != "custom":
        raise Invalid.field("type", "A saved config has columns of its own; write custom.")
    if "columns" in given:
        raise Invalid.field("columns", "Send columns or config_id, not both.")
    if given.get("dataset", config.dataset) != config.dataset:
        raise Invalid.field("dataset", f"The config is one of {config.dataset}; leave the dataset out.")
    return tuple(config.columns)


def is_of_all_time(spec: Spec) -> bool:
    """Whether no task is left out for its creation."""
    return spec.created_from <= _FIRST.at and spec.created_before in {None, _LAST.until}


def in_words(spec: Spec) -> str:
    """The spec's filter as a sentence."""
    end = f" up to, but not at, {spec.created_before.isoformat()}" if spec.created_before else ""
    created = "" if is_of_all_time(spec) else f" created from {spec.created_from.isoformat()}{end}"
    where = f", where {filters.in_words(spec.filter, DATASETS[spec.dataset])}" if spec.filter else ""
    order = f", sorted by {filters.sort_in_words(spec.sort)}" if spec.sort else ""
    window = f", rows {spec.window['skip'] + 1} to {spec.window['skip'] + spec.window['most']}" if spec.window else ""
    changes = "changes of " if spec.changes_of is not None else ""
    return f"{changes}{spec.dataset}{created}{where}{order}{window}"
