"""Making, replacing, changing and deleting one task over REST."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from taskexport.errors import Conflict, NotFound
from tasks import access, casework
from tasks.models import IdempotencyKey, Member, Organization, Role, Subject, Task, TaskAssignee, User
from tests.api import at_once, content, export, rows, wish
from tests.case_tasks import TASKS, Office, make_office
from tests.openapi import CheckedClient

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], APIClient]


@pytest.fixture
def office(acme: Organization) -> Office:
    return make_office(acme)


def state() -> list[Any]:
    """All tasks and who is at work on them: a refusal leaves both as they were."""
    return [list(Task.objects.order_by("pk").values()), list(TaskAssignee.objects.order_by("pk").values())]


def make(client: APIClient, office: Office, **changes: Any) -> dict[str, Any]:
    response = client.post(TASKS, office.body(**changes))
    assert response.status_code == 201, response.content
    body: dict[str, Any] = response.json()
    return body


# -- Creating ------------------------------------------------------------------------------------------------------
def test_the_first_user_leads_and_the_others_are_at_work_in_their_order(client_of: ClientOf, editor: User, office: Office) -> None:
    ids = [member.pk for member in reversed(office.people)]
    made = make(client_of(editor), office, users_list=ids)
    assert made["users_list"] == [user["id"] for user in made["Users"]] == ids
    assert made["Users"][0] == {"id": ids[0], "name": "cid", "email": "cid@example.com"}
    task = Task.objects.get()
    assert (task.assignee_id, task.created_by) == (ids[0], editor)
    assert [(row.member_id, row.position) for row in task.assignments.all()] == [(pk, position) for position, pk in enumerate(ids)]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"casefile_id": "245"}, "casefile_id"),
        ({"casefile_id": True}, "casefile_id"),
        ({"casefile_id": 1.5}, "casefile_id"),
        ({"casefile_id": None}, "casefile_id"),
        ({"calendar_id": 0}, "calendar_id"),
        ({"calendar_id": 2**63}, "calendar_id"),
        ({"due_on": "2026-02-30"}, "due_on"),
        ({"due_on": "2026-02-14T10:00:00Z"}, "due_on"),
        ({"due_on": 20260214}, "due_on"),
        ({"alert_at": "2026-02-14T10:00:00"}, "alert_at"),
        ({"alert_at": "soon"}, "alert_at"),
        ({"alert_at": "0001-01-01T00:00:00+05:00"}, "alert_at"),
        ({"title": ""}, "title"),
        ({"title": " \t"}, "title"),
        ({"title": 7}, "title"),
        ({"title": "x" * 501}, "title"),
        ({"body": None}, "body"),
        ({"status": "done"}, "status"),
        ({"status": ["none"]}, "status"),
        ({"users_list": 1}, "users_list"),
        ({"users_list": [1, 1]}, "users_list"),
        ({"users_list": ["1"]}, "users_list.0"),
        ({"users_list": list(range(1, 102))}, "users_list"),
        ({"address": "Blake Street"}, "address"),
        ({"address": None}, "address"),
        ({"address": {"state": "C"}}, "address.state"),
        ({"address": {"state": "COLO"}}, "address.state"),
        ({"address": {"state": "C0"}}, "address.state"),
        ({"address": {"state": "CO\n"}}, "address.state"),
        ({"address": {"country": "USA"}}, "address.country"),
        ({"address": {"country": 1}}, "address.country"),
        ({"address": {"zip": -1}}, "address.zip"),
        ({"address": {"zip": 1.5}}, "address.zip"),
        ({"address": {"zip": True}}, "address.zip"),
        ({"address": {"zip": "1" * 21}}, "address.zip"),
        ({"address": {"street": "x"}}, "address.street"),
        ({"dueon": "2026-02-14"}, "dueon"),
        ({"id": 5}, "id"),
    ],
)
def test_a_wrong_field_is_400_and_nothing_is_made(client_of: ClientOf, editor: User, office: Office, changes: dict[str, Any], field: str) -> None:
    response = client_of(editor).post(TASKS, office.body(**changes))
    assert response.status_code == 400, response.content
    body = response.json()
    assert list(body["error"]["fields"]) == [field]
    assert body["field_errors"][0]["field"] == f"task.{field}"
    assert not Task.objects.exists()


def test_all_faults_are_told_at_once(client_of: ClientOf, editor: User, office: Office) -> None:
    body = client_of(editor).post(TASKS, {"task": {"due_on": "x", "address": {"state": "x"}}}).json()
    assert set(body["error"]["fields"]) == {"casefile_id", "calendar_id", "title", "due_on", "address.state"}


def test_ids_that_do_not_exist_here_are_422(client_of: ClientOf, editor: User, office: Office, globex: Organization) -> None:
    theirs, client = make_office(globex), client_of(editor)
    for changes, field in (
        ({"casefile_id": theirs.case.pk}, "casefile_id"),
        ({"casefile_id": 2**63 - 1}, "casefile_id"),
        ({"calendar_id": theirs.calendar.pk}, "calendar_id"),
        ({"case_service_id": theirs.service.pk}, "case_service_id"),
        ({"subject_id": theirs.subject.pk}, "subject_id"),
        ({"subject_id": office.other_subject.pk}, "subject_id"),
        ({"users_list": [office.people[0].pk, theirs.people[0].pk]}, "users_list"),
    ):
        response = client.post(TASKS, office.body(**changes))
        assert response.status_code == 422, changes
        assert list(response.json()["error"]["fields"]) == [field]
        assert response.json()["error_code"] == "does_not_exist"
        assert response.json()["field_errors"][0]["field"] == f"task.{field}"
    assert not Task.objects.exists()


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("2026-02-01", "2026-02-01T00:00:00Z"),
        ("2026-02-01 08:30:00", "2026-02-01T08:30:00Z"),
        ("2026-02-01T08:30:00.25+02:00", "2026-02-01T06:30:00.250000Z"),
        (None, None),
    ],
)
def test_the_alert_in_each_spelling(client_of: ClientOf, editor: User, office: Office, text: Any, stored: Any) -> None:
    assert make(client_of(editor), office, alert_at=text)["alert_at"] == stored


@pytest.mark.parametrize(("code", "kept"), [(80202, "80202"), ("02134", "02134"), (0, "0"), ("", ""), ("1015 CJ", "1015 CJ")])
def test_a_zip_is_kept_as_text(client_of: ClientOf, editor: User, office: Office, code: Any, kept: str) -> None:
    address = make(client_of(editor), office, address={"zip": code, "state": "NSW", "country": "AU"})["address"]
    assert (address["zip"], address["state"], address["country"], address["city"]) == (kept, "NSW", "AU", "")


def test_the_case_says_the_organization(client_of: ClientOf, editor: User, office: Office, globex: Organization) -> None:
    theirs = make_office(globex)
    Member.objects.create(organization=globex, user=editor, role=Role.VIEWER, name="Editor")
    client = client_of(editor)
    made = make(client, office)
    assert Task.objects.get(pk=made["id"]).organization == office.organization
    before = state()
    assert client.post(TASKS, theirs.body()).status_code == 403  # a viewer there
    assert client.post(TASKS, office.body(), headers={"X-Organization": str(globex.uuid)}).status_code == 403
    response = client.post(TASKS, office.body(casefile_id=2**62))
    assert (response.status_code, response.json()["error_code"]) == (400, "organization_required")
    assert state() == before


def test_roles(client_of: ClientOf, admin: User, editor: User, viewer: User, outsider: User, owner: User, office: Office) -> None:
    task = make(client_of(editor), office)
    before = state()
    for user, statuses in ((viewer, (403, 403, 403, 403)), (owner, (403, 403, 403, 403)), (outsider, (422, 404, 404, 404))):
        client, path = client_of(user), f"{TASKS}/{task['id']}"
        answers = (client.post(TASKS, office.body()), client.put(path, office.body()), client.patch(path, office.body()), client.delete(path))
        assert tuple(answer.status_code for answer in answers) == statuses
        assert state() == before
    assert client_of(editor).delete(f"{TASKS}/{task['id']}").status_code == 403
    assert state() == before
    assert client_of(admin).delete(f"{TASKS}/{task['id']}").status_code == 204
    assert state() == [[], []]
    assert client_of(admin).get(f"{TASKS}/{task['id']}").status_code == 404


def test_a_service_account_makes_tasks_by_its_token(office: Office) -> None:
    _, text = access.create_access_token(office.organization, name="ERP", role=Role.EDITOR)
    made = make(CheckedClient(headers={"Authorization": f"Bearer {text}"}), office, status="complete")
    assert Task.objects.get(pk=made["id"]).completed_by.name == "ERP"


def test_the_same_key_makes_one_task(client_of: ClientOf, editor: User, admin: User, office: Office) -> None:
    client, key = client_of(editor), {"Idempotency-Key": "visit-1"}
    first, again = (client.post(TASKS, office.body(), headers=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again["Idempotent-Replayed"] == "true"
    assert again["Location"] == first["Location"]
    other = client.post(TASKS, office.body(title="Another"), headers=key)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")
    assert client_of(admin).post(TASKS, office.body(), headers=key).json()["id"] != first.json()["id"]
    refused = client.post(TASKS, office.body(casefile_id=office.case.pk, subject_id=office.other_subject.pk), headers={"Idempotency-Key": "visit-2"})
    assert refused.status_code == 422
    assert client.post(TASKS, office.body(), headers={"Idempotency-Key": "visit-2"}).status_code == 201  # an error keeps nothing
    assert Task.objects.count() == 3
    assert IdempotencyKey.objects.count() == 3


# -- Changing ------------------------------------------------------------------------------------------------------
def test_complete_sets_its_time_and_leaving_clears_it(client_of: ClientOf, editor: User, office: Office) -> None:
    client = client_of(editor)
    task = make(client, office)
    path = f"{TASKS}/{task['id']}"
    done = client.patch(path, {"task": {"status": "complete"}}).json()
    assert datetime.fromisoformat(done["completed_at"]) > datetime.now(UTC) - timedelta(minutes=1)
    assert Task.objects.get().completed_by == Member.objects.get(user=editor)
    assert client.patch(path, {"task": {"status": "complete", "title": "Still"}}).json()["completed_at"] == done["completed_at"]
    left = client.patch(path, {"task": {"status": "in_progress"}}).json()
    assert (left["completed_at"], Task.objects.get().completed_by) == (None, None)
    assert make(client, office, status="complete")["completed_at"]


def test_a_patch_leaves_the_rest_and_a_put_empties_it(client_of: ClientOf, editor: User, office: Office) -> None:
    client = client_of(editor)
    full = office.body(
        subject_id=office.subject.pk,
        case_service_id=office.service.pk,
        alert_at="2026-02-01",
        body="Both dials.",
        status="needs_action",
        address={"address_1": "Keizersgracht 12", "city": "Amsterdam", "zip": "1015 CJ", "country": "NL"},
        users_list=[office.people[0].pk, office.people[1].pk],
    )
    made = client.post(TASKS, full).json()
    Task.objects.update(external_id="E-1", recipient_name="Zoë", attributes={"a": 1})
    path = f"{TASKS}/{made['id']}"
    patched = client.patch(path, {"task": {"title": "Otherwise", "address": {"city": "Utrecht"}}}).json()
    kept = {"title": "Otherwise", "address": made["address"] | {"city": "Utrecht"}, "reference": "E-1", "updated_at": patched["updated_at"]}
    assert patched == made | kept
    assert patched["updated_at"] > made["updated_at"]
    put = client.put(path, office.body(title="Bare")).json()
    assert (put["subject_id"], put["case_service_id"], put["alert_at"], put["body"], put["status"]) == (None, None, None, "", "none")
    assert set(put["address"].values()) == {""}
    assert put["Users"] == []
    task = Task.objects.get()
    assert (task.assignee, task.external_id, task.recipient_name, task.attributes) == (None, "E-1", "Zoë", {"a": 1})  # of other doors
    assert client.put(path, {"task": {"title": "x"}}).status_code == 400
    assert client.patch(path, {"task": {"title": None}}).status_code == 400
    assert client.patch(path, {"task": {"casefile_id": None}}).status_code == 400
    assert client.get(path).json() == put


def test_what_changes_nothing_writes_nothing(client_of: ClientOf, editor: User, office: Office) -> None:
    client = client_of(editor)
    made = make(client, office, users_list=[office.people[0].pk])
    before = state()
    changes: list[dict[str, Any]] = [{}, {"title": "Visit", "users_list": [office.people[0].pk], "status": "none"}]
    for body in ({"task": change} for change in changes):
        assert client.patch(f"{TASKS}/{made['id']}", body).json() == made
    assert state() == before


def test_the_users_are_replaced(client_of: ClientOf, editor: User, office: Office) -> None:
    client = client_of(editor)
    made = make(client, office, users_list=[office.people[0].pk, office.people[1].pk])
    wanted = [office.people[2].pk, office.people[0].pk]
    changed = client.patch(f"{TASKS}/{made['id']}", {"task": {"users_list": wanted}}).json()
    assert changed["users_list"] == wanted
    assert changed["updated_at"] > made["updated_at"]
    assert Task.objects.get().assignee_id == wanted[0]
    assert client.patch(f"{TASKS}/{made['id']}", {"task": {"users_list": []}}).json()["Users"] == []
    assert Task.objects.get().assignee is None


def test_a_subject_goes_with_its_case(client_of: ClientOf, editor: User, office: Office, acme: Organization) -> None:
    client = client_of(editor)
    made = make(client, office, subject_id=office.subject.pk)
    path = f"{TASKS}/{made['id']}"
    before = state()
    for task in ({"casefile_id": office.other_case.pk}, {"subject_id": office.other_subject.pk}, {"calendar_id": 2**62}):
        assert client.patch(path, {"task": task}).status_code == 422
    assert state() == before
    both = {"casefile_id": office.other_case.pk, "subject_id": office.other_subject.pk}
    assert client.patch(path, {"task": both}).json()["Subject"]["id"] == office.other_subject.pk
    assert client.patch(path, {"task": {"casefile_id": office.case.pk, "subject_id": None}}).json()["Subject"] is None
    bare = Task.objects.create(organization=acme, title="Of no case")
    assert client.patch(f"{TASKS}/{bare.pk}", {"task": {"subject_id": office.subject.pk}}).status_code == 422
    assert client.patch(f"{TASKS}/{bare.pk}", {"task": {"title": "Still of none"}}).json()["Casefile"] is None


def test_another_day_takes_the_time_of_the_old_one(client_of: ClientOf, editor: User, acme: Organization) -> None:
    task = Task.objects.create(organization=acme, title="Timed", due_at=datetime(2026, 2, 14, 9, tzinfo=UTC), due_on="2026-02-14")
    client = client_of(editor)
    client.patch(f"{TASKS}/{task.pk}", {"task": {"due_on": "2026-02-14", "title": "x"}})
    assert Task.objects.get().due_at
    client.patch(f"{TASKS}/{task.pk}", {"task": {"due_on": "2026-02-15"}})
    assert Task.objects.get().due_at is None


def test_a_stale_etag_is_412_and_changes_nothing(client_of: ClientOf, admin: User, office: Office) -> None:
    client = client_of(admin)
    made = make(client, office)
    path = f"{TASKS}/{made['id']}"
    tag = client.get(path)["ETag"]
    assert tag.startswith('W/"')
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 304
    fresh = client.patch(path, {"task": {"title": "Second"}}, headers={"If-Match": tag})
    assert fresh.status_code == 200
    assert fresh["ETag"] == client.get(path)["ETag"] != tag
    before = state()
    stale = {"If-Match": tag}
    answers = [
        client.patch(path, {"task": {"title": "3"}}, headers=stale),
        client.put(path, office.body(), headers=stale),
        client.delete(path, headers=stale),
    ]
    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in answers] == [(412, "stale_etag")] * 3
    assert state() == before
    assert client.delete(path, headers={"If-Match": fresh["ETag"]}).status_code == 204


@pytest.mark.parametrize(
    "body", ["[]", '"x"', "{", '{"task": []}', '{"task": null}', '{"task": {"title": "\\u0000"}}', '{"task": {}, "x": 1}', "null", ""]
)
def test_a_broken_body_is_400(client_of: ClientOf, editor: User, office: Office, body: str) -> None:
    client = client_of(editor)
    task = make(client, office)
    before = state()
    for method, path in (("POST", TASKS), ("PUT", f"{TASKS}/{task['id']}"), ("PATCH", f"{TASKS}/{task['id']}")):
        response = client.generic(method, path, body, content_type="application/json")
        assert response.status_code == 400, (method, response.content)
        assert set(response.json()["error"]) == {"code", "message", "fields"}
    assert state() == before


# -- Seen by the other doors ---------------------------------------------------------------------------------------
def test_the_admin_completes_by_the_same_rule(editor: User, acme: Organization, staff_client_of: Callable[[User], Client]) -> None:
    task = Task.objects.create(organization=acme, title="Visit")
    path, client = f"/admin/tasks/task/{task.pk}/change/", staff_client_of(editor)
    form = {name: "" for name in ("assignments-INITIAL_FORMS", "body")} | {"assignments-TOTAL_FORMS": "0", "assignments-INITIAL_FORMS": "0"}
    form |= {"title": "Visit", "attributes": "{}"}
    assert client.post(path, form | {"status": "complete"}).status_code == 302
    task.refresh_from_db()
    assert task.completed_at
    assert task.completed_by == Member.objects.get(user=editor)
    assert client.post(path, form | {"status": "none"}).status_code == 302
    task.refresh_from_db()
    assert (task.completed_at, task.completed_by) == (None, None)


@pytest.mark.django_db(transaction=True)
def test_a_task_made_over_rest_is_exported_and_its_change_too(client_of: ClientOf, editor: User, office: Office, acme: Organization) -> None:
    client = client_of(editor)
    made = make(client, office, users_list=[office.people[1].pk], address={"city": "Denver", "zip": 80202})
    client.patch(f"{TASKS}/{made['id']}", {"task": {"status": "complete"}})
    job = export(client, wish(acme, creation_start_date="2020-01-01", creation_end_date="2090-01-01"))
    (row,) = rows(content(client.get(f"/api/v1/export-jobs/{job['id']}/download")))
    shown = client.get(f"{TASKS}/{made['id']}").json()
    assert (row["id"], row["status"], row["assignee"], row["case"], row["zip"], row["due_on"]) == (
        str(made["id"]),
        "complete",
        "bob",
        office.case.name,
        "80202",
        "2026-02-14",
    )
    assert (row["completed_at"], row["created_at"]) == (shown["completed_at"], shown["created_at"])
    explained = client.get(f"/api/v1/export-jobs/{job['id']}/explain", {"task": made["id"]}).json()
    assert [reason["code"] for reason in explained["reasons"]] == ["meets_all"]
    client.patch(f"{TASKS}/{made['id']}", {"task": {"title": "Later"}})
    explained = client.get(f"/api/v1/export-jobs/{job['id']}/explain", {"task": made["id"]}).json()
    assert "changed_after_snapshot" in [reason["code"] for reason in explained["reasons"]]


@pytest.mark.django_db(transaction=True)
def test_of_two_changes_at_once_one_wins_and_the_other_is_told(editor: User, office: Office) -> None:
    task = casework.create(editor, office.organization, {"title": "Visit", "case_id": office.case.pk})
    tag = str((Task.objects.get().updated_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))

    def patch(number: int) -> int:
        client = APIClient()
        client.force_authenticate(User.objects.get(pk=editor.pk))
        return int(client.patch(f"{TASKS}/{task.pk}", {"task": {"title": f"By {number}"}}, headers={"If-Match": f'"{tag}"'}).status_code)

    assert sorted(at_once(4, patch)) == [200, 412, 412, 412]


@pytest.mark.django_db(transaction=True)
def test_what_a_task_names_may_be_deleted_meanwhile_and_nothing_breaks(editor: User, office: Office) -> None:
    """Whoever comes first: the task with its subject, or a refusal."""

    def work(number: int) -> str:
        if number:
            try:
                Subject.objects.filter(pk=office.subject.pk).delete()
            except Exception as error:
                return type(error).__name__
            return "deleted"
        try:
            casework.create(editor, office.organization, {"title": "x", "case_id": office.case.pk, "subject_id": office.subject.pk})
        except (Conflict, NotFound) as error:
            return error.code
        except Exception as error:
            return type(error).__name__
        return "made"

    assert set(at_once(2, work)) <= {"made", "deleted", "ProtectedError", "IntegrityError", "Unprocessable", "gone_meanwhile"}
    assert all(task.subject_id is None or Subject.objects.filter(pk=task.subject_id).exists() for task in Task.objects.all())
