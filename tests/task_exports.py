"""What the tests of contract 4 share: a small organization's tasks, calls, and the rows of a file."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import openpyxl

from tasks.models import Case, Flow, Hub, Member, Organization, Task, TaskStatus, User
from tests.api import content

V3 = "/api/v3"
EXPORT, LOG, CONFIGS, CONFIG = f"{V3}/tasks/export", f"{V3}/tasks/export-log", f"{V3}/export-configs", f"{V3}/export-config"
START = datetime(2024, 1, 1, 8, tzinfo=UTC)


def make_tasks(organization: Organization, user: User) -> dict[str, Any]:
    """Six tasks, an hour between each: done by Leandro 1 and 4, with an assignee 2 and 5, nobody's 3 and 6; odd ones of the first flow."""
    leandro = Member.objects.create(organization=organization, name="Leandro", email="leandro@mile.app")
    flows = [Flow.objects.create(organization=organization, name=name) for name in ("Delivery", "Pick-up")]
    hub = Hub.objects.create(organization=organization, name="North")
    case = Case.objects.create(organization=organization, name="C-1")
    tasks = []
    for number in range(1, 7):
        kind = number % 3
        at = START + timedelta(hours=number)
        tasks.append(
            Task.objects.create(
                organization=organization,
                external_id=f"R{number}",
                title=f"Task {number}",
                body=f"Content {number}",
                flow=flows[(number + 1) % 2],
                hub=hub if number < 5 else None,
                case=case if number == 1 else None,
                status=TaskStatus.COMPLETE if kind == 1 else TaskStatus.IN_PROGRESS,
                assignee=None if kind == 0 else leandro,
                completed_at=at + timedelta(minutes=30) if kind == 1 else None,
                completed_by=leandro if kind == 1 else None,
                starts_at=at,
                ends_at=at + timedelta(minutes=45),
                created_by=user,
                created_at=at,
                attributes={"floor": number, "title": "own"} if number == 2 else {},
            )
        )
    return {"tasks": tasks, "flows": flows, "hub": hub}


def post(client: Any, body: dict[str, Any], **headers: str) -> Any:
    """The answer to an export."""
    return client.post(EXPORT, body, headers=headers)


def fetch(client: Any, link: str) -> bytes:
    """The bytes behind a link."""
    return content(client.get(urlsplit(link).path))


def rows(client: Any, body: dict[str, Any], **headers: str) -> list[dict[str, Any]]:
    """The rows of a direct export."""
    response = post(client, body, **headers)
    assert response.status_code == 200, response.json()
    data = fetch(client, response.json()["data"]["link"])
    if body["download"] == "json":
        found: list[dict[str, Any]] = json.loads(data)
        return found
    if body["download"] == "ndjson":
        return [json.loads(line) for line in data.splitlines()]
    if body["download"] == "csv":
        return list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    table = list(openpyxl.load_workbook(io.BytesIO(data)).worksheets[0].iter_rows(values_only=True))
    return [dict(zip(map(str, table[0]), row, strict=True)) for row in table[1:]]
