"""CSV, JSON, NDJSON and Parquet hold whatever a task can hold: they never have issues, and need no list of them."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow.parquet as pq
import pytest
from django.conf import settings
from django.db import connection

from exports import worker
from exports.cells import unguard
from exports.formats import FORMATS
from exports.models import ExportIssue
from exports.services import jobs
from tasks.models import Organization, Task, User
from tests import random_tasks
from tests.making import make_queued
from tests.random_tasks import PIECES
from tests.test_formats import iso

pytestmark = pytest.mark.django_db(transaction=True)

LONG = '😀 tab\there, "quoted"\r\n\\ ' * 10_000  # more than any cell of a spreadsheet, and than Python's csv takes unasked
EVERY_CHARACTER = "".join(map(chr, [*range(1, 0xD800), *range(0xE000, 0x110000)]))
NUMBERS = [Decimal(text) for text in ("0", "0.000000000000001", "-123456789012345", "123456.789012345", "1e300", "-1e-300", "999999999999999e30")]
MOMENTS = [datetime(1, 1, 1, tzinfo=UTC), datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)]
DAYS = [date(1, 1, 1), date(4, 2, 29), date(1582, 10, 10), date(9999, 12, 31)]
IDS = [1, 2**31, 2**53 + 1, 2**63 - 1]
COLUMNS = ("id", "body", "latitude", "created_at", "due_on", "attributes.any", "attributes.deep")
Values = list[tuple[Any, ...]]


def values_of(task: Task) -> tuple[Any, ...]:
    deep = json.dumps(task.attributes["deep"], ensure_ascii=False)
    return (task.pk, task.body, task.latitude, iso(task.created_at), task.due_on and task.due_on.isoformat(), task.attributes["any"], deep)


def read_csv(file: bytes) -> Values:
    csv.field_size_limit(2**31 - 1)
    rows = list(csv.reader(io.StringIO(file.decode(), newline="")))[1:]
    return [
        (int(row[0]), unguard(row[1]), Decimal(row[2]) if row[2] else None, row[3], row[4] or None, unguard(row[5]), unguard(row[6])) for row in rows
    ]


def read_json(file: bytes) -> Values:
    return [tuple(row.values()) for row in json.loads(file, parse_float=Decimal)]


def read_ndjson(file: bytes) -> Values:
    return [tuple(json.loads(line, parse_float=Decimal).values()) for line in file.split(b"\n")[:-1]]


def read_parquet(file: bytes) -> Values:
    rows = [list(row.values()) for row in pq.read_table(io.BytesIO(file)).to_pylist()]
    return [(row[0], row[1], row[2] and Decimal(row[2]), iso(row[3]), row[4] and row[4].isoformat(), *row[5:]) for row in rows]


@pytest.fixture
def edges(acme: Organization) -> Iterator[list[Task]]:
    """Tasks at the edge of what each of their columns may hold."""
    texts = [LONG, EVERY_CHARACTER, *PIECES]
    for number, text in enumerate(texts):
        Task.objects.create(
            pk=IDS[number] if number < len(IDS) else 100 + number,
            organization=acme,
            title="edge",
            body=text,
            latitude=NUMBERS[number % len(NUMBERS)] if number % 8 else None,
            created_at=MOMENTS[number % len(MOMENTS)],
            due_on=DAYS[number % len(DAYS)] if number % 5 else None,
            attributes={"any": text, "deep": [number, {"k": text}]},
        )
    yield list(Task.objects.filter(organization=acme).order_by("created_at", "pk"))
    Task.objects.all().delete()
    if connection.vendor == "sqlite":  # it never gives an id again, and there is none behind the last
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM sqlite_sequence WHERE name = %s", [Task._meta.db_table])


READERS: dict[str, Callable[[bytes], Values]] = {"csv": read_csv, "json": read_json, "ndjson": read_ndjson, "parquet": read_parquet}


def test_every_format_but_xlsx_holds_everything(edges: list[Task], acme: Organization) -> None:
    assert set(FORMATS) == set(READERS) | {"xlsx"}
    expected = [values_of(task) for task in edges]
    for name in FORMATS.keys() & READERS.keys():
        options = {"archive": "none"} if name in {"csv", "ndjson"} else {}
        file, issues = random_tasks.export(acme, name, columns=tuple({"key": key, "title": key} for key in COLUMNS), **options)
        assert issues == []
        for found, values in zip(READERS[name](file), expected, strict=True):
            assert found == values, name


def test_a_job_of_such_a_format_is_done_without_issues_and_its_zip_holds_the_rows_alone(editor: User, acme: Organization) -> None:
    Task.objects.create(organization=acme, title="long", body=LONG, attributes={"any": LONG, "deep": [LONG]})
    job = make_queued(editor, acme, type="custom", columns=list(COLUMNS), creation_start_date="0001-01-01", creation_end_date="9999-12-31")
    worker.run_next()
    job = jobs.get(editor, job.pk)
    assert (job.status, job.error, job.file.rows, job.file.receipt["receipt"]["issues"]) == ("done", "", 1, 0)
    with zipfile.ZipFile(settings.FILES_ROOT / job.file.key) as archive:
        assert archive.namelist() == [f"{job.pk}-task-export.csv"]
    assert not ExportIssue.objects.exists()
