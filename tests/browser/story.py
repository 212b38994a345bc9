"""A company's fortnight of exports, for pictures: real ones by real workers, moved back in time, and some stopped in mid-run."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import F
from django.db.models.functions import Now

from exports import worker
from exports.models import DayTotal, ExportFile, ExportJob, ExportSchedule, Firing, JobAttempt, JobEvent, KeptTotal, Trigger
from exports.services import jobs, readiness
from exports.services.schedules import keeping
from exports.states import JobStatus
from tasks.models import Organization, User
from tests.browser.people import acme, user_of
from tests.making import make_job, make_queued

SECONDS = 120
NAMES = {"admin": "Zoë Müller", "viewer": "陳美玲"}
DAY = timedelta(days=1)
DONE = [  # name, format, the work since this day, made so many hours ago
    ("Open work, North hub", "xlsx", "2026-06-01", 2),
    ("点検 2026年", "csv", "2026-01-01", 5),
    ("Wartungen seit August", "xlsx", "2026-08-01", 9),
    ("فحص المصاعد", "csv", "2025-11-15", 26),
    ("Invoicing", "json", "2026-07-20", 31),
    ("Проверка котлов", "xlsx", "2025-03-01", 52),
    ("Completed by José Ñandú", "csv", "2026-02-10", 75),
    ("All work, for the warehouse", "csv", "2024-09-01", 98),
]
FORTNIGHT = [(6, 0, 41_000), (9, 1, 63_500), (4, 0, 22_000), (1, 0, 9_000), (0, 0, 0), (8, 0, 70_250), (11, 2, 88_000)]
FORTNIGHT += [(7, 0, 51_000), (12, 1, 96_400), (5, 0, 38_000), (2, 0, 12_500), (1, 0, 20_000), (10, 1, 81_000), (4, 0, 30_000)]


def tell() -> tuple[ExportJob, ExportSchedule]:
    """Makes it; the running job and the schedule that are shown alone."""
    for name, called in NAMES.items():
        User.objects.filter(pk=user_of(name).pk).update(name=called)
    admin, organization = user_of("admin"), acme()
    _well()
    for name, file_format, since, hours in DONE:
        _back(_done(make_queued(admin, organization, name, format=file_format, **_since(since))), timedelta(hours=hours))
    schedule = _scheduled(admin, organization)
    _days(organization)
    _back(_failed(admin, organization), timedelta(hours=4))
    jobs.cancel(admin, make_job(admin, organization, "Every photo since 2019"))
    make_job(admin, organization, "Draft for the auditors")
    for name, minutes in (("Jahresabschluss 2026", 3), ("Meters, both dials", 1)):
        waiting = make_queued(admin, organization, name)
        # Workers leave it alone, and it stands in the queue all the same.
        ExportJob.objects.filter(pk=waiting.pk).update(available_at=Now() + DAY, queued_at=Now() - timedelta(minutes=minutes))
    _running(admin, organization, "보일러 점검", 0.17)
    running = _running(admin, organization, "Everything since 2024, for the warehouse", 0.64)
    ExportJob.objects.update(trigger=Trigger.STAFF)
    KeptTotal.objects.update_or_create(organization=organization, defaults={"files": 412, "size": 61_700_000_000})
    return running, schedule


def _since(day: str) -> dict[str, str]:
    return {"creation_start_date": day, "creation_end_date": "2026-10-31", "timezone": "Europe/Amsterdam"}


def _well() -> None:
    """Waits until each part of the service was heard of once, as it is a minute after its start."""
    deadline = time.monotonic() + SECONDS
    while not all(check.is_ok for check in readiness.look()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"not ready: {readiness.look()}")
        worker.tick()
        time.sleep(1)


def _done(job: ExportJob) -> ExportJob:
    deadline = time.monotonic() + SECONDS
    while job.status != JobStatus.DONE:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{job.name} is {job.status} after {SECONDS} seconds")
        time.sleep(0.2)
        job.refresh_from_db()
    return job


def _back(job: ExportJob, ago: timedelta) -> None:
    ExportJob.objects.filter(pk=job.pk).update(
        created_at=F("created_at") - ago, queued_at=F("queued_at") - ago, started_at=F("started_at") - ago, finished_at=F("finished_at") - ago
    )
    JobEvent.objects.filter(job=job).update(at=F("at") - ago)
    JobAttempt.objects.filter(job=job).update(claimed_at=F("claimed_at") - ago, beat_at=F("beat_at") - ago, ended_at=F("ended_at") - ago)
    ExportFile.objects.filter(job=job).update(created_at=F("created_at") - ago, expires_at=F("expires_at") - ago)


def _failed(admin: User, organization: Organization) -> ExportJob:
    job = make_queued(admin, organization, "เปลี่ยนหลอดไฟ")
    _done(job)
    error = "The storage did not take the file: no space left."
    ExportJob.objects.filter(pk=job.pk).update(status=JobStatus.FAILED, error=error, error_code="storage_unavailable")
    JobEvent.objects.filter(job=job, to_status=JobStatus.DONE).update(kind="failed", to_status=JobStatus.FAILED, detail=error)
    ExportFile.objects.filter(job=job).delete()
    return job


def _running(admin: User, organization: Organization, name: str, share: float) -> ExportJob:
    total = 2_184_300
    job = make_job(admin, organization, name, **_since("2024-01-01"))
    began = {"queued_at": Now() - timedelta(seconds=13), "started_at": Now() - timedelta(seconds=9), "created_at": Now() - timedelta(seconds=21)}
    ExportJob.objects.filter(pk=job.pk).update(status=JobStatus.IN_PROGRESS, attempt=1, **began)
    JobEvent.objects.filter(job=job).update(at=Now() - timedelta(seconds=21))
    for kind, was, to, seconds in (("queued", "new", "queued", 13), ("started", "queued", "in progress", 9)):
        actor = admin if kind == "queued" else None
        JobEvent.objects.create(
            job=job, kind=kind, from_status=was, to_status=to, attempt=1, actor=actor, at=datetime.now(UTC) - timedelta(seconds=seconds)
        )
    beats = {"claimed_at": datetime.now(UTC) + DAY - timedelta(seconds=9), "beat_at": datetime.now(UTC) + DAY}  # nobody beats, and nobody misses it
    JobAttempt.objects.create(job=job, number=1, token="x", worker="worker-2", rows_total=total, rows_done=int(total * share), **beats)
    return job


def _scheduled(admin: User, organization: Organization) -> ExportSchedule:
    tomorrow = datetime.now(UTC).replace(hour=5, minute=30, second=0, microsecond=0, tzinfo=None) + DAY
    zone: dict[str, Any] = {"timezone": organization.timezone}
    found = [
        keeping.create(admin, organization, name, tomorrow + hours, {**zone, **values})
        for name, hours, values in (
            ("Open work for the morning meeting", timedelta(), {"kind": "daily", "window": "last_30_days", "format": "xlsx"}),
            ("月次レポート", timedelta(hours=2), {"kind": "monthly", "window": "last_month"}),
            ("Warehouse, everything", timedelta(hours=4), {"kind": "weekly"}),
        )
    ]
    made = list(ExportJob.objects.filter(organization=organization, status=JobStatus.DONE).order_by("-created_at")[:4])
    outcomes = ["done", "done", "skipped", "done"]
    assert found[0].next_run_at
    for ago in range(4, 0, -1):
        due = found[0].next_run_at - ago * DAY
        outcome = outcomes[ago - 1]
        detail = "" if outcome == "done" else "The run before it still went on."
        job = made[ago - 1] if outcome == "done" else None
        Firing.objects.create(schedule=found[0], intended_at=due, fired_at=due + timedelta(seconds=21), job=job, outcome=outcome, detail=detail)
    return found[0]


def _days(organization: Organization) -> None:
    chance = random.Random(7)
    today = datetime.now(UTC).date()
    DayTotal.objects.filter(organization=organization).delete()
    for ago, (done, failed, rows) in enumerate(FORTNIGHT):
        rows += chance.randrange(1000) if rows else 0
        DayTotal.objects.create(organization=organization, day=today - ago * DAY, done=done, failed=failed, rows=rows)
