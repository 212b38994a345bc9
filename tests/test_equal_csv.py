"""The same tasks give the same bytes on SQLite and on PostgreSQL, and another reader gets every value back."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from exports.cells import unguard
from tasks.models import Organization, Task
from tests import postgres, random_tasks

COUNT = 2000
REPOSITORY = Path(__file__).resolve().parent.parent


ZONES = ("UTC", "America/New_York", "Asia/Kathmandu")


def _export(url: str, folder: Path) -> list[bytes]:
    folder.mkdir()
    command = [sys.executable, "-m", "tests.random_tasks", str(COUNT), str(folder), *ZONES]
    subprocess.run(command, check=True, env={**os.environ, "DATABASE_URL": url, "VAR": str(folder)}, cwd=REPOSITORY, timeout=120)
    return [(folder / f"{number}.csv").read_bytes() for number in range(len(ZONES))]


@pytest.mark.serial
def test_the_csv_of_2000_random_tasks_is_equal_from_both_databases(tmp_path: Path) -> None:
    with postgres.running() as url:
        postgres_files = _export(url, tmp_path / "postgres")
    sqlite_files = _export(f"sqlite:///{tmp_path}/equal.sqlite3", tmp_path / "sqlite")
    for zone, from_sqlite, from_postgres in zip(ZONES, sqlite_files, postgres_files, strict=True):
        for ours, theirs in zip(from_sqlite.splitlines(keepends=True), from_postgres.splitlines(keepends=True), strict=False):
            assert ours == theirs, zone
        assert from_sqlite == from_postgres
        assert len(list(csv.reader(io.StringIO(from_sqlite.decode(), newline="")))) == COUNT + 1


@pytest.mark.django_db(transaction=True)
def test_every_value_comes_back_from_the_csv_once_the_guard_is_undone() -> None:
    organization = Organization.objects.create(slug="random", name="Random")
    random_tasks.make(organization, 500, seed=7)
    text = random_tasks.export_csv(organization, "UTC").decode()
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
