"""`/livez`, `/readyz` and `manage.py ready`."""

from __future__ import annotations

import io
import shutil
import time
from collections import namedtuple
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.db.models.functions import Now
from django.test import Client
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from exports import worker
from exports.models import ExportJob, JobAttempt, QueueProbe, TickLease
from exports.services import readiness
from exports.states import JobStatus
from tasks.models import Organization, User
from tests.fixtures import QCluster
from tests.making import make_queued

pytestmark = pytest.mark.django_db
Usage = namedtuple("Usage", "total used free")


def ready(status: int) -> dict[str, Any]:
    """The checks, asked as a probe asks: by an address that is no host of ours."""
    response = Client().get("/readyz", headers={"host": "10.1.2.3"})
    assert response.status_code == status, response.content
    assert response["Cache-Control"] == "no-store"
    body: dict[str, Any] = response.json()
    assert body["status"] == ("ready" if status == 200 else "not ready")
    return body["checks"]


@pytest.fixture
def working() -> None:
    """The state a minute after both clusters have started."""
    worker.tick()
    worker.echo("exports")
    worker.echo("control")


def ago(**delta: int) -> Any:
    return Now() - timedelta(**delta)


def test_alive_whatever_the_host_the_scheme_and_the_database(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.SECURE_SSL_REDIRECT = True

    def away(*_: Any) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(connection, "cursor", away)
    for path in ("/livez", "/livez/"):
        response = Client().get(path, headers={"host": "10.1.2.3"})
        assert (response.status_code, response.json()) == (200, {"status": "alive"})
    assert Client().post("/livez").status_code == 405
    assert Client().post("/readyz")["Allow"] == "GET, HEAD"
    assert ready(503) == {"database": {"ok": False, "detail": "no answer"}}


def test_not_ready_before_the_clusters_have_started() -> None:
    checks = ready(503)
    assert [name for name, check in checks.items() if not check["ok"]] == ["tick", "queue_exports", "queue_control"]
    assert "start the exports cluster" in checks["queue_exports"]["detail"]


def test_ready_once_the_probes_have_come_back(working: None) -> None:
    checks = ready(200)
    assert list(checks) == ["database", "storage", "waiting", "tick", "queue_exports", "queue_control"]
    assert checks["waiting"] == {"ok": True, "seconds": 0}
    assert checks["queue_exports"]["seconds"] < 60


def test_a_cluster_that_is_silent_turns_it_red(working: None, acme: Organization, editor: User) -> None:
    QueueProbe.objects.filter(cluster="exports").update(echoed_at=ago(seconds=301))
    assert ready(503)["queue_exports"]["detail"] == "restart the exports cluster"
    # All workers at work: no wonder that nobody took it. One that does not beat is not at work.
    for number in range(2):
        job = make_queued(editor, acme, str(number))
        ExportJob.objects.filter(pk=job.pk).update(status=JobStatus.IN_PROGRESS, attempt=1)
        JobAttempt.objects.create(job=job, number=1, token="t" * 16, worker="w")
    assert ready(200)["queue_exports"]["detail"] == "all workers are at work"
    JobAttempt.objects.filter(job=job).update(beat_at=ago(seconds=120))
    assert not ready(503)["queue_exports"]["ok"]


def test_chores_that_are_not_done_turn_it_red(working: None) -> None:
    TickLease.objects.filter(name="tick").update(until_at=ago(seconds=400))
    assert ready(503)["tick"]["seconds"] >= 400


def test_a_job_that_waits_for_too_long_turns_it_red_unless_its_organization_is_at_its_limit(
    working: None, acme: Organization, editor: User, settings: Any
) -> None:
    jobs = [make_queued(editor, acme, str(number)) for number in range(3)]
    ExportJob.objects.filter(pk=jobs[0].pk).update(available_at=ago(minutes=61))
    assert ready(503)["waiting"]["seconds"] >= 3660
    ExportJob.objects.filter(pk__in=[job.pk for job in jobs[1:]]).update(status=JobStatus.IN_PROGRESS)
    assert ready(200)["waiting"] == {"ok": True, "seconds": 0}


def test_a_full_disk_turns_it_red(working: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100, 100, 0))
    assert ready(503)["storage"] == {"ok": False, "detail": "no space left below VAR"}


def test_the_tick_sends_a_probe_when_the_last_came_back_or_was_lost() -> None:
    def sent() -> list[str]:
        queued = [SignedPackage.loads(one.payload) for one in OrmQ.objects.order_by("pk")]
        OrmQ.objects.all().delete()
        return [one["args"][0] for one in queued]

    assert readiness.send_probes() == 2
    assert sent() == ["exports", "control"]
    assert readiness.send_probes() == 0  # on their way
    worker.echo("exports")
    assert readiness.send_probes() == 1
    assert sent() == ["exports"]
    QueueProbe.objects.update(sent_at=ago(seconds=601))
    assert readiness.send_probes() == 2


def test_a_probe_that_waited_rings_for_jobs_that_wait(acme: Organization, editor: User) -> None:
    make_queued(editor, acme)
    OrmQ.objects.all().delete()  # the doorbell is lost
    worker.echo("control")
    assert not OrmQ.objects.exists()
    worker.echo("exports")
    assert OrmQ.objects.count() == 1


def test_the_command_says_the_same_and_ends_with_1(working: None) -> None:
    out = io.StringIO()
    call_command("ready", stdout=out)
    assert "database: ok\n" in out.getvalue()
    QueueProbe.objects.filter(cluster="exports").update(echoed_at=None)
    with pytest.raises(CommandError):
        call_command("ready", stdout=out)
    call_command("ready", "queue_control", stdout=out)
    with pytest.raises(CommandError, match="no such check"):
        call_command("ready", "nonsense", stdout=out)


@pytest.mark.serial
def test_a_probe_goes_through_a_real_cluster(qcluster: QCluster) -> None:
    readiness.send_probes()
    with qcluster("exports"):
        for _ in range(200):
            if QueueProbe.objects.filter(cluster="exports", echoed_at__isnull=False).exists():
                break
            time.sleep(0.1)
    assert [check.is_ok for check in readiness.look("queue_exports", "queue_control")] == [True, False]
