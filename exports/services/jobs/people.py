"""What people do to jobs: create, start, cancel, retry, make again, pin, delete."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models.functions import Coalesce, Now

from exports import storage
from exports.datasets import Spec
from exports.models import ExportFile, ExportJob, JobAttempt, Operation, Runner, Trigger
from exports.services import changes, files, limits, specs
from exports.services.jobs.moving import edit, end_attempts, move, record, require_version
from exports.services.jobs.reading import require_change
from exports.services.jobs.ringing import ring
from exports.services.operations import recording
from exports.states import ENDED, JobStatus
from taskexport.errors import Conflict, Forbidden, Invalid
from tasks import access
from tasks.access import Action
from tasks.models import Organization, User

log = logging.getLogger(__name__)


# -- Making --------------------------------------------------------------------------------------------------------
def require_create(user: User, organization: Organization | int | None, spec: Spec) -> None:
    """Raises Forbidden or NotFound unless the user may make a job of this spec."""
    access.require(user, needed(spec.options), organization)


def needed(options: dict[str, Any]) -> Action:
    """What a job with these options of its format asks of its maker, when it is made and when it runs."""
    # Without the guard a file may run formulas in whoever's spreadsheet opens it.
    return Action.ADMINISTER if options.get("guard") == "none" else Action.RUN


def create(
    user: User,
    organization: Organization,
    wish: specs.Wish,
    *,
    trigger: Trigger = Trigger.API,
    runner: Runner = Runner.INTERNAL,
    notify: bool = False,
    parent: Operation | None = None,
) -> ExportJob:
    """A new job of a checked wish, not yet queued; with `notify` its maker is told of its end by mail. Its operation hangs on `parent`.

    Raises Forbidden, NotFound, Invalid for what its runner can't do.
    """
    require_create(user, organization, wish.spec)
    if runner == Runner.EXTERNAL and (wish.spec.format, wish.spec.options.get("archive")) != ("csv", "zip"):
        raise Invalid.field("runner", "An external runner brings a .csv.zip; leave the format csv and its archive zip.")
    with transaction.atomic():
        job = ExportJob.objects.create(
            organization=organization,
            org_name=wish.org_name,
            name=wish.name,
            type=wish.type,
            dataset=wish.spec.dataset,
            format=wish.spec.format,
            creation_start_date=wish.creation_start_date,
            creation_end_date=wish.creation_end_date,
            spec=wish.spec.to_json(),
            trigger=trigger,
            runner=runner,
            notify=notify,
            created_by=user,
        )
        record(job, "created", to=JobStatus.NEW, actor=user)
        recording.of_job(job, parent)
    return job


def create_started(user: User, organization: Organization, wish: specs.Wish, **how: Any) -> ExportJob:
    """A new job as `create` makes it, queued at once; where it can't be queued none is made. Raises as `create` and `start` do."""
    with transaction.atomic():
        job = create(user, organization, wish, **how)
        start(user, job)
    return job


def again(user: User, job: ExportJob, *, trigger: Trigger = Trigger.API) -> ExportJob:
    """A new job of the same frozen spec as one that has ended. Raises Conflict while it has not, Forbidden."""
    if job.status not in ENDED:
        raise Conflict(f"The job is {job.status}; it can be made again once it has ended.", code="wrong_status")
    _require_queueable(job)
    changes.require_repeatable(job)
    require_create(user, job.organization_id, Spec.from_json(job.spec))
    copied = ("organization", "org_name", "name", "type", "dataset", "format", "creation_start_date", "creation_end_date", "spec", "runner")
    with transaction.atomic():
        twin = ExportJob.objects.create(**{name: getattr(job, name) for name in copied}, trigger=trigger, created_by=user, again_of=job)
        record(twin, "created", to=JobStatus.NEW, actor=user, detail=f"again of {job.pk}")
        recording.of_job(twin)
    return twin


# -- Moving --------------------------------------------------------------------------------------------------------
def start(user: User, job: ExportJob, version_rev: str | None = None) -> None:
    """new → queued. Raises Conflict, Forbidden, QuotaFull; a schedule's job waits in the queue for its organization's quota."""
    require_change(user, job)
    if job.trigger != Trigger.SCHEDULE:
        limits.require_room(job.organization)
    _queue(job, "started", {JobStatus.NEW}, user, version_rev)


def retry(user: User, job: ExportJob, version_rev: str | None = None) -> None:
    """failed or cancelled → queued, its crashes and faults forgiven. Raises Conflict, Forbidden, QuotaFull."""
    require_change(user, job)
    _require_queueable(job)
    limits.require_room(job.organization)
    _queue(job, "retried", {JobStatus.FAILED, JobStatus.CANCELLED}, user, version_rev)


def _require_queueable(job: ExportJob) -> None:
    if job.runner == Runner.WEB:
        raise Conflict("A direct export runs inside its own request; ask for a new one.", code="runs_in_request")


def _queue(job: ExportJob, kind: str, sources: set[JobStatus], user: User, version_rev: str | None) -> None:
    with transaction.atomic():
        fresh: dict[str, Any] = {"crashes": 0, "faults": 0, "error": "", "error_code": "", "started_at": None, "finished_at": None}
        move(job.pk, JobStatus.QUEUED, kind, sources=sources, actor=user, version_rev=version_rev, queued_at=Now(), available_at=Now(), **fresh)
        if job.runner == Runner.INTERNAL:
            ring()


def cancel(user: User, job: ExportJob, version_rev: str | None = None) -> None:
    """new, queued or in progress → cancelled; whoever is at it stops within seconds. Raises Conflict, Forbidden."""
    require_change(user, job)
    with transaction.atomic():
        move(
            job.pk,
            JobStatus.CANCELLED,
            "cancelled",
            actor=user,
            version_rev=version_rev,
            finished_at=Now(),
            error="cancelled",
            error_code="cancelled",
        )
        end_attempts(job.pk, "cancelled")


# -- What is left of a job -----------------------------------------------------------------------------------------
def pin(user: User, job: ExportJob, version_rev: str | None = None) -> None:
    """Keeps the job's file past its expiry; pinned twice is pinned once. Raises Conflict (not done), Gone, Forbidden."""
    _set_pinned(user, job, True, version_rev)


def unpin(user: User, job: ExportJob, version_rev: str | None = None) -> None:
    """Lets the job's file expire again, at once if its time has passed. Raises as `pin` does."""
    _set_pinned(user, job, False, version_rev)


def _set_pinned(user: User, job: ExportJob, pinned: bool, version_rev: str | None) -> None:
    require_change(user, job)
    file = files.of_job(job)
    require_version(job, version_rev)
    with transaction.atomic():
        list(ExportJob.objects.select_for_update(no_key=True).filter(pk=job.pk).values_list("pk"))  # the job before its file, as in `delete`
        if ExportFile.objects.filter(pk=file.pk, pinned=not pinned, deleted_at=None).update(pinned=pinned):
            edit(job.pk, "pinned" if pinned else "unpinned", {JobStatus.DONE}, "pinned", version_rev=version_rev, actor=user)


def delete(user: User, job: ExportJob, version_rev: str | None = None) -> None:
    """Takes an ended job away: nobody sees it any more and its file is gone, while its row, timeline and download log stay for
    the audit. For admins. Raises Forbidden, Conflict."""
    if not access.can(user, Action.ADMINISTER, job.organization_id):
        raise Forbidden("Only an admin may delete a job.")
    with transaction.atomic():
        edit(job.pk, "deleted", ENDED, "deleted", version_rev=version_rev, actor=user, deleted_at=Now())
        job.issues.all().delete()  # they quote the file
        JobAttempt.objects.filter(job=job, outcome="done").update(outcome="deleted")  # for the sweeper, if we don't get to it
        for file in ExportFile.objects.filter(job=job):
            ExportFile.objects.filter(pk=file.pk).update(deleted_at=Coalesce("deleted_at", Now()), pinned=False)
            transaction.on_commit(partial(_remove, file.key))


def _remove(key: str) -> None:
    try:
        storage.delete(key)
    except OSError as error:
        log.warning("file left to the sweeper", extra={"error": type(error).__name__})
