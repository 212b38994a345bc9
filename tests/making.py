"""Shortcuts to jobs for tests."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection

from exports.models import ExportJob
from exports.services import jobs, specs
from tasks.models import Organization, Task, User

EVERYTHING = {"creation_start_date": "1990-01-01", "creation_end_date": "2090-01-01"}


def make_job(user: User, organization: Organization, name: str = "job", **values: Any) -> ExportJob:
    """A new job over everything."""
    return jobs.create(user, organization, specs.make({"org_name": organization.name, "name": name, "type": "basic", **EVERYTHING, **values}))


def make_queued(user: User, organization: Organization, name: str = "job", **values: Any) -> ExportJob:
    """A queued job over everything."""
    job = make_job(user, organization, name, **values)
    jobs.start(user, job)
    return jobs.get(user, job.pk)


def make_tasks(organization: Organization, count: int) -> None:
    """Plain tasks, 1 to `count`."""
    Task.objects.bulk_create([Task(organization=organization, external_id=str(number), title=f"Task {number}") for number in range(1, count + 1)])


def grow_tasks(organization: Organization, doublings: int) -> int:
    """Doubles the organization's tasks again and again, inside the database; returns how many there are."""
    copied = [field.column for field in Task._meta.concrete_fields if field.column not in ("id", "external_id")]
    names = ", ".join(f'"{name}"' for name in copied)
    with connection.cursor() as cursor:
        for _ in range(doublings):
            cursor.execute(f"INSERT INTO tasks_task ({names}) SELECT {names} FROM tasks_task WHERE organization_id = %s", [organization.pk])
    return Task.objects.filter(organization=organization).count()


def as_if_new(table: str) -> None:
    """PostgreSQL plans over the table as over a new one until the transaction ends. Whatever ran before left statistics, and pages in
    the indexes; both weigh in its choice."""
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {table} CASCADE")  # new, empty files
        cursor.execute("DELETE FROM pg_statistic WHERE starelid = %s::regclass", [table])


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Runs the calls in threads that start together; their results or exceptions, in order."""
    barrier = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def run(number: int) -> None:
        try:
            barrier.wait(30)
            results[number] = calls[number]()
        except Exception as error:
            results[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results
