"""What change exports are compared with: the rows of their schedule's last delivered run.

The base moves only in the transaction that publishes a run, and only from the base that the run was compared with. So the
delivered files of a schedule are a chain: each says what became of the rows of the one before it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from exports import storage
from exports.datasets import Spec
from exports.models import ChangeBase, ExportJob, ExportSchedule, Litter
from exports.sources import digests
from taskexport.errors import AppError, Conflict

CHECK_BYTES = 1024 * 1024


class BaseMoved(AppError):
    """Another run of the schedule was delivered, or it was reset, since this run was compared: 409."""

    status = 409


@dataclass(frozen=True)
class NextBase:
    """The rows of a run that is about to be published, stored already, and the key of the base that it was compared with ("": none)."""

    row: ChangeBase
    instead_of: str


def layout(spec: Spec) -> str:
    """A fingerprint of the columns and of how they are written: rows of two layouts can't be compared."""
    parts = [digests.VERSION, spec.dataset, list(spec.columns), spec.format, spec.options, spec.timezone, spec.date_format]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def base_of(schedule_id: int) -> ChangeBase | None:
    """The schedule's base; None before its first delivered run. Raises AppError `schedule_gone`."""
    if not ExportSchedule.objects.filter(pk=schedule_id).exists():
        raise AppError("Its scheduled task was deleted: there is nothing to compare the rows with.", code="schedule_gone")
    return ChangeBase.objects.filter(schedule=schedule_id).first()


def fetch(base: ChangeBase, path: Path, progress: Callable[[], None]) -> bool:
    """Copies the base's records to a new file; False where they are gone from the storage, or are not what was stored. Raises OSError."""
    digest, size = hashlib.sha256(), 0
    try:
        with storage.open_file(base.key) as stored, storage.open_spool(path) as spool:
            while piece := stored.read(CHECK_BYTES):
                digest.update(piece)
                size += spool.write(piece)
                progress()
    except FileNotFoundError:
        return False
    return size == base.size and digest.hexdigest() == base.sha256


# -- Moving it -----------------------------------------------------------------------------------------------------
def take(following: NextBase) -> None:
    """Makes a run's rows the base, inside the transaction that publishes the run. Raises BaseMoved."""
    row = following.row
    found = _locked(row.schedule_id)
    if found is None or (found.key if found.pk else "") != following.instead_of:
        raise BaseMoved("Another run was delivered meanwhile, or the task was reset; this run is compared anew.", code="base_moved")
    if found.pk:
        _discard(found)
    row.pk = None  # a try that was rolled back has left its own
    row.save(force_insert=True)


def drop(schedule_id: int) -> None:
    """The schedule's next run is whole; inside the caller's transaction. May be called twice."""
    found = _locked(schedule_id)
    if found and found.pk:
        _discard(found)


def _locked(schedule_id: int) -> ChangeBase | None:
    """The schedule's base, an unsaved one where there is none; None where the schedule is gone. It stays so until the transaction ends."""
    if not list(ExportSchedule.objects.select_for_update(no_key=True).filter(pk=schedule_id).values_list("pk")):
        return None
    return ChangeBase.objects.filter(schedule=schedule_id).first() or ChangeBase(schedule_id=schedule_id)


def _discard(base: ChangeBase) -> None:
    Litter.objects.create(kind=Litter.Kind.FILE, name=base.key)
    base.delete()


# -- What it means for jobs ----------------------------------------------------------------------------------------
def is_one(job: ExportJob) -> bool:
    """Whether the job exports changes, by its frozen spec."""
    return job.spec.get("changes_of") is not None


def require_repeatable(job: ExportJob) -> None:
    """Raises Conflict for a job that exports changes: what it was compared with is no longer there."""
    if is_one(job):
        raise Conflict(f"A file of changes can't be made again. {HOW_AGAIN}", code="changes_not_repeatable")


HOW_AGAIN = "Reset its scheduled task, and the next run has all rows."


def delete_unused(key: str) -> None:
    """Deletes a run's stored records unless they are a base. Raises OSError."""
    if not ChangeBase.objects.filter(key=key).exists():
        storage.delete_key(key)
