"""Why a task is, or is not, in a job's file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from exports.datasets import Spec
from exports.models import ExportJob
from exports.states import JobStatus
from taskexport.errors import NotFound
from tasks.models import Task

LONGEST_ID = 18  # digits of a bigint that never overflows


@dataclass(frozen=True)
class Reason:
    """One reason: a stable code and a sentence."""

    code: str
    detail: str


@dataclass(frozen=True)
class Explanation:
    """Whether a task, as it is now, is one of the job's rows, and all reasons for or against."""

    task: int
    included: bool
    reasons: list[Reason]


def explain(job: ExportJob, name: str) -> Explanation:
    """The task of this id, or else of this reference, held against the job's frozen spec. Raises NotFound, AppError `spec_version`."""
    task = _find(job, name)
    spec = Spec.from_json(job.spec)
    against = list(_outside_the_window(spec, task))
    reasons = against or [Reason("meets_all", f"It was created at {_text(task.created_at)}, within the export's window.")]
    return Explanation(task.pk, not against, [*reasons, *_since_then(job, task)])


def _find(job: ExportJob, name: str) -> Task:
    rows = Task.objects.filter(organization=job.organization_id)
    task = rows.filter(pk=int(name)).first() if name.isascii() and name.isdecimal() and len(name) <= LONGEST_ID else None
    task = task or rows.filter(external_id=name).first()
    if task is None:
        raise NotFound("There is no such task.")
    return task


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _outside_the_window(spec: Spec, task: Task) -> Iterator[Reason]:
    created = _text(task.created_at)
    if task.created_at < spec.created_from:
        yield Reason("before_window", f"It was created at {created}, before the window's first instant, {_text(spec.created_from)}.")
    if spec.created_before and task.created_at >= spec.created_before:
        yield Reason("after_window", f"It was created at {created}; the window ends before {_text(spec.created_before)}.")


def _since_then(job: ExportJob, task: Task) -> Iterator[Reason]:
    """What makes the file differ from what the task's present state says."""
    file = getattr(job, "file", None)
    if job.status != JobStatus.DONE or file is None:
        yield Reason("no_file", f"The job is {job.status}: there is no file yet, and this says what it would hold as the task is now.")
        return
    read_at = file.receipt["receipt"].get("snapshot_at")  # a file that was not made here need not say
    if read_at is None:
        return
    snapshot_at = datetime.fromisoformat(read_at)
    if task.created_at > snapshot_at:
        yield Reason(
            "created_after_snapshot", f"It was created at {_text(task.created_at)}, after the file's rows were read at {_text(snapshot_at)}."
        )
    elif task.updated_at > snapshot_at:
        changed = f"It was changed or added at {_text(task.updated_at)}, after the file's rows were read at {_text(snapshot_at)}"
        yield Reason("changed_after_snapshot", f"{changed}: it may have been otherwise then.")
