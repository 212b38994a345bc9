"""Contract 4's source, replayed word for word: only ids and what else must exist are ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from exports import worker
from tasks.models import Organization, User
from tests.openapi import document
from tests.task_exports import CONFIG, EXPORT, LOG, V3, fetch, make_tasks, post, rows

ClientOf = Callable[[User], APIClient]
pytestmark = pytest.mark.django_db(transaction=True)
FIELDS = "startTime,endTime,hubId,createdBy,flow,status"


@pytest.fixture
def made(acme: Organization, editor: User) -> dict[str, Any]:
    return make_tasks(acme, editor)


@pytest.fixture
def ids(made: dict[str, Any]) -> dict[str, str]:
    return {"flow": str(made["flows"][0].pk), "hub": str(made["hub"].pk)}


def test_the_example_of_a_direct_export(client_of: ClientOf, acme: Organization, editor: User, made: dict[str, Any], ids: dict[str, str]) -> None:
    client = client_of(editor)
    body = {
        "download": "xlsx",
        "fields": "startTime,endTime,hubId,createdBy,flow,status",
        "status": "DONE",
        "flowId": ids["flow"],
        "hubId": ids["hub"],
        "page": 1,
        "limit": 100,
        "sortBy": "createdTime",
        "sortOrder": "desc",
        "background": False,
    }
    response = post(client, body)
    assert response.status_code == 200
    answer = response.json()
    assert list(answer) == ["status", "message", "total_data_be", "last_id", "last_field", "data"]
    assert (answer["status"], answer["message"], answer["total_data_be"], answer["last_field"]) == (True, "Success", 1, "status")
    assert answer["last_id"] == str(made["tasks"][0].pk)
    data = answer["data"]
    assert list(data) == ["time", "organizationId", "reportType", "link", "status"]
    assert (data["organizationId"], data["reportType"], data["status"]) == (str(acme.uuid), "task", "Done")
    assert isinstance(data["time"], int)
    file = client.get(data["link"].replace("http://testserver", ""))
    assert f'task_{acme.uuid}_{data["time"]}.xlsx"' in file["Content-Disposition"]
    (row,) = rows(client, body)
    assert list(row) == FIELDS.split(",")
    assert (row["hubId"], row["createdBy"], row["flow"], row["status"]) == (ids["hub"], "Editor", "Delivery", "DONE")
    assert row["startTime"].isoformat() == "2024-01-01T09:00:00"
    assert row["endTime"].isoformat() == "2024-01-01T09:45:00"


def test_the_example_of_a_background_export(client_of: ClientOf, acme: Organization, admin: User, editor: User, ids: dict[str, str]) -> None:
    fields = [{"id": "title", "component": "TextField", "title": "Task"}]
    config = client_of(admin).post(CONFIG, {"name": "Mine", "fields": fields}).json()["data"]
    client = client_of(editor)
    body = {"download": "xlsx", "flowId": ids["flow"], "background": True, "exportConfigId": config["_id"]}
    answer = post(client, body).json()
    assert list(answer) == ["status", "message", "total_data_be", "data"]
    assert answer["message"] == "Export queued for background processing. Check status at GET /tasks/export-log"
    assert (answer["status"], answer["total_data_be"]) == (True, 0)
    assert answer["data"] == {"time": answer["data"]["time"], "organizationId": str(acme.uuid), "reportType": "task", "status": "Processing"}
    (entry,) = client.get(LOG).json()["data"]
    assert entry["_source"]["status"] == "Processing"
    worker.run_next()
    log = client.get(LOG).json()
    assert (log["status"], log["message"], log["total"]) == (True, "Success", 1)
    (entry,) = log["data"]
    assert set(entry) == {"_id", "_source"}
    source = entry["_source"]
    assert list(source) == [
        *("organizationId", "dataType", "dataName", "status", "requestAt", "completedAt"),
        *("email", "fileUrl", "fileType", "totalRecords", "errorMessage"),
    ]
    assert (source["organizationId"], source["dataType"], source["dataName"], source["status"]) == (str(acme.uuid), "task", "Mine", "Done")
    assert (source["email"], source["fileType"], source["totalRecords"], source["errorMessage"]) == (editor.email, "xlsx", 3, None)
    assert source["requestAt"] < source["completedAt"]
    assert fetch(client, source["fileUrl"])[:2] == b"PK"


def test_the_example_of_the_schema(client_of: ClientOf, admin: User, editor: User, made: dict[str, Any], ids: dict[str, str]) -> None:
    fields = [{"id": "title", "component": "TextField", "title": "Task"}]
    config = client_of(admin).post(CONFIG, {"name": "Mine", "fields": fields}).json()["data"]
    body = {
        "download": "xlsx",
        "fields": "startTime,endTime,hubId,createdBy,flow,status",
        "doneBy": "Leandro",
        "assignee": "leandro@mile.app",
        "status": "DONE",
        "flowId": ids["flow"],
        "hubId": ids["hub"],
        "page": 1,
        "limit": 20,
        "sortBy": "createdTime",
        "sortOrder": "desc",
        "background": False,
        "exportConfigId": config["_id"],
    }
    (row,) = rows(client_of(editor), body)
    assert list(row) == FIELDS.split(",")  # fields wins over the config's


def test_the_documented_properties_are_the_sources() -> None:
    schema = document()["components"]["schemas"]["PostExportTaskRequest"]
    assert list(schema["properties"]) == [
        *("download", "fields", "doneBy", "assignee", "status", "flowId", "hubId"),
        *("page", "limit", "sortBy", "sortOrder", "background", "exportConfigId"),
    ]
    assert schema["required"] == ["download"]
    assert {f"{V3}/tasks/export", LOG} <= set(document()["paths"])


def test_each_documented_refusal(client_of: ClientOf, editor: User, viewer: User, acme: Organization) -> None:
    missing = client_of(editor).post(EXPORT, {"background": False})
    assert (missing.status_code, missing.json()["status"]) == (400, False)
    assert missing.json()["message"] == "The download field is required."
    nobody = APIClient().post(EXPORT, {"download": "json"})
    assert (nobody.status_code, nobody.json()["status"], nobody.json()["message"]) == (401, False, "Unauthorized")
    assert nobody["WWW-Authenticate"].startswith("Bearer")
    low = client_of(viewer).post(EXPORT, {"download": "json"})
    assert (low.status_code, low.json()["status"], low.json()["message"]) == (403, False, "You do not have permission to export tasks")
