"""A million tasks through a real worker: whole, and in flat memory."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from exports.models import ExportJob, JobAttempt
from exports.services import receipts
from tasks.demo import make_tasks
from tasks.models import Organization, User
from tests.fixtures import QCluster
from tests.making import grow_tasks, make_queued

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]
PEAK_MB = 160
MINUTES = 5


def peak_mb(pid: int) -> float:
    """The most memory the process ever held."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


@pytest.mark.serial
def test_a_million_tasks_leave_whole_in_flat_memory(editor: User, acme: Organization, qcluster: QCluster) -> None:
    make_tasks(acme, 15_625, seed=1)
    rows = grow_tasks(acme, 6)
    assert rows == 1_000_000
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    job = make_queued(editor, acme)
    with qcluster("exports", EXPORT_WORKERS="1"):
        until = time.monotonic() + MINUTES * 60
        while time.monotonic() < until and not ExportJob.objects.filter(pk=job.pk, status__in=["done", "failed"]).exists():
            time.sleep(0.2)
        peak = peak_mb(int(JobAttempt.objects.get(job=job).worker.rpartition(":")[2]))
    job.refresh_from_db()
    assert (job.status, job.error, job.file.rows) == ("done", "", rows)
    assert receipts.verify(settings.FILES_ROOT / job.file.key, job.file.receipt) == []
    assert job.started_at
    assert job.finished_at
    print(
        f"{rows:,} rows, {(job.finished_at - job.started_at).total_seconds():.1f} s, {peak:.0f} MB at the peak, {job.file.size / 1e6:.0f} MB of zip"
    )
    assert peak < PEAK_MB
