"""A file is of one moment: what others insert, change and delete while it is written is in it whole, or not at all."""

from __future__ import annotations

import csv
import io
import json
import random
import threading
from datetime import UTC, datetime
from typing import Any

import openpyxl
import pytest
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F

from exports import sources, worker
from exports.formats import FORMATS
from exports.formats.base import Target
from exports.formats.issues import Issues
from exports.services import jobs, receipts, specs
from tasks.models import Organization, Task, User
from tests.making import EVERYTHING, make_queued

pytestmark = pytest.mark.django_db(transaction=True)
ROWS = 3000


def titles(format_name: str, file: bytes) -> list[str]:
    if format_name == "csv":
        return [row["title"] for row in csv.DictReader(io.StringIO(file.decode(), newline=""))]
    if format_name == "xlsx":
        return [row[0] for row in openpyxl.load_workbook(io.BytesIO(file), read_only=True)["Tasks"].iter_rows(2, None, 3, 3, values_only=True)]
    return [record["title"] for record in (json.loads(file) if format_name == "json" else map(json.loads, file.splitlines()))]


def disturb(organization: Organization) -> None:
    """Others add rows, change all, and delete every third, in committed data."""
    Task.objects.bulk_create([Task(organization=organization, title="added") for _ in range(50)])
    Task.objects.filter(organization=organization).update(title="changed", created_at=datetime(2000, 1, 1, tzinfo=UTC))
    Task.objects.annotate(third=F("pk") % 3).filter(third=0).delete()


@pytest.mark.parametrize("format_name", ["csv", "xlsx", "json", "ndjson"])
def test_what_others_do_between_count_and_rows_and_midway_is_not_in_the_file(format_name: str, acme: Organization) -> None:
    rng = random.Random(1)
    names = [f"{number} {rng.randbytes(200).hex()}" for number in range(ROWS)]  # so that pieces come out midway, deflated as they are
    Task.objects.bulk_create([Task(organization=acme, title=name) for name in names])
    options = {"options": {"archive": "none"}} if format_name in {"csv", "ndjson"} else {}
    spec = specs.make({"org_name": "x", "name": "x", "type": "basic", "format": format_name, **options, **EVERYTHING}).spec
    format_ = FORMATS[format_name]
    with sources.snapshot(format_.style(spec)) as snapshot:
        query = sources.compile_query(spec, [acme.pk])
        counted = snapshot.count(query)
        disturb(acme)
        pieces: list[bytes] = []
        disturbed = False
        written = format_.write(snapshot, query, spec, Target(counted, "x", datetime(2024, 1, 1, tzinfo=UTC), Issues(counted)))
        for piece in written:
            pieces.append(piece)
            if not disturbed and snapshot.rows_read:
                assert snapshot.rows_read < counted
                disturb(acme)
                disturbed = True
        assert disturbed
        assert snapshot.rows_read == counted == ROWS
    assert titles(format_name, b"".join(pieces)) == names


def test_a_run_beside_busy_writers_has_each_change_whole_and_counts_right(editor: User, acme: Organization) -> None:
    # Each change replaces a task by another and renames all in one transaction: at any moment there are as many, of one name.
    Task.objects.bulk_create([Task(organization=acme, title="name 0", city="name 0") for _ in range(3000)])
    stop = threading.Event()
    changes: list[str] = []

    def write() -> None:
        try:
            while not stop.is_set():
                with transaction.atomic():
                    name = f"name {len(changes) + 1}"
                    Task.objects.filter(pk=Task.objects.order_by("pk").values_list("pk", flat=True)[0]).delete()
                    Task.objects.create(organization=acme, title=name, city=name)
                    Task.objects.update(title=name, city=name)
                changes.append(name)
        finally:
            connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found: list[Any] = []
        for _ in range(3):
            job = make_queued(editor, acme, options={"archive": "none"})
            worker.run_next()
            found.append(jobs.get(editor, job.pk))
    finally:
        stop.set()
        writer.join(60)
    assert changes
    for job in found:
        path = settings.FILES_ROOT / job.file.key
        rows = list(csv.DictReader(io.StringIO(path.read_text(), newline="")))
        receipt = job.file.receipt["receipt"]
        assert len(rows) == receipt["rows_counted"] == receipt["rows_written"] == 3000
        assert len({row["title"] for row in rows} | {row["city"] for row in rows}) == 1
        assert receipts.verify(path, job.file.receipt) == []
