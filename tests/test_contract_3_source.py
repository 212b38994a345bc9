"""Contract 3's source: its own example requests, word for word but for ids that must exist, and every documented response field."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from rest_framework.test import APIClient

from exports.models import Operation
from tasks.models import Organization, User

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], APIClient]
TASK = "/api/v2/task"
FIELDS = {"task_id", "handler", "user_id", "entity_id", "status", "request", "response", "created_at", "updated_at"}
HEADERS = ("Current-Page", "Page-Count", "Per-Page", "Total-Count")


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def pages(response: Any) -> list[str]:
    return [response.headers[f"X-Pagination-{name}"] for name in HEADERS]


def test_index_as_in_the_source(client_of: ClientOf, acme: Organization, viewer: User) -> None:
    kept = Operation.objects.create(organization=acme, handler="ImportHandler", user=viewer)
    Operation.objects.create(organization=acme, handler="ExportHandler", user=viewer)
    body = {"filter": {"handler": "ImportHandler", "status": "pending"}, "per-page": 10, "page": 1, "sort": "created_at"}
    response = client_of(viewer).post(f"{TASK}/index", body)
    assert response.status_code == 200
    assert pages(response) == ["1", "1", "10", "1"]
    (found,) = response.json()
    assert set(found) == FIELDS
    assert found == {
        "task_id": str(kept.pk),
        "handler": "ImportHandler",
        "user_id": str(viewer.pk),
        "entity_id": None,
        "status": "pending",
        "request": None,
        "response": None,
        "created_at": today(),
        "updated_at": today(),
    }


def test_create_as_in_the_source(client_of: ClientOf, acme: Organization, admin: User, editor: User) -> None:
    body = {"handler": "ExportHandler", "user_id": str(editor.pk), "status": "pending"}
    response = client_of(admin).post(f"{TASK}/create", body)
    assert response.status_code == 201
    made = response.json()
    assert set(made) == FIELDS
    assert {key: made[key] for key in body} == body
    assert made["task_id"] == str(Operation.objects.get(organization=acme).pk)


def test_view_as_in_the_source(client_of: ClientOf, acme: Organization, viewer: User) -> None:
    kept = Operation.objects.create(organization=acme, handler="ImportHandler", user=viewer)
    response = client_of(viewer).get(f"{TASK}/view/{kept.pk}")
    assert response.status_code == 200
    assert set(response.json()) == FIELDS
    assert response.json()["task_id"] == str(kept.pk)
    missing = client_of(viewer).get(f"{TASK}/view/task-1")
    assert missing.status_code == 404
    assert missing.json() == {"name": "Not Found", "message": "There is no such task.", "code": 0, "status": 404, "error_code": "not_found"}


def test_update_as_in_the_source(client_of: ClientOf, acme: Organization, editor: User) -> None:
    client = client_of(editor)
    for handler, path in (("ImportHandler", "update/{}"), ("erp-sync", "update?id={}")):
        kept = Operation.objects.create(organization=acme, handler=handler, user=editor)
        response = client.put(f"{TASK}/{path.format(kept.pk)}", {"status": "completed"})
        assert response.status_code == 200
        assert set(response.json()) == FIELDS
        assert response.json()["task_id"] == str(kept.pk)
        assert response.json()["status"] == "completed"
    assert client.put(f"{TASK}/update/{uuid.uuid4()}", {"status": "completed"}).status_code == 404


def test_delete_as_in_the_source(client_of: ClientOf, acme: Organization, admin: User) -> None:
    client = client_of(admin)
    kept = Operation.objects.create(organization=acme, handler="erp-sync", user=admin)
    child = Operation.objects.create(organization=acme, handler="erp-part", user=admin, parent=kept)
    refused = client.delete(f"{TASK}/delete/{kept.pk}")
    assert refused.status_code == 400
    assert refused.json()["entities"] == [{"entity_type": "task", "entity_id": str(child.pk), "name": "erp-part"}]
    assert Operation.objects.count() == 2
    assert client.delete(f"{TASK}/delete/{kept.pk}?force=false").status_code == 400
    response = client.delete(f"{TASK}/delete/{kept.pk}?force=true")
    assert response.status_code == 204
    assert not response.content
    assert not Operation.objects.exists()
    assert client.delete(f"{TASK}/delete/{kept.pk}").status_code == 404
