"""All datasets, and the built-in configs over them."""

from __future__ import annotations

from exports.datasets.declared import Dataset
from exports.datasets.records import RECORDS
from exports.datasets.tasks import CASES, SUBJECTS, TASKS

DATASETS: dict[str, Dataset] = {"tasks": TASKS, "cases": CASES, "subjects": SUBJECTS, **RECORDS}

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


def builtin_columns(config: str, dataset: str = "tasks") -> tuple[tuple[str, str], ...]:
    """(key, title) of a built-in config's columns."""
    declared = DATASETS[dataset].columns
    return tuple((key, declared[key].title) for key in CONFIGS[config])
