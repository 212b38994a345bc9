"""`POST /api/v1/tasks/bulk`: many tasks, all or none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from tasks.models import IdempotencyKey, Organization, Task, TaskAssignee, User
from tests.case_tasks import TASKS, Office, make_office

BULK = f"{TASKS}/bulk"
pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], APIClient]


@pytest.fixture
def office(acme: Organization) -> Office:
    return make_office(acme)


def test_all_rows_are_made_in_their_order(client_of: ClientOf, editor: User, office: Office) -> None:
    client = client_of(editor)
    rows = [office.body(title=f"Visit {number}", users_list=[office.people[number % 3].pk])["task"] for number in range(5)]
    rows[3] |= {"status": "complete", "address": {"zip": 80202}}
    response = client.post(f"{BULK}/", {"tasks": rows})
    assert response.status_code == 201
    ids = response.json()["ids"]
    assert response.json() == {"record_count": 5, "ids": ids}
    found = Task.objects.in_bulk(ids)
    assert [found[pk].title for pk in ids] == [row["title"] for row in rows]
    assert [found[pk].assignee_id for pk in ids] == [row["users_list"][0] for row in rows]
    assert found[ids[3]].completed_at
    assert found[ids[3]].zip == "80202"
    assert TaskAssignee.objects.count() == 5
    assert client.get(f"{TASKS}/{ids[0]}").json()["users_list"] == rows[0]["users_list"]


def test_one_bad_row_makes_none_and_is_named(client_of: ClientOf, editor: User, office: Office, globex: Organization) -> None:
    client, good, theirs = client_of(editor), office.body()["task"], make_office(globex)
    response = client.post(BULK, {"tasks": [good, good | {"due_on": "x", "colour": 1}, good | {"address": {"state": "x"}}, 7]})
    assert response.status_code == 400
    assert set(response.json()["error"]["fields"]) == {"tasks.1.colour", "tasks.2.address.state", "tasks.3"}
    rows = [good, good | {"casefile_id": theirs.case.pk}, good | {"subject_id": office.other_subject.pk, "users_list": [2**62]}]
    response = client.post(BULK, {"tasks": rows})
    assert response.status_code == 422
    assert [each["field"] for each in response.json()["field_errors"]] == ["tasks.1.casefile_id", "tasks.2.subject_id", "tasks.2.users_list"]
    assert not Task.objects.exists()


def test_of_many_faults_a_hundred_are_named(client_of: ClientOf, editor: User, office: Office) -> None:
    client = client_of(editor)
    for changes, status in (({"title": ""}, 400), ({"calendar_id": 2**62}, 422)):
        response = client.post(BULK, {"tasks": [office.body(**changes)["task"]] * 150})
        assert response.status_code == status
        assert len(response.json()["field_errors"]) == 100
        assert response.json()["error"]["message"].startswith("150 faults")
    assert not Task.objects.exists()


@pytest.mark.parametrize("body", [{}, {"tasks": []}, {"tasks": {}}, {"tasks": None}, {"tasks": [[]]}, {"task": {}}, []])
def test_a_body_without_rows_is_400(client_of: ClientOf, editor: User, office: Office, body: object) -> None:
    assert client_of(editor).post(BULK, body).status_code == 400


def test_the_same_key_makes_them_once(client_of: ClientOf, editor: User, office: Office) -> None:
    client = client_of(editor)
    first, again = (client.post(BULK, {"tasks": [office.body()["task"]] * 3}, headers={"Idempotency-Key": "load"}) for _ in range(2))
    assert first.json() == again.json()
    assert Task.objects.count() == 3
    assert IdempotencyKey.objects.count() == 1


def test_the_number_of_checks_does_not_grow_with_the_rows(client_of: ClientOf, editor: User, office: Office) -> None:
    client, counts = client_of(editor), []
    for count in (2, 300):
        with CaptureQueriesContext(connection) as queries:
            assert client.post(BULK, {"tasks": [office.body(users_list=[office.people[0].pk])["task"]] * count}).status_code == 201
        counts.append(len([each for each in queries if "INSERT" not in each["sql"]]))
    assert counts[0] == counts[1]


def test_ten_thousand_rows_and_not_one_more(client_of: ClientOf, editor: User, office: Office) -> None:
    address = {"address_1": "a", "address_2": "", "address_3": "", "city": "Denver", "state": "CO", "zip": 80202, "country": "US"}
    full = office.body(
        subject_id=office.subject.pk,
        case_service_id=office.service.pk,
        alert_at="2026-02-01",
        body="b",
        status="none",
        address=address,
        users_list=[office.people[0].pk],
    )["task"]
    client = client_of(editor)
    assert client.post(BULK, {"tasks": [full] * 10_001}).status_code == 400
    assert not Task.objects.exists()
    assert client.post(BULK, {"tasks": [full] * 10_000}).json()["record_count"] == 10_000
    assert TaskAssignee.objects.count() == 10_000
