"""docs/api.md is true: its commands run as they stand, in its order, against a real service; its tables name what there is."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import shutil
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

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "api.md").read_text()
COMMAND_SECONDS = 60


@pytest.mark.serial
def test_the_guides_commands_run(process_env: dict[str, str], admin: User, owner: User, acme: Organization, tmp_path: Path) -> None:
    demo.make_tasks(acme, 100, 1)
    port = processes.free_port()
    head, *blocks = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    assert "PASSWORD=" in head
    url = f"http://127.0.0.1:{port}"
    known = f"URL={url}\nEMAIL={admin.email}\nOWNER={owner.email}\nPASSWORD='{PASSWORD}'\nOWNER_PASSWORD='{PASSWORD}'\nORG={acme.uuid}\n"
    with processes.service(port, {**process_env, "VAR": str(tmp_path / "var")}, Path(settings.VAR) / "log"):
        done = subprocess.run(
            ["sh", "-eu", "-c", known + "".join(blocks)], cwd=tmp_path, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
        env = os.environ | {"URL": url, "EMAIL": admin.email, "PASSWORD": PASSWORD, "ORG": str(acme.uuid), "no_proxy": "127.0.0.1"}
        example = _run(["python3", "-c", _block("python")], env, tmp_path)
        assert re.fullmatch(r"[0-9a-f-]{36}-task-export.csv.zip 100\n", example)
        if shutil.which("node"):
            (tmp_path / "export.mjs").write_text(_block("js"))
            assert re.fullmatch(r"[0-9a-f-]{36}-task-export.csv.zip 100\n", _run(["node", "export.mjs"], env, tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "done\n100 rows; tasks created from 2024-01-01" in done.stdout
    assert "Signature Verified Successfully" in done.stdout
    answers = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in ("list", "cancelled", "events", "downloads")}
    assert answers["list"]["meta"]["total"] == 1
    assert answers["cancelled"]["job"]["status"] == "cancelled"
    assert [event["kind"] for event in answers["events"]["events"]] == ["created", "started", "claimed", "done"]
    assert [each["door"] for each in answers["downloads"]["downloads"]] == ["link", "api"]
    assert "successfully update status to done\n" in done.stdout
    told = {name: json.loads((tmp_path / f"{name}.json").read_text())["job"] for name in ("progress", "pinned", "unpinned", "direct")}
    assert told["progress"]["progress"] == {"rows_done": 1, "rows_total": 2, "percent": 50.0}
    assert (told["pinned"]["file"]["pinned"], told["unpinned"]["file"]["pinned"]) == (True, False)
    assert (tmp_path / "deleted.json").read_text() == ""
    assert (told["direct"]["status"], told["direct"]["org_id"], told["direct"]["file"]["rows"]) == ("done", "all", 100)
    assert hashlib.sha256((tmp_path / "all.csv").read_bytes()).hexdigest() == told["direct"]["file"]["sha256"]
    with zipfile.ZipFile(tmp_path / "by-link.zip") as archive:
        table = list(csv.reader(io.StringIO(archive.read(archive.namelist()[0]).decode(), newline="")))
    assert [f"`{title}`" for title in table[0]] == _layouts()["basic"]


def _block(language: str) -> str:
    (block,) = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return str(block)


def _run(command: list[str], env: dict[str, str], folder: Path) -> str:
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_tests_that_the_guide_names_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", TEXT))
    there = {name for path in ROOT.glob("tests/test_*.py") for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)}
    assert len(named) >= 10
    assert named - there == set()


def _layouts() -> dict[str, list[str]]:
    return {kind: columns.split(", ") for kind, columns in re.findall(r"^\| `(basic|fedex)` \| (.+) \|$", TEXT, re.MULTILINE)}


def test_the_guide_lists_the_layouts_as_they_are() -> None:
    assert _layouts() == {kind: [f"`{title}`" for _, title in builtin_columns(kind)] for kind in CONFIGS}


def test_the_guide_names_every_field_status_and_call() -> None:
    schemas = document()["components"]["schemas"]
    fields = set().union(*(schemas[name]["properties"] for name in ("SingleJob", "JobCreateRequest", "Receipt", "JobFile", "JobProgress")))
    assert {field for field in fields if not re.search(rf'[`"]{field}[`"]', TEXT)} == set()
    assert {status for status in JobStatus.values if f"`{status}`" not in TEXT} == set()
    paths = {path for path in document()["paths"] if path.startswith(("/api/v1/export-jobs", "/api/token", "/api/receipt-key"))}
    assert {path for path in paths if path.rpartition("/")[2].strip("{}") not in TEXT.replace("/{id}", "/job_id")} == set()
