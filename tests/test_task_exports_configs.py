"""Export configs in contract 4's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from exports.models import ExportConfig
from exports.services import configs, segments
from tasks.models import Flow, Organization, Task, User
from tests.task_exports import CONFIG, CONFIGS

ClientOf = Callable[[User], APIClient]
pytestmark = pytest.mark.django_db
TITLE = {"id": "title", "component": "TextField", "title": "Task"}
FIELDS = [
    TITLE,
    {"id": "flowId", "component": "Dropdown", "title": "Flow", "source": "flows"},
    {"id": "floor", "component": "NumberField", "title": "Flow", "source": "", "uniqueTitle": "Flow (floor)"},
]


@pytest.fixture
def flow(acme: Organization) -> Flow:
    Task.objects.create(organization=acme, title="x", attributes={"floor": 2})
    return Flow.objects.create(organization=acme, name="Delivery")


@pytest.fixture
def body(flow: Flow) -> dict[str, Any]:
    return {"name": "Shifts", "description": "By shift", "collection": "task", "flowIds": [str(flow.pk)], "fields": FIELDS}


def test_a_config_is_created_read_listed_changed_and_removed(
    client_of: ClientOf, admin: User, viewer: User, acme: Organization, flow: Flow, body: dict[str, Any]
) -> None:
    client = client_of(admin)
    created = client.post(CONFIG, body, headers={"Idempotency-Key": "one"})
    assert created.status_code == 201, created.json()
    assert (created.json()["status"], created.json()["message"]) == (True, "Created")
    config = created.json()["data"]
    assert created["Location"].endswith(f"{CONFIG}/{config['_id']}")
    assert {key: config[key] for key in body} == body
    assert (config["organizationId"], config["version"], config["createdBy"]) == (str(acme.uuid), 1, admin.email)
    assert client.post(CONFIG, body, headers={"Idempotency-Key": "one"}).json() == created.json()
    kept = ExportConfig.objects.get()
    assert [column["title"] for column in kept.columns] == ["Task", "Flow", "Flow (floor)"]
    assert kept.filter == {"column": "flow_id", "op": "in", "value": [flow.pk]}

    reader = client_of(viewer)
    read = reader.get(f"{CONFIG}/{config['_id']}")
    assert read.json()["data"] == config
    listed = reader.get(CONFIGS).json()
    assert (listed["status"], listed["total"], listed["data"]) == (True, 1, [config])
    assert reader.get(CONFIGS, {"page": 2}).json()["data"] == []

    changed = client.put(f"{CONFIG}/{config['_id']}", {"name": "Tasks", "fields": [TITLE]}, headers={"If-Match": read["ETag"]})
    assert changed.status_code == 200, changed.json()
    after = changed.json()["data"]
    assert (after["name"], after["description"], after["flowIds"], after["fields"], after["version"]) == ("Tasks", "", [], [TITLE], 2)
    for stale in (client.put, client.delete):
        assert stale(f"{CONFIG}/{config['_id']}", body, headers={"If-Match": read["ETag"]}).status_code == 412
    assert ExportConfig.objects.get().name == "Tasks"
    removed = client.delete(f"{CONFIG}/{config['_id']}")
    assert (removed.status_code, removed.json()) == (200, {"status": True, "message": "Deleted"})
    assert client.delete(f"{CONFIG}/{config['_id']}").status_code == 404
    assert not ExportConfig.objects.exists()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "basic"}, "name"),
        ({"fields": []}, "fields"),
        ({"fields": [{**TITLE, "id": "nothing"}]}, "fields.0.id"),
        ({"fields": [TITLE, TITLE]}, "fields.1.title"),
        ({"fields": [{"id": "title", "title": "x"}]}, "fields.0.component"),
        ({"fields": [{**TITLE, "colour": "red"}]}, "colour"),
        ({"fields": "title"}, "fields"),
        ({"collection": "people"}, "collection"),
        ({"collection": "cases", "flowIds": []}, "fields.0.id"),
        ({"flowIds": ["63d8c9b0dbd5ef20a627dd86"]}, "flowIds"),
        ({"flowIds": [5]}, "flowIds.0"),
        ({"owner": "me"}, "owner"),
    ],
)
def test_a_wrong_config_is_refused_and_changes_nothing(
    client_of: ClientOf, admin: User, acme: Organization, body: dict[str, Any], changes: dict[str, Any], field: str
) -> None:
    config = configs.create(admin, acme, {"name": "kept", "columns": ["id"]})
    client = client_of(admin)
    for refused in (client.post(CONFIG, body | changes), client.put(f"{CONFIG}/{config.pk}", body | changes)):
        assert (refused.status_code, refused.json()["status"]) == (400, False), refused.json()
        assert field in refused.json()["field_errors"][0]["field"]
    assert list(ExportConfig.objects.values_list("name", "version")) == [("kept", 1)]


def test_a_taken_name_is_409(client_of: ClientOf, admin: User, body: dict[str, Any]) -> None:
    client = client_of(admin)
    assert client.post(CONFIG, body).status_code == 201
    taken = client.post(CONFIG, {**body, "name": "SHIFTS"})
    assert (taken.status_code, taken.json()["error_code"], taken.json()["status"]) == (409, "name_taken", False)
    assert ExportConfig.objects.count() == 1


def test_what_the_contract_has_no_word_for_survives_a_change(client_of: ClientOf, admin: User, acme: Organization, flow: Flow) -> None:
    columns = ["city", {"title": "Depot", "constant": "North"}, {"key": "attributes.title", "title": "own"}, {"key": "hub_id", "title": "Hub"}]
    town = {"column": "city", "op": "is", "value": "Oslo"}
    config = configs.create(admin, acme, {"name": "Made elsewhere", "columns": columns, "filter": town, "timezone": "Europe/Oslo"})
    client, url = client_of(admin), f"{CONFIG}/{config.pk}"
    shown = client.get(url).json()["data"]
    assert [(field["id"], field["title"]) for field in shown["fields"]] == [
        ("city", "city"),
        ("Depot", "Depot"),
        ("attributes.title", "own"),
        ("hubId", "Hub"),
    ]
    assert shown["flowIds"] == []
    fields = [{**field, "component": "x"} for field in shown["fields"]]
    changed = client.put(url, {"name": "Changed", "flowIds": [str(flow.pk)], "fields": fields}).json()["data"]
    assert (changed["fields"], changed["flowIds"]) == (fields, [str(flow.pk)])
    after = ExportConfig.objects.get()
    assert after.columns == config.columns
    assert after.filter == {"all": [{"column": "flow_id", "op": "in", "value": [flow.pk]}, town]}
    assert after.timezone == "Europe/Oslo"
    assert client.put(url, {"name": "Changed", "fields": fields}).json()["data"]["flowIds"] == []
    assert ExportConfig.objects.get().filter == town


def test_a_segment_that_fits_another_zone_alone_is_said_and_breaks_no_list(client_of: ClientOf, admin: User, acme: Organization) -> None:
    Organization.objects.filter(pk=acme.pk).update(timezone="Europe/Amsterdam")
    acme.refresh_from_db()
    # The start is 10:00 in UTC there, but in a config's UTC it lies behind the end.
    dates = {"start_date": "2024-06-01T12:00:00", "end_date": "2024-06-01T10:30:00Z"}
    rule = {"field_name": "created_at", "field_type": "date", "operator": "is_between_date", **dates}
    segment = segments.create(admin, acme, "Noon", {"index": "tasks", "rules": [rule]})
    client = client_of(admin)
    made = client.post(CONFIG, {"name": "Noon", "fields": [TITLE], "segmentId": str(segment.pk)})
    assert (made.status_code, "can't be read any more: rules[0].start_date" in str(made.json()["data"]["inWords"])) == (201, True), made.json()
    assert client.get(CONFIGS).json()["data"] == [made.json()["data"]]
    Organization.objects.filter(pk=acme.pk).update(timezone="UTC")
    listed = client.get("/api/services/segments")
    assert (listed.status_code, "can't be read any more" in listed.json()[0]["in_words"]) == (200, True)
    export = {"download": "csv", "background": True, "exportConfigId": made.json()["data"]["_id"]}
    assert client.post("/api/v3/tasks/export", export).status_code == 400


def test_other_collections_have_their_own_fields(client_of: ClientOf, admin: User, acme: Organization, body: dict[str, Any]) -> None:
    client = client_of(admin)
    fields = [{"id": "name", "component": "TextField", "title": "Case"}]
    made = client.post(CONFIG, {"name": "Cases", "collection": "cases", "fields": fields}).json()["data"]
    assert (made["collection"], made["fields"]) == ("cases", fields)
    assert client.post(CONFIG, {"name": "x", "collection": "cases", "flowIds": body["flowIds"], "fields": fields}).status_code == 400
    assert ExportConfig.objects.count() == 1


def test_only_admins_change_and_nobody_else_sees(
    client_of: ClientOf, admin: User, editor: User, owner: User, outsider: User, acme: Organization, body: dict[str, Any]
) -> None:
    url = f"{CONFIG}/{client_of(admin).post(CONFIG, body).json()['data']['_id']}"
    there = {"X-Organization": str(acme.pk)}
    for user, status in ((editor, 403), (owner, 403), (outsider, 404)):
        client = client_of(user)
        assert client.put(url, body, headers=there).status_code == status
        assert client.delete(url, headers=there).status_code == status
        assert client.post(CONFIG, {**body, "name": "other"}, headers=there).status_code == status
    assert client_of(outsider).get(url).status_code == 404
    assert client_of(outsider).get(CONFIGS).json()["total"] == 0
    assert list(ExportConfig.objects.values_list("name", "version")) == [("Shifts", 1)]
