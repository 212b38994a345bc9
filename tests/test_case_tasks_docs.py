"""docs/case-tasks.md is true: its commands run as they stand against a real service; its tables name what there is, and tests that exist."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from django.conf import settings

from taskexport import processes
from tasks import access, demo
from tasks.api import filters, pages, tasks
from tasks.models import Organization, Role, Task
from tests.openapi import document

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "case-tasks.md").read_text()
COMMAND_SECONDS = 60


@pytest.mark.serial
def test_the_walks_commands_run(process_env: dict[str, str], acme: Organization, tmp_path: Path) -> None:
    demo.make_tasks(acme, 20, 1)
    _, token = access.create_access_token(acme, name="Planning board", role=Role.EDITOR)
    port = processes.free_port()
    head, *blocks = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    assert "TOKEN=" in head
    known = f"URL=http://127.0.0.1:{port}\nTOKEN='{token}'\n"
    with processes.service(port, {**process_env, "VAR": str(tmp_path / "var")}, Path(settings.VAR) / "log"):
        done = subprocess.run(
            ["sh", "-eu", "-c", known + "".join(blocks)], cwd=tmp_path, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    answers = {
        name: json.loads((tmp_path / f"{name}.json").read_text()) for name in ("found", "count", "page", "next", "task", "done", "stale", "made")
    }
    assert [task["id"] for task in answers["found"]] == [answers["task"]["id"]]
    assert answers["count"]["record_count"] == Task.objects.filter(status="none").count() - 100 + 1  # the one that is done by now
    assert len(answers["page"]) == len(answers["next"]) == 2
    assert not {task["id"] for task in answers["page"]} & {task["id"] for task in answers["next"]}
    assert answers["done"] == answers["task"] | {name: answers["done"][name] for name in ("status", "completed_at", "updated_at")}
    assert answers["stale"]["error"]["code"] == "stale_etag"
    assert answers["made"]["record_count"] == 100
    assert Task.objects.count() == 121


def test_the_page_names_every_call_parameter_and_field() -> None:
    schemas = document()["components"]["schemas"]
    shapes = ("CaseTask", "CaseTaskFieldsRequest", "CaseTaskAddressRequest", "CaseError", "CaseTaskUser")
    fields = set().union(*(schemas[name]["properties"] for name in shapes))
    ends = filters.KEYS - {f"{name}_{end}" for name in ("alert", "alert_sent", "created", "updated") for end in ("from", "to")}
    for word in fields | ends | pages.KEYS | {"sort", "dir"} | set(tasks.SORTS) | {"alert_…", "alert_sent_…", "created_…", "updated_…"}:
        assert re.search(rf'[`"]{word}[`"]', TEXT), word
    calls = {"tasks", "tasks/bulk", "cases", "subjects", "calendars", "case-services", "users"}
    assert {path.removeprefix("/api/v1/") for path in document()["paths"] if "case tasks" in str(document()["paths"][path])} == {
        *calls,
        "tasks/{task_id}",
    }
    assert all(f"/{call}`" in TEXT for call in calls)


def test_the_tests_that_the_page_names_exist() -> None:
    code = "".join((ROOT / "tests" / name).read_text() for name in ("test_contract_2_source.py", "test_tasks_api_list.py", "test_tasks_api_write.py"))
    named = set(re.findall(r"`(test_\w+)`", TEXT))
    assert named
    assert {name for name in named if f"def {name}(" not in code} == set()
