"""One attempt at one job: spool, check, put, publish, with a supervisor that keeps the lease and notices its loss."""

from __future__ import annotations

import hashlib
import logging
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from exports import sources, storage
from exports.datasets import Spec
from exports.formats import FORMATS, content_type, stem
from exports.formats.archive import TooLarge
from exports.formats.base import Target
from exports.formats.issues import Issue, Issues
from exports.models import ExportFile
from exports.services import jobs, receipts, specs
from exports.services.jobs import Claim
from exports.services.supervising import Pulse, Stopped, insist, supervised
from taskexport.errors import AppError, Conflict, NotFound
from taskexport.logs import where

log = logging.getLogger(__name__)

CHECK_BYTES = 1024 * 1024
# Drivers' own errors come through the source's connection, Django's through everything else.
DATABASE_FAULTS = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError, sqlite3.OperationalError)
TAKEN = (Conflict, NotFound)  # cancelled, given to another attempt, or deleted


@contextmanager
def _sigterm_waits(pulse: Pulse) -> Iterator[None]:
    """SIGTERM ends the run, which gives its job back, and only then the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    told = False

    def note(*_: object) -> None:
        nonlocal told
        told = True
        pulse.stop("stopping")

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if told:
            signal.raise_signal(signal.SIGTERM)


def run(claim: Claim) -> None:
    """Runs a claimed job to its end: done, failed, given back, or left to whoever took it over. Never raises for the job's sake.

    A process that was told to end meanwhile ends here.
    """
    pulse = Pulse()
    extra = {"job": str(claim.job.pk), "attempt": claim.attempt.number, "organization": claim.job.organization_id}
    with _sigterm_waits(pulse):
        try:
            _run(claim, pulse, extra)
        except TAKEN:
            log.info("export taken away", extra=extra)
        except (DatabaseError, InterfaceError) as error:
            # The database stays away: nothing can be said now, and the lapsing lease will say it.
            log.warning("export left to its lease", extra=extra | {"error": type(error).__name__})
            connection.close()


def _run(claim: Claim, pulse: Pulse, extra: dict[str, Any]) -> None:
    try:
        with supervised(claim, pulse):
            file, issues = _produce(claim, pulse)
            _publish(claim, file, issues, pulse)
        log.info("export done", extra=extra | {"rows": file.rows, "bytes": file.size})
    except TAKEN:
        raise
    except Stopped as stop:
        insist(_stopped, claim, stop.reason)
        log.info("export stopped", extra=extra | {"reason": stop.reason})
    except Exception as error:
        if pulse.reason:  # the cancelled query's own error
            insist(_stopped, claim, pulse.reason)
            log.info("export stopped", extra=extra | {"reason": pulse.reason})
        else:
            code = insist(_failed, claim, error)
            log.warning("export failed", extra=extra | {"code": code, "where": where(error)})


def _stopped(claim: Claim, reason: str) -> None:
    if reason == "stopping":
        jobs.give_back(claim, "worker_stopped", "The worker was stopped; the job goes on elsewhere.", is_fault=False)
    elif reason == "deadline":
        jobs.fail(claim, "deadline", f"The export ran longer than {settings.RUN_SECONDS // 60} minutes. Export a shorter period.")


def _failed(claim: Claim, error: Exception) -> str:
    """Gives the job back for a transient fault, fails it for a lasting one; returns the code."""
    code, text, is_fault = describe(error)
    if is_fault:
        jobs.give_back(claim, code, text, is_fault=True)
    else:
        jobs.fail(claim, code, text)
    return code


def describe(error: Exception) -> tuple[str, str, bool]:
    """The code and the sentence that a job keeps of what broke its run, and whether it may pass by itself."""
    if isinstance(error, AppError):
        return error.code, error.message, False
    if isinstance(error, OSError):
        return "storage_unavailable", "The file could not be written.", True
    if isinstance(error, DATABASE_FAULTS):
        return "database_unavailable", "The database did not answer.", True
    return "internal_error", f"An error of ours ({type(error).__name__}). It is in the log under this job's id.", False


@dataclass(frozen=True)
class Spooled:
    """A file as it was written: bytes, hash, rows counted and written in the snapshot of that time, and what it could not hold."""

    size: int
    sha256: str
    counted: int
    written: int
    snapshot_at: datetime
    issues: list[Issue]

    def require_whole(self) -> None:
        """Raises AppError `incomplete` unless every row that was counted was written."""
        if self.written != self.counted:
            raise AppError(f"The file has {self.written} rows where the database counted {self.counted}.", code="incomplete")


def _produce(claim: Claim, pulse: Pulse) -> tuple[ExportFile, list[Issue]]:
    """Spools, checks and stores the file of this attempt; whatever it made is gone again if it raises."""
    job = claim.job
    jobs.run_rights(job)
    spec = Spec.from_json(job.spec)
    storage.require_space()
    spool = storage.spool_path(claim.attempt.spool_name)
    try:
        try:
            spooled = _spool(claim, pulse, spec, spool)
        except TooLarge:
            spool.unlink()
            spooled = _spool(claim, pulse, spec, spool, large=True)
        spooled.require_whole()
        _check_spool(spool, spooled.size, spooled.sha256, pulse)
        extension = FORMATS[spec.format].extension(spec.options, spooled.counted)
        name = f"{stem(job.pk)}.{extension}"
        receipt = receipt_of(claim, spec, name, spooled)
        key = f"{claim.attempt.key_prefix}/{name}"
        storage.put(spool, key)
    finally:
        spool.unlink(missing_ok=True)
    file = ExportFile(
        job=job,
        attempt=claim.attempt.number,
        key=key,
        name=name,
        content_type=content_type(extension),
        size=spooled.size,
        sha256=spooled.sha256,
        rows=spooled.written,
        receipt=receipts.sign(receipt),
        expires_at=datetime.now(UTC) + timedelta(days=settings.FILE_DAYS),
    )
    return file, spooled.issues


def _spool(claim: Claim, pulse: Pulse, spec: Spec, path: Path, *, large: bool = False) -> Spooled:
    """Writes the file of one snapshot."""
    job = claim.job
    format_ = FORMATS[spec.format]
    assert job.organization_id is not None  # noqa: S101 - only direct exports have none, and they never come here
    query = sources.compile_query(spec, [job.organization_id])
    digest, size = hashlib.sha256(), 0
    with storage.open_spool(path) as spool, sources.snapshot(format_.style(spec)) as snapshot:
        snapshot_at = datetime.now(UTC)
        pulse.snapshot, pulse.at_first_row = snapshot, True
        try:
            counted = snapshot.count(query)
            pulse.rows_total = counted
            pulse.check()
            issues = Issues(counted)
            for piece in format_.write(snapshot, query, spec, Target(counted, stem(job.pk), snapshot_at, issues, large)):
                pulse.at_first_row = pulse.at_first_row and not snapshot.rows_read
                digest.update(piece)
                size += spool.write(piece)
                pulse.beat()
            written = snapshot.rows_read
        finally:
            pulse.snapshot, pulse.at_first_row = None, False
    return Spooled(size, digest.hexdigest(), counted, written, snapshot_at, issues.found)


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
    job = claim.job
    return {
        "receipt_version": receipts.RECEIPT_VERSION,
        "job": str(job.pk),
        "attempt": claim.attempt.number,
        "organization": str(job.organization.uuid) if job.organization else None,
        "requested_by": job.created_by_id,
        "file": name,
        "format": spec.format,
        "size": spooled.size,
        "sha256": spooled.sha256,
        "rows_counted": spooled.counted,
        "rows_written": spooled.written,
        "issues": len(spooled.issues),
        "columns": list(spec.columns),
        "missing_columns": spec.missing(),
        "filter_in_words": specs.in_words(spec),
        "spec": spec.to_json(),
        "spec_version": spec.spec_version,
        "timezone": spec.timezone,
        "snapshot_at": spooled.snapshot_at.isoformat(),
    }


def _publish(claim: Claim, file: ExportFile, issues: list[Issue], pulse: Pulse) -> None:
    """Publishes the stored file, or removes it if the job is no longer ours. Raises Conflict, NotFound.

    Where the database can't be asked, the file stays: the commit may still arrive there, and if it does not, the sweeper
    takes the file once the attempt has ended.
    """

    def publish() -> None:
        pulse.life += 1
        file.pk = None  # a try that was rolled back has left its own
        jobs.publish(claim, file, issues)

    try:
        insist(publish)
    except TAKEN:
        # The commit before a try that was repeated may have reached the database, although its answer did not reach us.
        if ExportFile.objects.filter(job=claim.job, key=file.key).exists():
            return
        storage.delete(file.key)
        raise
