"""What makes long lists quick: remembered and estimated totals, pages by ids, attribute keys by their shapes, a schedule's newest runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import caches
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from exports.models import ExportJob, ExportSchedule, Firing, Kind, Operation
from exports.services import attributes, jobs
from exports.services.operations import recording
from exports.services.schedules import reading
from exports.states import JobStatus
from tasks import lists
from tasks.models import Organization, Platform, Task, User
from tests.api import JOBS, make_job
from tests.making import as_if_new

pytestmark = pytest.mark.django_db
ON_POSTGRES = connection.vendor == "postgresql"
ClientOf = Callable[[User], APIClient]


@pytest.fixture(autouse=True)
def no_total_yet() -> None:
    caches["totals"].clear()


def test_a_small_total_is_counted_and_a_large_one_remembered_for_a_while(
    client_of: ClientOf, viewer: User, acme: Organization, outsider: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(viewer)

    def total(**query: Any) -> int:
        return int(client.get(JOBS, query).json()["meta"]["total"])

    for number in range(1, 4):
        make_job(acme, viewer)
        assert total() == number
    monkeypatch.setattr(lists, "MANY", 2)
    assert total() == 3
    job = make_job(acme, viewer)
    assert (total(), total(status="new"), total(type="fedex")) == (3, 4, 0)  # each search has its own
    assert str(job.pk) == client.get(JOBS).json()["jobs"][0]["id"]  # the rows are never remembered
    assert client_of(outsider).get(JOBS).json()["meta"]["total"] == 0
    caches["totals"].clear()  # as a minute does
    assert total() == 4


def test_an_estimate_is_exact_for_few_rows(acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    Task.objects.bulk_create(Task(organization=acme, title=f"{number}") for number in range(20))
    rows = Task.objects.filter(organization=acme).order_by("-pk")
    assert lists.estimate(rows) == 20
    monkeypatch.setattr(lists, "MANY_SHOWN", 5)
    if ON_POSTGRES:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE tasks_task")
    assert lists.estimate(rows) == 20  # of PostgreSQL's statistics, which are fresh
    assert [task.title for task in lists.page(rows, 18, 5)] == ["1", "0"]
    assert lists.page(rows, 20, 5) == lists.page(rows.none(), 0, 5) == []


def test_the_admins_pages_are_the_same_however_they_are_counted(
    staff_client_of: Callable[[User], Client], admin: User, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = staff_client_of(admin)
    Task.objects.bulk_create(Task(organization=acme, title=f"Title {number:02}") for number in range(60))
    monkeypatch.setattr(lists, "MANY_SHOWN", 30)
    if ON_POSTGRES:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE tasks_task")
    first, last = (client.get("/admin/tasks/task/", {"p": page}).content.decode() for page in (1, 2))
    assert "60 tasks" in first
    assert all((f"Title {number:02}" in first) == (number >= 10) for number in range(60))
    assert all((f"Title {number:02}" in last) == (number < 10) for number in range(60))
    beyond = client.get("/admin/tasks/task/", {"p": 3})  # there might be more than is estimated
    assert beyond.status_code == 200
    assert "Title" not in beyond.content.decode().partition('id="changelist-form"')[2]
    # No database counts to such a place.
    assert client.get("/admin/tasks/task/", {"p": "9" * 30})["Location"] == "/admin/tasks/task/?e=1"


def test_an_owners_list_has_organizations_and_platform_and_nothing_else(
    client_of: ClientOf, owner: User, viewer: User, outsider: User, platform: Platform, acme: Organization, globex: Organization
) -> None:
    stranger = Organization.objects.create(slug="stranger", name="Stranger")
    seen = [make_job(acme, viewer), make_job(globex, outsider)]
    theirs = make_job(acme, viewer)
    ExportJob.objects.filter(pk=theirs.pk).update(organization=None, platform=platform)
    make_job(stranger, viewer)
    for rows in (jobs.visible, jobs.listed):
        assert {job.pk for job in rows(owner)} == {job.pk for job in (*seen, theirs)}
        assert {job.pk for job in rows(viewer)} == {seen[0].pk}
        assert rows(User(is_superuser=True)).count() == 4
        assert not rows(None)
        assert not rows(User(pk=owner.pk, is_active=False))
    found = client_of(owner).get(JOBS, {"per_page": 2})
    assert found.json()["meta"]["total"] == 3
    behind = client_of(owner).get(found["Link"].partition(">")[0].removeprefix("<")).json()["jobs"]
    assert {job["id"] for job in (*found.json()["jobs"], *behind)} == {str(job.pk) for job in (*seen, theirs)}


def test_attribute_keys_are_those_of_all_shapes(acme: Organization, globex: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    values: list[Any] = [{}, {"a": 1}, {"b": None, "a": []}, {"a": 2}, {"ключ": {"inner": 1}}, [{"listed": 1}], "text", 7, {"": 1}]
    Task.objects.bulk_create(Task(organization=acme, title="x", attributes=value) for value in values)
    Task.objects.create(organization=globex, title="x", attributes={"foreign": 1})
    for most in (2_000, 1):  # by steps through the index, and by a look at every task
        monkeypatch.setattr(attributes, "MOST_SHAPES", most)
        assert attributes.keys(acme) == ["a", "b", "ключ"]
        assert attributes.keys(globex) == ["foreign"]
    Task.objects.filter(attributes__has_key="ключ").delete()
    assert attributes.keys(acme) == ["a", "b"]


@pytest.mark.skipif("connection.vendor != 'postgresql'")
def test_attribute_keys_come_out_of_an_index() -> None:
    as_if_new("tasks_task")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {attributes._SHAPES}", {"organization": 1})
        plan = json.dumps(cursor.fetchall())
    assert plan.count("task_by_shape") == 2, plan
    assert "Sort" not in plan, plan


@pytest.mark.skipif("connection.vendor != 'postgresql'")
@pytest.mark.parametrize(
    "values", [{}, {"type": "basic"}, {"status": "done"}, {"status": "done", "type": "basic"}, {"created_by": 1}, {"format": "xlsx"}]
)
def test_ids_of_jobs_come_out_of_an_index_alone(viewer: User, owner: User, acme: Organization, values: dict[str, Any]) -> None:
    as_if_new("exports_exportjob")
    with connection.cursor() as cursor:
        for name in ("seqscan", "sort", "bitmapscan"):
            cursor.execute(f"SET LOCAL enable_{name} = off")
    for user in (viewer, owner):
        plan = jobs.listed(user).filter(**values).values_list("pk", flat=True)[:26].explain()
        assert "Index Only Scan using job_list" in plan, plan
        assert "Sort" not in plan, plan


def test_a_log_reads_each_schedules_newest_runs(admin: User, acme: Organization) -> None:
    values = {"organization": acme, "owner": admin, "kind": Kind.DAILY, "timezone": "UTC", "starts_on_clock": "2030-01-01T02:30:00"}
    schedules = [ExportSchedule.objects.create(name=f"{number}", **values) for number in range(3)]
    now = datetime.now(UTC)
    for number in range(12):
        for schedule, runs in zip(schedules, (12, 3, 0), strict=True):
            if number < runs:
                Firing.objects.create(schedule=schedule, intended_at=now + timedelta(days=number), outcome="skipped", detail=f"{number}")

    def told(limit: int, offset: int = 0) -> list[list[str]]:
        found = reading.logs(schedules, limit, offset)
        return [[line.msg.split()[1] for line in found.get(schedule.pk, [])] for schedule in schedules]

    assert told(2) == [["11", "10"], ["2", "1"], []]
    assert told(5, 9) == [["2", "1", "0"], [], []]


def test_each_move_of_a_job_shows_in_its_operation(acme: Organization, editor: User) -> None:
    job = make_job(acme, editor)

    def shown() -> str:
        return Operation.objects.get(job=job).status

    assert shown() == "pending"
    jobs.start(editor, job)
    assert shown() == "pending"
    claim = jobs.claim("worker")
    assert claim
    assert shown() == "running"
    jobs.fail(claim, "x", "broken")
    assert shown() == "failed"
    before = Operation.objects.get(job=job).updated_at
    jobs.retry(editor, ExportJob.objects.get(pk=job.pk))
    assert shown() == "pending"
    assert Operation.objects.get(job=job).updated_at >= before
    jobs.cancel(editor, ExportJob.objects.get(pk=job.pk))
    assert shown() == "failed"
    assert {recording.WORDS[status] for status in JobStatus} == {"pending", "running", "completed", "failed"}


@pytest.mark.parametrize("path", ["/admin/exports/exportjob/", "/admin/tasks/task/"])
def test_a_page_of_the_admin_takes_as_many_queries_for_ten_rows_as_for_one(
    staff_client_of: Callable[[User], Client], admin: User, acme: Organization, path: str
) -> None:
    client, counts = staff_client_of(admin), []
    for more in (1, 9):
        for _ in range(more):
            make_job(acme, admin, JobStatus.DONE)
            Task.objects.create(organization=acme, title="x")
        with CaptureQueriesContext(connection) as queries:
            assert client.get(path).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 14


@pytest.mark.parametrize(
    "query",
    [
        *("exports/delivery/?state=%00", "exports/operation/?status=%00", "exports/exportschedule/?kind=%00", "exports/exportjob/?format=%00"),
        *("exports/exportjob/?status__exact=%00", "exports/webhook/?name=a%00", "tasks/task/?status__exact=%00", "exports/exportjob/add/?spec=%00"),
    ],
)
def test_a_nul_in_the_query_of_a_screen_is_400(staff_client_of: Callable[[User], Client], admin: User, query: str) -> None:
    assert staff_client_of(admin).get(f"/admin/{query}").status_code == 400
