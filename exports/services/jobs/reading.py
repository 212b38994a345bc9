"""Who sees which jobs, how far they are, and who may change them."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import Case, Count, Exists, F, FilteredRelation, IntegerField, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce

from exports.models import ExportJob, JobAttempt, Runner
from exports.services import changes
from exports.states import ENDED, JobStatus
from taskexport import moments
from taskexport.errors import Forbidden, NotFound
from tasks import access, lists
from tasks.access import Action

POSITIONED = 10  # jobs whose place in the queue is told at once


def visible(user: Any) -> QuerySet[ExportJob]:
    """The jobs the user may see, newest first, each with `rows_done` and `rows_total` of its present attempt.

    A direct export over a whole platform is its owners'; one over several platforms is its maker's.
    """
    return _seen_by(user, access.organizations(user).values("pk"))


def listed(user: Any) -> QuerySet[ExportJob]:
    """The same for long lists, at the price of a query: with ids in place of a subquery they stay one walk along an index."""
    return visible(user) if user is not None and user.is_superuser else _seen_by(user, access.organization_ids(user))


def _seen_by(user: Any, organizations: Any) -> QuerySet[ExportJob]:
    rows = _shown().filter(deleted_at=None)
    if _sees_all(user):
        return rows
    # Asked first: most people own no platform.
    platforms = list(access.platforms(user).order_by("pk").values_list("pk", flat=True))
    return rows.filter(_of(user, organizations, platforms) if platforms else Q(organization__in=organizations))


def _sees_all(user: Any) -> bool:
    return user is not None and user.is_authenticated and user.is_active and user.is_superuser


def _of(user: Any, organizations: Any, platforms: Any) -> Q:
    return Q(organization__in=organizations) | Q(organization=None) & (Q(platform__in=platforms) | Q(platform=None, created_by=user))


def watched(user: Any, ids: list[Any]) -> list[dict[str, Any]]:
    """What changes of those of these jobs that the user may see, by one light query: `pk`, `name`, `status`, `error`, `rows_done` and
    `rows_total`, since when the present attempt runs and until when it was heard of (`claimed_at`, `beat_at`), and, where they are
    POSITIONED or fewer, `ahead`: how many were queued before it (None unless it waits for a worker of ours)."""
    rows = ExportJob.objects.filter(pk__in=ids, deleted_at=None)
    if not _sees_all(user):
        platforms = access.platforms(user)
        mine = _of(user, access.organizations(user).values("pk"), platforms.values("pk"))
        rows = rows.filter(mine & (Q(organization__isnull=False) | Exists(platforms)))
    ahead: Any = Value(None, IntegerField())
    if len(ids) <= POSITIONED:
        before = _queue().filter(queued_at__lt=OuterRef("queued_at")).order_by().values("status").annotate(count=Count("pk"))
        waits = When(status=JobStatus.QUEUED, runner=Runner.INTERNAL, then=Coalesce(Subquery(before.values("count")), 0))
        ahead = Case(waits, output_field=IntegerField())
    present = FilteredRelation("attempts", condition=Q(attempts__number=F("attempt")))
    said = {name: F(f"present__{name}") for name in ("rows_done", "rows_total", "claimed_at", "beat_at")}
    found: Any = rows.order_by().annotate(present=present, ahead=ahead).values("pk", "name", "status", "error", "ahead", **said)
    return list(found)


def _queue() -> QuerySet[ExportJob]:
    return ExportJob.objects.filter(status=JobStatus.QUEUED, runner=Runner.INTERNAL)


def _shown() -> QuerySet[ExportJob]:
    present = JobAttempt.objects.filter(job=OuterRef("pk"), number=OuterRef("attempt"))
    return ExportJob.objects.select_related("organization", "file", "created_by").annotate(
        rows_done=Subquery(present.values("rows_done")), rows_total=Subquery(present.values("rows_total"))
    )


def page(rows: QuerySet[ExportJob], start: int, size: int) -> list[ExportJob]:
    """So many of the visible jobs from this place on, without their long fields, which no list shows."""
    return lists.page(rows.defer("spec", "file__receipt"), start, size)


def get(user: Any, job_id: Any) -> ExportJob:
    """One visible job, by its id or the text of it. Raises NotFound."""
    try:
        pk = job_id if isinstance(job_id, uuid.UUID) else uuid.UUID(str(job_id))
    except ValueError:
        pk = None
    job = visible(user).filter(pk=pk).first() if pk else None
    if job is None:
        raise NotFound("There is no such export job.")
    return job


def queue_position(job: ExportJob) -> int | None:
    """How many queued jobs were queued before this one, plus one; None unless it waits for one of our workers. Fairness may serve it sooner."""
    if job.status != JobStatus.QUEUED or job.runner != Runner.INTERNAL or job.queued_at is None:
        return None
    return _queue().filter(**moments.within("queued_at", until=job.queued_at)).count() + 1


def percent(status: str, rows_done: int | None, rows_total: int | None) -> float | None:
    """How far a job is, 0 to 100, below 100 until it is done; None while it runs and nothing is counted yet."""
    if status == JobStatus.DONE:
        return 100.0
    if status != JobStatus.IN_PROGRESS:
        return 0.0
    return min(99.9, round(100 * (rows_done or 0) / rows_total, 1)) if rows_total else None


def may_change(user: Any, job: ExportJob) -> bool:
    """Whether the user may start, cancel, retry or pin this job: its maker as an editor, or an admin; a direct export also its maker as an owner."""
    is_mine = user is not None and job.created_by_id == user.pk
    if is_mine and job.runner == Runner.WEB and access.platforms(user).exists():
        return True
    return access.can(user, Action.RUN if is_mine else Action.ADMINISTER, job.organization_id)


def require_change(user: Any, job: ExportJob) -> None:
    """Raises Forbidden or NotFound unless the user may change this job."""
    if may_change(user, job):
        return
    if job.organization_id is not None:
        access.require(user, Action.RUN, job.organization_id)
    raise Forbidden("Only an admin may change another person's job.")


def may_make_again(user: Any, job: ExportJob) -> bool:
    """Whether the user may make a new job of this one's spec now; a direct export is asked for anew in its place, a file of changes never."""
    return job.status in ENDED and job.runner != Runner.WEB and not changes.is_one(job) and access.can(user, Action.RUN, job.organization_id)
