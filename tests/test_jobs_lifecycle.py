"""Every way a job's status may move, and every way it may not; rivals, leases, fairness, cancel against publish."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db.models import Max
from django.db.models.functions import Now
from django.utils import timezone
from django_q.models import OrmQ

from exports import storage, worker
from exports.models import ExportFile, ExportJob, JobAttempt, Litter, TickLease
from exports.services import files, jobs, litter, receipts, runner, upkeep
from exports.states import JobStatus
from taskexport.errors import AppError, Conflict, Forbidden, NotFound
from tasks.models import Organization, Task, User
from tests.making import at_once, make_job, make_queued, make_tasks


def lapse(claim: jobs.Claim) -> None:
    """Moves the attempt's last beat back beyond its lease."""
    JobAttempt.objects.filter(pk=claim.attempt.pk).update(beat_at=Now() - timedelta(seconds=settings.LEASE_SECONDS + 1))


def must_claim(worker: str = "test:1") -> jobs.Claim:
    claim = jobs.claim(worker)
    assert claim is not None
    return claim


def fake_file(claim: jobs.Claim) -> ExportFile:
    """A file's row as the runner would publish it."""
    return ExportFile(
        job=claim.job,
        attempt=claim.attempt.number,
        key=f"{claim.attempt.key_prefix}/x.csv.zip",
        name="x.csv.zip",
        content_type="application/zip",
        size=1,
        sha256="0" * 64,
        rows=0,
        receipt={},
        expires_at=timezone.now() + timedelta(days=1),
    )


def row(job: ExportJob) -> dict[str, Any]:
    return dict(ExportJob.objects.filter(pk=job.pk).values().get())


# -- By people -----------------------------------------------------------------------------------------------------
def test_a_job_goes_from_new_to_queued_to_done_with_a_timeline(editor: User, acme: Organization) -> None:
    job = make_job(editor, acme)
    assert (job.status, job.version_seq, job.version_rev.split("-")[0]) == (JobStatus.NEW, 0, "0")
    first_rev = job.version_rev
    jobs.start(editor, job, first_rev)
    claim = must_claim()
    jobs.publish(claim, fake_file(claim))
    job.refresh_from_db()
    assert (job.status, job.version_seq, job.attempt) == (JobStatus.DONE, 3, 1)
    assert job.version_rev != first_rev
    moves = list(job.events.values_list("kind", "from_status", "to_status", "attempt", "actor"))
    assert moves == [
        ("created", "", "new", 0, editor.pk),
        ("started", "new", "queued", 0, editor.pk),
        ("claimed", "queued", "in progress", 1, None),
        ("done", "in progress", "done", 1, None),
    ]


@pytest.mark.parametrize(
    ("verb", "allowed"),
    [
        ("start", {"new"}),
        ("retry", {"failed", "cancelled"}),
        ("cancel", {"new", "queued", "in progress"}),
        ("again", {"done", "failed", "cancelled"}),
    ],
)
@pytest.mark.parametrize("status", JobStatus.values)
def test_a_verb_moves_only_from_its_statuses(verb: str, allowed: set[str], status: str, editor: User, acme: Organization) -> None:
    job = make_job(editor, acme)
    ExportJob.objects.filter(pk=job.pk).update(status=status)
    job.refresh_from_db()
    before = row(job)
    if status in allowed:
        getattr(jobs, verb)(editor, job)
        assert verb == "again" or row(job)["version_seq"] == before["version_seq"] + 1
    else:
        with pytest.raises(Conflict, match=status):
            getattr(jobs, verb)(editor, job)
        assert row(job) == before
        assert job.events.count() == 1


def test_a_stale_version_rev_is_refused_and_changes_nothing(editor: User, acme: Organization) -> None:
    job = make_job(editor, acme)
    before = row(job)
    for stale in ("0-00000000", "1-" + job.version_nonce, "nonsense", ""):
        with pytest.raises(Conflict) as refusal:
            jobs.start(editor, job, stale)
        assert refusal.value.code == "stale_version"
    assert row(job) == before
    assert OrmQ.objects.count() == 0


def test_retry_forgives_crashes_and_faults(editor: User, acme: Organization) -> None:
    job = make_queued(editor, acme)
    ExportJob.objects.filter(pk=job.pk).update(status="failed", crashes=3, faults=9, error="lost", error_code="worker_lost")
    jobs.retry(editor, job)
    job.refresh_from_db()
    assert (job.status, job.crashes, job.faults, job.error, job.error_code) == ("queued", 0, 0, "", "")


def test_again_runs_the_same_frozen_spec(admin: User, editor: User, acme: Organization) -> None:
    job = make_job(editor, acme, type="fedex", timezone="Europe/Amsterdam")
    ExportJob.objects.filter(pk=job.pk).update(status="done")
    job.refresh_from_db()
    twin = jobs.again(admin, job)
    assert (twin.spec, twin.again_of, twin.created_by, twin.status) == (job.spec, job, admin, "new")
    assert twin.pk != job.pk


@pytest.mark.django_db(transaction=True)
def test_an_unguarded_spec_is_made_again_and_run_by_admins_only(admin: User, editor: User, acme: Organization) -> None:
    job = make_queued(admin, acme, options={"guard": "none"})
    admin.memberships.update(role="editor")
    worker.run_next()
    job.refresh_from_db()
    assert (job.status, job.error_code) == ("failed", "permission_lost")
    with pytest.raises(Forbidden):
        jobs.again(editor, job)
    assert ExportJob.objects.count() == 1
    admin.memberships.update(role="admin")
    assert jobs.again(admin, job).spec == job.spec


def test_roles_decide_who_moves_whose_job(viewer: User, editor: User, admin: User, outsider: User, owner: User, acme: Organization) -> None:
    job = make_job(editor, acme)
    other = make_job(admin, acme)
    before = row(job), row(other)
    for user, target, refusal in ((viewer, job, Forbidden), (owner, job, Forbidden), (editor, other, Forbidden), (outsider, job, NotFound)):
        for verb in (jobs.start, jobs.cancel, jobs.retry):
            with pytest.raises(refusal):
                verb(user, target)
    assert (row(job), row(other)) == before
    jobs.start(admin, job)
    assert row(job)["status"] == "queued"


# -- Claims --------------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_20_jobs_and_8_rivals_make_one_claim_each(editor: User, acme: Organization, settings: Any) -> None:
    settings.MAX_RUNNING = 100
    wanted = {make_queued(editor, acme, f"job {number}").pk for number in range(20)}

    def greedy() -> list[Any]:
        found = []
        while claim := jobs.claim("rival"):
            found.append((claim.job.pk, claim.attempt.number))
        return found

    claims = list(itertools.chain(*at_once(*[greedy] * 8)))
    assert sorted(claims) == sorted((pk, 1) for pk in wanted)
    assert JobAttempt.objects.count() == 20
    assert set(ExportJob.objects.values_list("status", "attempt")) == {("in progress", 1)}


@pytest.mark.django_db(transaction=True)
def test_an_organization_never_runs_more_than_its_limit(editor: User, acme: Organization, settings: Any) -> None:
    settings.MAX_RUNNING = 2
    for number in range(8):
        make_queued(editor, acme, f"job {number}")
    claims = at_once(*[lambda: jobs.claim("rival")] * 8)
    assert sum(claim is not None for claim in claims) == 2
    assert ExportJob.objects.filter(status="in progress").count() == 2


def test_50_jobs_of_one_organization_let_the_others_go_second(editor: User, outsider: User, acme: Organization, globex: Organization) -> None:
    for number in range(50):
        make_queued(editor, acme, f"acme {number}")
    make_queued(outsider, globex, "globex")
    assert must_claim().job.name == "acme 0"
    assert must_claim().job.name == "globex"
    assert must_claim().job.name == "acme 1"


def test_also_when_the_first_job_has_ended_the_other_goes_second(editor: User, outsider: User, acme: Organization, globex: Organization) -> None:
    for number in range(3):
        make_queued(editor, acme, f"acme {number}")
    make_queued(outsider, globex, "globex")
    claim = must_claim()
    jobs.publish(claim, fake_file(claim))
    assert must_claim().job.name == "globex"


def test_a_job_that_shall_wait_is_not_claimed(editor: User, acme: Organization) -> None:
    job = make_queued(editor, acme)
    ExportJob.objects.filter(pk=job.pk).update(available_at=Now() + timedelta(seconds=30))
    assert jobs.claim("test:1") is None
    ExportJob.objects.filter(pk=job.pk).update(available_at=Now())
    assert must_claim().job.pk == job.pk


# -- Leases --------------------------------------------------------------------------------------------------------
def test_beats_leave_the_jobs_row_alone(editor: User, acme: Organization) -> None:
    job = make_queued(editor, acme)
    claim = must_claim()
    before = row(job)
    assert jobs.beat(claim, rows_done=5, rows_total=10)
    assert row(job) == before
    assert list(job.attempts.values_list("rows_done", "rows_total")) == [(5, 10)]


def test_a_live_lease_is_left_alone_and_a_lapsed_one_is_taken(editor: User, acme: Organization) -> None:
    job = make_queued(editor, acme)
    claim = must_claim()
    assert jobs.reap() == 0
    lapse(claim)
    assert jobs.reap() == 1
    job.refresh_from_db()
    assert (job.status, job.crashes, job.attempt) == ("queued", 1, 1)
    assert not jobs.beat(claim, rows_done=1, rows_total=2)
    assert not jobs.holds(claim)
    for late in (
        lambda: jobs.publish(claim, fake_file(claim)),
        lambda: jobs.fail(claim, "x", "x"),
        lambda: jobs.give_back(claim, "x", "x", is_fault=True),
    ):
        before = row(job)
        with pytest.raises(Conflict):
            late()
        assert row(job) == before
    assert ExportFile.objects.count() == 0


def test_a_lapsed_worker_changes_nothing_after_a_second_one_took_over(editor: User, acme: Organization) -> None:
    job = make_queued(editor, acme)
    first = must_claim("a:1")
    lapse(first)
    jobs.reap()
    second = must_claim("b:2")
    assert second.attempt.number == 2
    for late in (
        lambda: jobs.publish(first, fake_file(first)),
        lambda: jobs.fail(first, "x", "x"),
        lambda: jobs.give_back(first, "x", "x", is_fault=False),
    ):
        with pytest.raises(Conflict):
            late()
    assert not jobs.beat(first, rows_done=1, rows_total=1)
    jobs.publish(second, fake_file(second))
    job.refresh_from_db()
    assert (job.status, job.file.attempt) == ("done", 2)


def test_three_crashes_fail_the_job_as_worker_lost(editor: User, acme: Organization) -> None:
    job = make_queued(editor, acme)
    for crash in (1, 2, 3):
        lapse(must_claim())
        jobs.reap()
        job.refresh_from_db()
        assert job.crashes == crash
    assert (job.status, job.error_code) == ("failed", "worker_lost")
    assert jobs.claim("test:1") is None
    jobs.retry(editor, job)
    assert must_claim().attempt.number == 4


def test_a_graceful_stop_is_no_crash_and_rings_again(editor: User, acme: Organization) -> None:
    job = make_queued(editor, acme)
    rings = OrmQ.objects.count()
    jobs.give_back(must_claim(), "worker_stopped", "stopped", is_fault=False)
    job.refresh_from_db()
    assert (job.status, job.crashes, job.faults) == ("queued", 0, 0)
    assert OrmQ.objects.count() == rings + 1
    assert must_claim().job.pk == job.pk


def test_faults_wait_longer_and_longer_and_end_in_failure(editor: User, acme: Organization) -> None:
    job = make_queued(editor, acme)
    waits = []
    for _ in range(jobs.MAX_FAULTS):
        jobs.give_back(must_claim(), "database_unavailable", "away", is_fault=True)
        job.refresh_from_db()
        assert job.status == "queued"
        assert jobs.claim("test:1") is None
        assert job.available_at is not None
        waits.append((job.available_at - timezone.now()).total_seconds())
        ExportJob.objects.filter(pk=job.pk).update(available_at=Now())
    assert waits == sorted(waits)
    assert 5 < waits[0] <= 16
    assert waits[-1] <= jobs.BACKOFF_MAX_SECONDS + 1
    jobs.give_back(must_claim(), "database_unavailable", "away", is_fault=True)
    job.refresh_from_db()
    assert (job.status, job.error_code) == ("failed", "database_unavailable")


# -- Cancel against publish ----------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_cancel_against_publish_raced_100_times_has_exactly_one_winner(editor: User, acme: Organization) -> None:
    winners = []
    for _ in range(100):
        job = make_queued(editor, acme)
        claim = must_claim()
        calls = [lambda job=job: jobs.cancel(editor, job), lambda claim=claim: jobs.publish(claim, fake_file(claim))]
        cancelled, published = at_once(*calls)
        assert isinstance(cancelled, Conflict) != isinstance(published, Conflict), (cancelled, published)
        assert {type(cancelled), type(published)} == {type(None), Conflict}
        job.refresh_from_db()
        assert job.status == ("done" if published is None else "cancelled")
        assert ExportFile.objects.filter(job=job).exists() == (published is None)
        assert list(job.attempts.values_list("outcome", flat=True)) == [job.status]
        winners.append(job.status)
    assert len(winners) == 100


# -- The doorbell and the tick -------------------------------------------------------------------------------------
def test_a_start_that_rolls_back_leaves_no_ring(editor: User, acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(editor, acme)
    with pytest.raises(Conflict):
        jobs.start(editor, job, "9-99999999")
    assert OrmQ.objects.count() == 0
    jobs.start(editor, job)
    assert OrmQ.objects.filter(key="exports").count() == 1


def test_lost_rings_are_healed_and_never_more_than_workers_and_jobs(editor: User, acme: Organization, settings: Any) -> None:
    settings.EXPORT_WORKERS = 3
    for number in range(5):
        make_queued(editor, acme, f"job {number}")
    OrmQ.objects.all().delete()  # the queue was lost
    assert jobs.ring_for_waiting() == 3
    assert jobs.ring_for_waiting() == 0
    ExportJob.objects.all().update(status="cancelled")
    OrmQ.objects.all().delete()
    assert jobs.ring_for_waiting() == 0


def test_only_one_tick_at_a_time(db: None) -> None:
    assert set((upkeep.tick("a") | {"probed": 0}).values()) == {0}  # probes always go out
    TickLease.objects.update(until_at=Now() + timedelta(seconds=60), holder="a")
    assert upkeep.tick("b") == {}
    TickLease.objects.update(until_at=Now() - timedelta(seconds=1))
    assert upkeep.tick("b") != {}


# -- Whole runs ----------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_a_run_publishes_one_checked_file_with_a_receipt(editor: User, acme: Organization) -> None:
    make_tasks(acme, 25)
    job = make_queued(editor, acme)
    worker.run_next()
    job = jobs.get(editor, job.pk)
    assert (job.status, job.error, job.file.rows) == ("done", "", 25)
    with storage.open_file(job.file.key) as stored:
        assert len(stored.read()) == job.file.size
    path = settings.FILES_ROOT / job.file.key
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert receipts.verify(path, job.file.receipt, receipts.public_key()) == []
    assert list(settings.SPOOL_ROOT.iterdir()) == []
    assert upkeep.sweep() == 0
    assert path.exists()


@pytest.mark.django_db(transaction=True)
def test_an_empty_result_is_a_file_with_a_header(editor: User, acme: Organization) -> None:
    job = make_queued(editor, acme)
    worker.run_next()
    job = jobs.get(editor, job.pk)
    assert (job.status, job.file.rows) == ("done", 0)
    assert receipts.verify(settings.FILES_ROOT / job.file.key, job.file.receipt) == []


@pytest.mark.django_db(transaction=True)
def test_another_organizations_tasks_are_never_in_the_file(editor: User, acme: Organization, globex: Organization) -> None:
    make_tasks(acme, 3)
    Task.objects.create(organization=globex, title="canary-of-globex")
    job = make_queued(editor, acme)
    worker.run_next()
    job = jobs.get(editor, job.pk)
    import zipfile

    with zipfile.ZipFile(settings.FILES_ROOT / job.file.key) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    assert "canary" not in text
    assert job.file.rows == 3


@pytest.mark.django_db(transaction=True)
def test_twenty_rings_make_one_run(editor: User, acme: Organization) -> None:
    make_tasks(acme, 3)
    job = make_queued(editor, acme)
    at_once(*[worker.run_next] * 20)
    job.refresh_from_db()
    assert (job.status, job.attempt) == ("done", 1)
    assert job.attempts.count() == 1


@pytest.mark.django_db(transaction=True)
def test_rights_lost_between_queue_and_run_fail_the_job(editor: User, acme: Organization) -> None:
    job = make_queued(editor, acme)
    editor.memberships.update(role="viewer")
    worker.run_next()
    job.refresh_from_db()
    assert (job.status, job.error_code) == ("failed", "permission_lost")
    assert not ExportFile.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_spec_of_another_release_fails_with_the_cure(editor: User, acme: Organization) -> None:
    job = make_queued(editor, acme)
    ExportJob.objects.filter(pk=job.pk).update(spec={"spec_version": 99})
    worker.run_next()
    job.refresh_from_db()
    assert (job.status, job.error_code) == ("failed", "spec_version")
    assert "Create it again" in job.error


@pytest.mark.django_db(transaction=True)
def test_a_full_disk_gives_the_job_back_and_leaves_nothing(editor: User, acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tasks(acme, 3)
    job = make_queued(editor, acme)

    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)  # the disk, at the last moment
    worker.run_next()
    job.refresh_from_db()
    assert (job.status, job.faults, job.attempts.get().outcome) == ("queued", 1, "storage_unavailable")
    assert list(settings.SPOOL_ROOT.iterdir()) == []
    monkeypatch.undo()
    ExportJob.objects.filter(pk=job.pk).update(available_at=Now())
    worker.run_next()
    job.refresh_from_db()
    assert (job.status, job.attempt) == ("done", 2)


@pytest.mark.django_db(transaction=True)
def test_a_job_lost_while_it_is_written_leaves_no_file(editor: User, acme: Organization) -> None:
    make_tasks(acme, 3)
    job = make_queued(editor, acme)
    claim = must_claim()
    lapse(claim)
    jobs.reap()
    runner.run(claim)  # the worker that was given up goes on, unaware
    job.refresh_from_db()
    assert (job.status, job.attempt) == ("queued", 1)
    assert not ExportFile.objects.exists()
    assert list(settings.SPOOL_ROOT.iterdir()) == []
    assert not (settings.FILES_ROOT / claim.attempt.key_prefix).exists()


@pytest.mark.django_db(transaction=True)
def test_the_sweeper_takes_what_dead_attempts_left_and_nothing_else(editor: User, acme: Organization) -> None:
    make_tasks(acme, 3)
    done = make_queued(editor, acme)
    worker.run_next()
    done = jobs.get(editor, done.pk)
    job = make_queued(editor, acme)
    claim = must_claim()
    spool = storage.spool_path(claim.attempt.spool_name)
    spool.write_bytes(b"half")
    stray = settings.FILES_ROOT / claim.attempt.key_prefix / "x.csv.zip"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"unpublished")
    assert upkeep.sweep() == 0  # it may still be at work
    lapse(claim)
    jobs.reap()
    assert upkeep.sweep() == 2
    assert not spool.exists()
    assert not stray.exists()
    assert files.of_job(done).key == done.file.key
    assert (settings.FILES_ROOT / done.file.key).exists()
    assert job.attempts.aggregate(Max("number"))["number__max"] == 1


@pytest.mark.django_db(transaction=True)
def test_what_can_not_be_swept_keeps_nothing_else_from_it(editor: User, acme: Organization) -> None:
    spools = []
    for _ in range(2):
        make_queued(editor, acme)
        claim = must_claim()
        spools.append(storage.spool_path(claim.attempt.spool_name))
        jobs.fail(claim, "x", "x")
    spools[0].mkdir()  # no file, and so not to be unlinked
    spools[1].write_bytes(b"half")
    assert upkeep.sweep() == 1
    assert not spools[1].exists()
    spools[0].rmdir()
    assert list(JobAttempt.objects.order_by("pk").values_list("swept", flat=True)) == [False, True]
    assert upkeep.sweep() == 0
    assert not JobAttempt.objects.filter(swept=False).exists()


@pytest.mark.django_db(transaction=True)
def test_a_storage_that_is_slow_takes_its_part_of_a_tick_and_no_more(editor: User, acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exports.services.litter.SWEEP_SECONDS", -1)  # all of it is over after the first
    for name in ("a", "b"):
        make_queued(editor, acme)
        claim = must_claim()
        storage.spool_path(claim.attempt.spool_name).write_bytes(b"half")
        jobs.fail(claim, "x", "x")
        Litter.objects.create(kind=Litter.Kind.FILE, name=f"uploads/1/{name}")
    for left in (1, 0):
        assert [upkeep.sweep(), litter.sweep()] == [1, 1]
        assert [JobAttempt.objects.filter(swept=False).count(), Litter.objects.count()] == [left, left]


def test_a_chore_that_breaks_keeps_no_other_from_its_turn(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ValueError("canary")

    monkeypatch.setattr("exports.services.jobs.ringing.OrmQ.objects.filter", broken)
    done = upkeep.tick("a")
    assert set((done | {"probed": 0}).values()) == {0}
    assert {"reaped", "swept", "forgotten"} <= set(done)
    assert "rung" not in done
    assert TickLease.objects.filter(until_at__lte=Now()).exists()


@pytest.mark.django_db(transaction=True)
def test_a_job_deleted_in_mid_run_leaves_no_file(editor: User, acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tasks(acme, 3)
    job = make_queued(editor, acme)
    pk, replace = job.pk, os.replace

    def replace_and_delete(*paths: Any) -> None:
        replace(*paths)
        job.delete()

    monkeypatch.setattr("os.replace", replace_and_delete)
    worker.run_next()
    assert not list(settings.SPOOL_ROOT.iterdir())
    assert not list(settings.FILES_ROOT.rglob(f"{pk}*"))
    assert not ExportFile.objects.exists()


def test_a_second_stop_may_interrupt_the_first() -> None:
    pulse = runner.Pulse()

    def interrupted() -> None:
        with pulse._lock:  # the first handler is here
            pulse.stop("stopping")

    stopping = threading.Thread(target=interrupted, daemon=True)
    stopping.start()
    stopping.join(5)
    assert (stopping.is_alive(), pulse.reason) == (False, "stopping")


@pytest.mark.django_db(transaction=True)
def test_sigterm_gives_the_job_back_and_then_ends_the_process(editor: User, acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tasks(acme, 3)
    job = make_queued(editor, acme)
    ends = []
    before = signal.signal(signal.SIGTERM, lambda *_: ends.append(ExportJob.objects.get(pk=job.pk).status))
    claim = must_claim()
    monkeypatch.setattr("shutil.disk_usage", lambda _: signal.raise_signal(signal.SIGTERM))
    try:
        runner.run(claim)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ends == ["queued"]
    job.refresh_from_db()
    assert (job.crashes, job.faults, job.attempts.get().outcome) == (0, 0, "worker_stopped")


@pytest.mark.django_db(transaction=True)
def test_an_unknown_error_is_said_by_its_code_and_logged_without_its_message(
    editor: User, acme: Organization, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job = make_queued(editor, acme)

    def broken(*_: Any) -> Any:
        raise RuntimeError("canary: secret of a person")

    claim = must_claim()
    monkeypatch.setattr("shutil.disk_usage", broken)
    runner.run(claim)
    job.refresh_from_db()
    assert (job.status, job.error_code) == ("failed", "internal_error")
    assert "canary" not in job.error
    assert "canary" not in " ".join(str(record.__dict__) for record in caplog.records)
    assert any("RuntimeError at" in str(record.__dict__.get("where")) for record in caplog.records)


def test_errors_have_codes_and_statuses() -> None:
    assert AppError("x").code == "error"
    assert (Conflict("x").status, Conflict("x", code="y").code) == (409, "y")
