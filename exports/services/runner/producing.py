"""The file of an attempt: spooled, checked, stored, with its receipt."""

from __future__ import annotations

import hashlib
import json
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from exports import sources, storage
from exports.datasets import Spec
from exports.formats import FORMATS, content_type, stem
from exports.formats.archive import TooLarge
from exports.formats.base import Target
from exports.formats.issues import Issue, Issues
from exports.models import ExportFile, ExportJob, Runner
from exports.services import filing, jobs, limits
from exports.services.changes import NextBase
from exports.services.jobs import Claim
from exports.services.runner.comparing import Comparison
from exports.services.supervising import Pulse
from taskexport.errors import AppError

CHECK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Spooled:
    """A file as it was written: bytes, hash, rows counted and written in the snapshot of that time, and what it could not hold."""

    size: int
    sha256: str
    counted: int
    written: int
    snapshot_at: datetime
    issues: list[Issue]
    last_row_id: int | None = None
    changes: dict[str, Any] | None = None  # what a change export found

    def require_whole(self) -> None:
        """Raises AppError `incomplete` unless every row that was counted was written."""
        if self.written != self.counted:
            raise AppError(f"The file has {self.written} rows where the database counted {self.counted}.", code="incomplete")


@dataclass(frozen=True)
class Produced:
    """What an attempt has stored and not yet published: the file, what it could not hold, and a change export's next base."""

    file: ExportFile
    issues: list[Issue]
    base: NextBase | None = None
    detail: str = ""  # for the timeline


def _stem(job: ExportJob, spec: Spec, comparison: Comparison | None) -> str:
    """How the job's file is called, without its extension."""
    own = spec.stem.replace("{created}", str(int(job.created_at.timestamp()))) or stem(job.pk)
    return f"{own}-{comparison.stem}" if comparison else own


def produce(claim: Claim, pulse: Pulse) -> Produced:
    """Spools, checks and stores the file of this attempt; whatever it made is gone again if it raises."""
    jobs.run_rights(claim.job)
    spec = Spec.from_json(claim.job.spec)
    storage.require_space()
    with Comparison(claim, spec) if spec.changes_of is not None else nullcontext() as comparison:
        if comparison is None:
            return _stored(claim, pulse, spec)
        comparison.begin(pulse)
        return _stored(claim, pulse, spec, comparison)


def _stored(claim: Claim, pulse: Pulse, spec: Spec, comparison: Comparison | None = None) -> Produced:
    job = claim.job
    spool = storage.spool_path(claim.attempt.spool_name)
    base: NextBase | None = None
    try:
        try:
            spooled = _spool(claim, pulse, spec, spool, comparison)
        except TooLarge:
            spool.unlink()
            spooled = _spool(claim, pulse, spec, spool, comparison, large=True)
        spooled.require_whole()
        _check_spool(spool, spooled.size, spooled.sha256, pulse)
        extension = FORMATS[spec.format].extension(spec.options, spooled.counted)
        name = f"{_stem(job, spec, comparison)}.{extension}"
        key = f"{claim.attempt.key_prefix}/{name}"
        file = filing.row(claim, receipt_of(claim, spec, name, spooled), key, content_type(extension), limits.expiry(job.organization))
        file.last_row_id = spooled.last_row_id
        with pulse.storing():
            base = comparison.put(pulse) if comparison else None
            storage.put(spool, key, json.dumps(file.receipt, ensure_ascii=False, indent=1).encode(), pulse.beat)
    except BaseException:
        if base:
            with pulse.storing(), suppress(OSError):  # else the sweeper
                storage.delete_key(base.row.key)
        raise
    finally:
        spool.unlink(missing_ok=True)
    return Produced(file, spooled.issues, base, comparison.in_words() if comparison else "")


def _spool(claim: Claim, pulse: Pulse, spec: Spec, path: Path, comparison: Comparison | None, *, large: bool = False) -> Spooled:
    """Writes the file of one snapshot."""
    job = claim.job
    format_ = FORMATS[spec.format]
    assert job.organization_id is not None  # noqa: S101 - only direct exports have none, and they never come here
    query = sources.compile_query(spec, [job.organization_id])
    digest, size = hashlib.sha256(), 0
    with storage.open_spool(path) as spool, sources.snapshot(format_.style(spec)) as snapshot:
        snapshot_at = datetime.now(UTC)
        pulse.snapshot, pulse.at_first_row, pulse.rows_before = snapshot, True, 0
        try:
            reading, counted = snapshot, snapshot.count(query)
            pulse.rows_total = counted
            pulse.check()
            if comparison:
                reading, query, counted = comparison.read(snapshot, format_.style(spec), counted, pulse, snapshot_at)
                pulse.snapshot = reading
            issues = Issues(counted)
            for piece in format_.write(reading, query, spec, Target(counted, _stem(job, spec, comparison), snapshot_at, issues, large)):
                pulse.at_first_row = pulse.at_first_row and not reading.rows_read
                digest.update(piece)
                size += spool.write(piece)
                pulse.beat()
            written = reading.rows_read
            # Whoever waits for the answer is told how far the file goes, by the rows that it holds.
            last_row_id = snapshot.row_id(query, written) if written and job.runner == Runner.WEB else None
        finally:
            pulse.snapshot, pulse.at_first_row = None, False
    said = comparison.said() if comparison else None
    return Spooled(size, digest.hexdigest(), counted, written, snapshot_at, issues.found, last_row_id, said)


def _check_spool(path: Path, size: int, sha256: str, pulse: Pulse) -> None:
    """Reads the file back: what lies on the disk must be what was written. Raises OSError."""
    digest, found = hashlib.sha256(), 0
    with path.open("rb") as spool:
        while piece := spool.read(CHECK_BYTES):
            digest.update(piece)
            found += len(piece)
            pulse.beat()
    if found != size or digest.hexdigest() != sha256:
        raise OSError("the spooled file differs from what was written")


def receipt_of(claim: Claim, spec: Spec, name: str, spooled: Spooled) -> dict[str, Any]:
    """What the receipt of this attempt's file says, not yet signed."""
    return {
        **filing.facts(claim, spec, name, spooled.size, spooled.sha256, spooled.written),
        "rows_counted": spooled.counted,
        "issues": len(spooled.issues),
        "columns": list(spec.columns),
        "missing_columns": spec.missing(),
        "snapshot_at": spooled.snapshot_at.isoformat(),
        **({"changes": spooled.changes} if spooled.changes else {}),
    }
