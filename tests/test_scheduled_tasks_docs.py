"""docs/scheduled-tasks.md is true: its commands run against a real service, and it names what there is."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from django.conf import settings

from exports.api.scheduled_tasks import shapes
from exports.datasets.records import FIELDS
from exports.models import Missed, Outcome, Overlap
from exports.services import segments
from exports.services.schedules.reading import Code
from taskexport import processes
from tasks.models import Organization, User
from tests.fixtures import PASSWORD
from tests.openapi import document

ROOT = Path(__file__).resolve().parent
TEXT = (ROOT.parent / "docs" / "scheduled-tasks.md").read_text()
COMMAND_SECONDS = 90


@pytest.mark.serial
def test_the_walk_runs(process_env: dict[str, str], admin: User, acme: Organization, tmp_path: Path) -> None:
    port = processes.free_port()
    head, *blocks = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    assert "PASSWORD=" in head
    known = f"URL=http://127.0.0.1:{port}\nEMAIL={admin.email}\nPASSWORD='{PASSWORD}'\n"
    with processes.service(port, {**process_env, "VAR": str(tmp_path / "var")}, Path(settings.VAR) / "log"):
        done = subprocess.run(
            ["sh", "-eu", "-c", known + "".join(blocks)], cwd=tmp_path, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    answers = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in ("records", "state", "task", "changed", "list")}
    lines = done.stdout.splitlines()
    assert lines[0] == "success"
    assert lines[1].startswith("id,external_id,timestamp,amount")
    assert "T-1,2024-01-31T13:00:00+01:00,12.5,EUR,7" in lines[2]
    assert len(lines) == 3
    assert answers["records"] == {"index": "transactions", "created": 2, "updated": 0}
    assert (answers["state"]["code"], answers["state"]["last_outcome"]) == ("READY", "done")
    assert (answers["changed"]["version"], answers["changed"]["trigger"]["repeat"]) == (2, "weekly")
    assert answers["changed"]["trigger"]["once"] == answers["task"]["trigger"]["once"] == "2040-01-31T01:30:00Z"
    assert [task["id"] for task in answers["list"]] == [answers["task"]["id"]]


def test_the_page_names_every_field_word_and_test() -> None:
    schemas = document()["components"]["schemas"]
    named = ("ScheduledTask", "ScheduledState", "ScheduledTrigger", "ScheduledTarget", "ScheduledLog", "ScheduledUrl", "SegmentBody", "RecordsLoaded")
    fields = set().union(*(schemas[name]["properties"] for name in named)) - {"state", "trigger", "target"}
    assert {field for field in fields if not re.search(rf'[`"](?:\w+\.)?{field}[`"]', TEXT)} == set()
    paths = [re.sub(r"\{\w+_id\}", "{id}", path) for path in document()["paths"] if path.startswith("/api/services/")]
    assert len(paths) >= 7
    assert {path for path in paths if path.removeprefix("/api/services").replace("/tasks/{id}/", "/") not in TEXT} == set()
    words = {
        *Code.values,
        *Missed.values,
        *Overlap.values,
        *Outcome.values,
        *shapes.INDEXES,
        *shapes.FORMATS,
        *segments.OPERATORS,
        *segments.FIELD_TYPES,
    }
    assert {word for word in words if not re.search(rf"[`\"]{word}[`\"]", TEXT)} == set()
    for index, declared in FIELDS.items():
        assert f"| `{index}` | {', '.join(f'`{name}`' for name in declared)} |" in TEXT
    tests = set(re.findall(r"`(test_\w+)`", TEXT))
    written = "".join((ROOT / f"{name}.py").read_text() for name in ("test_contract_5_source", "test_scheduled_tasks"))
    assert {name for name in tests if f"def {name}(" not in written} == set()
