"""The calls that `benchmarks.lists` times: each list and read of the five contracts, the admin's overview, its long lists, and its polls."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from django.test import Client

from benchmarks.filling import PASSWORD, Filled
from exports.models import ExportJob, ExportSchedule, Operation
from exports.states import ACTIVE, JobStatus
from tasks.models import Task

FIRST_MS, DEEP_MS, PAGE_MS = 50, 300, 300  # reads and first pages; filtered totals and deep pages; a page of the admin
POLL_MS = 20  # of a page that watches; its query takes a few of them
JOBS, TASKS, INDEX, V3, SERVICES = "/api/v1/export-jobs", "/api/v1/tasks", "/api/v2/task/index", "/api/v3", "/api/services"


@dataclass(frozen=True)
class Call:
    """One request, as somebody sends it, and how long it may take at the median."""

    name: str
    bound_ms: int
    path: str
    query: Any = None  # of a GET; a POST's body where the path is INDEX
    client: str = "service"

    def send(self, clients: dict[str, Client]) -> Any:
        """The answer, which must be 200."""
        client = clients[self.client]
        if self.path == INDEX:
            response: Any = client.post(self.path, json.dumps(self.query), content_type="application/json")
        else:
            response = client.get(self.path, self.query)
        if response.status_code != 200:
            raise RuntimeError(f"{self.name}: {response.status_code} {response.content[:500]!r}")
        return response


def clients(filled: Filled) -> dict[str, Client]:
    """A service account by its token, the platform's owner by a password's, and staff in the admin."""
    staff, anonymous = Client(), Client()
    staff.force_login(filled.staff)
    signed_in: Any = anonymous.post("/api/token", json.dumps({"email": filled.owner.email, "password": PASSWORD}), content_type="application/json")
    return {
        "service": Client(headers={"Authorization": f"Bearer {filled.token}"}),
        "owner": Client(headers={"Authorization": f"Bearer {signed_in.json()['access']}"}),
        "staff": staff,
    }


def calls(filled: Filled) -> list[Call]:
    """All of them, by contract."""
    return [*_jobs(filled), *_case_tasks(filled), *_operations(filled), *_task_exports(filled), *_scheduled(filled), *_admin(filled)]


def _last(count: int, size: int) -> int:
    """The number of the last full page."""
    return max(1, count // size)


def _cursor(*place: Any) -> str:
    """As `next_link` writes it."""
    return base64.urlsafe_b64encode(" ".join(map(str, place)).encode()).decode()


def _days(rows: Any, share: float) -> str:
    """The day at which this share of the rows has been made."""
    times = rows.order_by("created_at").values_list("created_at", flat=True)
    return str(times[int(rows.count() * share)].date().isoformat())


def _jobs(filled: Filled) -> Iterator[Call]:
    mine = ExportJob.objects.filter(organization=filled.organization)
    total, done = mine.count(), mine.filter(status=JobStatus.DONE).count()
    middle, later = _days(mine, 0.5), _days(mine, 0.52)
    yield Call("1 jobs", FIRST_MS, JOBS)
    yield Call("1 one job", FIRST_MS, f"{JOBS}/{mine.filter(status=JobStatus.DONE)[total // 2].pk}")
    yield Call("1 one queued job", FIRST_MS, f"{JOBS}/{mine.filter(status=JobStatus.QUEUED)[0].pk}")
    yield Call("1 jobs done", DEEP_MS, JOBS, {"status": "done"})
    yield Call("1 jobs failed", DEEP_MS, JOBS, {"status": "failed"})
    yield Call("1 jobs of type basic", DEEP_MS, JOBS, {"type": "basic"})
    yield Call("1 jobs done of type fedex", DEEP_MS, JOBS, {"type": "fedex", "status": "done"})
    yield Call("1 jobs of a week", DEEP_MS, JOBS, {"created_from": middle, "created_to": later})
    yield Call("1 jobs of half the time", DEEP_MS, JOBS, {"created_to": middle})
    yield Call("1 last page", DEEP_MS, JOBS, {"page": _last(total, 50)})
    yield Call("1 last page of done", DEEP_MS, JOBS, {"page": _last(done, 50), "status": "done"})
    yield Call("1 last page of type basic", DEEP_MS, JOBS, {"page": _last(mine.filter(type="basic").count(), 50), "type": "basic"})
    half = mine[total // 2]
    yield Call("1 from a cursor half way", DEEP_MS, JOBS, {"cursor": _cursor(half.created_at.isoformat(), half.pk)})
    yield Call("1 owner's jobs", FIRST_MS, JOBS, client="owner")
    yield Call("1 owner's jobs failed", DEEP_MS, JOBS, {"status": "failed"}, client="owner")
    yield Call("1 owner's last page", DEEP_MS, JOBS, {"page": _last(total, 50)}, client="owner")
    yield Call("1 owner's jobs of one org", FIRST_MS, JOBS, {"org_id": str(filled.organization.uuid)}, client="owner")


def _case_tasks(filled: Filled) -> Iterator[Call]:
    mine = Task.objects.filter(organization=filled.organization)
    total, some = mine.count(), mine.filter(calendar__isnull=False, case__isnull=False, assignee__isnull=False)[0]
    yield Call("2 tasks", FIRST_MS, TASKS)
    yield Call("2 one task", FIRST_MS, f"{TASKS}/{some.pk}")
    yield Call("2 complete tasks", FIRST_MS, TASKS, {"status": "complete"})
    yield Call("2 tasks by title", DEEP_MS, TASKS, {"title": "meter"})
    yield Call("2 tasks of a calendar", FIRST_MS, TASKS, {"calendar": some.calendar_id})
    yield Call("2 tasks of a case", FIRST_MS, TASKS, {"case": some.case_id})
    yield Call("2 tasks of a user", DEEP_MS, TASKS, {"user": some.assignee_id})
    yield Call("2 tasks due in a month", FIRST_MS, TASKS, {"due_from": "2024-02-01", "due_to": "2024-02-29"})
    yield Call("2 tasks by update", FIRST_MS, TASKS, {"sort": "updated_at"})
    yield Call("2 count", DEEP_MS, TASKS, {"mode": "count"})
    yield Call("2 count of complete", DEEP_MS, TASKS, {"mode": "count", "status": "complete"})
    yield Call("2 count by title", DEEP_MS, TASKS, {"mode": "count", "title": "meter"})
    yield Call("2 last page", DEEP_MS, TASKS, {"page": _last(total, 25)})
    yield Call("2 last page of complete", DEEP_MS, TASKS, {"page": _last(mine.filter(status="complete").count(), 25), "status": "complete"})
    half = mine.order_by("-created_at", "-pk")[total // 2]
    place = ("created_at", "desc", f".{quote(half.created_at.isoformat(), safe='')}", half.pk)
    yield Call("2 from a cursor half way", FIRST_MS, TASKS, {"cursor": _cursor(*place)})
    for name in ("cases", "subjects", "calendars", "case-services", "users"):
        yield Call(f"2 {name}", FIRST_MS, f"/api/v1/{name}")


def _operations(filled: Filled) -> Iterator[Call]:
    mine = Operation.objects.filter(organization=filled.organization, historized=False)
    total, done = mine.count(), mine.filter(status="completed").count()
    some = mine.filter(job__isnull=False)[total // 2]
    day = some.created_at.date().isoformat()
    filters: dict[str, dict[str, Any]] = {
        "completed": {"status": "completed"},
        "failed": {"status": "failed"},
        "pending": {"status": "pending"},
        "of a handler": {"handler": "ExportHandler"},
        "of a rare handler": {"handler": "ImportHandler", "status": "pending"},
        "of a user": {"user_id": str(some.user_id)},
        "of an entity": {"entity_id": some.entity_id},
        "of a day": {"created_at": day},
        "changed on a day": {"updated_at": day},
    }
    yield Call("3 operations", FIRST_MS, INDEX, {})
    yield Call("3 one operation", FIRST_MS, f"/api/v2/task/view/{some.pk}")
    for name, wanted in filters.items():
        yield Call(f"3 operations {name}", DEEP_MS, INDEX, {"filter": wanted})
    yield Call("3 operations with history", FIRST_MS, INDEX, {"history": True})
    yield Call("3 operations by change", DEEP_MS, INDEX, {"sort": "-updated_at"})
    yield Call("3 operations by status", DEEP_MS, INDEX, {"sort": "status"})
    yield Call("3 last page", DEEP_MS, INDEX, {"page": _last(total, 100)})
    yield Call("3 last page of completed", DEEP_MS, INDEX, {"page": _last(done, 100), "filter": {"status": "completed"}})


def _task_exports(filled: Filled) -> Iterator[Call]:
    tasks = Task.objects.filter(organization=filled.organization)
    some = tasks.filter(assignee__email__gt="", flow__isnull=False)[0]
    assert some.assignee  # it was asked for
    log = f"{V3}/tasks/export-log"
    email = filled.staff.email
    yield Call("4 export log", FIRST_MS, log)
    yield Call("4 export log of another", FIRST_MS, log, {"email": email})
    yield Call("4 export log, done", DEEP_MS, log, {"status": "Done"})
    yield Call("4 export log by name", DEEP_MS, log, {"dataName": "north"})
    yield Call("4 export log by rows", DEEP_MS, log, {"sortBy": "totalRecords"})
    yield Call("4 export log, page 100", DEEP_MS, log, {"page": 100})
    yield Call("4 tasks", FIRST_MS, f"{V3}/tasks")
    yield Call("4 tasks done", FIRST_MS, f"{V3}/tasks", {"status": "DONE"})
    yield Call("4 tasks of a flow", DEEP_MS, f"{V3}/tasks", {"flowId": str(some.flow_id)})
    yield Call("4 tasks of an assignee", DEEP_MS, f"{V3}/tasks", {"assignee": some.assignee.email})
    yield Call("4 tasks with an attribute", DEEP_MS, f"{V3}/tasks", {"fields": "_id,title,priority"})
    yield Call("4 tasks, last page", DEEP_MS, f"{V3}/tasks", {"page": _last(tasks.count(), 30)})
    for name in ("flows", "hubs", "export-configs"):
        yield Call(f"4 {name}", FIRST_MS, f"{V3}/{name}")


def _scheduled(filled: Filled) -> Iterator[Call]:
    some = ExportSchedule.objects.filter(organization=filled.organization)[0]
    tasks = f"{SERVICES}/tasks"
    yield Call("5 scheduled tasks", FIRST_MS, tasks)
    yield Call("5 scheduled tasks, all of them", DEEP_MS, tasks, {"limit": 500})
    yield Call("5 scheduled tasks that are ready", DEEP_MS, tasks, {"status": "READY"})
    yield Call("5 one scheduled task", FIRST_MS, f"{tasks}/{some.pk}")
    yield Call("5 deep in its log", DEEP_MS, f"{tasks}/{some.pk}", {"offset": 1000, "log_limit": 50})
    yield Call("5 segments", FIRST_MS, f"{SERVICES}/segments")


def _admin(filled: Filled) -> Iterator[Call]:
    jobs, tasks = "/admin/exports/exportjob/", "/admin/tasks/task/"
    total = ExportJob.objects.filter(organization=filled.organization).count()
    for name, path, words in (("jobs", jobs, "north"), ("tasks", tasks, "meter")):
        yield Call(f"admin {name}", PAGE_MS, path, client="staff")
        yield Call(f"admin {name} by status", PAGE_MS, path, {"status__exact": {"jobs": "done", "tasks": "complete"}[name]}, client="staff")
        yield Call(f"admin {name}, search", PAGE_MS, path, {"q": words}, client="staff")
        yield Call(f"admin {name}, last page", PAGE_MS, path, {"p": _last(total, 50)}, client="staff")
    yield Call("admin overview", PAGE_MS, "/admin/", client="staff")
    yield Call("admin jobs of a format", PAGE_MS, jobs, {"format": "xlsx"}, client="staff")
    yield Call("admin jobs of a format nobody asked for", PAGE_MS, jobs, {"format": "parquet"}, client="staff")
    yield Call("admin jobs of an owner", PAGE_MS, jobs, {"by": filled.staff.pk}, client="staff")
    yield Call("admin jobs of a schedule", PAGE_MS, jobs, {"schedule": ExportSchedule.objects.all()[0].pk}, client="staff")
    month = {"created_at__gte": "2026-01-01T00:00Z", "created_at__lt": "2026-02-01T00:00Z"}
    yield Call("admin jobs of a month", PAGE_MS, jobs, month, client="staff")
    running = ExportJob.objects.filter(organization=filled.organization, status__in=ACTIVE).order_by("-created_at")
    ids = ",".join(str(pk) for pk in running.values_list("pk", flat=True)[:50])
    yield Call("admin poll of a list", POLL_MS, f"{jobs}live/", {"ids": ids}, client="staff")
    yield Call("admin poll of one job", POLL_MS, f"{jobs}live/", {"ids": ids[:36]}, client="staff")
    yield Call("admin jobs failed", PAGE_MS, jobs, {"status__exact": "failed"}, client="staff")
    yield Call("admin tasks, search by reference", PAGE_MS, tasks, {"q": "demo-77"}, client="staff")
