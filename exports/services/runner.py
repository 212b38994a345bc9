"""One attempt at one job: spool, check, put, publish, with a supervisor that keeps the lease and notices its loss."""

from __future__ import annotations

import hashlib
import logging
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, close_old_connections, connection

from exports import sources, storage
from exports.datasets import Spec
from exports.formats import FORMATS, content_type, stem
from exports.formats.archive import TooLarge
from exports.formats.base import Target
from exports.formats.issues import Issue, Issues
from exports.models import ExportFile
from exports.services import jobs, receipts, specs
from exports.services.jobs import Claim
from taskexport.errors import AppError, Conflict, NotFound
from taskexport.logs import where

AnyResult = TypeVar("AnyResult")

log = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
FIRST_ROW_SECONDS = 600  # a plan may sort for long before its first row; after that it must show life
CHECK_BYTES = 1024 * 1024
AGAIN_SECONDS = 1.0  # between two tries to reach a database that is away
# Drivers' own errors come through the source's connection, Django's through everything else.
DATABASE_FAULTS = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError, sqlite3.OperationalError)
TAKEN = (Conflict, NotFound)  # cancelled, given to another attempt, or deleted


class Stopped(Exception):
    """The run must end now; `reason` is `lost`, `deadline` or `stopping`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Pulse:
    """What the run tells its supervisor (life, rows) and what the supervisor tells the run (stop)."""

    life: int = 0
    rows_total: int | None = None
    snapshot: sources.Snapshot | None = None
    at_first_row: bool = False
    reason: str = ""
    # Reentrant: a second SIGTERM may interrupt the handler of the first.
    _lock: Any = field(default_factory=threading.RLock)

    def beat(self) -> None:
        """A block, or a megabyte checked: the run lives. Raises Stopped if it shall not."""
        self.life += 1
        self.check()

    def check(self) -> None:
        """Raises Stopped if the run shall end."""
        if self.reason:
            raise Stopped(self.reason)

    def stop(self, reason: str) -> None:
        """Ends the run; the first reason stays."""
        with self._lock:
            self.reason = self.reason or reason

    @property
    def rows_done(self) -> int:
        return self.snapshot.rows_read if self.snapshot else 0


class Supervisor(threading.Thread):
    """Beats once a second on a connection of its own while the run shows life; cancels the query when the job is lost."""

    def __init__(self, claim: Claim, pulse: Pulse) -> None:
        super().__init__(name=f"supervisor-{claim.job.pk}", daemon=True)
        self.claim, self.pulse = claim, pulse
        self._finished = threading.Event()

    def run(self) -> None:
        started = time.monotonic()
        seen = -1
        try:
            while not self._finished.wait(BEAT_SECONDS):
                elapsed = time.monotonic() - started
                if elapsed > settings.RUN_SECONDS:
                    self.pulse.stop("deadline")
                lives = self.pulse.life != seen or (self.pulse.at_first_row and elapsed < FIRST_ROW_SECONDS)
                seen = self.pulse.life
                try:
                    if not self._still_ours(lives):
                        self.pulse.stop("lost")
                    snapshot = self.pulse.snapshot  # the run may drop it at any moment
                    if self.pulse.reason and snapshot:
                        snapshot.cancel()
                except Exception as error:
                    # Whatever it is, a supervisor goes on: the lease lives a minute longer than a connection that broke.
                    log.warning("beat failed", extra={"job": str(self.claim.job.pk), "error": type(error).__name__})
                    connection.close()
        finally:
            connection.close()

    def _still_ours(self, lives: bool) -> bool:
        if lives:
            return jobs.beat(self.claim, rows_done=self.pulse.rows_done, rows_total=self.pulse.rows_total)
        return jobs.holds(self.claim)

    def finish(self) -> None:
        self._finished.set()
        self.join()


@contextmanager
def _supervised(claim: Claim, pulse: Pulse) -> Iterator[None]:
    """The supervisor around a run."""
    supervisor = Supervisor(claim, pulse)
    supervisor.start()
    try:
        yield
    finally:
        supervisor.finish()


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
        with _supervised(claim, pulse):
            file, issues = _produce(claim, pulse)
            _publish(claim, file, issues, pulse)
        log.info("export done", extra=extra | {"rows": file.rows, "bytes": file.size})
    except TAKEN:
        raise
    except Stopped as stop:
        _insist(_stopped, claim, stop.reason)
        log.info("export stopped", extra=extra | {"reason": stop.reason})
    except Exception as error:
        if pulse.reason:  # the cancelled query's own error
            _insist(_stopped, claim, pulse.reason)
            log.info("export stopped", extra=extra | {"reason": pulse.reason})
        else:
            code = _insist(_failed, claim, error)
            log.warning("export failed", extra=extra | {"code": code, "where": where(error)})


def _insist(say: Callable[..., AnyResult], *arguments: Any) -> AnyResult:
    """Says it to the database, again and again while that is away or locked, for as long as a lease."""
    until = time.monotonic() + settings.LEASE_SECONDS
    while True:
        close_old_connections()  # ours has been idle for the whole run; the server may have ended it
        try:
            return say(*arguments)
        except (OperationalError, InterfaceError):
            if time.monotonic() > until:
                raise
            connection.close()
            time.sleep(AGAIN_SECONDS)


def _stopped(claim: Claim, reason: str) -> None:
    if reason == "stopping":
        jobs.give_back(claim, "worker_stopped", "The worker was stopped; the job goes on elsewhere.", is_fault=False)
    elif reason == "deadline":
        jobs.fail(claim, "deadline", f"The export ran longer than {settings.RUN_SECONDS // 60} minutes. Export a shorter period.")


def _failed(claim: Claim, error: Exception) -> str:
    """Gives the job back for a transient fault, fails it for a lasting one; returns the code."""
    if isinstance(error, AppError):
        code, text = error.code, error.message
        jobs.fail(claim, code, text)
    elif isinstance(error, OSError):
        code = "storage_unavailable"
        jobs.give_back(claim, code, "The file could not be written.", is_fault=True)
    elif isinstance(error, DATABASE_FAULTS):
        code = "database_unavailable"
        jobs.give_back(claim, code, "The database did not answer.", is_fault=True)
    else:
        code = "internal_error"
        jobs.fail(claim, code, f"An error of ours ({type(error).__name__}). It is in the log under this job's id.")
    return code


@dataclass(frozen=True)
class Spooled:
    """A file as it was written: bytes, hash, rows counted and written in the snapshot of that time, and what it could not hold."""

    size: int
    sha256: str
    counted: int
    written: int
    snapshot_at: datetime
    issues: list[Issue]


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
        if spooled.written != spooled.counted:
            raise AppError(f"The file has {spooled.written} rows where the database counted {spooled.counted}.", code="incomplete")
        _check_spool(spool, spooled.size, spooled.sha256, pulse)
        extension = FORMATS[spec.format].extension(spec.options, spooled.counted)
        name = f"{spec.stem or stem(job.pk)}.{extension}"
        receipt = _receipt(claim, spec, name, spooled)
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
            for piece in format_.write(snapshot, query, spec, Target(counted, spec.stem or stem(job.pk), snapshot_at, issues, large)):
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


def _receipt(claim: Claim, spec: Spec, name: str, spooled: Spooled) -> dict[str, Any]:
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
        _insist(publish)
    except TAKEN:
        # The commit before a try that was repeated may have reached the database, although its answer did not reach us.
        if ExportFile.objects.filter(job=claim.job, key=file.key).exists():
            return
        storage.delete(file.key)
        raise
