"""`POST /tasks/export`: which rows and fields, in which order, and what is refused."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from exports import worker
from exports.api.task_exports.fields import FIELDS
from exports.models import ExportConfig, ExportFile, ExportJob, JobAttempt, Runner, Trigger
from exports.services import configs, inline, jobs, runner, specs
from taskexport.errors import Conflict
from tasks.models import Organization, Task, User
from tests.making import EVERYTHING, grow_tasks
from tests.task_exports import EXPORT, LOG, fetch, make_tasks, post, rows

ClientOf = Callable[[User], APIClient]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def made(acme: Organization, editor: User) -> dict[str, Any]:
    return make_tasks(acme, editor)


@pytest.fixture
def client(client_of: ClientOf, editor: User, made: dict[str, Any]) -> APIClient:
    return client_of(editor)


def titles(client: APIClient, **body: Any) -> list[int]:
    """The numbers of the tasks that a JSON export of these filters has, in its order."""
    return [int(row["title"].removeprefix("Task ")) for row in rows(client, {"download": "json", "fields": "title", **body})]


def test_each_filter_finds_its_tasks(client: APIClient, made: dict[str, Any]) -> None:
    first, second = (str(flow.pk) for flow in made["flows"])
    assert titles(client) == [6, 5, 4, 3, 2, 1]
    assert titles(client, sortOrder="asc") == [1, 2, 3, 4, 5, 6]
    assert titles(client, status="DONE") == [4, 1]
    assert titles(client, status="ONGOING") == [5, 2]
    assert titles(client, status="UNASSIGNED") == [6, 3]
    assert titles(client, flowId=first) == [5, 3, 1]
    assert titles(client, flowId=f"{first}, {second}", sortBy="_id", sortOrder="asc") == [1, 2, 3, 4, 5, 6]
    assert titles(client, hubId=str(made["hub"].pk)) == [4, 3, 2, 1]
    assert titles(client, assignee="LEANDRO@mile.app") == [5, 4, 2, 1]
    assert titles(client, assignee="leandro@mile") == []
    assert titles(client, doneBy="leandro") == [4, 1]
    assert titles(client, doneBy="Leandr") == []
    assert titles(client, status="DONE", hubId=str(made["hub"].pk), flowId=second) == [4]
    assert titles(client, sortBy="floor", sortOrder="asc")[0] == 2
    assert titles(client, sortBy="flow", sortOrder="asc") == [1, 3, 5, 2, 4, 6]


def test_a_page_cuts_the_rows_only_when_it_is_asked_for(client: APIClient, made: dict[str, Any], acme: Organization) -> None:
    assert titles(client, page=2, limit=4) == [2, 1]
    assert titles(client, limit=2) == [6, 5]
    assert titles(client, page=3, limit=2, sortOrder="asc") == [5, 6]
    assert titles(client, page=9) == []
    grow_tasks(acme, 3)
    assert len(titles(client)) == 48
    assert len(titles(client, page=1)) == 30
    assert len(titles(client, page=2)) == 18
    answer = post(client, {"download": "csv", "page": 9}).json()
    assert (answer["total_data_be"], answer["last_id"], answer["last_field"]) == (0, "", "attributes.title")
    file = ExportFile.objects.latest("pk")
    assert (file.rows, file.receipt["receipt"]["rows_counted"], file.last_row_id) == (0, 0, None)
    assert file.receipt["receipt"]["filter_in_words"] == "tasks, sorted by created_at descending, id descending, rows 241 to 270"


def test_every_format_has_the_same_rows_and_tells_the_last_of_them(client: APIClient, made: dict[str, Any]) -> None:
    last = str(made["tasks"][1].pk)
    for download in ("json", "xlsx", "csv", "ndjson"):
        body = {"download": download, "fields": "_id,title,status,flowId", "limit": 5}
        answer = post(client, body).json()
        assert (answer["total_data_be"], answer["last_id"], answer["last_field"]) == (5, last, "flowId"), download
        found = rows(client, body)
        assert [row["title"] for row in found] == [f"Task {number}" for number in (6, 5, 4, 3, 2)]
        assert [row["_id"] for row in found][-1] == last
        assert ExportFile.objects.latest("pk").name.endswith(f".{download}")


def test_without_fields_a_file_has_all_of_them_and_the_attributes(client: APIClient, made: dict[str, Any]) -> None:
    found = rows(client, {"download": "json", "sortOrder": "asc"})
    assert list(found[0]) == [*FIELDS, "floor", "attributes.title"]
    second = {key: value for key, value in found[1].items() if value}
    task = made["tasks"][1]
    assert second == {
        "_id": str(task.pk),
        "title": "Task 2",
        "content": "Content 2",
        "flow": "Pick-up",
        "flowId": str(task.flow_id),
        "hub": "North",
        "hubId": str(task.hub_id),
        "status": "ONGOING",
        "assignee": "leandro@mile.app",
        "startTime": "2024-01-01T10:00:00Z",
        "endTime": "2024-01-01T10:45:00Z",
        "createdTime": "2024-01-01T10:00:00Z",
        "createdBy": "Editor",
        "updatedTime": found[1]["updatedTime"],
        "refId": "R2",
        "floor": "2",
        "attributes.title": "own",
    }
    assert (found[0]["case"], found[0]["doneTime"], found[0]["doneBy"]) == ("C-1", "2024-01-01T09:30:00Z", "Leandro")
    (both,) = rows(client, {"download": "csv", "fields": " floor, attributes.title ,title", "flowId": str(task.flow_id), "page": 3, "limit": 1})
    assert both == {"floor": "2", "attributes.title": "own", "title": "Task 2"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"download": "pdf"}, "download"),
        ({"download": None}, "download"),
        ({"fields": ""}, "fields"),
        ({"fields": "title,nothing"}, "fields"),
        ({"fields": "title,"}, "fields"),
        ({"fields": "title,title"}, "fields"),
        ({"fields": ",".join(map(str, range(300)))}, "fields"),
        ({"fields": ["title"]}, "fields"),
        ({"doneBy": ""}, "doneBy"),
        ({"assignee": 5}, "assignee"),
        ({"status": "done"}, "status"),
        ({"status": ""}, "status"),
        ({"flowId": "63d8c9b0dbd5ef20a627dd86"}, "flowId"),
        ({"flowId": "9999999"}, "flowId"),
        ({"flowId": "٣"}, "flowId"),
        ({"flowId": "0"}, "flowId"),
        ({"flowId": ","}, "flowId"),
        ({"hubId": "1,2"}, "hubId"),
        ({"hubId": "99999999999999999999999"}, "hubId"),
        ({"page": 0}, "page"),
        ({"page": True}, "page"),
        ({"page": "1"}, "page"),
        ({"limit": 0}, "limit"),
        ({"limit": 1.5}, "limit"),
        ({"limit": 10**9}, "limit"),
        ({"sortBy": "nothing"}, "sortBy"),
        ({"sortBy": "attributes."}, "sortBy"),
        ({"sortOrder": "up"}, "sortOrder"),
        ({"background": "yes"}, "background"),
        ({"background": 1}, "background"),
        ({"stauts": "DONE"}, "stauts"),
    ],
)
def test_a_wrong_wish_is_refused_and_makes_nothing(client_of: ClientOf, editor: User, changes: dict[str, Any], field: str) -> None:
    response = post(client_of(editor), {"download": "json", **changes})
    assert response.status_code == 400, response.json()
    assert response.json()["status"] is False
    assert field in response.json()["message"]
    assert [error["field"] for error in response.json()["field_errors"]] == [field]
    assert not ExportJob.objects.exists()


def test_ids_of_another_organization_are_unknown(
    client_of: ClientOf, acme: Organization, globex: Organization, outsider: User, admin: User, made: dict[str, Any]
) -> None:
    client = client_of(outsider)
    config = configs.create(admin, acme, {"name": "Mine", "columns": ["id"]})
    for body in ({"flowId": str(made["flows"][0].pk)}, {"hubId": str(made["hub"].pk)}):
        assert post(client, {"download": "json", **body}).status_code == 400
    assert post(client, {"download": "json", "fields": "floor"}).status_code == 400  # only acme's tasks have it
    for config_id in (str(config.pk), "634e98498ce07d29474a7e29", "0", "999999"):
        assert post(client, {"download": "json", "exportConfigId": config_id}).status_code == 404
        assert post(client, {"download": "json", "fields": "title", "exportConfigId": config_id}).status_code == 404
    assert post(client, {"download": "json"}, **{"X-Organization": str(acme.uuid)}).status_code == 404
    assert not ExportJob.objects.exists()
    assert rows(client, {"download": "json"}) == []


def test_a_config_gives_fields_and_rows_and_fields_wins_over_its_fields(
    client_of: ClientOf, client: APIClient, admin: User, acme: Organization, made: dict[str, Any]
) -> None:
    flow = {"column": "flow_id", "op": "in", "value": [made["flows"][0].pk]}
    columns = [{"key": "title", "title": "Task"}, {"title": "Depot", "constant": "x"}]
    config = configs.create(admin, acme, {"name": "Mine", "columns": columns, "filter": flow})
    body = {"download": "json", "exportConfigId": str(config.pk)}
    assert rows(client, {**body, "status": "DONE"}) == [{"Task": "Task 1", "Depot": "x"}]
    assert titles(client, exportConfigId=str(config.pk), status="DONE") == [1]
    assert set(ExportJob.objects.values_list("name", flat=True)) == {"Mine"}
    assert ExportJob.objects.first().spec["config_id"] == config.pk
    cases = configs.create(admin, acme, {"name": "Cases", "dataset": "cases", "columns": ["name"]})
    refused = post(client, {"download": "json", "exportConfigId": str(cases.pk)})
    assert refused.json()["field_errors"][0]["field"] == "exportConfigId"
    assert ExportConfig.objects.count() == 2


# -- Direct --------------------------------------------------------------------------------------------------------
def test_a_direct_export_is_a_job_that_was_never_queued(client: APIClient, client_of: ClientOf, editor: User, made: dict[str, Any]) -> None:
    post(client, {"download": "json", "fields": "title"})
    job = ExportJob.objects.get()
    assert (job.status, job.trigger, job.runner, job.queued_at, job.attempt, job.notify) == ("done", Trigger.DIRECT, Runner.WEB, None, 1, False)
    assert [(event.kind, event.from_status, event.to_status) for event in job.events.all()] == [
        ("created", "", "in progress"),
        ("done", "in progress", "done"),
    ]
    assert JobAttempt.objects.get().outcome == "done"
    seen = client.get(f"/api/v1/export-jobs/{job.pk}").json()["job"]
    assert (seen["status"], seen["runner"], seen["trigger"], seen["file"]["rows"]) == ("done", "web", "direct", 6)
    assert client.get(LOG).json()["data"][0]["_source"]["status"] == "Done"


def test_too_many_rows_for_a_request_are_refused_with_the_cure(client: APIClient, settings: Any) -> None:
    settings.DIRECT_ROWS = 5
    refused = post(client, {"download": "csv"})
    assert (refused.status_code, refused.json()["field_errors"][0]["field"]) == (400, "background")
    assert "background: true" in refused.json()["message"]
    assert not ExportJob.objects.exists()
    assert post(client, {"download": "csv", "limit": 5}).json()["total_data_be"] == 5
    assert post(client, {"download": "csv", "status": "DONE"}).status_code == 200
    assert post(client, {"download": "csv", "background": True}).status_code == 200


def test_xlsx_and_json_are_bounded_and_csv_is_not(client: APIClient, settings: Any) -> None:
    settings.TASK_EXPORT_ROWS = 5
    for download, status in (("xlsx", 400), ("json", 400), ("csv", 200), ("ndjson", 200)):
        for background in (True, False):
            response = post(client, {"download": download, "background": background})
            assert response.status_code == status, download
            if status == 400:
                assert [error["field"] for error in response.json()["field_errors"]] == ["download"]
    assert ExportJob.objects.count() == 4


def test_json_above_10_000_tasks_is_parts_in_one_zip(client: APIClient, acme: Organization) -> None:
    total = grow_tasks(acme, 11)
    assert total > 10_000
    answer = post(client, {"download": "json", "fields": "_id"}).json()
    name = ExportFile.objects.get().name
    assert name == f"task_{acme.uuid}_{answer['data']['time']}.zip"
    with zipfile.ZipFile(io.BytesIO(fetch(client, answer["data"]["link"]))) as archive:
        parts = [json.loads(archive.read(member)) for member in archive.namelist()]
        assert archive.namelist() == [f"{name.removesuffix('.zip')}-000{number}.json" for number in (1, 2)]
    assert [len(part) for part in parts] == [10_000, total - 10_000]
    assert parts[-1][-1]["_id"] == answer["last_id"]


def test_the_same_key_twice_makes_one_export(client: APIClient) -> None:
    for background in (False, True):
        body = {"download": "json", "fields": "title", "background": background}
        key = {"Idempotency-Key": f"key-{background}"}
        first, second = post(client, body, **key), post(client, body, **key)
        assert first.json() == second.json()
        assert "Idempotent-Replayed" in second
        assert "Idempotent-Replayed" not in first
        other = post(client, {**body, "status": "DONE"}, **key)
        assert (other.status_code, other.json()["error_code"]) == (422, "idempotency_key_reused")
    assert ExportJob.objects.count() == 2


def test_only_so_many_run_at_once(client: APIClient, editor: User, acme: Organization, settings: Any) -> None:
    wish = specs.make({"org_name": "Acme", "name": "x", "type": "basic", **EVERYTHING})
    claims = [inline.begin(editor, acme, wish) for _ in range(settings.DIRECT_RUNNING_USER)]
    refused = post(client, {"download": "json"})
    assert (refused.status_code, refused.json()["error_code"], refused["Retry-After"]) == (429, "too_many_direct", "10")
    assert ExportJob.objects.count() == len(claims)
    runner.run(claims[0])
    assert post(client, {"download": "json"}).status_code == 200


def test_a_fault_ends_a_direct_export_as_a_500_without_a_path(client_of: ClientOf, editor: User, acme: Organization, settings: Any) -> None:
    settings.SPOOL_ROOT = settings.VAR / "a-file"
    settings.SPOOL_ROOT.write_text("not a folder")
    client = client_of(editor)
    client.raise_request_exception = False
    response = post(client, {"download": "json"})
    body = response.json()
    assert (response.status_code, body["status"], body["message"]) == (500, False, "Internal server error")
    assert set(body["error"]) == {"message"}
    assert body["error_code"] == "storage_unavailable"
    assert str(settings.VAR) not in response.content.decode()
    assert "line" not in response.content.decode()
    job = ExportJob.objects.get()
    assert (job.status, job.error_code, job.queued_at) == ("failed", "storage_unavailable", None)
    log = client.get(LOG).json()["data"][0]["_source"]
    assert (log["status"], log["fileUrl"], log["totalRecords"]) == ("Failed", None, None)
    assert log["errorMessage"] == "The file could not be written."


def test_a_request_that_went_away_leaves_a_failed_job(editor: User, acme: Organization, made: dict[str, Any]) -> None:
    wish = specs.make({"org_name": "Acme", "name": "x", "type": "basic", **EVERYTHING})
    claim = inline.begin(editor, acme, wish)
    assert jobs.reap() == 0
    JobAttempt.objects.update(beat_at=datetime.now(UTC) - timedelta(minutes=5))
    assert jobs.reap() == 1
    job = ExportJob.objects.get()
    assert (job.status, job.error_code) == ("failed", "client_gone")
    runner.run(claim)  # too late: it has lost the job
    assert (ExportJob.objects.get().status, ExportFile.objects.count()) == ("failed", 0)
    with pytest.raises(Conflict):  # nobody waits for its answer any more
        jobs.retry(editor, job)
    assert ExportJob.objects.get().status == "failed"


def test_a_cancelled_direct_export_is_409(client: APIClient, editor: User, acme: Organization) -> None:
    grow_tasks(acme, 12)
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(post(client, {"download": "xlsx"})))
    thread.start()
    try:
        for _ in range(1000):
            job = ExportJob.objects.first()
            if job:
                jobs.cancel(editor, job)
                break
            thread.join(0.01)
    finally:
        thread.join(60)
    assert (answers[0].status_code, answers[0].json()["error_code"]) == (409, "cancelled")
    assert not ExportFile.objects.exists()


def test_a_background_export_is_named_after_the_organization(client: APIClient, acme: Organization) -> None:
    answer = post(client, {"download": "ndjson", "background": True}).json()
    worker.run_next()
    assert ExportFile.objects.get().name == f"task_{acme.uuid}_{answer['data']['time']}.ndjson"
    job = ExportJob.objects.get()
    assert (job.notify, job.runner, job.trigger) == (True, Runner.INTERNAL, Trigger.API)
    again = client.post(f"/api/v1/export-jobs/{job.pk}/again")
    assert again.status_code == 201
    assert Task.objects.filter(organization=acme).count() == 6
    assert client.post(EXPORT, "[1]", content_type="application/json").status_code == 400


def test_odd_attribute_keys_are_fields_like_any_other(client: APIClient, acme: Organization, made: dict[str, Any]) -> None:
    odd = ['a"b', "1", "a.b", "$", "[0]", "é", "%s", "a\\b", "'", "a b", "*", "#", "-1"]
    Task.objects.filter(pk=made["tasks"][0].pk).update(attributes={key: f"value of {key}" for key in [*odd, "a,b", " ", "x" * 300, ""]})
    Task.objects.filter(pk=made["tasks"][1].pk).update(attributes=["title"])
    (row,) = rows(client, {"download": "json", "fields": ",".join(odd), "sortBy": odd[0], "limit": 1})
    assert row == {key: f"value of {key}" for key in odd}
    for key in odd:
        assert rows(client, {"download": "json", "fields": key, "sortBy": key, "limit": 1}) == [{key: f"value of {key}"}]
        refused = post(client, {"download": "json", "fields": f"{key}x"})
        assert refused.status_code == 400, key
    # The attributes are looked for once, however many are named.
    counts = []
    for keys in (odd[:1], odd):
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/api/v3/tasks", {"fields": ",".join(keys), "limit": "1"}).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]
    whole = rows(client, {"download": "json", "limit": 1, "sortOrder": "asc"})[0]
    assert list(whole) == [*FIELDS, *sorted([*odd, "a,b", "attributes. "], key=lambda key: key.removeprefix("attributes."))]


def test_more_attributes_than_columns_are_refused_until_they_are_named(client: APIClient, made: dict[str, Any]) -> None:
    Task.objects.filter(pk=made["tasks"][0].pk).update(attributes={f"a{number}": number for number in range(200)})
    refused = post(client, {"download": "json"})
    assert (refused.status_code, refused.json()["field_errors"][0]["field"]) == (400, "fields")
    assert rows(client, {"download": "json", "fields": "a199", "sortOrder": "asc", "limit": 1}) == [{"a199": "199"}]
