"""The workbook, opened by LibreOffice: what it shows is what was exported."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tasks.models import Organization, Task
from tests import random_tasks

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]
# Every column as text, UTF-8, comma, all cells as they are formatted
CSV_FILTER = "csv:Text - txt - csv (StarCalc):44,34,76,1"


def shown(text: str) -> str:
    """What LibreOffice makes of a text: its line ends are LF, and XML's escapes of control characters stay as they are written."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def test_libreoffice_shows_what_was_exported(tmp_path: Path) -> None:
    soffice = shutil.which("soffice")
    if soffice is None:
        pytest.skip("LibreOffice is not installed: apt-get install libreoffice-calc-nogui")
    organization = Organization.objects.create(slug="random", name="Random")
    random_tasks.make(organization, 1000, seed=5)
    (tmp_path / "tasks.xlsx").write_bytes(random_tasks.export(organization, "xlsx")[0])
    command = [soffice, "--headless", f"-env:UserInstallation=file://{tmp_path}/profile", "--convert-to", CSV_FILTER, "--outdir", str(tmp_path)]
    done = subprocess.run(
        [*command, str(tmp_path / "tasks.xlsx")], check=True, timeout=180, env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True
    )
    converted = tmp_path / "tasks.csv"
    assert converted.exists(), done.stdout + done.stderr
    with converted.open(encoding="utf-8", newline="") as file:
        records = list(csv.DictReader(file))
    tasks = list(Task.objects.filter(organization=organization).select_related("flow").order_by("created_at", "pk"))
    assert len(records) == len(tasks)
    for record, task in zip(records, tasks, strict=True):
        assert record["id"] == str(task.pk)
        for name in ("title", "address_1", "city", "zip"):
            assert shown(record[name]) == shown(getattr(task, name)), name
        assert shown(record["flow"]) == shown(task.flow.name if task.flow else "")
        if task.due_at and task.due_at.microsecond == 0 and 1901 <= task.due_at.year < 2099:
            assert record["due_at"] == task.due_at.strftime("%Y-%m-%d %H:%M:%S")
