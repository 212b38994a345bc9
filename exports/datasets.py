"""What can be exported: datasets with their declared columns, the built-in configs, and the spec that a job freezes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import F, QuerySet
from django.db.models.expressions import Combinable

from exports.cells import Kind
from taskexport.errors import AppError
from tasks.models import Task

SPEC_VERSION = 1


@dataclass(frozen=True)
class Column:
    """A declared column: its stable key, the header people see, its kind, and the ORM expression that reads it."""

    key: str
    title: str
    kind: Kind
    expression: Combinable


@dataclass(frozen=True)
class Dataset:
    """Rows of one kind: where they come from and which columns they declare. `rows` is not yet cut to any organization."""

    name: str
    rows: Callable[[], QuerySet[Any]]
    columns: dict[str, Column]


def _columns(*declared: tuple[str, str, Kind, str]) -> dict[str, Column]:
    return {key: Column(key, title, kind, F(path)) for key, title, kind, path in declared}


_TASKS = _columns(
    ("id", "id", Kind.INTEGER, "id"),
    ("reference", "reference", Kind.TEXT, "external_id"),
    ("title", "title", Kind.TEXT, "title"),
    ("body", "instructions", Kind.TEXT, "body"),
    ("status", "status", Kind.TEXT, "status"),
    ("assignee", "assignee", Kind.TEXT, "assignee__name"),
    ("flow", "flow", Kind.TEXT, "flow__name"),
    ("hub", "hub", Kind.TEXT, "hub__name"),
    ("case", "case", Kind.TEXT, "case__name"),
    ("subject", "subject", Kind.TEXT, "subject__name"),
    ("case_service", "service", Kind.TEXT, "case_service__name"),
    ("due_at", "due_at", Kind.DATETIME, "due_at"),
    ("due_on", "due_on", Kind.DATE, "due_on"),
    ("created_at", "created_at", Kind.DATETIME, "created_at"),
    ("completed_at", "completed_at", Kind.DATETIME, "completed_at"),
    ("recipient_name", "recipient name", Kind.TEXT, "recipient_name"),
    ("recipient_company", "company", Kind.TEXT, "recipient_company"),
    ("recipient_phone", "phone", Kind.PHONE, "recipient_phone"),
    ("recipient_email", "e-mail", Kind.TEXT, "recipient_email"),
    ("address_1", "address_1", Kind.TEXT, "address_1"),
    ("address_2", "address_2", Kind.TEXT, "address_2"),
    ("address_3", "address_3", Kind.TEXT, "address_3"),
    ("city", "city", Kind.TEXT, "city"),
    ("state", "state", Kind.TEXT, "state"),
    ("zip", "zip", Kind.TEXT, "zip"),
    ("country", "country", Kind.TEXT, "country"),
    ("latitude", "latitude", Kind.DECIMAL, "latitude"),
    ("longitude", "longitude", Kind.DECIMAL, "longitude"),
)

DATASETS: dict[str, Dataset] = {"tasks": Dataset("tasks", Task.objects.all, _TASKS)}

# The built-in configs of contract 1; the layouts are ours (docs/api.md).
CONFIGS: dict[str, tuple[str, ...]] = {
    "basic": (
        *("id", "reference", "title", "status", "assignee", "flow", "hub", "case", "subject", "due_at", "due_on", "created_at", "completed_at"),
        *("address_1", "address_2", "address_3", "city", "state", "zip", "country", "latitude", "longitude"),
    ),
    "fedex": (
        *("reference", "recipient_name", "recipient_company", "recipient_phone", "recipient_email"),
        *("address_1", "address_2", "address_3", "city", "state", "zip", "country", "case_service", "due_on", "body"),
    ),
}
CONFIG_VERSION = 1


@dataclass(frozen=True)
class Spec:
    """What a job does, frozen on its row as JSON. Rows run from `created_from` up to but without `created_before`
    (UTC; None: without an end)."""

    dataset: str
    config: str
    columns: tuple[tuple[str, str], ...]  # (key, title) in the file's order
    created_from: datetime
    created_before: datetime | None
    format: str = "csv"
    timezone: str = "UTC"
    options: dict[str, Any] = field(default_factory=dict)
    config_version: int = CONFIG_VERSION
    spec_version: int = SPEC_VERSION

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "columns": [{"key": key, "title": title} for key, title in self.columns],
            "created_from": self.created_from.isoformat(),
            "created_before": self.created_before and self.created_before.isoformat(),
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Spec:
        """The spec that `to_json` wrote. Raises AppError `spec_version` for one this release can't read."""
        if stored.get("spec_version") != SPEC_VERSION:
            raise AppError("This job was made by another release and can't be run by this one. Create it again.", code="spec_version")
        return cls(
            **stored
            | {
                "columns": tuple((column["key"], column["title"]) for column in stored["columns"]),
                "created_from": datetime.fromisoformat(stored["created_from"]),
                "created_before": stored["created_before"] and datetime.fromisoformat(stored["created_before"]),
            }
        )

    def kinds(self) -> tuple[Column, ...]:
        """The declared columns in the file's order."""
        declared = DATASETS[self.dataset].columns
        return tuple(declared[key] for key, _ in self.columns)


def builtin_columns(config: str, dataset: str = "tasks") -> tuple[tuple[str, str], ...]:
    """(key, title) of a built-in config's columns."""
    declared = DATASETS[dataset].columns
    return tuple((key, declared[key].title) for key in CONFIGS[config])
