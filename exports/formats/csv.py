"""CSV in a zip: UTF-8, LF, header first; the database renders the rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from exports.cells import Style, guard
from exports.datasets import Spec
from exports.formats.archive import zip_members
from exports.sources import Query, Snapshot, csv_block


class CsvFormat:
    """`{job id}-task-export.csv.zip` with one member, `{job id}-task-export.csv`."""

    name = "csv"
    content_type = "application/zip"

    def file_name(self, job_id: UUID) -> str:
        return f"{job_id}-task-export.csv.zip"

    def style(self, spec: Spec) -> Style:
        return Style(zone=spec.timezone, guard=True)

    def write(self, snapshot: Snapshot, query: Query, spec: Spec, *, job_id: UUID, modified_at: datetime) -> Iterator[bytes]:
        member = self.file_name(job_id).removesuffix(".zip")
        return zip_members([(member, self._lines(snapshot, query, spec))], modified_at)

    def _lines(self, snapshot: Snapshot, query: Query, spec: Spec) -> Iterator[bytes]:
        yield csv_block([tuple(guard(title) for _, title in spec.columns)])
        yield from snapshot.csv_bytes(query, self.style(spec))
