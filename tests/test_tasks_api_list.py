"""`GET /api/v1/tasks`: filters, order, pages, counts, and in which organization."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from tasks import access
from tasks.models import Case, Member, Organization, Role, Task, TaskAssignee, User
from tests.case_tasks import TASKS, make_office
from tests.openapi import CheckedClient

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], APIClient]
START = datetime(2024, 1, 1, tzinfo=UTC)


def make(organization: Organization, count: int, **values: Any) -> list[Task]:
    """Tasks that were made in threes at the same moment, and of which some have no day and no end."""
    tasks = [
        Task(
            organization=organization,
            title=f"Task {number}",
            created_at=START + timedelta(hours=number // 3),
            due_on=None if number % 4 == 0 else (START + timedelta(days=number % 5)).date(),
            completed_at=None if number % 3 else START + timedelta(seconds=number),
            **values,
        )
        for number in range(count)
    ]
    return Task.objects.bulk_create(tasks)


def walk(client: APIClient, query: dict[str, Any]) -> list[int]:
    """The ids of all pages, by their links."""
    found: list[int] = []
    response = client.get(TASKS, query)
    for _ in range(100):
        assert response.status_code == 200, response.content
        found += [task["id"] for task in response.json()]
        if "Link" not in response:
            return found
        url = response["Link"].removeprefix("<").removesuffix('>; rel="next"')
        response = client.get(url)
    raise AssertionError("the links never end")


# -- Pages and order -----------------------------------------------------------------------------------------------
def test_pages_by_number_and_by_link_are_the_same_rows_in_every_order(client_of: ClientOf, viewer: User, acme: Organization) -> None:
    client, tasks = client_of(viewer), make(acme, 23)
    for sort in ("created_at", "due_on", "completed_at", "updated_at", "id"):
        for direction in ("asc", "desc"):
            query: dict[str, Any] = {"sort": sort, "dir": direction, "per_page": 4}
            by_link = walk(client, query)
            by_number = [task["id"] for page in range(1, 8) for task in client.get(TASKS, query | {"page": page}).json()]
            assert by_link == by_number, query
            assert sorted(by_link) == [task.pk for task in tasks], query
        assert by_link == walk(client, {"sort": sort, "dir": "asc", "per_page": 5})[::-1]


def test_without_a_sort_the_newest_is_first_and_a_range_is_in_its_own_order(client_of: ClientOf, viewer: User, acme: Organization) -> None:
    client, tasks = client_of(viewer), make(acme, 9)
    assert [task["id"] for task in client.get(TASKS).json()] == [task.pk for task in reversed(tasks)]
    days = [task["due_on"] for task in client.get(TASKS, {"due_from": "2024-01-01"}).json()]
    assert days == sorted(days, reverse=True)
    assert len(set(days)) > 1
    ends = [task["completed_at"] for task in client.get(TASKS, {"complete_from": "2024-01-01", "dir": "asc"}).json()]
    assert ends == sorted(ends)
    assert walk(client, {"complete_from": "2024-01-01", "per_page": 1}) == [task.pk for task in reversed(tasks) if task.completed_at]
    Task.objects.update(alert_at=START)
    assert len(walk(client, {"alert_from": "2024-01-01", "per_page": 2})) == 9


def test_rows_that_come_meanwhile_shift_no_page(client_of: ClientOf, viewer: User, acme: Organization) -> None:
    client, tasks = client_of(viewer), make(acme, 6)
    response = client.get(TASKS, {"per_page": 3})
    Task.objects.create(organization=acme, title="Newest")
    Task.objects.filter(pk=tasks[3].pk).delete()  # the last of the page: its place is still one
    link = response["Link"].removeprefix("<").removesuffix('>; rel="next"')
    assert [task["id"] for task in client.get(link).json()] == [tasks[2].pk, tasks[1].pk, tasks[0].pk]


def test_times_that_the_database_gave_page_too(client_of: ClientOf, viewer: User, acme: Organization) -> None:
    Task.objects.bulk_create([Task(organization=acme, title=str(number)) for number in range(7)])
    assert len(set(walk(client_of(viewer), {"per_page": 2}))) == 7


def test_rows_of_one_whole_second_page_too(client_of: ClientOf, viewer: User, acme: Organization) -> None:
    """As a database gives it, that second has digits behind its point, and as we write it, it has none."""
    make(acme, 7)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tasks_task SET created_at = '2024-01-01 00:00:00.000'")
    for direction in ("asc", "desc"):
        found = walk(client_of(viewer), {"per_page": 2, "dir": direction})
        assert (len(found), len(set(found))) == (7, 7)


def test_counting(client_of: ClientOf, viewer: User, acme: Organization, globex: Organization) -> None:
    client = client_of(viewer)
    make(acme, 11, status="needs_action")
    make(globex, 3)
    assert client.get(TASKS, {"mode": "count"}).json() == {"record_count": 11, "page_count": 1}
    of_status: dict[str, Any] = {"mode": "count", "per_page": 5, "status": "needs_action"}
    assert client.get(TASKS, of_status).json() == {"record_count": 11, "page_count": 3}
    assert client.get(TASKS, {"mode": "count", "status": "complete"}).json() == {"record_count": 0, "page_count": 0}


def test_a_page_holds_25_and_at_most_100_and_none_lies_past_the_end(client_of: ClientOf, viewer: User, acme: Organization) -> None:
    client = client_of(viewer)
    make(acme, 130)
    assert len(client.get(TASKS).json()) == 25
    assert len(client.get(TASKS, {"per_page": 100}).json()) == 100
    response = client.get(TASKS, {"page": 1_000_000})
    assert response.json() == []
    assert "Link" not in response


def test_the_number_of_queries_does_not_grow(client_of: ClientOf, viewer: User, acme: Organization) -> None:
    office, client = make_office(acme), client_of(viewer)
    counts = []
    for count in (2, 40):
        tasks = make(acme, count, case=office.case, subject=office.subject, calendar=office.calendar)
        TaskAssignee.objects.bulk_create(
            TaskAssignee(task=task, member=member, position=number) for task in tasks for number, member in enumerate(office.people)
        )
        with CaptureQueriesContext(connection) as queries:
            assert client.get(TASKS, {"per_page": 100, "user": office.people[0].pk}).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 6


# -- Filters -------------------------------------------------------------------------------------------------------
def test_a_part_of_the_title_in_any_case_of_any_script(client_of: ClientOf, viewer: User, acme: Organization) -> None:
    client = client_of(viewer)
    Task.objects.bulk_create([Task(organization=acme, title=title) for title in ("Störung im Aufzug", "100 % (dry) a_b", "Проверить котёл")])

    def found(part: str) -> list[str]:
        return [task["title"] for task in client.get(TASKS, {"title": part}).json()]

    assert found("STÖRUNG") == ["Störung im Aufzug"]
    assert found("проверить") == ["Проверить котёл"]
    assert found("% (DRY)") == ["100 % (dry) a_b"]
    assert found("a_b") == ["100 % (dry) a_b"]
    assert found("a.b") == found("a%b") == []


def test_filters_hold_together(client_of: ClientOf, viewer: User, acme: Organization) -> None:
    office, client = make_office(acme), client_of(viewer)
    one, two = make(acme, 1, case=office.case, status="complete") + make(acme, 1, case=office.case)
    TaskAssignee.objects.create(task=two, member=office.people[1], position=1)
    assert {task["id"] for task in client.get(TASKS, {"case": office.case.pk}).json()} == {one.pk, two.pk}
    by_status: dict[str, Any] = {"case": office.case.pk, "status": "complete"}
    assert [task["id"] for task in client.get(TASKS, by_status).json()] == [one.pk]
    assert [task["id"] for task in client.get(TASKS, {"case": office.case.pk, "user": office.people[1].pk}).json()] == [two.pk]
    assert client.get(TASKS, {"case": office.other_case.pk}).json() == []
    assert client.get(TASKS, {"case": 2**63 - 1}).json() == []


def test_an_end_covers_its_whole_second_or_day(client_of: ClientOf, viewer: User, acme: Organization) -> None:
    client = client_of(viewer)
    (task,) = make(acme, 1)
    Task.objects.update(created_at=datetime(2024, 5, 6, 23, 59, 59, 999_999, tzinfo=UTC))

    def found(**query: str) -> bool:
        return [row["id"] for row in client.get(TASKS, query).json()] == [task.pk]

    assert all(found(created_to=text) for text in ("2024-05-06", "2024-05-06 23:59:59", "2024-05-06T23:59:59Z", "9999-12-31"))
    assert not any(found(created_to=text) for text in ("2024-05-05", "2024-05-06 23:59:58", "2024-05-06T23:59:59.5Z"))
    assert not found(created_from="2024-05-07")
    assert [row["id"] for row in client.get(f"{TASKS}?created_to=2024-05-07T01:59:59+02:00").json()] == [task.pk]  # the + unescaped


def test_a_task_is_found_by_its_own_times(client_of: ClientOf, viewer: User, acme: Organization) -> None:
    client = client_of(viewer)
    for number in range(5):
        Task.objects.create(organization=acme, title=str(number), completed_at=START + timedelta(milliseconds=number))
    for task in client.get(TASKS).json():
        for name, key in (("created", "created_at"), ("updated", "updated_at"), ("complete", "completed_at")):
            query = {f"{name}_from": task[key], f"{name}_to": task[key]}
            assert task["id"] in [row["id"] for row in client.get(TASKS, query).json()], (query, task)
    assert len(client.get(TASKS, {"created_from": "0001-01-01", "complete_from": "0001-01-01 00:00:00"}).json()) == 5


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"titel": "x"}, "titel"),
        ({"title": " "}, "title"),
        ({"title": ["a", "b"]}, "title"),
        ({"title": "\0"}, None),
        ({"id": "x"}, "id"),
        ({"id": "0"}, "id"),
        ({"id": "-1"}, "id"),
        ({"id": "٣"}, "id"),
        ({"case": str(2**63)}, "case"),
        ({"user": "9" * 40}, "user"),
        ({"status": "done"}, "status"),
        ({"status": ""}, "status"),
        ({"due_from": "2024-02-30"}, "due_from"),
        ({"due_to": "2024-01-01T00:00:00Z"}, "due_to"),
        ({"due_from": "2024-01-01", "From": "2024-01-01"}, "From"),
        ({"to": "tomorrow"}, "to"),
        ({"created_from": "2024-01-01T00:00:00"}, "created_from"),  # T without a zone is no spelling of UTC
        ({"created_from": "2024-13-01"}, "created_from"),
        ({"updated_to": "0001-01-01T00:00:00+05:00"}, "updated_to"),
        ({"alert_sent_to": "1704067200"}, "alert_sent_to"),
        ({"page": "0"}, "page"),
        ({"page": "1", "cursor": "eA=="}, "cursor"),
        ({"per_page": "101"}, "per_page"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "Y3JlYXRlZF9hdCBkZXNjIC54IDE="}, "cursor"),
        ({"sort": "title"}, "sort"),
        ({"dir": "up"}, "dir"),
        ({"mode": "all"}, "mode"),
    ],
)
def test_a_wrong_parameter_is_400(client_of: ClientOf, viewer: User, query: dict[str, Any], field: str | None) -> None:
    response = client_of(viewer).get(TASKS, query)
    assert response.status_code == 400
    body = response.json()
    assert set(body) >= {"error", "error_code"}
    assert body["error"]["code"] == body["error_code"]
    if field:
        assert list(body["error"]["fields"]) == [field]
        assert [each["field"] for each in body["field_errors"]] == [field]


def test_a_cursor_belongs_to_its_order(client_of: ClientOf, viewer: User, acme: Organization) -> None:
    client = client_of(viewer)
    make(acme, 5)
    cursor = client.get(TASKS, {"per_page": 2})["Link"].split("cursor=")[1].split(">")[0].replace("%3D", "=")
    assert client.get(TASKS, {"cursor": cursor}).status_code == 200
    assert client.get(TASKS, {"cursor": cursor, "sort": "due_on"}).status_code == 400
    assert client.get(TASKS, {"cursor": cursor, "dir": "asc"}).status_code == 400


# -- Whose ---------------------------------------------------------------------------------------------------------
def test_who_has_several_organizations_names_one_or_a_case_of_it(
    client_of: ClientOf, editor: User, acme: Organization, globex: Organization, owner: User
) -> None:
    ours, theirs = make_office(acme), make_office(globex)
    Member.objects.create(organization=globex, user=editor, role=Role.VIEWER, name="Editor")
    (one,), (two,) = make(acme, 1, case=ours.case), make(globex, 1, case=theirs.case)
    for user in (editor, owner):
        client = client_of(user)
        response = client.get(TASKS)
        assert (response.status_code, response.json()["error_code"]) == (400, "organization_required")
        for name in (str(globex.uuid), str(globex.pk)):
            assert [task["id"] for task in client.get(TASKS, headers={"X-Organization": name}).json()] == [two.pk]
        assert [task["id"] for task in client.get(TASKS, {"case": ours.case.pk}).json()] == [one.pk]
        assert client.get(TASKS, {"case": ours.case.pk}, headers={"X-Organization": str(globex.pk)}).json() == []
        assert [client.get(f"{TASKS}/{task.pk}").status_code for task in (one, two)] == [200, 200]


def test_a_foreign_organization_is_404_and_its_rows_are_in_no_answer(
    client_of: ClientOf, outsider: User, acme: Organization, globex: Organization
) -> None:
    office, client = make_office(acme), client_of(outsider)
    (task,) = make(acme, 1, case=office.case)
    assert client.get(TASKS, headers={"X-Organization": str(acme.uuid)}).status_code == 404
    queries: list[dict[str, Any]] = [{}, {"id": task.pk}, {"case": office.case.pk}, {"title": "Task"}]
    for query in queries:
        assert client.get(TASKS, query).json() == []
    assert client.get(f"{TASKS}/{task.pk}").content == client.get(f"{TASKS}/{2**62}").content
    assert [client.get(f"{TASKS}/{name}").status_code for name in ("x", "-1", "9" * 30, "1.0", "٣")] == [404] * 5


def test_an_access_token_is_of_one_organization_whatever_the_header_says(acme: Organization, globex: Organization) -> None:
    make(acme, 2)
    make(globex, 1)
    _, text = access.create_access_token(acme, name="ERP", role=Role.VIEWER)
    client = CheckedClient(headers={"Authorization": f"Bearer {text}"})
    assert len(client.get(TASKS).json()) == 2
    assert client.get(TASKS, headers={"X-Organization": str(globex.uuid)}).status_code == 404


def test_nobody_is_401_in_the_contracts_words() -> None:
    response = CheckedClient().get(TASKS)
    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer")
    assert response.json()["error"] == {"code": "not_authenticated", "message": response.json()["error"]["message"], "fields": {}}


def test_an_unchanged_list_is_304(client_of: ClientOf, viewer: User, acme: Organization) -> None:
    client = client_of(viewer)
    make(acme, 2)
    tag = client.get(TASKS)["ETag"]
    assert client.get(TASKS, headers={"If-None-Match": tag}).status_code == 304
    make(acme, 1)
    assert client.get(TASKS, headers={"If-None-Match": tag}).status_code == 200


def test_names_page_whatever_is_in_them(client_of: ClientOf, viewer: User, acme: Organization) -> None:
    names = [f"Customer number 123.45678 of the north, {letter}" for letter in "abcde"]
    Case.objects.bulk_create(Case(organization=acme, name=name) for name in names)
    client, found = client_of(viewer), []
    response = client.get("/api/v1/cases", {"per_page": 2})
    for _ in range(3):
        found += [row["name"] for row in response.json()]
        if "Link" in response:
            response = client.get(response["Link"].removeprefix("<").removesuffix('>; rel="next"'))
    assert found == names


@pytest.mark.parametrize("place", ["name asc .%00 1", "name asc .a\0b 1", "name asc .a x", f"name asc .a {2**63}", "name desc .a 1"])
def test_a_cursor_made_by_hand_is_400(client_of: ClientOf, viewer: User, acme: Organization, place: str) -> None:
    response = client_of(viewer).get("/api/v1/cases", {"cursor": base64.urlsafe_b64encode(place.encode()).decode()})
    assert (response.status_code, list(response.json()["error"]["fields"])) == (400, ["cursor"])


# -- What tasks hang on --------------------------------------------------------------------------------------------
def test_cases_subjects_calendars_services_and_users_are_listed_for_their_ids(
    client_of: ClientOf, viewer: User, acme: Organization, globex: Organization
) -> None:
    office, client = make_office(acme), client_of(viewer)
    make_office(globex)

    def rows(path: str, **query: Any) -> list[dict[str, Any]]:
        response = client.get(f"/api/v1/{path}", query)
        assert response.status_code == 200, response.content
        found: list[dict[str, Any]] = response.json()
        return found

    assert [row["id"] for row in rows("cases")] == [office.case.pk, office.other_case.pk]
    assert set(rows("cases")[0]) == {"id", "name", "created_at"}
    assert [row["id"] for row in rows("cases", name="ACME b")] == [office.other_case.pk]
    assert [(row["id"], row["casefile_id"]) for row in rows("subjects", case=office.case.pk)] == [(office.subject.pk, office.case.pk)]
    assert len(rows("subjects")) == 2
    assert [row["name"] for row in rows("calendars/")] == ["Day shift"]
    assert [row["id"] for row in rows("case-services")] == [office.service.pk]
    users = rows("users")
    assert set(users[0]) == {"id", "name", "email"}
    assert {row["id"] for row in users} == {*(member.pk for member in office.people), Member.objects.get(user=viewer).pk}
    response = client.get("/api/v1/users", {"per_page": 2})
    assert response.json() + client.get(response["Link"].removeprefix("<").removesuffix('>; rel="next"')).json() == users
    for path, query in (("cases", {"case": "1"}), ("users", {"name": ""}), ("subjects", {"case": "x"}), ("calendars", {"per_page": "101"})):
        assert client.get(f"/api/v1/{path}", query).status_code == 400
