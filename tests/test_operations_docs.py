"""docs/operations-api.md is true: its commands run in its order against a real service; every field of the source has its row and its test."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from django.conf import settings

from exports.services.operations import handlers
from exports.services.operations.reading import FIELDS
from exports.services.operations.recording import WORDS
from taskexport import processes
from tasks.models import Organization, User
from tests.api import rows
from tests.fixtures import PASSWORD
from tests.openapi import document

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "operations-api.md").read_text()
COMMAND_SECONDS = 60


@pytest.mark.serial
def test_the_guides_commands_run(process_env: dict[str, str], admin: User, acme: Organization, tmp_path: Path) -> None:
    port = processes.free_port()
    known = f"URL=http://{processes.HOST}:{port}\nEMAIL={admin.email}\nPASSWORD='{PASSWORD}'\nORG={acme.uuid}\n"
    script = known + "".join(re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL))
    with processes.service(port, {**process_env, "VAR": str(tmp_path / "var")}, Path(settings.VAR) / "log"):
        done = subprocess.run(["sh", "-eu", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    answers = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in ("imported", "export", "sync", "refused", "left")}
    assert json.loads(answers["imported"]["response"])["created"] == 2
    assert [row["title"] for row in rows((tmp_path / "tasks.csv.zip").read_bytes())] == ["Mend the fence", "Paint the fence"]
    assert (answers["sync"]["status"], answers["sync"]["response"]) == ("completed", '{"rows": 2}')
    assert [one["entity_type"] for one in answers["refused"]["entities"]] == ["export_job", "export_file"]
    assert [one["task_id"] for one in answers["left"]] == [answers["imported"]["task_id"]]


def test_the_guide_names_every_field_status_and_handler() -> None:
    words = {*FIELDS, *WORDS.values(), *handlers.HANDLERS, *handlers.RESERVED}
    assert {word for word in words if f"`{word}`" not in TEXT} == set()


def test_the_guide_names_every_call() -> None:
    paths = {path for path in document()["paths"] if path.startswith(("/api/v2/task", "/api/v1/uploads"))}
    assert len(paths) == 7
    assert {path for path in paths if path.replace("{task_id}", "{id}") not in TEXT and path != "/api/v2/task/update"} == set()


def test_every_test_that_the_table_names_exists() -> None:
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", TEXT)
    assert len(named) > 15
    assert [f"{file}::{test}" for file, test in named if f"def {test}(" not in (ROOT / "tests" / file).read_text()] == []
