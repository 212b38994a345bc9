"""Chosen columns: constants, computed cells, date formats; refusals name their place."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest

from exports import worker
from exports.datasets import DATASETS, Spec, chosen
from exports.services import jobs, specs
from taskexport.errors import Invalid
from tasks.models import Organization, Task, User
from tests import random_tasks
from tests.making import EVERYTHING, make_job, make_queued
from tests.test_datasets import read
from tests.test_formats import unescaped

pytestmark = pytest.mark.django_db(transaction=True)
ZONE = "America/New_York"
AT = datetime(2024, 1, 1, 3, 30, tzinfo=UTC)  # the evening of 31 December in New York


def custom(*columns: Any, **values: Any) -> Spec:
    base = {"org_name": "x", "name": "x", "type": "custom", **EVERYTHING, "columns": list(columns)}
    return specs.make(base | values).spec


def cells(organization: Organization, *columns: Any, **values: Any) -> list[list[Any]]:
    return [list(row.values()) for row in read(organization, custom(*columns, **values))]


@pytest.fixture
def task(acme: Organization) -> Task:
    return Task.objects.create(
        organization=acme,
        title="Fix",
        status="none",
        created_at=AT,
        due_at=datetime(2024, 3, 10, 12, 0, 0, 500000, tzinfo=UTC),
        due_on=date(2024, 3, 11),
        latitude=Decimal("-0.0000001"),
        city="Łódź",
        attributes={"n": 5},
    )


def test_columns_come_in_the_order_and_with_the_titles_that_were_chosen(acme: Organization, task: Task) -> None:
    rows = read(
        acme, custom("city", {"key": "title", "title": "What"}, {"key": "title"}, "attributes.n", {"title": "Depot", "constant": "=1, 'x' %s {c}"})
    )
    assert [list(row.items()) for row in rows] == [
        [("city", "Łódź"), ("What", "Fix"), ("title", "Fix"), ("n", "5"), ("Depot", "=1, 'x' %s {c}")],
    ]


def concatenate(*parts: Any) -> dict[str, Any]:
    return {"title": "x", "compute": {"op": "concatenate", "parts": [{"text": p} if p in {"", ", ", "%s'"} else {"column": p} for p in parts]}}


def compute(op: str, **values: Any) -> dict[str, Any]:
    return {"title": "x", "compute": {"op": op, **values}}


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        (concatenate("city", ", ", "title"), "Łódź, Fix"),
        (concatenate("assignee"), ""),
        (concatenate("assignee", "%s'", "address_1"), "%s'"),
        (
            concatenate("latitude", ", ", "due_on", ", ", "created_at", "", "due_at"),
            "-0.0000001, 2024-03-11, 2023-12-31T22:30:00-05:002024-03-10T08:00:00.500000-04:00",
        ),
        (concatenate("attributes.n", ", ", "attributes.none"), "5, "),
        (compute("date_part", column="created_at", part="year"), 2023),
        (compute("date_part", column="created_at", part="month"), 12),
        (compute("date_part", column="created_at", part="day"), 31),
        (compute("date_part", column="created_at", part="weekday"), 7),
        (compute("date_part", column="created_at", part="hour"), 22),
        (compute("date_part", column="due_on", part="weekday"), 1),
        (compute("date_part", column="completed_at", part="year"), None),
        (compute("days_between", **{"from": "created_at", "to": "due_on"}), 71),
        (compute("days_between", **{"from": "due_at", "to": "created_at"}), -70),
        (compute("days_between", **{"from": "due_at", "to": "completed_at"}), None),
        (compute("map", column="status", values={"none": "not begun", "complete": "done"}), "not begun"),
        (compute("map", column="status", values={"complete": "done"}, default="other"), "other"),
        (compute("map", column="status", values={"complete": "done"}), None),
        (compute("map", column="due_on", values={"2024-03-11": "that day"}), "that day"),
        (compute("map", column="assignee", values={"": "nobody"}, default="somebody"), "somebody"),
    ],
)
def test_a_computed_cell(acme: Organization, task: Task, column: Any, cell: Any) -> None:
    assert cells(acme, column, timezone=ZONE) == [[cell]]


@pytest.mark.parametrize(
    ("date_format", "shown"),
    [
        ("iso", ["2023-12-31T22:30:00-05:00", "2024-03-10T08:00:00.500000-04:00", "2024-03-11"]),
        ("dmy", ["31.12.2023 22:30:00", "10.03.2024 08:00:00.500000", "11.03.2024"]),
        ("mdy", ["12/31/2023 22:30:00", "03/10/2024 08:00:00.500000", "03/11/2024"]),
        ("ymd", ["2023-12-31 22:30:00", "2024-03-10 08:00:00.500000", "2024-03-11"]),
    ],
)
def test_days_and_times_are_written_as_chosen(acme: Organization, task: Task, date_format: str, shown: list[str]) -> None:
    both = concatenate("created_at", ", ", "due_at", ", ", "due_on")
    assert cells(acme, "created_at", "due_at", "due_on", both, timezone=ZONE, date_format=date_format) == [[*shown, ", ".join(shown)]]


def test_what_has_no_local_time_stays_utc_in_every_format(acme: Organization) -> None:
    Task.objects.create(organization=acme, title="t", due_at=datetime(9999, 12, 31, 23, tzinfo=UTC), due_on=date(1, 2, 3))
    assert cells(acme, "due_at", "due_on", timezone=ZONE, date_format="dmy") == [["9999-12-31T23:00:00Z", "03.02.0001"]]
    part = compute("date_part", column="due_at", part="hour")
    assert cells(acme, part, timezone="Asia/Tokyo") == [[23]]


def test_computed_cells_of_random_tasks_are_what_python_says(acme: Organization) -> None:
    random_tasks.make(acme, 150, seed=5)
    zone = ZoneInfo(ZONE)

    def local(at: datetime | None) -> datetime | None:
        if at is None or not 1901 <= at.year <= 2099:
            return at
        there = at.astimezone(zone)
        return at if there.utcoffset().total_seconds() % 60 else there

    columns = [
        *({**compute("date_part", column="due_at", part=part), "title": part} for part in ("year", "weekday", "hour")),
        {**compute("days_between", **{"from": "completed_at", "to": "due_on"}), "title": "days"},
        {**concatenate("title", "", "zip"), "title": "text"},
    ]
    rows = cells(acme, *columns, timezone=ZONE, creation_start_date="0001-01-01", creation_end_date="9999-12-31")
    tasks = Task.objects.filter(organization=acme).order_by("created_at", "pk")
    for row, task in zip(rows, tasks, strict=True):
        due, ended = local(task.due_at), local(task.completed_at)
        assert row[:3] == [due and due.year, due and due.isoweekday(), due and due.hour]
        assert row[3] == ((task.due_on - ended.date()).days if task.due_on and ended else None)
        assert row[4] == task.title + task.zip


# -- Files ---------------------------------------------------------------------------------------------------------
def test_a_long_header_comes_whole_in_every_format(acme: Organization, task: Task) -> None:
    title = "\"ß' %s {c} \\" + "x" * 180
    for name, options in (("csv", {"archive": "none"}), ("ndjson", {}), ("xlsx", {})):
        columns = custom({"key": "title", "title": title}, "id", "due_on", "latitude").columns
        file, _ = random_tasks.export(acme, name, columns=columns, **options)
        if name == "csv":
            assert next(csv.reader(io.StringIO(file.decode())))[0] == title
        elif name == "ndjson":
            assert json.loads(file) == {title: "Fix", "id": task.pk, "due_on": "2024-03-11", "latitude": -1e-7}


@pytest.mark.parametrize("title", ["row", "chosen", "c1", "row_id", "_x0041\x0b", "a\rb\nc\td", "=1+1", "a;b,c|d"])
def test_a_header_may_be_any_text(acme: Organization, task: Task, title: str) -> None:
    columns = custom({"key": "title", "title": title}, "id").columns
    options = {"preset": "excel-europe", "archive": "none", "guard": "none", "quoting": "all"}
    rows = csv.reader(io.StringIO(random_tasks.export(acme, "csv", columns=columns, **options)[0].decode("utf-8-sig"), newline=""), delimiter=";")
    assert list(rows) == [[title, "id"], ["Fix", str(task.pk)]]
    for name in ("ndjson", "json"):
        assert json.loads(random_tasks.export(acme, name, columns=columns)[0]) in ({title: "Fix", "id": task.pk}, [{title: "Fix", "id": task.pk}])
    sheet = openpyxl.load_workbook(io.BytesIO(random_tasks.export(acme, "xlsx", columns=columns)[0])).active
    assert unescaped(sheet["A1"].value) == title


def test_a_custom_job_runs_and_its_receipt_names_what_is_missing(editor: User, acme: Organization, task: Task) -> None:
    job = make_queued(editor, acme, type="custom", columns=["title", "city"])
    spec = dict(job.spec)
    spec["columns"] = [{"key": "gone", "title": "Gone"}, {"key": "title", "title": "title"}, concatenate("gone") | {"title": "Both"}]
    type(job).objects.filter(pk=job.pk).update(spec=spec)
    worker.run_next()
    receipt = jobs.get(editor, job.pk).file.receipt["receipt"]
    assert receipt["columns"] == spec["columns"]
    assert receipt["missing_columns"] == ["Gone", "Both"]
    assert read(acme, Spec.from_json(spec)) == [{"Gone": None, "title": "Fix", "Both": None}]


# -- Refusals ------------------------------------------------------------------------------------------------------
REFUSED: list[tuple[Any, str]] = [
    ([], "columns"),
    ("title", "columns"),
    (["title"] * 201, "columns"),
    (["nothing"], "columns[0].key"),
    (["title", "assignee__email"], "columns[1].key"),
    (["attributes."], "columns[0].key"),
    (["title", {"key": "id", "title": "title"}], "columns[1].title"),
    ([5], "columns[0]"),
    ([{"key": "id", "constant": "x"}], "columns[0]"),
    ([{"constant": "x"}], "columns[0]"),
    ([{"key": "id", "title": " "}], "columns[0].title"),
    ([{"key": "id", "title": "x" * 201}], "columns[0].title"),
    ([{"key": "id", "title": None}], "columns[0].title"),
    ([{"title": "x", "constant": 5}], "columns[0].constant"),
    ([{"title": "x", "constant": "a\0"}], "columns[0].constant"),
    ([{"title": "x", "compute": "now()"}], "columns[0].compute"),
    ([compute("eval", column="id")], "columns[0].compute"),
    ([compute("map", column="id")], "columns[0].compute"),
    ([compute("concatenate", parts=[])], "columns[0].compute.parts"),
    ([compute("concatenate", parts=[{"text": "a"}, {"column": "x"}])], "columns[0].compute.parts[1].column"),
    ([compute("concatenate", parts=[{"text": "a", "column": "id"}])], "columns[0].compute.parts[0]"),
    ([compute("date_part", column="title", part="year")], "columns[0].compute.column"),
    ([compute("date_part", column="due_on", part="hour")], "columns[0].compute.part"),
    ([compute("date_part", column="due_at", part="epoch")], "columns[0].compute.part"),
    ([compute("date_part", column="due_at", part=["year"])], "columns[0].compute.part"),
    ([compute("days_between", **{"from": "id", "to": "due_on"})], "columns[0].compute.from"),
    ([compute("map", column="id", values={})], "columns[0].compute.values"),
    ([compute("map", column="id", values={"a": 1})], "columns[0].compute.values"),
    ([compute("map", column="id", values={"a": "b"}, default=None)], "columns[0].compute.default"),
]


@pytest.mark.parametrize(("columns", "field"), REFUSED)
def test_a_refusal_names_its_place(columns: Any, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        chosen.checked(columns, DATASETS["tasks"])
    assert refused.value.fields[0].field == field


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"type": "custom"}, "type"),
        ({"type": "basic", "columns": ["id"]}, "type"),
        ({"type": "basic", "dataset": "cases"}, "type"),
        ({"type": "custom", "dataset": "people"}, "dataset"),
        ({"type": "custom", "dataset": "cases", "columns": ["title"]}, "columns[0].key"),
        ({"type": "basic", "date_format": "american"}, "date_format"),
    ],
)
def test_a_wish_is_refused(editor: User, acme: Organization, values: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        make_job(editor, acme, **values)
    assert [error.field for error in refused.value.fields] == [field]


def test_a_dataset_without_columns_gives_all_of_them(editor: User, acme: Organization) -> None:
    job = make_job(editor, acme, type="custom", dataset="transactions")
    assert job.dataset == "transactions"
    assert [column["key"] for column in job.spec["columns"]] == list(DATASETS["transactions"].columns)
    assert replace(Spec.from_json(job.spec)).to_json() == job.spec
