"""Files whose days are over: their bytes go, their row and receipt stay."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from exports.models import ExportFile, ExportJob, Litter
from exports.services import jobs
from exports.services.operations import recording

AT_ONCE = 1000  # by one tick
# From its expiry nobody gets it any more; whoever was just given it may still read on.
GRACE_SECONDS = 600


def expire() -> int:
    """Takes the bytes of expired files away, of each in a transaction of its own; pinned ones stay. How many.

    The sweeper deletes the bytes, again and again until the storage agrees.
    """
    gone: dict[int, Counter[str]] = defaultdict(Counter)
    for file in _over().select_related("job").order_by("expires_at", "pk")[:AT_ONCE]:
        if _expire(file):
            gone[file.job.organization_id or 0].update(files=1, bytes=file.size)
    recording.of_sweeps(gone)
    return sum(counts["files"] for counts in gone.values())


def _over() -> QuerySet[ExportFile]:
    return ExportFile.objects.filter(deleted_at=None, pinned=False, expires_at__lte=Now() - timedelta(seconds=GRACE_SECONDS))


def _expire(file: ExportFile) -> bool:
    with transaction.atomic():
        list(ExportJob.objects.select_for_update(no_key=True).filter(pk=file.job_id).values_list("pk"))  # the job before its file, as everywhere
        if not _over().filter(pk=file.pk).update(deleted_at=Now()):  # pinned, or deleted, in this very moment
            return False
        Litter.objects.create(kind=Litter.Kind.FILE, name=file.key)
        file.job.issues.all().delete()  # they quote the file
        jobs.record(file.job, "expired", number=file.attempt)
    return True
