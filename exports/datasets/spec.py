"""The spec that a job freezes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from exports.datasets import chosen
from exports.datasets.declared import Column
from exports.datasets.known import CONFIG_VERSION, DATASETS
from taskexport.errors import AppError

SPEC_VERSION = 1
LATER = {"window": None, "stem": "", "changes_of": None}  # what version 1 did not have at first, and what it means where it is not said


@dataclass(frozen=True)
class Spec:
    """What a job does, frozen on its row as JSON. Rows run from `created_from` up to but without `created_before`
    (UTC; None: without an end)."""

    dataset: str
    config: str
    columns: tuple[dict[str, Any], ...]  # in the file's order, as `chosen.checked` gives them
    created_from: datetime
    created_before: datetime | None
    format: str = "csv"
    timezone: str = "UTC"
    date_format: str = "iso"
    options: dict[str, Any] = field(default_factory=dict)
    filter: dict[str, Any] | None = None  # as `filters.checked` gives it
    sort: list[dict[str, str]] = field(default_factory=list)  # empty: by created_at; the id comes last
    config_version: int = CONFIG_VERSION
    config_id: int | None = None  # of a saved config, whose name is `config`
    window: dict[str, int] | None = None  # of the rows in their order: `skip` so many, then at most `most`
    stem: str = ""  # the file's name without its extension, `{created}` the job's creation in unix seconds; empty: the usual one
    changes_of: int | None = None  # the schedule whose last delivered rows these are compared with; the columns begin as `with_change` has them
    spec_version: int = SPEC_VERSION

    def to_json(self) -> dict[str, Any]:
        # What only some specs say is left out of the others: a release from before can read those.
        stored = asdict(self) | {
            "columns": list(self.columns),
            "created_from": self.created_from.isoformat(),
            "created_before": self.created_before and self.created_before.isoformat(),
        }
        return {name: value for name, value in stored.items() if name not in LATER or value != LATER[name]}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Spec:
        """The spec that `to_json` wrote. Raises AppError `spec_version` for one this release can't read."""
        if stored.get("spec_version") != SPEC_VERSION:
            raise AppError("This job was made by another release and can't be run by this one. Create it again.", code="spec_version")
        return cls(
            **stored
            | {
                "columns": tuple(stored["columns"]),
                "created_from": datetime.fromisoformat(stored["created_from"]),
                "created_before": stored["created_before"] and datetime.fromisoformat(stored["created_before"]),
            }
        )

    def kinds(self) -> tuple[Column, ...]:
        """The columns in the file's order; one that this release no longer knows keeps its place, empty."""
        return tuple(chosen.resolved(column, DATASETS[self.dataset], self.timezone, self.date_format) for column in self.columns)

    @property
    def titles(self) -> list[str]:
        """The headers in the file's order."""
        return [column["title"] for column in self.columns]

    def missing(self) -> list[str]:
        """The headers of columns that are empty because this release no longer knows what they show."""
        return [column["title"] for column in self.columns if chosen.is_missing(column, DATASETS[self.dataset])]
