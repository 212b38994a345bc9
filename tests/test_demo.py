"""`manage.py demo`, whole: real web server, real queue, a file at the end."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from pathlib import Path

import pytest

from tests.fixtures import RunManage

pytestmark = [pytest.mark.serial, pytest.mark.django_db(transaction=True)]
TASKS = "Number,Subject\nA-1,Zoë\nA-2,=1+1\nA-3,三\n"
MAP = {"timezone": "Europe/Amsterdam", "columns": {"Number": "external_id", "Subject": "title"}}


@pytest.fixture
def file_and_map(tmp_path: Path) -> list[str]:
    """The options that name a file of three tasks and its map."""
    file, mapping = tmp_path / "tasks.csv", tmp_path / "map.json"
    file.write_text(TASKS, encoding="utf-8")
    mapping.write_text(json.dumps(MAP))
    return ["--file", str(file), "--map", str(mapping)]


def test_the_demo_exports_a_file_of_ones_own(run_manage: RunManage, file_and_map: list[str], tmp_path: Path) -> None:
    var = tmp_path / "var"
    done = run_manage("demo", *file_and_map, VAR=str(var))
    last = json.loads(done.stdout.splitlines()[-1])
    file = Path(last["file"])
    assert list(last) == ["job", "status", "rows", "file", "sha256", "seconds"]
    assert (last["status"], last["rows"]) == ("done", 3)
    assert file.is_relative_to(var)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == last["sha256"]
    with zipfile.ZipFile(file) as archive:
        (name,) = archive.namelist()
        rows = list(csv.DictReader(io.StringIO(archive.read(name).decode(), newline="")))
    assert [row["title"] for row in rows] == ["Zoë", "'=1+1", "三"]


@pytest.mark.long
def test_the_demo_runs_twice(run_manage: RunManage, file_and_map: list[str], tmp_path: Path) -> None:
    results = [
        json.loads(run_manage("demo", *options, VAR=str(tmp_path)).stdout.splitlines()[-1]) for options in ([], [], file_and_map, file_and_map)
    ]
    assert [result["rows"] for result in results] == [20_000, 20_000, 3, 3]
    assert len({result["job"] for result in results}) == 4


def test_a_file_needs_its_map(run_manage: RunManage) -> None:
    done = run_manage("demo", "--file", "tasks.csv", check=False)
    assert done.returncode == 1
    assert "A file needs its map" in done.stderr


def test_a_map_that_is_no_json_is_told(run_manage: RunManage, file_and_map: list[str]) -> None:
    Path(file_and_map[3]).write_text("columns:")
    done = run_manage("demo", *file_and_map, check=False)
    assert done.returncode == 1
    assert "cannot be read as a map" in done.stderr
