"""Contract 3's rules: what is read, made, moved on and deleted, and what is refused with nothing changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from exports import storage
from exports.api.operations import requests
from exports.models import ExportJob, Litter, Operation, Removal, TaskImport
from exports.services import jobs, litter, segments
from exports.services.operations import changing, deleting, recording
from exports.states import JobStatus
from taskexport.errors import Conflict, NotFound
from tasks import access
from tasks.models import Member, Organization, Role, User
from tests.api import JOBS, at_once, make_job, publish, wish

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], APIClient]
TASK = "/api/v2/task"


def foreign(organization: Organization, user: User | None = None, **values: Any) -> Operation:
    return Operation.objects.create(organization=organization, user=user, **{"handler": "erp-sync", **values})


def index(client: APIClient, **body: Any) -> Any:
    return client.post(f"{TASK}/index", body)


def ids(response: Any) -> list[str]:
    assert response.status_code == 200, response.json()
    return [row["task_id"] for row in response.json()]


def rows() -> list[dict[str, Any]]:
    models: tuple[Any, ...] = (Operation, ExportJob, TaskImport)
    return [row for model in models for row in model.objects.order_by("pk").values()]


# -- An operation of ours is read from what runs -------------------------------------------------------------------
def test_every_export_leaves_an_operation_with_the_job_s_status(client_of: ClientOf, acme: Organization, editor: User) -> None:
    client = client_of(editor)
    job_id = client.post(JOBS, wish(acme, name="seen")).json()["job"]["id"]
    operation = Operation.objects.get(job=job_id)
    words = [
        ("new", "pending"),
        ("queued", "pending"),
        ("in progress", "running"),
        ("done", "completed"),
        ("failed", "failed"),
        ("cancelled", "failed"),
    ]
    for status, word in words:
        ExportJob.objects.filter(pk=job_id).update(status=status, error="Disk full.", error_code="storage")
        recording.follow(job=job_id)  # as each move of a job does
        (shown,) = index(client, filter={"status": word}).json()
        assert (shown["task_id"], shown["status"], shown["entity_id"], shown["user_id"]) == (str(operation.pk), word, job_id, str(editor.pk))
        for other in {word for _, word in words} - {word}:
            assert index(client, filter={"status": other}).json() == []
        assert json.loads(shown["request"])["name"] == "seen"
        if word == "failed":
            assert json.loads(shown["response"]) == {"error": "Disk full.", "error_code": "storage"}
            assert len(index(client, filter={"response": "Disk full"}).json()) == 1
        else:
            assert shown["response"] is None
    again = client.post(f"{JOBS}/{job_id}/again").json()["job"]["id"]
    assert Operation.objects.filter(job=again, entity_id=again, handler="ExportHandler", user=editor).count() == 1


def test_a_done_export_s_response_is_its_file(client_of: ClientOf, acme: Organization, editor: User) -> None:
    job = make_job(acme, editor, JobStatus.DONE)
    client = client_of(editor)
    shown = client.get(f"{TASK}/view/{job.operation.pk}").json()
    assert json.loads(shown["response"]) == {"file": job.file.name, "rows": 3, "size": job.file.size, "sha256": job.file.sha256}
    assert ids(index(client, filter={"response": job.file.sha256})) == [shown["task_id"]]
    ended = datetime(2031, 5, 6, 7, tzinfo=UTC)
    ExportJob.objects.filter(pk=job.pk).update(finished_at=ended)
    recording.follow(job=job)
    assert client.get(f"{TASK}/view/{shown['task_id']}").json()["updated_at"] == "2031-05-06"
    assert ids(index(client, filter={"updated_at": "2031-05-06"})) == [shown["task_id"]]
    assert ids(index(client, filter={"updated_at": "2031-05-05"})) == []


def test_a_refused_create_of_a_job_leaves_no_operation(client_of: ClientOf, acme: Organization, viewer: User) -> None:
    assert client_of(viewer).post(JOBS, wish(acme)).status_code == 403
    assert rows() == []


def test_put_on_an_operation_of_ours_is_409(client_of: ClientOf, acme: Organization, editor: User) -> None:
    made = make_job(acme, editor)
    imported = TaskImport.objects.create(organization=acme, name="a.csv", status=JobStatus.DONE, result={"created": 1})
    recording.of_sweeps({acme.pk: {"uploads": 1}})
    operations = [made.operation, recording.of_import(imported), Operation.objects.get(handler="SweepHandler")]
    before = rows()
    for operation in operations:
        for body in ({"status": "completed"}, {"request": "{}"}, {"handler": "erp-sync"}, {}):
            response = client_of(editor).put(f"{TASK}/update/{operation.pk}", body)
            assert response.status_code == 409, body
            assert response.json()["error_code"] == "status_is_read"
            assert response.json()["name"] == "Conflict"
    assert rows() == before
    shown = client_of(editor).get(f"{TASK}/view/{operations[1].pk}").json()
    assert (shown["status"], json.loads(shown["response"])) == ("completed", {"created": 1})


# -- The list ------------------------------------------------------------------------------------------------------
def test_all_nine_fields_filter_and_sort(client_of: ClientOf, acme: Organization, editor: User, admin: User) -> None:
    client = client_of(editor)
    first = foreign(acme, editor, handler="a", entity_id="7", status="parked", request='{"n": 1}', own_response='{"ok": true}')
    second = foreign(acme, admin, handler="b", status="waits")
    Operation.objects.filter(pk=first.pk).update(created_at="2024-01-01T23:59:59Z", updated_at="2024-01-02T00:00:00Z")
    wanted = {
        "task_id": str(first.pk),
        "handler": "a",
        "user_id": str(editor.pk),
        "entity_id": "7",
        "status": "parked",
        "request": '"n"',
        "response": "true",
        "created_at": "2024-01-01",
        "updated_at": "2024-01-02T12:00:00Z",
    }
    for field, value in wanted.items():
        assert ids(index(client, filter={field: value})) == [str(first.pk)], field
        up, down = (ids(index(client, sort=sign + field)) for sign in ("", "-"))
        assert set(up) == set(down) == {str(first.pk), str(second.pk)}
        if field not in {"entity_id", "request", "response"}:  # missing values come last both ways
            assert up == down[::-1], field
    assert ids(index(client, filter=wanted)) == [str(first.pk)]
    for field in ("entity_id", "request", "response"):
        assert ids(index(client, filter={field: None})) == [str(second.pk)]
    for field, value in (
        ("task_id", "task-1"),
        ("user_id", "user-1"),
        ("user_id", "9" * 30),
        ("status", "PARKED"),
        ("request", '"N"'),
        ("response", "True"),
        ("request", "%n%"),
        ("created_at", "2024-01-02"),
        ("updated_at", "9999-12-31"),
    ):
        assert ids(index(client, filter={field: value})) == [], field
    assert ids(index(client)) == [str(second.pk), str(first.pk)]  # newest first unless said


def test_pages_and_their_headers(client_of: ClientOf, acme: Organization, editor: User) -> None:
    client = client_of(editor)
    made = [str(foreign(acme).pk) for _ in range(5)]
    seen: list[str] = []
    for page, size in ((1, 2), (2, 2), (3, 1), (4, 0), (1_000_000, 0)):
        response = index(client, **{"per-page": 2, "page": page, "sort": "created_at"})
        found = ids(response)
        assert len(found) == size
        names = ("Current-Page", "Page-Count", "Per-Page", "Total-Count")
        assert [response.headers[f"X-Pagination-{name}"] for name in names] == [str(page), "3", "2", "5"]
        seen += found
    assert sorted(seen) == sorted(made)
    assert index(client).headers["X-Pagination-Per-Page"] == "100"
    assert index(client, filter={"handler": "none"}).headers["X-Pagination-Page-Count"] == "0"


def test_hidden_ones_are_shown_with_history(client_of: ClientOf, acme: Organization, editor: User) -> None:
    client = client_of(editor)
    hidden, shown = foreign(acme, editor), foreign(acme, editor)
    for _ in range(2):
        assert client.delete(f"{TASK}/delete/{hidden.pk}?historicize=true").status_code == 204
    for body in ({}, {"history": False}, {"history": None}):
        assert ids(index(client, **body)) == [str(shown.pk)]
    assert set(ids(index(client, history=True))) == {str(hidden.pk), str(shown.pk)}
    assert client.get(f"{TASK}/view/{hidden.pk}").status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"per_page": 10}, "per_page"),
        ({"per-page": 0}, "per-page"),
        ({"per-page": 501}, "per-page"),
        ({"per-page": "10"}, "per-page"),
        ({"page": 0}, "page"),
        ({"page": True}, "page"),
        ({"page": 10**9}, "page"),
        ({"sort": "name"}, "sort"),
        ({"sort": "--status"}, "sort"),
        ({"sort": "own_status"}, "sort"),
        ({"history": "yes"}, "history"),
        ({"filter": {"state": "pending"}}, "filter.state"),
        ({"filter": {"user_id": 7}}, "filter.user_id"),
        ({"filter": {"created_at": "yesterday"}}, "filter.created_at"),
        ({"filter": {"status": None}}, "filter.status"),
    ],
)
def test_a_wrong_search_is_422_and_names_the_field(client_of: ClientOf, editor: User, body: dict[str, Any], field: str) -> None:
    response = index(client_of(editor), **body)
    assert response.status_code == 422
    found = response.json()
    assert found["field_errors"][0]["field"] == field
    assert (found["name"], found["code"], found["status"]) == ("Unprocessable Entity", 0, 422)


def test_a_search_is_in_the_body_alone(client_of: ClientOf, editor: User) -> None:
    response = client_of(editor).post(f"{TASK}/index?page=2&per-page=10", {})
    assert (response.status_code, response.json()["field_errors"][0]["field"]) == (422, "page")


def test_what_cannot_be_read_stays_400(client_of: ClientOf, acme: Organization, globex: Organization, editor: User, owner: User) -> None:
    client = client_of(editor)
    for raw in ("{", "[]", "null", '{"sort": "\\u0000"}', '{"page": NaN}', "[" * 50 + "]" * 50, '{"page": 1, "page": 2}'):
        response = client.generic("POST", f"{TASK}/index", raw, content_type="application/json")
        assert (response.status_code, response.json()["status"]) == (400, 400), raw
    response = index(client_of(owner))  # of two organizations
    assert (response.status_code, response.json()["field_errors"][0]["code"]) == (400, "organization_required")
    assert client_of(owner).post(f"{TASK}/index", {}, headers={"X-Organization": str(acme.uuid)}).status_code == 200
    assert client.generic("POST", f"{TASK}/index", "a=1", content_type="application/x-www-form-urlencoded").status_code == 415


def test_the_list_asks_the_same_number_of_queries_however_long(
    client_of: ClientOf, acme: Organization, editor: User, django_assert_num_queries: Any
) -> None:
    from django.db import connection

    client = client_of(editor)
    make_job(acme, editor, JobStatus.DONE)
    with CaptureQueriesContext(
        connection,
    ) as once:
        index(client)
    for _ in range(3):
        make_job(acme, editor, JobStatus.DONE)
        foreign(acme, editor)
    with django_assert_num_queries(len(once)):
        assert len(ids(index(client))) == 7
    assert len(once) <= 6


# -- Made ----------------------------------------------------------------------------------------------------------
def test_an_export_handler_with_a_request_makes_and_starts_the_job(client_of: ClientOf, acme: Organization, editor: User) -> None:
    asked = json.dumps(wish(acme, name="by operation"))
    response = client_of(editor).post(f"{TASK}/create", {"handler": "ExportHandler", "request": asked})
    assert response.status_code == 201
    made = response.json()
    job = ExportJob.objects.get()
    assert (job.name, job.status, job.created_by) == ("by operation", "queued", editor)
    assert (made["status"], made["entity_id"], made["request"]) == ("pending", str(job.pk), asked)
    assert response.headers["Location"].endswith(f"/api/v2/task/view/{made['task_id']}")
    assert str(Operation.objects.get().pk) == made["task_id"]
    jobs.cancel(editor, job)
    assert client_of(editor).get(f"{TASK}/view/{made['task_id']}").json()["status"] == "failed"


def test_an_export_handler_keeps_to_its_segment_and_notifies(
    client_of: ClientOf, acme: Organization, globex: Organization, admin: User, editor: User, outsider: User
) -> None:
    rules = {"index": "tasks", "rules": [{"field_name": "city", "field_type": "text", "operator": "is", "value": "Oslo"}]}
    segment, foreign_one = segments.create(admin, acme, "Oslo", rules), segments.create(outsider, globex, "Oslo", rules)
    client = client_of(editor)

    def ask(**changes: Any) -> Any:
        return client.post(f"{TASK}/create", {"handler": "ExportHandler", "request": json.dumps(wish(acme, **changes))})

    for field, changes in (("segment_id", {"segment_id": foreign_one.pk}), ("config_id", {"type": "custom", "config_id": 10**12})):
        refused = ask(**changes)
        assert (refused.status_code, [each["field"] for each in refused.json()["field_errors"]]) == (422, [f"request.{field}"])
    assert rows() == []
    assert ask(segment_id=segment.pk, notify=True).status_code == 201
    job = ExportJob.objects.get()
    by_job = client.post(JOBS, wish(acme, segment_id=segment.pk)).json()["job"]["id"]
    assert job.spec["filter"] == ExportJob.objects.get(pk=by_job).spec["filter"]
    assert "Oslo" in json.dumps(job.spec["filter"])
    assert job.notify


def test_a_request_is_started_as_it_was_checked_or_not_at_all(acme: Organization, editor: User) -> None:
    seen = foreign(acme, editor, handler="ExportHandler")
    text = json.dumps(wish(acme))
    checked = requests.asked(editor, acme, "ExportHandler", text)
    Operation.objects.update(handler="erp-sync")  # by another, in this very moment
    before = rows()
    with pytest.raises(Conflict, match="just changed"):
        changing.update(editor, seen, {"request": text}, checked)
    assert rows() == before
    changing.update(editor, Operation.objects.get(), {"request": text})


def test_a_known_handler_waits_for_an_update_that_brings_a_request(client_of: ClientOf, acme: Organization, editor: User) -> None:
    client = client_of(editor)
    made = client.post(f"{TASK}/create", {"handler": "ExportHandler"}).json()
    assert (made["status"], made["request"], ExportJob.objects.count()) == ("pending", None, 0)
    assert client.put(f"{TASK}/update/{made['task_id']}", {"entity_id": "hub-4"}).json()["status"] == "pending"
    wrong = client.put(f"{TASK}/update/{made['task_id']}", {"request": json.dumps(wish(acme, type="nope"))})
    assert (wrong.status_code, wrong.json()["field_errors"][0]["field"]) == (422, "request.type")
    assert ExportJob.objects.count() == 0
    body = made | {"entity_id": "hub-4", "request": json.dumps(wish(acme))}
    started = client.put(f"{TASK}/update?id={made['task_id']}", body)
    assert started.status_code == 200, started.json()
    job = ExportJob.objects.get()
    assert (started.json()["task_id"], started.json()["entity_id"], job.status) == (made["task_id"], "hub-4", "queued")
    assert Operation.objects.get().job == job
    assert client.put(f"{TASK}/update/{made['task_id']}", body).status_code == 409
    assert ExportJob.objects.count() == 1


def test_another_name_is_kept_for_a_worker_that_moves_it_on(client_of: ClientOf, acme: Organization, editor: User) -> None:
    token, _ = access.create_access_token(acme, name="ERP", role=Role.EDITOR)
    worker = APIClient()
    worker.force_authenticate(token.user, token)  # type: ignore[arg-type]
    made = client_of(editor).post(f"{TASK}/create", {"handler": "erp-sync", "entity_id": "7", "request": '{"all": true}'}).json()
    assert (made["status"], made["user_id"]) == ("pending", str(editor.pk))
    Operation.objects.update(updated_at="2024-01-01T00:00:00Z")
    (seen,) = worker.post(f"{TASK}/index", {"filter": {"handler": "erp-sync", "status": "pending"}}).json()
    assert seen["updated_at"] == "2024-01-01"
    for change in ({"status": "half way"}, {"status": "completed", "response": '{"rows": 3}'}):
        moved = worker.put(f"{TASK}/update/{made['task_id']}", change)
        assert moved.status_code == 200
        assert change.items() <= moved.json().items()
        assert moved.json()["updated_at"] == datetime.now(UTC).date().isoformat()
        assert moved.json()["user_id"] == str(editor.pk)


def test_an_admin_names_any_member_an_editor_only_themselves(
    client_of: ClientOf, acme: Organization, admin: User, editor: User, viewer: User, outsider: User
) -> None:
    body = {"handler": "erp-sync", "user_id": str(viewer.pk)}
    assert client_of(admin).post(f"{TASK}/create", body).json()["user_id"] == str(viewer.pk)
    before = rows()
    assert client_of(editor).post(f"{TASK}/create", body).status_code == 403
    for unknown in (str(outsider.pk), "user-2", "9" * 30, ""):
        response = client_of(admin).post(f"{TASK}/create", {"handler": "erp-sync", "user_id": unknown})
        assert response.status_code == 422, unknown
        assert response.json()["field_errors"][0]["field"] == "user_id"
    assert rows() == before
    (operation,) = Operation.objects.all()
    assert client_of(editor).put(f"{TASK}/update/{operation.pk}", {"user_id": str(admin.pk)}).status_code == 403
    # Whoever is named already may be sent along.
    assert client_of(editor).put(f"{TASK}/update/{operation.pk}", body).status_code == 200
    Member.objects.filter(user=viewer).delete()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "handler"),
        ({"handler": ""}, "handler"),
        ({"handler": 5}, "handler"),
        ({"handler": "x", "task_id": "task-1"}, "task_id"),
        ({"handler": "x", "created_at": "2024-01-01"}, "created_at"),
        ({"handler": "x", "updated_at": "2024-01-01"}, "updated_at"),
        ({"handler": "x", "title": "t"}, "title"),
        ({"handler": "x", "status": ""}, "status"),
        ({"handler": "x", "request": "{"}, "request"),
        ({"handler": "x", "request": ""}, "request"),
        ({"handler": "x", "request": {"a": 1}}, "request"),
        ({"handler": "x", "response": "no"}, "response"),
        ({"handler": "SweepHandler"}, "handler"),
        ({"handler": "ExportHandler", "request": "[]"}, "request"),
        ({"handler": "ExportHandler", "request": "{}"}, "request.org_id"),
        ({"handler": "ImportHandler", "request": '{"map": {}}'}, "request.upload_id"),
        ({"handler": "ImportHandler", "request": '{"upload_id": "x", "map": {}}'}, "request.upload_id"),
        ({"handler": "ImportHandler", "request": '{"upload_id": "3fa85f64-5717-4562-b3fc-2c963f66afa6", "map": {}}'}, "request.columns"),
    ],
)
def test_a_wrong_create_is_422_and_makes_nothing(client_of: ClientOf, editor: User, body: dict[str, Any], field: str) -> None:
    response = client_of(editor).post(f"{TASK}/create", body)
    assert response.status_code == 422
    assert response.json()["field_errors"][0]["field"] == field
    assert rows() == []


def test_a_request_for_another_organization_or_status_is_422(
    client_of: ClientOf, acme: Organization, globex: Organization, editor: User, viewer: User
) -> None:
    Member.objects.create(organization=globex, user=editor, role=Role.EDITOR, name="Editor")
    client = client_of(editor)
    good = {"handler": "ExportHandler", "request": json.dumps(wish(acme))}
    headers = {"X-Organization": str(acme.pk)}
    wrong = [
        good | {"request": json.dumps(wish(globex))},
        good | {"request": json.dumps(wish(acme, org_id="00000000-0000-0000-0000-000000000000"))},
        good | {"status": "running"},
        good | {"response": "{}"},
    ]
    for body in wrong:
        assert client.post(f"{TASK}/create", body, headers=headers).status_code == 422
    assert client_of(viewer).post(f"{TASK}/create", good).status_code == 403
    assert rows() == []
    assert client.post(f"{TASK}/create", good, headers=headers).status_code == 201


def test_update_refuses_what_nobody_sets(client_of: ClientOf, acme: Organization, editor: User, viewer: User, outsider: User) -> None:
    operation = foreign(acme, editor)
    before = rows()
    client = client_of(editor)
    for body in ({"task_id": "x"}, {"created_at": "2020-01-01"}, {"updated_at": "2020-01-01"}, {"title": 1}, {"request": "{"}, {"status": None}):
        assert client.put(f"{TASK}/update/{operation.pk}", body).status_code == 422, body
    assert client.put(f"{TASK}/update", {}).status_code == 422
    assert client.put(f"{TASK}/update?id={operation.pk}&x=1", {}).status_code == 422
    assert client_of(viewer).put(f"{TASK}/update/{operation.pk}", {"status": "x"}).status_code == 403
    assert client_of(outsider).put(f"{TASK}/update/{operation.pk}", {"status": "x"}).status_code == 404
    ended = foreign(acme, editor, handler="ExportHandler", status="completed")
    assert client.put(f"{TASK}/update/{ended.pk}", {"request": json.dumps(wish(acme))}).status_code == 409
    ended.delete()
    assert rows() == before


def test_an_idempotency_key_makes_one_job(client_of: ClientOf, acme: Organization, editor: User) -> None:
    client = client_of(editor)
    body = {"handler": "ExportHandler", "request": json.dumps(wish(acme))}
    first, second = (client.post(f"{TASK}/create", body, headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert second.headers["Idempotent-Replayed"] == "true"
    assert ExportJob.objects.count() == Operation.objects.count() == 1
    other = client.post(f"{TASK}/create", {"handler": "x"}, headers={"Idempotency-Key": "k"})
    assert (other.status_code, other.json()["error_code"]) == (422, "idempotency_key_reused")


@pytest.mark.django_db(transaction=True)
def test_of_two_requests_at_once_one_starts(acme: Organization, editor: User) -> None:
    operation = foreign(acme, editor, handler="ExportHandler")

    def bring(_: int) -> int:
        client = APIClient()
        client.force_authenticate(editor)
        return client.put(f"{TASK}/update/{operation.pk}", {"request": json.dumps(wish(acme))}).status_code

    assert sorted(at_once(2, bring)) == [200, 409]
    assert ExportJob.objects.count() == Operation.objects.count() == 1


# -- Deleted -------------------------------------------------------------------------------------------------------
def test_a_forced_delete_takes_job_file_and_children_and_keeps_an_audit(client_of: ClientOf, acme: Organization, admin: User, editor: User) -> None:
    job, other = make_job(acme, editor, JobStatus.DONE, name="gone"), make_job(acme, editor, JobStatus.DONE)
    job.file.downloads.create(user=editor, door="api")
    child_job = make_job(acme, editor)
    Operation.objects.filter(job=child_job).update(parent=job.operation)
    operation, child = job.operation, child_job.operation
    path, client, before = f"{TASK}/delete/{operation.pk}", client_of(admin), rows()
    entities = [
        {"entity_type": "task", "entity_id": str(child.pk), "name": "ExportHandler"},
        {"entity_type": "export_job", "entity_id": str(job.pk), "name": "gone"},
        {"entity_type": "export_job", "entity_id": str(child_job.pk), "name": child_job.name},
        {"entity_type": "export_file", "entity_id": str(job.file.pk), "name": job.file.name},
    ]
    refused = client.delete(path)
    assert (refused.status_code, refused.json()["error_code"]) == (400, "related_entities")
    by_key = lambda one: sorted(one.items())  # noqa: E731
    assert sorted(refused.json()["entities"], key=by_key) == sorted(entities, key=by_key)
    assert client_of(editor).delete(f"{path}?force=true").status_code == 403
    ExportJob.objects.filter(pk=child_job.pk).update(status="in progress")
    running = client.delete(f"{path}?force=true")
    assert (running.status_code, running.json()["error_code"]) == (409, "running")
    ExportJob.objects.filter(pk=child_job.pk).update(status="new")
    for query in ("?force=maybe", "?force=true&historicize=true", "?all=1"):
        assert client.delete(path + query).status_code == 422
    assert rows() == before

    assert client.delete(f"{path}?force=true").status_code == 204
    assert list(ExportJob.objects.all()) == [other]
    assert list(Operation.objects.all()) == [other.operation]
    audit = Removal.objects.get()
    assert (audit.operation_id, audit.actor, audit.organization) == (operation.pk, admin, acme)
    assert audit.detail["files"][0]["sha256"] == job.file.sha256
    assert audit.detail["downloads"][0]["user_id"] == editor.pk
    storage.open_file(job.file.key).close()  # the bytes are the sweeper's
    assert litter.sweep() == 1
    with pytest.raises(FileNotFoundError):
        storage.open_file(job.file.key)
    storage.open_file(other.file.key).close()
    assert not Litter.objects.exists()


def test_what_was_started_or_deleted_meanwhile_is_not_deleted(client_of: ClientOf, acme: Organization, editor: User) -> None:
    waiting, other = foreign(acme, editor, handler="ExportHandler"), foreign(acme, editor)
    client_of(editor).put(f"{TASK}/update/{waiting.pk}", {"request": json.dumps(wish(acme))})
    before = rows()
    with pytest.raises(Conflict, match="just changed"):
        deleting.delete(editor, waiting, force=False)
    assert rows() == before
    deleting.delete(editor, other, force=False)
    with pytest.raises(NotFound):
        deleting.delete(editor, other, force=False)
    assert Removal.objects.count() == 1


def test_an_editor_deletes_their_own_an_admin_everybody_s(client_of: ClientOf, acme: Organization, admin: User, editor: User, viewer: User) -> None:
    mine, theirs = foreign(acme, editor), foreign(acme, admin)
    for query in ("", "?historicize=true"):
        assert client_of(editor).delete(f"{TASK}/delete/{theirs.pk}{query}").status_code == 403
        assert client_of(viewer).delete(f"{TASK}/delete/{mine.pk}{query}").status_code == 403
    assert Operation.objects.filter(historized=False).count() == 2
    assert client_of(editor).delete(f"{TASK}/delete/{mine.pk}").status_code == 204
    assert client_of(admin).delete(f"{TASK}/delete/{theirs.pk}").status_code == 204
    assert not Operation.objects.exists()


# -- Tenancy -------------------------------------------------------------------------------------------------------
def test_nobody_sees_another_organization_s(client_of: ClientOf, acme: Organization, globex: Organization, editor: User, outsider: User) -> None:
    theirs = foreign(acme, editor, handler="secret-canary")
    client = client_of(outsider)
    assert index(client).json() == []
    assert client.post(f"{TASK}/index", {}, headers={"X-Organization": str(acme.uuid)}).status_code == 404
    absent = client.get(f"{TASK}/view/3fa85f64-5717-4562-b3fc-2c963f66afa6").content
    assert client.get(f"{TASK}/view/{theirs.pk}").content == absent
    assert client.delete(f"{TASK}/delete/{theirs.pk}?force=true").status_code == 404
    Member.objects.create(organization=globex, user=editor, role=Role.ADMIN, name="Editor")
    both = client_of(editor)
    assert both.get(f"{TASK}/view/{theirs.pk}").status_code == 200
    assert both.get(f"{TASK}/view/{theirs.pk}", headers={"X-Organization": str(globex.pk)}).status_code == 404
    token, _ = access.create_access_token(globex, name="ERP", role=Role.ADMIN)
    service = APIClient()
    service.force_authenticate(token.user, token)  # type: ignore[arg-type]
    assert service.get(f"{TASK}/view/{theirs.pk}").status_code == 404
    assert Operation.objects.count() == 1


def test_operations_age_with_their_own_updates_only(acme: Organization, editor: User) -> None:
    from exports.services.operations import reading

    job = make_job(acme, editor)
    ExportJob.objects.filter(pk=job.pk).update(queued_at=Now() + timedelta(days=2))
    recording.follow(job=job)
    assert reading.rows().get(job=job).updated_at > datetime.now(UTC) + timedelta(days=1)
    publish(job)


def test_an_export_for_an_external_runner_says_so(client_of: ClientOf, acme: Organization, editor: User) -> None:
    asked = json.dumps(wish(acme, runner="external"))
    assert client_of(editor).post(f"{TASK}/create", {"handler": "ExportHandler", "request": asked}).json()["status"] == "pending"
    assert (ExportJob.objects.get().runner, ExportJob.objects.get().status) == ("external", "queued")
