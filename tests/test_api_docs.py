"""docs/api.md is true: its commands run as they stand, in its order, against a real service; its tables name what there is."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import zipfile
from pathlib import Path

import pytest
from django.conf import settings

from exports.datasets import CONFIGS, builtin_columns
from exports.states import JobStatus
from taskexport import processes
from tasks import demo
from tasks.models import Organization, User
from tests.fixtures import PASSWORD
from tests.openapi import document

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "api.md").read_text()
COMMAND_SECONDS = 60


@pytest.mark.serial
def test_the_guides_commands_run(process_env: dict[str, str], admin: User, acme: Organization, tmp_path: Path) -> None:
    demo.make_tasks(acme, 100, 1)
    port = processes.free_port()
    head, *blocks = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    assert "PASSWORD=" in head
    known = f"URL=http://127.0.0.1:{port}\nEMAIL={admin.email}\nPASSWORD='{PASSWORD}'\nORG={acme.uuid}\n"
    with processes.service(port, {**process_env, "VAR": str(tmp_path / "var")}, Path(settings.VAR) / "log"):
        done = subprocess.run(
            ["sh", "-eu", "-c", known + "".join(blocks)], cwd=tmp_path, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "done\n100 rows; tasks created from 2024-01-01" in done.stdout
    assert "Signature Verified Successfully" in done.stdout
    answers = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in ("list", "cancelled", "events", "downloads")}
    assert answers["list"]["meta"]["total"] == 1
    assert answers["cancelled"]["job"]["status"] == "cancelled"
    assert [event["kind"] for event in answers["events"]["events"]] == ["created", "started", "claimed", "done"]
    assert [each["door"] for each in answers["downloads"]["downloads"]] == ["link", "api"]
    with zipfile.ZipFile(tmp_path / "by-link.zip") as archive:
        table = list(csv.reader(io.StringIO(archive.read(archive.namelist()[0]).decode(), newline="")))
    assert [f"`{title}`" for title in table[0]] == _layouts()["basic"]


def _layouts() -> dict[str, list[str]]:
    return {kind: columns.split(", ") for kind, columns in re.findall(r"^\| `(basic|fedex)` \| (.+) \|$", TEXT, re.MULTILINE)}


def test_the_guide_lists_the_layouts_as_they_are() -> None:
    assert _layouts() == {kind: [f"`{title}`" for _, title in builtin_columns(kind)] for kind in CONFIGS}


def test_the_guide_names_every_field_status_and_call() -> None:
    schemas = document()["components"]["schemas"]
    fields = set().union(*(schemas[name]["properties"] for name in ("SingleJob", "JobCreateRequest", "Receipt", "JobFile", "JobProgress")))
    assert {field for field in fields if not re.search(rf'[`"]{field}[`"]', TEXT)} == set()
    assert {status for status in JobStatus.values if f"`{status}`" not in TEXT} == set()
    paths = {path for path in document()["paths"] if not path.startswith("/api/services/")}  # they have a page of their own
    assert {path for path in paths if path.rpartition("/")[2].strip("{}") not in TEXT.replace("/{id}", "/job_id")} == set()
