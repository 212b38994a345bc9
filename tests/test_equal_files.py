"""The same tasks give the same bytes on SQLite and on PostgreSQL, and another reader gets every value back."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from exports.cells import unguard
from tasks.models import Organization, Task
from tests import postgres, random_tasks

COUNT = 2000
REPOSITORY = Path(__file__).resolve().parent.parent


ZONES = ("UTC", "America/New_York", "Asia/Kathmandu")


def _export(url: str, folder: Path) -> None:
    folder.mkdir()
    command = [sys.executable, "-m", "tests.random_tasks", str(COUNT), str(folder), *ZONES]
    subprocess.run(command, check=True, env={**os.environ, "DATABASE_URL": url, "VAR": str(folder)}, cwd=REPOSITORY, timeout=120)


def _content(file: Path) -> bytes:
    """What is compared: of a workbook the rows, for its properties hold the time of day."""
    if file.suffix != ".xlsx":
        return file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        return archive.read("xl/worksheets/sheet1.xml").replace(b"</row>", b"</row>\n")


@pytest.mark.serial
def test_the_files_of_2000_random_tasks_are_equal_from_both_databases(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "sqlite", tmp_path / "postgres"
    with postgres.running() as url:
        _export(url, theirs)
    _export(f"sqlite:///{tmp_path}/equal.sqlite3", ours)
    files = sorted(path.name for path in theirs.glob("?.*"))
    assert len(files) == 3 * len(ZONES)
    for name in files:
        from_sqlite, from_postgres = _content(ours / name), _content(theirs / name)
        for mine, yours in zip(from_sqlite.splitlines(keepends=True), from_postgres.splitlines(keepends=True), strict=False):
            assert mine == yours, name
        assert from_sqlite == from_postgres
        if name.endswith(".csv"):
            assert len(list(csv.reader(io.StringIO(from_sqlite.decode(), newline="")))) == COUNT + 1


@pytest.mark.django_db(transaction=True)
def test_every_value_comes_back_from_the_csv_once_the_guard_is_undone() -> None:
    organization = Organization.objects.create(slug="random", name="Random")
    random_tasks.make(organization, 500, seed=7)
    text = random_tasks.export(organization, "csv", archive="none")[0].decode()
    records = list(csv.DictReader(io.StringIO(text, newline="")))
    tasks = list(Task.objects.filter(organization=organization).select_related("flow").order_by("created_at", "pk"))
    assert [record["id"] for record in records] == [str(task.pk) for task in tasks]
    for record, task in zip(records, tasks, strict=True):
        for name in ("title", "address_1", "address_2", "address_3", "city", "state", "zip"):
            assert unguard(record[name]) == getattr(task, name)
            assert record[name][:1] not in ("=", "@", "\t", "\r", "\n")
        assert unguard(record["reference"]) == task.external_id
        assert unguard(record["flow"]) == (task.flow.name if task.flow else "")
        assert record["latitude"] == ("" if task.latitude is None else format(task.latitude, "f"))
        assert record["due_on"] == ("" if task.due_on is None else task.due_on.isoformat())
        for name in ("due_at", "completed_at", "created_at"):
            moment = getattr(task, name)
            assert record[name] == ("" if moment is None else moment.isoformat().replace("+00:00", "Z"))
