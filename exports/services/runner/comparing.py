"""A change export's rows compared with its base: all of them are digested, by id, and their records become the next base."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from exports import sources, storage
from exports.cells import Style
from exports.datasets import Spec
from exports.models import ChangeBase
from exports.services import changes
from exports.services.jobs import Claim
from exports.services.supervising import Pulse
from exports.sources import Change, ChangedRows, Query, Snapshot, digests
from exports.sources.changed import IDS_AT_ONCE
from exports.sources.digests import IdList
from taskexport.errors import AppError


class Comparison:
    """The comparison of one attempt, and the files that it needs meanwhile; a context that removes them."""

    def __init__(self, claim: Claim, spec: Spec) -> None:
        assert spec.changes_of is not None  # noqa: S101 - only such are compared
        assert claim.job.organization_id is not None  # noqa: S101 - schedules have one
        self._claim, self._spec, self._organizations = claim, spec, [claim.job.organization_id]
        self._schedule_id = spec.changes_of
        self._base: ChangeBase | None = None
        self.why_whole = ""  # empty: the file has changes
        self._counts: dict[Change, int] = {}
        self._rows, self._digest = 0, hashlib.sha256()
        self._snapshot_at: datetime | None = None
        self._open = ExitStack()

    def __enter__(self) -> Comparison:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        for path in self._path("rows").parent.glob(self._path("*").name):
            path.unlink(missing_ok=True)

    def _path(self, what: str) -> Path:
        return storage.spool_path(f"{Path(self._claim.attempt.spool_name).stem}.{what}.part")

    def _file(self, what: str) -> BinaryIO:
        return self._open.enter_context(storage.open_spool(self._path(what)))

    def begin(self, pulse: Pulse) -> None:
        """Fetches the base. Raises AppError `schedule_gone`, OSError."""
        self._base = changes.base_of(self._schedule_id)
        if self._base is None:
            self.why_whole = "no_base"
        elif self._base.layout != changes.layout(self._spec):
            self.why_whole = "layout_changed"
        else:
            with pulse.storing():
                if not changes.fetch(self._base, self._path("base"), pulse.beat):
                    self.why_whole = "base_missing"

    @property
    def stem(self) -> str:
        """What the file's name says of it."""
        return "full" if self.why_whole else "changes"

    # -- Reading ---------------------------------------------------------------------------------------------------
    def read(self, snapshot: Snapshot, style: Style, counted: int, pulse: Pulse, at: datetime) -> tuple[Snapshot, Query, int]:
        """Digests all rows of the snapshot; then what the file is to be read from, and how many rows it will have.

        Raises AppError `incomplete` unless every row that was counted was digested.
        """
        self._open.close()  # a file that grew too large is written again
        self._snapshot_at = at
        for path in (self._path("rows"), *(self._path(change) for change in Change), self._path("gone")):
            path.unlink(missing_ok=True)
        pulse.rows_total = counted * 2 if self.why_whole else counted
        pulse.snapshot, pulse.at_first_row = snapshot, True
        lists = self._lists(snapshot, style, pulse)
        if self._rows != counted:
            raise AppError(f"{self._rows} rows were compared where the database counted {counted}.", code="incomplete")
        query = sources.compile_query(self._spec, self._organizations, by_id=True)
        snapshot.rows_read, pulse.rows_before, pulse.at_first_row = 0, counted, True
        if lists is None:
            self._counts = {Change.ADDED: counted}
            return snapshot, query, counted
        self._counts = {change: ids.count for change, ids in lists.items()}
        expected = sum(self._counts.values())
        pulse.rows_total = counted + expected
        return ChangedRows(snapshot, self._spec, self._organizations, lists), query, expected

    def _lists(self, snapshot: Snapshot, style: Style, pulse: Pulse) -> dict[Change, IdList] | None:
        """The ids of rows by what became of them; None where the file has all rows."""
        kept = self._kept(snapshot, style, pulse)
        if self.why_whole:
            for _ in kept:
                pass
            return None
        lists = {change: IdList(self._file(change)) for change in Change}
        gone = IdList(self._file("gone"))
        with self._path("base").open("rb") as base:
            for found in digests.compared(kept, digests.stored(base)):
                lists[Change.ADDED].add(found.added)
                lists[Change.CHANGED].add(found.changed)
                gone.add(found.gone)
                pulse.beat()
        for ids in gone.parts(IDS_AT_ONCE):
            there = sources.existing(snapshot, self._spec, self._organizations, ids, style)
            lists[Change.LEFT].add_numbers(row_id for row_id in ids if row_id in there)
            lists[Change.DELETED].add_numbers(row_id for row_id in ids if row_id not in there)
            pulse.beat()
        return lists

    def _kept(self, snapshot: Snapshot, style: Style, pulse: Pulse) -> Iterator[bytes]:
        """The records of all rows, which are written to a file as they go by."""
        # What became of a row is not part of it.
        bare = replace(self._spec, columns=self._spec.columns[1:])
        file = self._file("rows")
        self._digest, snapshot.rows_read = hashlib.sha256(), 0
        for records in digests.digested(snapshot.text_lines(sources.compile_query(bare, self._organizations, by_id=True), style)):
            pulse.at_first_row = False
            file.write(records)
            self._digest.update(records)
            pulse.beat()
            yield records
        self._rows = snapshot.rows_read

    # -- Said and stored -------------------------------------------------------------------------------------------
    def said(self) -> dict[str, Any]:
        """What the receipt says of it."""
        base = self._base
        return {
            "mode": "full" if self.why_whole else "changes",
            "why_full": self.why_whole or None,
            "base": base and {"job": str(base.job_uuid), "snapshot_at": base.snapshot_at.isoformat(), "rows": base.rows},
            "rows_compared": self._rows,
            **{change.value: self._counts.get(change, 0) for change in Change},
        }

    def in_words(self) -> str:
        """The same for the job's timeline."""
        if self.why_whole:
            return f"all rows ({self.why_whole})"
        return ", ".join(f"{self._counts[change]} {change}" for change in reversed(Change))

    def put(self, pulse: Pulse) -> changes.NextBase:
        """Stores the records, checked, as the base to be. Raises OSError, and leaves nothing then."""
        assert self._snapshot_at  # noqa: S101 - it was read
        self._open.close()
        path = self._path("rows")
        size = path.stat().st_size
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if size != self._rows * digests.RECORD_BYTES or sha256 != self._digest.hexdigest():
            raise OSError("the spooled digests differ from what was written")
        key = self._claim.attempt.base_key
        storage.put(path, key, progress=pulse.beat)
        row = ChangeBase(
            schedule_id=self._schedule_id,
            job_uuid=self._claim.job.pk,
            key=key,
            size=size,
            sha256=sha256,
            rows=self._rows,
            layout=changes.layout(self._spec),
            snapshot_at=self._snapshot_at,
        )
        return changes.NextBase(row, self._base.key if self._base else "")
