"""Real queue clusters, killed, stopped and told to end in the middle of an export; the job ends once all the same."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db.models.functions import Now
from django_q.models import OrmQ

from exports import storage, worker
from exports.models import ExportFile, ExportJob, JobAttempt
from exports.services import jobs, receipts
from tasks.models import Organization, User
from tests.fixtures import QCluster
from tests.making import grow_tasks, make_queued, make_tasks

pytestmark = [pytest.mark.serial, pytest.mark.django_db(transaction=True)]
WAIT_SECONDS = 90


def wait_for(what: str, condition: Callable[[], Any], seconds: float = WAIT_SECONDS) -> Any:
    """Polls until the condition holds and returns it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.01)
    log = settings.VAR / "log" / "qcluster-exports.log"
    pytest.fail(f"{what} did not come; the cluster's log ends with\n{log.read_text()[-3000:] if log.exists() else '(none)'}")


def big_job(editor: User, acme: Organization) -> tuple[ExportJob, int]:
    """A queued job that takes seconds, and its number of rows."""
    make_tasks(acme, 500)
    rows = grow_tasks(acme, 9)
    return make_queued(editor, acme), rows


def in_the_middle(job: ExportJob) -> JobAttempt:
    """The running attempt once its file has begun to grow."""

    def begun() -> JobAttempt | None:
        attempt = JobAttempt.objects.select_related("job").filter(job=job, outcome="").first()
        spool = settings.SPOOL_ROOT / attempt.spool_name if attempt else None
        return attempt if spool and spool.exists() and spool.stat().st_size > 0 else None

    return wait_for("the first bytes of the file", begun)


def pid_of(attempt: JobAttempt) -> int:
    return int(attempt.worker.rpartition(":")[2])


def lapse(attempt: JobAttempt) -> None:
    JobAttempt.objects.filter(pk=attempt.pk).update(beat_at=Now() - timedelta(seconds=settings.LEASE_SECONDS + 1))


def ended(job: ExportJob) -> Callable[[], bool]:
    return lambda: ExportJob.objects.filter(pk=job.pk, status__in=["done", "failed", "cancelled"]).exists()


def assert_done_once(job: ExportJob, rows: int, attempt: int) -> None:
    job.refresh_from_db()
    assert (job.status, job.error, job.attempt) == ("done", "", attempt)
    file = ExportFile.objects.get(job=job)
    assert (file.rows, file.attempt) == (rows, attempt)
    assert receipts.verify(settings.FILES_ROOT / file.key, file.receipt) == []


def assert_nothing_left_over(*published: ExportFile) -> None:
    worker.tick()
    assert list(settings.SPOOL_ROOT.iterdir()) == []
    stored = sorted(str(path.relative_to(settings.FILES_ROOT)) for path in settings.FILES_ROOT.rglob("*") if path.is_file())
    assert stored == sorted(name for file in published for name in (file.key, file.key + storage.RECEIPT))


@pytest.fixture(autouse=True)
def _empty_storage() -> None:
    import shutil

    for root in (settings.FILES_ROOT, settings.SPOOL_ROOT):
        shutil.rmtree(root, ignore_errors=True)


def test_a_worker_killed_in_mid_export_is_replaced_and_one_file_comes(editor: User, acme: Organization, qcluster: QCluster) -> None:
    job, rows = big_job(editor, acme)
    with qcluster("exports"):
        attempt = in_the_middle(job)
        os.kill(pid_of(attempt), signal.SIGKILL)
        lapse(attempt)
        assert worker.tick()["reaped"] == 1
        wait_for("the end of the job", ended(job))
    assert_done_once(job, rows, attempt=2)
    job.refresh_from_db()
    assert (job.crashes, list(job.attempts.values_list("outcome", flat=True))) == (1, ["lease_lapsed", "done"])
    assert_nothing_left_over(job.file)


def test_a_worker_stopped_past_its_lease_and_woken_changes_nothing(editor: User, acme: Organization, qcluster: QCluster) -> None:
    job, rows = big_job(editor, acme)
    with qcluster("exports"):
        attempt = in_the_middle(job)
        os.kill(pid_of(attempt), signal.SIGSTOP)
        try:
            lapse(attempt)
            assert worker.tick()["reaped"] == 1
            wait_for("the end of the job by the second worker", ended(job))
            assert_done_once(job, rows, attempt=2)
            before = ExportJob.objects.filter(pk=job.pk).values().get(), ExportFile.objects.values().get()
        finally:
            os.kill(pid_of(attempt), signal.SIGCONT)
        woken = settings.VAR / "log" / "qcluster-exports.log"
        wait_for("the woken worker's retreat", lambda: "export taken away" in woken.read_text() or "export stopped" in woken.read_text())
    assert (ExportJob.objects.filter(pk=job.pk).values().get(), ExportFile.objects.values().get()) == before
    assert_done_once(job, rows, attempt=2)
    job.refresh_from_db()
    assert_nothing_left_over(job.file)


def test_a_worker_told_to_end_gives_the_job_back_without_a_crash(editor: User, acme: Organization, qcluster: QCluster) -> None:
    job, rows = big_job(editor, acme)
    with qcluster("exports"):
        attempt = in_the_middle(job)
        os.kill(pid_of(attempt), signal.SIGTERM)
        wait_for("the end of the job", ended(job))
        assert not Path(f"/proc/{pid_of(attempt)}").exists()
    assert_done_once(job, rows, attempt=2)
    job.refresh_from_db()
    assert (job.crashes, job.faults, list(job.attempts.values_list("outcome", flat=True))) == (0, 0, ["worker_stopped", "done"])
    assert_nothing_left_over(job.file)


def test_a_cluster_told_to_end_gives_its_jobs_back_without_a_crash(
    editor: User, acme: Organization, qcluster: QCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskexport.processes.FINISH_SECONDS", 0)
    job, rows = big_job(editor, acme)
    with qcluster("exports"):
        in_the_middle(job)
    job.refresh_from_db()
    assert (job.status, job.crashes, job.faults, job.attempts.get().outcome) == ("queued", 0, 0, "worker_stopped")
    with qcluster("exports"):
        wait_for("the end of the job", ended(job))
    assert_done_once(job, rows, attempt=2)
    assert_nothing_left_over(job.file)


def test_a_running_job_is_cancelled_within_seconds_and_leaves_no_file(editor: User, acme: Organization, qcluster: QCluster) -> None:
    job, _ = big_job(editor, acme)
    with qcluster("exports"):
        attempt = in_the_middle(job)
        jobs.cancel(editor, job)
        wait_for("the spool to be empty", lambda: not (settings.SPOOL_ROOT / attempt.spool_name).exists(), seconds=10)
    job.refresh_from_db()
    assert (job.status, list(job.attempts.values_list("outcome", flat=True))) == ("cancelled", ["cancelled"])
    assert not ExportFile.objects.exists()
    assert_nothing_left_over()


def test_the_same_ring_20_times_is_one_run(editor: User, acme: Organization, qcluster: QCluster) -> None:
    make_tasks(acme, 100)
    job = make_queued(editor, acme)
    for _ in range(19):
        jobs.ring()
    with qcluster("exports"):
        wait_for("all rings to be heard", lambda: OrmQ.objects.count() == 0)
        wait_for("the end of the job", ended(job))
    assert_done_once(job, 100, attempt=1)
    assert job.attempts.count() == 1
