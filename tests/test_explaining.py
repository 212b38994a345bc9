"""Why a task is, or is not, in a job's file."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from exports import filters, storage, worker
from exports.datasets import DATASETS
from exports.models import ExportJob
from exports.services import jobs
from tasks.models import Member, Organization, Task, TaskAssignee, User
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


# -- The filter ----------------------------------------------------------------------------------------------------
def leaf(column: str, op: str, value: Any = None) -> dict[str, Any]:
    return {"column": column, "op": op} | ({} if value is None else {"value": value})


OSLO, OPEN, NORTH = leaf("city", "is", "Oslo"), leaf("status", "is_not", "complete"), leaf("latitude", "gte", 59.5)
ANN, HOT = leaf("assignees", "contains", "ann"), leaf("attributes.heat level", "in", ["7", "8"])
CASES: list[tuple[dict[str, Any], list[str]]] = [
    (OSLO, []),
    ({"all": [OSLO, OPEN, NORTH, ANN, HOT]}, []),
    (leaf("city", "is", "Bergen"), ['This does not hold: city is "Bergen"; its city is "Oslo".']),
    (leaf("zip", "is_not_empty"), ["This does not hold: zip is not empty; its zip is empty."]),
    (
        {"all": [OSLO, leaf("status", "is", "complete"), {"any": [leaf("assignees", "is_empty")]}, leaf("latitude", "lt", 0)]},
        [
            'This does not hold: status is "complete"; its status is "none".',
            'This does not hold: assignees is empty; its assignees is "Joanna; Ben".',
            "This does not hold: latitude is below 0; its latitude is 59.9138688.",
        ],
    ),
    (
        {"any": [leaf("city", "starts_with", "Ber"), {"all": [leaf("city", "is", "Rome"), OPEN]}, leaf("due_on", "is_not_empty")]},
        [
            'None of these holds, and one should: city starts with "Ber"; city is "Rome" and status is not "complete"; due_on is not empty;'
            ' its city is "Oslo" and its status is "none" and its due_on is empty.'
        ],
    ),
    ({"not": OSLO}, ['This holds, and should not: city is "Oslo"; its city is "Oslo".']),
    (
        {"not": {"any": [OSLO, leaf("zip", "is", "1"), {"all": [HOT, ANN]}]}},
        [
            'This holds, and should not: city is "Oslo"; its city is "Oslo".',
            'This holds, and should not: "attributes.heat level" is one of "7", "8" and assignees contains "ann";'
            ' its "attributes.heat level" is "7" and its assignees is "Joanna; Ben".',
        ],
    ),
    ({"not": {"not": leaf("id", "lt", 0)}}, ["This does not hold: id is below 0; its id is {id}."]),
    ({"not": {"not": OSLO}}, []),
    ({"not": {"all": [OSLO, leaf("city", "is", "Rome")]}}, []),
    (leaf("created_at", "on", "2024-01-01"), ['This does not hold: created_at is on "2024-01-01"; its created_at is "2024-01-02T01:30:00+02:00".']),
    (leaf("created_at", "on", "2024-01-02"), []),
]


@pytest.mark.django_db(transaction=True)
def test_each_condition_that_keeps_a_task_out_is_named_and_the_file_agrees(ask: Ask, editor: User, acme: Organization) -> None:
    found = task(acme, "2024-01-01T23:30:00Z", city="Oslo", latitude="59.9138688", attributes={"heat level": 7})
    for position, name in enumerate(("Joanna", "Ben")):
        TaskAssignee.objects.create(task=found, member=Member.objects.create(organization=acme, name=name), position=position)
    for tree, details in CASES:
        job = make_queued(editor, acme, filter=tree, timezone="Europe/Athens", format="ndjson", **WINDOW)
        worker.run_next()
        job = jobs.get(editor, job.pk)
        answer = ask(job, found.pk)
        assert answer["included"] == (job.file.rows == 1) == (not details), tree
        if details:
            assert [reason["detail"] for reason in answer["reasons"]] == [detail.replace("{id}", str(found.pk)) for detail in details]
            assert set(codes(answer)) == {"filter_not_met"}
        else:
            assert codes(answer) == ["meets_all"]
            assert answer["reasons"][0]["detail"].endswith(f"and the filter holds: {filters.in_words(tree, DATASETS['tasks'])}.")


@pytest.mark.django_db(transaction=True)
def test_the_window_and_the_filter_are_both_said_and_what_changed_since_too(ask: Ask, editor: User, acme: Organization) -> None:
    found = task(acme, "2024-01-15T00:00:00Z", body="x" * 500)
    job = make_queued(editor, acme, filter=leaf("body", "is", "Oslo"), **WINDOW)
    worker.run_next()
    job = jobs.get(editor, job.pk)
    Task.objects.filter(pk=found.pk).update(created_at=datetime(2023, 1, 1, tzinfo=UTC), updated_at=datetime.now(UTC))
    answer = ask(job, found.pk)
    assert codes(answer) == ["before_window", "filter_not_met", "changed_after_snapshot"]
    assert answer["reasons"][1]["detail"].endswith("xx….")
    Task.objects.filter(pk=found.pk).update(created_at=datetime(2024, 1, 1, tzinfo=UTC), body="Oslo")
    assert codes(ask(job, found.pk)) == ["meets_all", "changed_after_snapshot"]


def test_a_job_of_another_dataset_has_no_tasks(ask: Ask, editor: User, acme: Organization) -> None:
    job = make_job(editor, acme, type="custom", dataset="cases", filter=leaf("name", "is", "x"))
    answer = ask(job, task(acme, "2024-01-15T00:00:00Z").pk)
    assert (answer["included"], codes(answer)) == (False, ["other_dataset"])
    assert "exports cases" in answer["reasons"][0]["detail"]


def test_a_filter_whose_column_is_gone_is_said(client_of: ClientOf, editor: User, acme: Organization) -> None:
    job = make_job(editor, acme, filter=OSLO)
    ExportJob.objects.filter(pk=job.pk).update(spec=job.spec | {"filter": leaf("town", "is", "Oslo")})
    response = client_of(editor).get(f"{api.JOBS}/{job.pk}/explain", {"task": task(acme, "2024-01-15T00:00:00Z").pk})
    assert (response.status_code, response.json()["error_code"]) == (400, "column_gone")


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
