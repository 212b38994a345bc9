"""What our workers do for an operation: its handler's name, and what a checked request starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from exports.models import ExportJob, TaskImport, Upload
from exports.services import jobs, specs
from exports.services.imports import running
from exports.services.operations import recording
from tasks.models import Organization, User


@dataclass(frozen=True)
class ImportRequest:
    """A checked request for an import."""

    upload: Upload
    mapping: dict[str, Any]
    skip_bad: bool


@dataclass(frozen=True)
class ExportRequest:
    """A checked request for an export."""

    wish: specs.Wish
    how: dict[str, Any]  # as `jobs.create` takes it


def start_export(user: User, organization: Organization, asked: ExportRequest) -> ExportJob:
    """Makes and starts the job. Raises Forbidden, NotFound, Invalid."""
    return jobs.create_started(user, organization, asked.wish, **asked.how)


def start_import(user: User, organization: Organization, asked: ImportRequest) -> TaskImport:
    """Queues the import. Raises Forbidden, NotFound, Invalid."""
    return running.create(user, organization, asked.upload, asked.mapping, skip_bad=asked.skip_bad)


HANDLERS: dict[str, Callable[[User, Organization, Any], ExportJob | TaskImport]] = {
    recording.EXPORT: start_export,
    recording.IMPORT: start_import,
}
# Names that only we write.
RESERVED = frozenset({recording.SWEEP, recording.SCHEDULE})
