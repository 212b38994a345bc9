"""Parquet, where its extra is installed: typed, exact, streamed in row groups, and checked by its receipt."""

from __future__ import annotations

import io
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal

import pyarrow.parquet as pq
import pytest
from django.conf import settings

from exports import worker
from exports.formats import FORMATS
from exports.services import jobs, preflight, receipts, specs
from taskexport.processes import ROOT
from tasks.models import Organization, Task, User
from tests import random_tasks
from tests.making import EVERYTHING, make_queued, make_tasks
from tests.test_formats import TEXTS, TIMES, ordered

pytestmark = pytest.mark.django_db(transaction=True)


def test_without_its_library_the_format_is_not_there() -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None; import django; django.setup();"
        " from exports.formats import FORMATS; from exports.admin.new import offered; print(*FORMATS)"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert said.stdout.split() == [name for name in FORMATS if name != "parquet"]
    assert "parquet" in FORMATS


def test_every_value_comes_back_typed(acme: Organization) -> None:
    random_tasks.make(acme, 400, seed=5)
    file, issues = random_tasks.export(acme, "parquet", "America/New_York")
    assert issues == []
    table = pq.read_table(io.BytesIO(file))
    types = {field.name: str(field.type) for field in table.schema}
    assert {name: types[name] for name in ("id", "title", "due_at", "due_on", "latitude")} == {
        "id": "int64",
        "title": "string",
        "due_at": "timestamp[us, tz=UTC]",
        "due_on": "date32[day]",
        "latitude": "string",
    }
    for record, task in zip(table.to_pylist(), ordered(acme), strict=True):
        assert (record["id"], record["reference"]) == (task.pk, task.external_id)
        assert [record[name] for name in TEXTS] == [getattr(task, name) for name in TEXTS]
        assert [record[name] for name in TIMES] == [getattr(task, name) for name in TIMES]
        assert record["flow"] == (task.flow.name if task.flow else None)
        assert record["due_on"] == task.due_on
        assert (record["latitude"] and Decimal(record["latitude"])) == task.latitude


def test_rows_come_in_groups_and_nothing_is_a_file_too(acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pq.read_table(io.BytesIO(random_tasks.export(acme, "parquet")[0])).num_rows == 0
    make_tasks(acme, 5000)
    for compression, limit, most in (("zstd", "GROUP_ROWS", 1000), ("snappy", "GROUP_ROWS", 1000), ("none", "GROUP_BYTES", 100_000)):
        monkeypatch.undo()
        monkeypatch.setattr(f"exports.formats.parquet.{limit}", most)  # long texts fill a group before its rows do
        file = pq.ParquetFile(io.BytesIO(random_tasks.export(acme, "parquet", compression=compression)[0]))
        assert file.metadata.num_rows == 5000
        assert file.metadata.num_row_groups > 1


def test_a_job_has_a_receipt_that_verifies(editor: User, acme: Organization) -> None:
    make_tasks(acme, 50)
    job = make_queued(editor, acme, format="parquet")
    worker.run_next()
    job = jobs.get(editor, job.pk)
    assert (job.status, job.error, job.file.content_type) == ("done", "", "application/vnd.apache.parquet")
    assert job.file.name.endswith("-task-export.parquet")
    path = settings.FILES_ROOT / job.file.key
    assert receipts.verify(path, job.file.receipt) == []
    signed = receipts.sign({**job.file.receipt["receipt"], "rows_written": 49})
    assert receipts.verify(path, signed) == ["The file has 50 rows, the receipt says 49."]


def test_a_preflight_shows_it(editor: User, acme: Organization) -> None:
    make_tasks(acme, 30)
    Task.objects.update(due_at=None)
    found = preflight.preflight(editor, acme, specs.make({"org_name": "x", "name": "x", "type": "basic", "format": "parquet", **EVERYTHING}).spec)
    first = dict(zip(found.header, found.preview[0], strict=True))
    task = ordered(acme)[0]
    assert (first["title"], first["due_at"], first["id"]) == (task.title, None, str(task.pk))
    assert first["created_at"] == task.created_at.isoformat().replace("+00:00", "Z")
    assert task.created_at.utcoffset() == timedelta(0)
    assert found.warnings == []
