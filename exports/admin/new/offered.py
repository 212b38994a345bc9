"""What the page offers: for everybody the datasets, operators and formats, and what the chosen organization has of its own."""

from __future__ import annotations

import contextlib
from typing import Any

from django.db.models import QuerySet

from exports.admin.new.asked import BOUNDS, DATES, FIRST_DAY, LAST_DAY, WINDOWS
from exports.cells import DATE_FORMATS, Kind
from exports.datasets import CONFIGS, DATASETS, Dataset
from exports.datasets.chosen import COMPUTATIONS, MOST_COLUMNS, TIMES
from exports.expressions import PARTS
from exports.filters.checking import MOST_DEPTH, MOST_LEAVES
from exports.filters.operators import EMPTY, OPERATORS, RELATIVE, UNITS
from exports.filters.sorting import MOST_SORTS
from exports.filters.words import WORDS
from exports.formats import FORMATS
from exports.models import ExportConfig, Segment
from exports.services import attributes, configs, segments
from taskexport.errors import AppError
from tasks import access
from tasks.access import Action
from tasks.models import Flow, Hub, Organization, TaskStatus, User
from tasks.models.fields import zones

MOST_SAVED = 500  # configs, or segments, in a list to choose from
MOST_SUGGESTED = 200  # names of a kind
# A column of times has two words for the same; a person needs one.
_DOUBLES = {kind: ("lt", "lte", "gt", "gte") for kind in TIMES}
_STATES = ("UNASSIGNED", "ONGOING", "DONE")
_WINDOW_WORDS = {
    "all": "All time",
    "today": "Today",
    "yesterday": "Yesterday",
    "last_7_days": "The last 7 days",
    "last_30_days": "The last 30 days",
    "this_week": "This week",
    "last_week": "Last week",
    "this_month": "This month",
    "last_month": "Last month",
    "this_year": "This year",
    "last_year": "Last year",
    DATES: "From day to day",
}
WINDOW_CHOICES = [(name, words) for name, words in _WINDOW_WORDS.items() if name in {*WINDOWS, DATES}]
DATASET_CHOICES = [(name, name) for name in DATASETS]
DATE_FORMAT_CHOICES = [(name, f"{picture[0]}{' (ISO)' if name == 'iso' else ''}") for name, picture in DATE_FORMATS.items()]
COLUMN_CHOICES = [("custom", "All columns"), *((name, f"{name} ({len(keys)} columns)") for name, keys in CONFIGS.items())]


def everything() -> dict[str, Any]:
    """What does not depend on any organization, as JSON."""
    return {
        "datasets": {name: _dataset(dataset) for name, dataset in DATASETS.items()},
        "builtins": {name: list(keys) for name, keys in CONFIGS.items()},
        "operators": {kind: [_operator(kind, op) for op in ops] for kind, ops in OPERATORS.items()},
        "rules": {kind: segments.operators(kind) for kind in Kind},
        "units": UNITS,
        "formats": {
            name: [
                {"key": key, "default": option.default, "help": option.help, "choices": option.choices, "presets": option.presets}
                for key, option in format_.options.items()
            ]
            for name, format_ in FORMATS.items()
        },
        "computations": list(COMPUTATIONS),
        "parts": list(PARTS),
        "most": {"columns": MOST_COLUMNS, "depth": MOST_DEPTH, "leaves": MOST_LEAVES, "sorts": MOST_SORTS},
        "dates": DATES,
        "bounds": BOUNDS,
        "days": [FIRST_DAY.isoformat(), LAST_DAY.isoformat()],
    }


def _dataset(dataset: Dataset) -> dict[str, Any]:
    return {
        "columns": [{"key": column.key, "title": column.title, "kind": column.kind} for column in dataset.columns.values()],
        "attributes": dataset.has_attributes,
        "open_keys": dataset.open_keys,
    }


def _operator(kind: Kind, op: str) -> dict[str, Any]:
    shape = "none" if op in EMPTY else "relative" if op in RELATIVE else "two" if op == "between" else "many" if op in {"in", "not_in"} else "one"
    return {"op": op, "words": WORDS[op].removesuffix(","), "value": shape, "double": op in _DOUBLES.get(kind, ())}


def of_organization(user: User, organization: Organization) -> dict[str, Any]:
    """What the organization has to choose from, as JSON, and what the user may do with it."""
    return {
        "id": organization.pk,
        "zone": organization.timezone,
        "attributes": attributes.keys(organization),
        "configs": [config_choice(config) for config in saved_configs(user, organization)],
        "segments": [segment_choice(segment) for segment in saved_segments(user, organization)],
        "suggested": {
            "status": TaskStatus.values,
            "task_state": _STATES,
            "flow": _names(Flow.objects.filter(organization=organization)),
            "hub": _names(Hub.objects.filter(organization=organization)),
        },
        "may": may(user, organization),
    }


def may(user: User, organization: Organization | None) -> dict[str, bool]:
    """Which buttons the user has in this organization; each service asks again."""
    administers = organization is not None and access.can(user, Action.ADMINISTER, organization)
    return {
        "config": administers,
        "segment": organization is not None and access.can(user, Action.WRITE, organization),
        "repeat": administers,
        "unguarded": administers,
    }


def saved_configs(user: User, organization: Organization) -> QuerySet[ExportConfig]:
    """The configs to choose from."""
    return configs.visible(user, organization)[:MOST_SAVED]


def organization_choices(mine: list[tuple[int, str]]) -> list[tuple[int | str, str]]:
    """What a select offers of these organizations; of several one has to be chosen."""
    return [*([("", "Choose one")] if len(mine) > 1 else []), *mine]


def zone_choices() -> list[tuple[str, str]]:
    """The time zones, as a select offers them."""
    return [(name, name) for name in sorted(zones())]


def segment_choices(user: User, organization: Organization | None) -> list[tuple[int | str, str]]:
    """The organization's segments, as a select offers them; none of them is a choice too."""
    saved = saved_segments(user, organization) if organization else ()
    return [("", "none: all rows"), *((segment.pk, segment.name) for segment in saved)]


def saved_segments(user: User, organization: Organization) -> QuerySet[Segment]:
    """The segments to choose from."""
    return segments.visible(user).filter(organization=organization).order_by("name", "pk")[:MOST_SAVED]


def config_choice(config: ExportConfig) -> dict[str, Any]:
    """A config as the page shows it; its `filter` is all that it asks of rows."""
    names = ("name", "dataset", "columns", "timezone", "date_format", "version")
    said = {name: getattr(config, name) for name in names}
    return {"id": config.pk, **said, "filter": _asked_of_rows(config), "in_words": configs.in_words(config)}


def _asked_of_rows(config: ExportConfig) -> dict[str, Any] | None:
    trees = [config.filter] if config.filter else []
    with contextlib.suppress(AppError):
        if config.segment:
            trees.append(segments.tree(segments.definition(config.segment), now=None, zone=config.timezone))
    return {"all": trees} if len(trees) > 1 else trees[0] if trees else None


def segment_choice(segment: Segment) -> dict[str, Any]:
    """A segment as the page shows it."""
    return {"id": segment.pk, "name": segment.name, "dataset": segment.dataset, "in_words": segment_in_words(segment)}


def segment_in_words(segment: Segment) -> str:
    """The segment's conditions as a sentence."""
    return segments.in_words(segments.definition(segment), segment.organization.timezone)


def _names(rows: QuerySet[Any]) -> list[str]:
    return list(rows.order_by("name").values_list("name", flat=True)[:MOST_SUGGESTED])
