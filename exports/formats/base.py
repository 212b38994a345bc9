"""What every format can do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from exports.cells import Style
from exports.datasets import Spec
from exports.formats.issues import Issues
from exports.formats.options import Option
from exports.sources import Query, Snapshot


@dataclass(frozen=True)
class Target:
    """The file that is to be: of so many counted rows, its members named after `stem` and dated; `large` lets a zip pass 4 GiB.

    `issues` collects what the format can't hold.
    """

    rows: int
    stem: str
    modified_at: datetime
    issues: Issues
    large: bool = False


class Format(Protocol):
    """Turns a snapshot's rows into a file's bytes."""

    name: str
    options: dict[str, Option]

    def extension(self, options: dict[str, Any], rows: int) -> str:
        """What the file's name ends with, for a job of so many rows, such as `csv.zip`."""
        ...

    def style(self, spec: Spec) -> Style:
        """How this format wants cells for the spec."""
        ...

    def write(self, snapshot: Snapshot, query: Query, spec: Spec, target: Target) -> Iterator[bytes]:
        """The file, piece by piece; a piece may be empty (a sign of life). Raises TooLarge where a zip passes 4 GiB unannounced."""
        ...


CONTENT_TYPES = {
    "zip": "application/zip",
    "gz": "application/gzip",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def stem(job_id: UUID) -> str:
    """The name of a job's file without its extension."""
    return f"{job_id}-task-export"


def content_type(extension: str) -> str:
    """The media type of a file whose name ends so."""
    return CONTENT_TYPES[extension.rpartition(".")[2]]
