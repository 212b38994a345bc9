"""Why a task is, or is not, in a job's file."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from exports import storage, worker
from exports.models import ExportJob
from exports.services import jobs
from tasks.models import Organization, Task, User
from tests import api
from tests.making import make_job, make_queued

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], APIClient]
WINDOW = {"creation_start_date": "2024-01-01", "creation_end_date": "2024-01-31"}


@pytest.fixture
def ask(client_of: ClientOf, viewer: User) -> Callable[[ExportJob, Any], Any]:
    """What a viewer is told of a task, or the status of the refusal."""

    def ask(job: ExportJob, task: Any) -> Any:
        response = client_of(viewer).get(f"{api.JOBS}/{job.pk}/explain", {"task": task})
        return response.json() if response.status_code == 200 else response.status_code

    return ask


Ask = Callable[[ExportJob, Any], Any]


def task(organization: Organization, moment: str, **values: Any) -> Task:
    return Task.objects.create(organization=organization, title="x", created_at=datetime.fromisoformat(moment), **values)


def codes(answer: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in answer["reasons"]]


@pytest.mark.parametrize(
    ("moment", "included", "code"),
    [
        ("2023-12-31T23:59:59.999999Z", False, "before_window"),
        ("2024-01-01T00:00:00Z", True, "meets_all"),
        ("2024-01-31T23:59:59.999999Z", True, "meets_all"),
        ("2024-02-01T00:00:00Z", False, "after_window"),
    ],
)
def test_the_window_to_the_microsecond(moment: str, included: bool, code: str, ask: Ask, editor: User, acme: Organization) -> None:
    job, found = make_job(editor, acme, **WINDOW), task(acme, moment)
    answer = ask(job, found.pk)
    assert (answer["task"], answer["included"], codes(answer)) == (found.pk, included, [code, "no_file"])
    assert moment in answer["reasons"][0]["detail"]
    if not included:
        assert {"before_window": "2024-01-01T00:00:00Z", "after_window": "2024-02-01T00:00:00Z"}[code] in answer["reasons"][0]["detail"]


@pytest.mark.parametrize("status", ["new", "queued", "in progress", "failed", "cancelled"])
def test_without_a_file_it_says_so(status: str, ask: Ask, editor: User, acme: Organization) -> None:
    job = api.make_job(acme, editor, status)
    assert f"The job is {status}" in ask(job, task(acme, "2024-01-01T00:00:00Z").pk)["reasons"][-1]["detail"]


@pytest.mark.django_db(transaction=True)
def test_it_agrees_with_the_file_and_says_what_changed_since(ask: Ask, editor: User, acme: Organization) -> None:
    days = ("2023-12-31", "2024-01-01", "2024-01-15", "2024-01-31", "2024-02-01")
    tasks = [task(acme, f"{day}T12:00:00Z", external_id=f"day {day}") for day in days]
    job = make_queued(editor, acme, options={"archive": "none"}, **WINDOW)
    worker.run_next()
    job = jobs.get(editor, job.pk)
    with storage.open_file(job.file.key) as file:
        exported = {int(row["id"]) for row in csv.DictReader(io.StringIO(file.read().decode(), newline=""))}
    answers = [ask(job, each.pk) for each in tasks]
    assert {answer["task"] for answer in answers if answer["included"]} == exported
    assert [codes(answer) for answer in answers] == [["before_window"], ["meets_all"], ["meets_all"], ["meets_all"], ["after_window"]]
    tasks[1].save()
    assert codes(ask(job, tasks[1].pk)) == ["meets_all", "changed_after_snapshot"]
    Task.objects.filter(pk=tasks[2].pk).update(created_at=datetime.now(UTC) + timedelta(days=1))
    answer = ask(job, tasks[2].pk)
    assert (answer["included"], codes(answer)) == (False, ["after_window", "created_after_snapshot"])


def test_a_task_is_named_by_id_or_else_by_reference(ask: Ask, editor: User, acme: Organization) -> None:
    job = make_job(editor, acme)
    first = task(acme, "2024-01-01T00:00:00Z", external_id="19-00/ä ?")
    second = task(acme, "2024-01-01T00:00:00Z", external_id=str(first.pk))
    assert ask(job, "19-00/ä ?")["task"] == first.pk
    assert ask(job, first.pk)["task"] == first.pk
    assert ask(job, second.pk)["task"] == second.pk


def test_what_is_not_there_is_404_like_anothers(ask: Ask, client_of: ClientOf, editor: User, acme: Organization, globex: Organization) -> None:
    job, foreign = make_job(editor, acme), task(globex, "2024-01-01T00:00:00Z", external_id="theirs")
    assert [ask(job, name) for name in (foreign.pk, "theirs", 10**17, 10**40, "-1", "²")] == [404] * 6
    bodies = {client_of(editor).get(f"{api.JOBS}/{job.pk}/explain?task={name}").content for name in (foreign.pk, 10**17)}
    assert len(bodies) == 1


def test_wrong_questions(client_of: ClientOf, editor: User, outsider: User, acme: Organization) -> None:
    url = f"{api.JOBS}/{make_job(editor, acme).pk}/explain"
    client = client_of(editor)
    assert [client.get(url + query).status_code for query in ("", "?task=", "?task=%00", "?task=1&task=2", "?tusk=1")] == [400] * 5
    assert client_of(outsider).get(f"{url}?task=1").status_code == 404
