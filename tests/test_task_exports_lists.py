"""The export log, and the lists of tasks, flows and hubs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from exports.api.task_exports.fields import FIELDS
from exports.models import ExportFile, ExportJob
from exports.states import JobStatus
from tasks.models import Flow, Organization, Task, User
from tests.api import make_job
from tests.task_exports import LOG, V3, make_tasks, rows

ClientOf = Callable[[User], APIClient]
pytestmark = pytest.mark.django_db


# -- The log -------------------------------------------------------------------------------------------------------
@pytest.fixture
def logged(acme: Organization, editor: User, admin: User) -> dict[str, ExportJob]:
    """The editor's job in every status, and one of the admin's."""
    names = {status: make_job(acme, editor, status, name=f"{status} job") for status in JobStatus.values}
    ExportJob.objects.filter(pk=names["failed"].pk).update(error="No space.", error_code="x")
    ExportJob.objects.filter(pk=names["cancelled"].pk).update(error="cancelled", error_code="cancelled")
    return {**names, "admin's": make_job(acme, admin, "queued", name="of the admin")}


def names(client: APIClient, **query: Any) -> list[str]:
    response = client.get(LOG, query)
    assert response.status_code == 200, response.json()
    assert len(response.json()["data"]) <= response.json()["total"]
    return [entry["_source"]["dataName"] for entry in response.json()["data"]]


def test_the_log_tells_every_job_but_new_ones_in_three_words(client_of: ClientOf, editor: User, logged: dict[str, ExportJob]) -> None:
    client = client_of(editor)
    entries = {entry["_id"]: entry["_source"] for entry in client.get(LOG).json()["data"]}
    words = {status: entries[str(job.pk)]["status"] for status, job in logged.items() if str(job.pk) in entries}
    assert words == {"queued": "Processing", "in progress": "Processing", "done": "Done", "failed": "Failed", "cancelled": "Failed"}
    done, cancelled, failed = (entries[str(logged[status].pk)] for status in ("done", "cancelled", "failed"))
    assert done["fileUrl"].startswith("http://testserver/d/")
    assert (done["totalRecords"], done["errorMessage"], done["fileType"], done["dataType"]) == (3, None, "csv", "task")
    assert (cancelled["errorMessage"], cancelled["fileUrl"], failed["errorMessage"]) == ("cancelled", None, "No space.")
    ExportFile.objects.update(expires_at=datetime.now(UTC))
    expired = client.get(LOG, {"status": "Done"}).json()["data"][0]["_source"]
    assert (expired["status"], expired["fileUrl"], expired["totalRecords"]) == ("Done", None, 3)


def test_the_log_is_filtered_sorted_and_paged(client_of: ClientOf, editor: User, admin: User, logged: dict[str, ExportJob]) -> None:
    client = client_of(editor)
    newest_first = ["cancelled job", "failed job", "done job", "in progress job", "queued job"]
    assert names(client) == newest_first
    assert names(client, sortBy="requestAt", sortOrder="asc") == newest_first[::-1]
    assert names(client, sortBy="dataName", sortOrder="asc") == sorted(newest_first)
    assert names(client, sortBy="totalRecords")[0] == "done job"
    assert names(client, limit=2) == newest_first[:2]
    assert names(client, limit=2, page=3) == newest_first[4:]
    assert names(client, page=2) == []
    assert names(client, dataName="DONE") == ["done job"]
    assert names(client, status="Failed") == ["cancelled job", "failed job"]
    assert names(client, dataType="task") == newest_first
    assert names(client, dataType="cases") == []
    assert names(client, email=admin.email.upper()) == ["of the admin"]
    assert names(client, email="nobody@example.com") == []
    ExportJob.objects.filter(pk=logged["failed"].pk).update(created_at=datetime.now(UTC) - timedelta(days=31))
    assert "failed job" not in names(client)


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 101},
        {"limit": "x"},
        {"page": 0},
        {"sortBy": "x"},
        {"sortOrder": "up"},
        {"status": "done"},
        {"dataType": "tasks"},
        {"organization": "1"},
        {"email": "a\0"},
    ],
)
def test_a_wrong_question_to_the_log_is_refused(client_of: ClientOf, editor: User, acme: Organization, query: dict[str, Any]) -> None:
    response = client_of(editor).get(LOG, query)
    assert (response.status_code, response.json()["status"]) == (400, False)


def test_the_log_is_its_organizations(client_of: ClientOf, outsider: User, owner: User, acme: Organization, logged: dict[str, ExportJob]) -> None:
    assert client_of(outsider).get(LOG, {"email": "editor@example.com"}).json()["total"] == 0
    assert client_of(outsider).get(LOG, headers={"X-Organization": str(acme.uuid)}).status_code == 404
    assert client_of(owner).get(LOG).json()["field_errors"][0]["code"] == "organization_required"
    asked = client_of(owner).get(LOG, {"email": "editor@example.com"}, headers={"X-Organization": str(acme.pk)})
    assert asked.json()["total"] == 5


def test_lists_take_as_many_queries_however_long_they_are(client_of: ClientOf, editor: User, acme: Organization) -> None:
    client = client_of(editor)

    def queries(url: str) -> int:
        with CaptureQueriesContext(connection) as seen:
            assert client.get(url).json()["data"]
        return len(seen)

    make_job(acme, editor, "done")
    Flow.objects.create(organization=acme, name="A")
    few = {url: queries(url) for url in (LOG, f"{V3}/flows")}
    for number in range(5):
        make_job(acme, editor, "done")
        Flow.objects.create(organization=acme, name=f"B{number}")
    assert {url: queries(url) for url in few} == few


# -- Ids -----------------------------------------------------------------------------------------------------------
def test_flows_and_hubs_by_name_and_page(client_of: ClientOf, viewer: User, outsider: User, editor: User, acme: Organization) -> None:
    made = make_tasks(acme, editor)
    client = client_of(viewer)
    body = client.get(f"{V3}/flows").json()
    assert (body["status"], body["message"], body["total"]) == (True, "Success", 2)
    assert [(flow["_id"], flow["name"]) for flow in body["data"]] == [(str(flow.pk), flow.name) for flow in made["flows"]]
    assert [flow["name"] for flow in client.get(f"{V3}/flows", {"name": "pick"}).json()["data"]] == ["Pick-up"]
    page = client.get(f"{V3}/flows", {"limit": 1, "page": 2}).json()
    assert (page["total"], [flow["name"] for flow in page["data"]]) == (2, ["Pick-up"])
    assert [hub["name"] for hub in client.get(f"{V3}/hubs").json()["data"]] == ["North"]
    for query in ({"limit": 101}, {"page": "x"}, {"q": "x"}):
        assert client.get(f"{V3}/hubs", query).status_code == 400
    for what in ("flows", "hubs"):
        assert client_of(outsider).get(f"{V3}/{what}").json()["data"] == []


@pytest.mark.django_db(transaction=True)
def test_tasks_are_listed_as_an_export_writes_them(client_of: ClientOf, viewer: User, editor: User, outsider: User, acme: Organization) -> None:
    made = make_tasks(acme, editor)
    client, flow = client_of(viewer), str(made["flows"][0].pk)
    queries: list[dict[str, str]] = [
        {},
        {"status": "DONE"},
        {"flowId": flow},
        {"fields": "_id,title,floor", "sortBy": "title", "sortOrder": "asc"},
        {"doneBy": "leandro"},
    ]
    for query in queries:
        exported = rows(client_of(editor), {"download": "json", **query})
        if "fields" not in query:  # then the list has no attributes
            exported = [{key: value for key, value in row.items() if key in FIELDS} for row in exported]
        assert client.get(f"{V3}/tasks", query).json()["data"] == exported
    page = client.get(f"{V3}/tasks", {"limit": "4", "fields": "title"}).json()
    assert (page["status"], page["hasNext"], [row["title"] for row in page["data"]]) == (True, True, [f"Task {number}" for number in (6, 5, 4, 3)])
    rest = client.get(f"{V3}/tasks", {"limit": "4", "page": "2", "fields": "title"}).json()
    assert (rest["hasNext"], [row["title"] for row in rest["data"]]) == (False, ["Task 2", "Task 1"])
    wrong = ({"limit": "101"}, {"status": "x"}, {"sortOrder": "x"}, {"sortBy": "x"}, {"fields": ""}, {"flowId": "x"}, {"download": "json"})
    for query in wrong:
        refused = client.get(f"{V3}/tasks", query)
        assert (refused.status_code, refused.json()["status"]) == (400, False), query
    assert client_of(outsider).get(f"{V3}/tasks").json()["data"] == []
    assert Task.objects.count() == 6
