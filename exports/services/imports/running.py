"""Imports that workers run: queued, claimed, done once or failed with a reason. Nothing else moves their status.

As with export jobs the row is the truth and a queue message only a doorbell; the rows of an import and the word that it
is done are one commit, so that a worker that dies in between imports nothing, and the next one imports it once.
"""

from __future__ import annotations

import logging
import shutil
import threading
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from django_q.models import OrmQ
from django_q.tasks import async_task

from exports import storage
from exports.models import TaskImport, Upload
from exports.services.operations import recording
from exports.states import JobStatus
from taskexport.errors import AppError, Conflict, FieldError, Invalid
from taskexport.logs import where
from tasks import access, importing
from tasks.access import Action
from tasks.importing import ImportResult, Mapping
from tasks.models import Organization, User

log = logging.getLogger(__name__)

QUEUE = "exports"
BEAT_SECONDS = 5
MAX_ATTEMPTS = 3


# -- By people -----------------------------------------------------------------------------------------------------
def create(user: User, organization: Organization, upload: Upload, mapping: dict[str, Any], *, skip_bad: bool = False) -> TaskImport:
    """A queued import of an upload, with its operation. Raises Invalid for a wrong mapping or an upload that is gone, Forbidden, NotFound."""
    access.require(user, Action.WRITE, organization)
    importing.parse_mapping(mapping)
    with transaction.atomic():
        if not Upload.objects.select_for_update().filter(pk=upload.pk, expires_at__gt=Now()):  # so that the sweeper leaves it alone
            raise Invalid.field("upload_id", "The upload has expired; send the file again.", "unknown")
        made = TaskImport.objects.create(
            organization=organization, upload=upload, name=upload.name, mapping=mapping, skip_bad=skip_bad, created_by=user
        )
        recording.of_import(made)
        ring()
    return made


def run_file(
    organization: Organization, path: Path, mapping: Mapping, *, timezone: str | None = None, dry_run: bool = False, skip_bad: bool = False
) -> ImportResult:
    """Imports a file of the machine at once, as `import_tasks` does; what it wrote leaves an operation. Raises Invalid."""

    def note(result: ImportResult) -> None:
        made = TaskImport.objects.create(
            organization=organization,
            name=path.name[-200:],
            skip_bad=skip_bad,
            status=JobStatus.DONE,
            result=_told(result),
            started_at=Now(),
            finished_at=Now(),
        )
        recording.of_import(made)

    return importing.import_tasks(organization, path, mapping, timezone=timezone, dry_run=dry_run, skip_bad=skip_bad, finish=note)


# -- By workers ----------------------------------------------------------------------------------------------------
def ring() -> None:
    """Puts a doorbell without content into the workers' queue; inside a transaction it commits with it."""
    async_task("exports.worker.import_next", cluster=QUEUE, save=False)


def _waiting() -> Any:
    running = TaskImport.objects.filter(status=JobStatus.IN_PROGRESS).values("organization")
    return TaskImport.objects.filter(status=JobStatus.QUEUED).exclude(organization__in=running)


def claim() -> TaskImport | None:
    """Takes the oldest queued import whose organization runs none, or None."""
    with transaction.atomic():
        found = _waiting().order_by("created_at", "pk").select_for_update(skip_locked=True, no_key=True).first()
        if found is None:
            return None
        taken = TaskImport.objects.filter(pk=found.pk, status=JobStatus.QUEUED)
        if not taken.update(status=JobStatus.IN_PROGRESS, attempt=F("attempt") + 1, started_at=Now(), beat_at=Now()):
            return None
        recording.follow(task_import=found)
    return TaskImport.objects.select_related("organization", "created_by", "upload").get(pk=found.pk)


class _Beats(threading.Thread):
    """Renews the lease on a connection of its own while the import works."""

    def __init__(self, task_import: TaskImport) -> None:
        super().__init__(name=f"beats-{task_import.pk}", daemon=True)
        self._mine, self._over = _held(task_import), threading.Event()

    def run(self) -> None:
        try:
            while not self._over.wait(BEAT_SECONDS):
                try:
                    self._mine.update(beat_at=Now())
                except Exception as error:  # the lease lives a minute longer than a connection that broke
                    log.warning("beat failed", extra={"error": type(error).__name__})
                    connection.close()
        finally:
            connection.close()

    def finish(self) -> None:
        self._over.set()
        self.join()


def _held(task_import: TaskImport) -> Any:
    return TaskImport.objects.filter(pk=task_import.pk, status=JobStatus.IN_PROGRESS, attempt=task_import.attempt)


def run(task_import: TaskImport) -> None:
    """Runs a claimed import to its end, or leaves it to its lease where disk or database fail. Never raises for the import's sake."""
    extra = {"import": str(task_import.pk), "attempt": task_import.attempt, "organization": task_import.organization_id}
    spool = storage.spool_path(task_import.spool_name)
    beats = _Beats(task_import)
    beats.start()
    try:
        result = _run(task_import, spool)
        if not result.imported:
            detail = f"{result.bad} of {result.rows_read} rows are bad; nothing was imported. Correct them, or send skip_bad."
            _fail(task_import, {"error": detail, "error_code": "bad_rows", **_told(result)})
        log.info("import ended", extra=extra | {"rows": result.rows_read, "bad": result.bad})
    except AppError as error:
        faults = [asdict(field) for field in error.fields]
        _fail(task_import, {"error": error.message, "error_code": error.code, **({"field_errors": faults} if faults else {})})
        log.info("import failed", extra=extra | {"code": error.code})
    except (DatabaseError, InterfaceError, OSError) as error:
        log.warning("import left to its lease", extra=extra | {"where": where(error)})
        close_old_connections()
    except Exception as error:
        _fail(
            task_import,
            {"error": f"An error of ours ({type(error).__name__}). It is in the log under this import's id.", "error_code": "internal_error"},
        )
        log.error("import failed", extra=extra | {"where": where(error)})
    finally:
        beats.finish()
        spool.unlink(missing_ok=True)


def _run(task_import: TaskImport, spool: Path) -> ImportResult:
    if not access.can(task_import.created_by, Action.WRITE, task_import.organization_id):
        raise AppError("Whoever asked for this import may no longer write in this organization.", code="permission_lost")
    upload = task_import.upload
    if upload is None:
        raise AppError("The uploaded file is gone; upload it again.", code="upload_gone")
    try:
        with storage.open_file(upload.key) as stored, storage.open_spool(spool) as copy:
            shutil.copyfileobj(stored, copy, 1 << 20)
    except FileNotFoundError:
        raise AppError("The uploaded file is gone; upload it again.", code="upload_gone") from None

    def finish(result: ImportResult) -> None:
        # In the transaction of the rows: either both are there or neither.
        if not _held(task_import).update(status=JobStatus.DONE, result=_told(result), finished_at=Now()):
            raise Conflict("Another attempt has taken the import over.", code="lost_attempt")
        recording.follow(task_import=task_import)
        Upload.objects.filter(pk=upload.pk).update(expires_at=Now())

    try:
        mapping = importing.parse_mapping(task_import.mapping)
        return importing.import_tasks(task_import.organization, spool, mapping, skip_bad=task_import.skip_bad, finish=finish)
    except Invalid as error:  # its words name the file as the caller knows it, not where we keep it
        faults = [FieldError(one.field, one.code, one.detail.replace(str(spool), task_import.name)) for one in error.fields]
        raise Invalid(error.message.replace(str(spool), task_import.name), code=error.code, fields=faults) from None


def _fail(task_import: TaskImport, result: dict[str, Any]) -> None:
    with transaction.atomic():
        if _held(task_import).update(status=JobStatus.FAILED, result=result, finished_at=Now()):
            recording.follow(task_import=task_import)


def _told(result: ImportResult) -> dict[str, Any]:
    return {
        "rows_read": result.rows_read,
        "created": result.created,
        "updated": result.updated,
        "bad": result.bad,
        "errors": [{"line": one.line, "column": one.column, "reason": one.reason} for one in result.errors],
    }


# -- By the tick ---------------------------------------------------------------------------------------------------
def reap() -> int:
    """Takes imports from workers that went silent: back to the queue, or failed at the third time. How many."""
    lapsed = TaskImport.objects.filter(status=JobStatus.IN_PROGRESS, beat_at__lt=Now() - timedelta(seconds=settings.LEASE_SECONDS))
    lost = {"error": f"The import was lost {MAX_ATTEMPTS} times together with its worker.", "error_code": "worker_lost"}
    with transaction.atomic():
        silent = list(lapsed.values_list("pk", flat=True))
        lapsed = lapsed.filter(pk__in=silent)  # time passes between statements
        failed = lapsed.filter(attempt__gte=MAX_ATTEMPTS).update(status=JobStatus.FAILED, result=lost, finished_at=Now())
        taken_back = lapsed.update(status=JobStatus.QUEUED, started_at=None)
        recording.follow(task_import__in=silent)
        return failed + taken_back


def ring_for_waiting() -> int:
    """Rings once if imports wait and no ring does; heals whatever lost one."""
    if not _waiting().exists() or OrmQ.objects.filter(key=QUEUE, lock__lt=timezone.now() + timedelta(seconds=60)).exists():
        return 0
    ring()
    return 1


def ring_if_waiting() -> None:
    """Rings once if imports wait: a worker that finishes passes the work on."""
    if _waiting().exists():
        ring()
