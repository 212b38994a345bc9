"""Contract 2 as its source has it: its own examples, word for word, every parameter, every field of the answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from rest_framework.test import APIClient

from tasks.models import Calendar, Case, CaseService, Member, Organization, Subject, Task, TaskStatus, User
from tests.case_tasks import TASKS

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], APIClient]

# The source's example request, and its example address. The ids must exist, so the rows below have them.
REQUEST = """
{
"task": {
"casefile_id": 245,
"subject_id": 209,
"case_service_id": 1,
"calendar_id": 1,
"due_on": "2023-02-14",
"alert_at": "2023-02-01",
"title": "Test API Task",
"body": "this is a test task from the API",
"address": {
"address_1": "2000 Blake Street",
"address_2": "",
"address_3": "",
"city": "Denver",
"state": "CO",
"zip": 80202
},
"users_list": [1, 2, 3]
}
}
"""
ADDRESS = """
{
"address_1": "2000 Blake Street",
"address_2": "",
"address_3": "",
"city": "Denver",
"state": "CO",
"zip": 80202,
"country": "US"
}
"""
FIELDS = {
    "id", "reference", "casefile_id", "calendar_id", "subject_id", "case_service_id", "due_on", "alert_at",
    "alert_sent_at", "title", "body", "status", "completed_at", "created_at", "updated_at",
    "address", "users_list", "Casefile", "Subject", "Calendar", "Users",
}  # fmt: skip


@pytest.fixture
def source(acme: Organization, editor: User) -> None:
    """The rows that the source's examples name."""
    Case.objects.create(pk=245, organization=acme, name="Case 245")
    Subject.objects.create(pk=209, organization=acme, case_id=245, name="Subject 209")
    Calendar.objects.create(pk=1, organization=acme, name="Calendar 1")
    CaseService.objects.create(pk=1, organization=acme, name="Service 1")
    Member.objects.filter(user=editor).update(organization=acme)
    for pk in (1, 2, 3):
        Member.objects.update_or_create(pk=pk, defaults={"organization": acme, "name": f"User {pk}"})
    Member.objects.update_or_create(user=editor, defaults={"organization": acme, "role": "editor", "name": "Editor"})


@pytest.fixture
def client(client_of: ClientOf, editor: User, source: None) -> APIClient:
    return client_of(editor)


def post(client: APIClient, text: str) -> Any:
    return client.generic("POST", TASKS, text, content_type="application/json")


def test_the_example_request_makes_the_task_and_answers_all_its_fields(client: APIClient, acme: Organization) -> None:
    response = post(client, REQUEST)
    assert response.status_code == 201, response.content
    made = response.json()
    assert set(made) == FIELDS
    asked = json.loads(REQUEST)["task"]
    assert {name: made[name] for name in asked if name not in {"address", "alert_at"}} == {
        name: value for name, value in asked.items() if name not in {"address", "alert_at"}
    }
    assert made["alert_at"] == "2023-02-01T00:00:00Z"
    assert made["address"] == asked["address"] | {"zip": "80202", "country": ""}
    assert made["Casefile"] == {"id": 245, "name": "Case 245"}
    assert made["Subject"] == {"id": 209, "name": "Subject 209"}
    assert made["Calendar"] == {"id": 1, "name": "Calendar 1"}
    assert [user["id"] for user in made["Users"]] == [1, 2, 3]
    assert set(made["Users"][0]) == {"id", "name", "email"}
    assert (made["status"], made["completed_at"], made["alert_sent_at"], made["reference"]) == ("none", None, None, None)
    assert made["created_at"].endswith("Z")
    assert made["updated_at"].endswith("Z")
    assert response["Location"] == f"http://testserver{TASKS}/{made['id']}"
    # Getting a task, by its numeric id; and listing tasks: a collection, which is a bare array.
    for path in (f"{TASKS}/{made['id']}", f"{TASKS}/{made['id']}/"):
        assert client.get(path).json() == made
    for path in (TASKS, f"{TASKS}/"):
        assert client.get(path).json() == [made]
    assert Task.objects.get().assignee_id == 1


def test_the_example_address_with_its_country(client: APIClient) -> None:
    body = json.loads(REQUEST)
    body["task"]["address"] = json.loads(ADDRESS)
    assert client.post(TASKS, body).json()["address"] == json.loads(ADDRESS) | {"zip": "80202"}


@pytest.mark.parametrize("name", ["casefile_id", "calendar_id", "due_on", "title"])
def test_each_required_parameter_is_required(client: APIClient, name: str) -> None:
    body = json.loads(REQUEST)
    del body["task"][name]
    response = client.post(TASKS, body)
    assert response.status_code == 400
    assert list(response.json()["error"]["fields"]) == [name]
    assert not Task.objects.exists()


@pytest.mark.parametrize("name", ["subject_id", "case_service_id", "alert_at", "body", "address", "users_list"])
def test_each_other_parameter_may_be_left_out(client: APIClient, name: str) -> None:
    body = json.loads(REQUEST)
    del body["task"][name]
    assert client.post(TASKS, body).status_code == 201


def test_the_object_must_be_nested_under_task(client: APIClient) -> None:
    response = client.post(TASKS, json.loads(REQUEST)["task"])
    assert response.status_code == 400
    assert client.post(TASKS, {}).json()["error"]["fields"] == {"task": ["This field is required."]}
    assert not Task.objects.exists()


def test_the_subject_must_be_of_the_same_case(client: APIClient, acme: Organization) -> None:
    other = Case.objects.create(organization=acme, name="Another")
    body = json.loads(REQUEST)
    body["task"]["casefile_id"] = other.pk
    response = client.post(TASKS, body)
    assert response.status_code == 422
    assert list(response.json()["error"]["fields"]) == ["subject_id"]
    assert not Task.objects.exists()


def test_every_request_parameter_of_the_list_filters(client: APIClient, acme: Organization) -> None:
    """Each parameter of the source's table finds the one task that it means, and not the other."""
    post(client, REQUEST)
    times = {"completed_at": 1, "alert_at": 2, "alert_sent_at": 3, "created_at": 4, "updated_at": 5}
    Task.objects.update(status="complete", **{name: datetime(2023, 2, day, 12, tzinfo=UTC) for name, day in times.items()})
    mine = Task.objects.get()
    other = Task.objects.create(organization=acme, title="Another", status="in_progress", due_on="2024-01-01")
    Task.objects.filter(pk=other.pk).update(**{name: datetime(2024, 1, 1, tzinfo=UTC) for name in times})

    def found(**query: Any) -> set[int]:
        response = client.get(TASKS, query)
        assert response.status_code == 200, (query, response.content)
        return {task["id"] for task in response.json()}

    assert found() == {mine.pk, other.pk}
    for query in ({"id": mine.pk}, {"title": "api"}, {"calendar": 1}, {"case": 245}, {"subject": 209}, {"user": 2}, {"status": "complete"}):
        assert found(**query) == {mine.pk}, query
    for first, last in (("due_from", "due_to"), ("from", "to"), ("From", "To")):
        assert found(**{first: "2023-02-14", last: "2023-02-14"}) == {mine.pk}
        assert found(**{first: "2023-02-15"}) == {other.pk}
        assert found(**{last: "2023-02-13"}) == set()
    for name, day in (("complete", 1), ("alert", 2), ("alert_sent", 3), ("created", 4), ("updated", 5)):
        for text in (f"2023-02-0{day}", f"2023-02-0{day} 12:00:00", f"2023-02-0{day}T12:00:00Z", f"2023-02-0{day}T14:00:00+02:00"):
            assert found(**{f"{name}_from": text, f"{name}_to": text}) == {mine.pk}, (name, text)
        assert found(**{f"{name}_from": f"2023-02-0{day} 12:00:01"}) == {other.pk}
        assert found(**{f"{name}_to": f"2023-02-0{day} 11:59:59"}) == set()


def test_the_four_statuses_and_no_other(client: APIClient) -> None:
    assert TaskStatus.values == ["none", "needs_action", "in_progress", "complete"]
    for status in TaskStatus.values:
        body = json.loads(REQUEST)
        body["task"]["status"] = status
        assert client.post(TASKS, body).json()["status"] == status
        assert [task["status"] for task in client.get(TASKS, {"status": status}).json()] == [status]
        assert client.get(TASKS, {"status": status.upper()}).status_code == 400


def test_a_task_need_not_be_of_a_case_or_a_subject(client: APIClient, acme: Organization) -> None:
    task = Task.objects.create(organization=acme, title="Made elsewhere")
    shown = client.get(f"{TASKS}/{task.pk}").json()
    assert {name for name in FIELDS if shown[name] is None} >= {
        "casefile_id",
        "subject_id",
        "calendar_id",
        "Casefile",
        "Subject",
        "Calendar",
        "due_on",
    }
    assert shown["Users"] == []
