"""What every format can do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol
from uuid import UUID

from exports.cells import Style
from exports.datasets import Spec
from exports.sources import Query, Snapshot


class Format(Protocol):
    """Turns a snapshot's rows into a file's bytes."""

    name: str
    content_type: str

    def file_name(self, job_id: UUID) -> str:
        """The name under which people get the file."""
        ...

    def style(self, spec: Spec) -> Style:
        """How this format wants cells for the spec."""
        ...

    def write(self, snapshot: Snapshot, query: Query, spec: Spec, *, job_id: UUID, modified_at: datetime) -> Iterator[bytes]:
        """The file, piece by piece; a piece may be empty (a sign of life)."""
        ...
