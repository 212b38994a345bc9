"""The spec that a job freezes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import TextField, Value

from exports.cells import Kind
from exports.datasets.declared import Column, Dataset
from exports.datasets.known import CONFIG_VERSION, DATASETS
from taskexport.errors import AppError

SPEC_VERSION = 1


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
        dataset = DATASETS[self.dataset]
        return tuple(_column(dataset, key, title) for key, title in self.columns)


def _column(dataset: Dataset, key: str, title: str) -> Column:
    # A column that a later release no longer has stays in its place, empty.
    return dataset.column(key) or Column(key, title, Kind.TEXT, Value(None, TextField()))
