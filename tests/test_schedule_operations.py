"""Operations of runs of schedules, and of sweeps that removed something: made, followed, read, deleted, pruned."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from exports import worker
from exports.models import ExportFile, ExportJob, ExportSchedule, Firing, Operation, ScheduleEvent, TickLease
from exports.services import jobs, retention
from exports.services.schedules import firing, keeping, settling
from exports.states import JobStatus
from tasks.models import Organization, User
from tests.api import make_job
from tests.making import make_tasks
from tests.scheduling import DAY, HOUR, end_jobs, make_schedule, past

pytestmark = pytest.mark.django_db
TASK = "/api/v2/task"


def seen(client: Any, **filter_: Any) -> list[dict[str, Any]]:
    """The runs' operations as contract 3 lists them, oldest first."""
    found = client.post(f"{TASK}/index", {"filter": {"handler": "ScheduleHandler", **filter_}, "sort": "created_at"})
    assert found.status_code == 200, found.json()
    return list(found.json())


@pytest.mark.django_db(transaction=True)
def test_a_run_is_an_operation_with_its_export_below_it(client_of: Any, admin: User, acme: Organization) -> None:
    make_tasks(acme, 2)
    client, schedule = client_of(admin), make_schedule(admin, acme)
    due = past(schedule, HOUR)
    worker.tick()
    (run,) = seen(client)
    assert (run["status"], run["entity_id"], run["user_id"], run["response"]) == ("pending", str(schedule.pk), str(admin.pk), None)
    assert json.loads(run["request"]) == {"schedule": "nightly", "intended_at": due.isoformat(), "by_hand": False}
    export = Operation.objects.get(handler="ExportHandler")
    assert (str(export.parent_id), export.job) == (run["task_id"], Firing.objects.get().job)
    refused = client.put(f"{TASK}/update/{run['task_id']}", {"status": "completed"})
    assert (refused.status_code, refused.json()["error_code"]) == (409, "status_is_read")
    claim = jobs.claim("w")
    assert claim
    assert seen(client)[0]["status"] == "running"
    jobs.give_back(claim, "stopped", "stopped", is_fault=False)
    assert seen(client)[0]["status"] == "pending"
    worker.run_next()
    (run,) = seen(client, status="completed")
    assert run["response"] is None  # until it is taken down
    settling.settle()
    (run,) = seen(client)
    assert json.loads(run["response"]) == {"outcome": "done", "detail": "", "job": str(export.job_id)}
    refused = client.delete(f"{TASK}/delete/{run['task_id']}")
    assert (refused.status_code, {each["entity_type"] for each in refused.json()["entities"]}) == (400, {"task", "export_job", "export_file"})
    assert client.delete(f"{TASK}/delete/{run['task_id']}?force=true").status_code == 204
    assert not Operation.objects.exists()
    assert not ExportJob.objects.exists()
    assert Firing.objects.get().outcome == "done"  # what its schedule covers stays known


def test_runs_that_made_no_job_and_failed_ones_say_so(client_of: Any, admin: User, acme: Organization) -> None:
    client = client_of(admin)
    empty = make_schedule(admin, acme, skip_when_empty=True, missed="latest")
    past(empty, HOUR + DAY)
    assert firing.fire_due() == 0
    told = [(run["status"], json.loads(run["response"])["outcome"], json.loads(run["response"])["detail"]) for run in seen(client)]
    assert sorted(told) == [("completed", "skipped", "no rows"), ("failed", "missed", "nothing ran at that time")]
    broken = make_schedule(admin, acme)
    past(broken, HOUR)
    ExportSchedule.objects.filter(pk=broken.pk).update(format="papyrus")
    assert firing.fire_due() == 0
    (run,) = seen(client, entity_id=str(broken.pk))
    assert (run["status"], json.loads(run["response"])["outcome"]) == ("failed", "failed")
    failing = make_schedule(admin, acme)
    firing.execute(admin, failing)
    end_jobs(failing, "failed", "no such thing")
    settling.settle()
    (run,) = seen(client, entity_id=str(failing.pk))
    assert (run["status"], json.loads(run["request"])["by_hand"]) == ("failed", True)
    assert json.loads(run["response"])["detail"] == "no such thing"
    # A job that is tried again afterwards is its own matter: the run failed.
    job = jobs.get(admin, json.loads(run["response"])["job"])
    jobs.retry(admin, job)
    assert seen(client, entity_id=str(failing.pk))[0]["status"] == "failed"
    assert Operation.objects.get(job=job).status == "pending"


def test_operations_stay_when_their_schedule_goes(client_of: Any, admin: User, acme: Organization) -> None:
    client, schedule = client_of(admin), make_schedule(admin, acme, overlap="queue", missed="all")
    firing.execute(admin, schedule)
    end_jobs(schedule)
    settling.settle()
    past(schedule, 2 * DAY)
    assert firing.fire_due() == 2
    keeping.delete(admin, keeping.get(admin, schedule.pk))
    runs = seen(client)
    assert [run["status"] for run in runs] == ["completed", "completed", "failed"]
    assert "goes on by itself" in runs[1]["response"]
    assert list(ExportJob.objects.order_by("created_at").values_list("status", flat=True)) == ["done", "queued", "failed"]
    assert Operation.objects.filter(handler="ExportHandler").count() == 3


def test_the_list_asks_the_same_number_of_queries_with_many_runs(client_of: Any, admin: User, acme: Organization) -> None:
    client = client_of(admin)

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.post(f"{TASK}/index", {}).status_code == 200
        return len(queries)

    for _ in range(2):
        firing.execute(admin, make_schedule(admin, acme))
    few = asked()
    for _ in range(5):
        firing.execute(admin, make_schedule(admin, acme))
    assert asked() == few


def test_what_is_pruned_is_an_operation_of_each_organization(
    client_of: Any, acme: Organization, globex: Organization, admin: User, outsider: User
) -> None:
    schedule = make_schedule(admin, acme)
    firing.execute(admin, schedule)
    end_jobs(schedule)
    settling.settle()
    make_job(globex, outsider, JobStatus.FAILED, finished_at=Now())
    long_ago = Now() - timedelta(days=366)
    ExportJob.objects.update(finished_at=long_ago)
    Firing.objects.update(fired_at=long_ago, window_until=None)
    Operation.objects.update(created_at=long_ago)
    ScheduleEvent.objects.update(at=long_ago)
    retention.prune()
    assert not ExportJob.objects.exists()
    assert not Firing.objects.exists()
    assert not ScheduleEvent.objects.exists()
    sweeps = {one.organization: json.loads(one.own_response or "") for one in Operation.objects.all()}
    assert sweeps == {acme: {"jobs": 1, "runs": 1}, globex: {"jobs": 1}}
    Operation.objects.update(created_at=long_ago)
    TickLease.objects.update(until_at=Now() - DAY)
    assert retention.prune() == 2
    assert not Operation.objects.exists()  # that a sweep was forgotten is nobody's news


def test_orphans_of_an_organization_are_told_of(
    acme: Organization, admin: User, settings: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    settings.FILES_ROOT, settings.SPOOL_ROOT = tmp_path / "files", tmp_path / "spool"
    job = make_job(acme, admin, JobStatus.DONE)
    ExportFile.objects.filter(job=job).delete()
    later = time.time() + 2 * 24 * 3600
    monkeypatch.setattr("time.time", lambda: later)
    assert retention.sweep_orphans() == 1
    sweep = Operation.objects.get(handler="SweepHandler")
    assert (sweep.organization, json.loads(sweep.own_response or "")) == (acme, {"stored_files": 1})
