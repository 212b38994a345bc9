"""docs/task-exports.md is true: its commands run as they stand, and its tables name what there is."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import openpyxl
import pytest
from django.conf import settings

from exports.api.task_exports.fields import FIELDS
from taskexport import processes
from tasks import demo
from tasks.models import Flow, Organization, User
from tests.fixtures import PASSWORD
from tests.openapi import document

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "task-exports.md").read_text()
COMMAND_SECONDS = 60


@pytest.mark.serial
def test_the_guides_commands_run(process_env: dict[str, str], admin: User, acme: Organization, tmp_path: Path) -> None:
    demo.make_tasks(acme, 200, 1)
    port = processes.free_port()
    head, *blocks = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    assert "PASSWORD=" in head
    known = f"URL=http://127.0.0.1:{port}\nEMAIL={admin.email}\nPASSWORD='{PASSWORD}'\nORG={acme.uuid}\n"
    with processes.service(port, {**process_env, "VAR": str(tmp_path / "var")}, Path(settings.VAR) / "log"):
        done = subprocess.run(
            ["sh", "-eu", "-c", known + "".join(blocks)], cwd=tmp_path, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    names = ("flows", "hubs", "tasks", "direct", "config", "configs", "queued", "log", "changed", "deleted")
    answers = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in names}
    assert all(answer["status"] is True for answer in answers.values()), answers
    assert answers["queued"]["data"]["status"] == "Processing"
    sheet = openpyxl.load_workbook(tmp_path / "tasks.xlsx").worksheets[0]
    assert [cell.value for cell in sheet[1]] == ["startTime", "endTime", "hubId", "createdBy", "flow", "status"]
    assert sheet.max_row == answers["direct"]["total_data_be"] + 1 > 1
    found = json.loads((tmp_path / "tasks-background.json").read_text())
    assert list(found[0]) == ["Task", "Task state"]
    flow = Flow.objects.get(pk=answers["flows"]["data"][0]["_id"])
    assert len(found) == flow.tasks.count() == answers["log"]["data"][0]["_source"]["totalRecords"]


def test_the_guide_names_every_field_and_call() -> None:
    schemas = document()["components"]["schemas"]
    shapes = ("PostExportTaskRequest", "ExportAnswer", "ExportData", "LogSource", "Config", "ConfigBodyRequest", "ConfigFieldRequest", "Named")
    fields = set().union(*(schemas[name]["properties"] for name in shapes)) | set(FIELDS)
    assert {field for field in fields if not re.search(rf'[`".]{field}[`"]', TEXT)} == set()
    calls = {path.removeprefix("/api/v3") for path in document()["paths"] if path.startswith("/api/v3")}
    assert {call for call in calls if call.replace("config_id", "id") not in TEXT} == set()


def test_the_guide_names_tests_that_there_are() -> None:
    named = set(re.findall(r"`(test_\w+)`", TEXT))
    written = set(re.findall(r"^def (test_\w+)", "\n".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py")), re.MULTILINE))
    assert len(named) > 15
    assert named <= written
