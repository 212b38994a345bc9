"""Properties: whatever text, number or time a task holds, every format gives it back, or lists it as an issue."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import openpyxl
import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from python_calamine import load_workbook

from exports.cells import RISKY, Kind, Style, guard, sql_text, unguard
from exports.formats.xlsx import CUT
from tasks.models import Organization, Task, TaskStatus
from tests import random_tasks
from tests.random_tasks import MOMENTS, PIECES
from tests.test_formats import TEXTS, TIMES, as_text, assert_same, assert_time, iso, unescaped

# The normal run is the same every time; the long one looks further.
DEV = settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
LONG = settings(DEV, max_examples=1000, derandomize=False)

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
NASTY = st.lists(st.one_of(st.sampled_from(PIECES), st.text("=+-@'\t\r\n\"\\,;|_x0041 ()", max_size=8)), max_size=4).map("".join)


def texts(most: int) -> st.SearchStrategy[str]:
    return st.one_of(ANY_TEXT, NASTY).map(lambda text: text[:most])


MOMENT = st.one_of(st.sampled_from(MOMENTS), st.datetimes(timezones=st.just(UTC)))
NUMBER = st.none() | st.decimals(Decimal("-1e25"), Decimal("1e25"), places=12, allow_nan=False) | st.integers(-(10**15), 10**15).map(Decimal)
TASK = st.builds(
    Task,
    title=texts(500),
    body=st.builds(lambda text, times: text * times, texts(20), st.sampled_from([1, 1, 1, 1500])),
    status=st.sampled_from(TaskStatus.values),
    due_at=st.none() | MOMENT,
    due_on=st.none() | st.dates() | st.sampled_from([date(1900, 2, 28), date(1900, 3, 1)]),
    created_at=MOMENT,
    completed_at=st.none() | MOMENT,
    address_1=texts(300),
    address_2=texts(300),
    address_3=texts(300),
    city=texts(200),
    state=texts(50),
    zip=texts(20),
    latitude=NUMBER,
    longitude=NUMBER,
    recipient_phone=texts(50),
)
TASKS = st.lists(TASK, min_size=1, max_size=4)
ZONE = st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"])
DIALECT = st.fixed_dictionaries(
    {
        "archive": st.sampled_from(["zip", "gz", "none"]),
        "delimiter": st.sampled_from([",", ";", "\t", "|"]),
        "decimal": st.sampled_from([".", ","]),
        "quoting": st.sampled_from(["minimal", "all"]),
        "bom": st.booleans(),
        "guard": st.sampled_from(["formulas", "none"]),
    }
)


def unpacked(file: bytes, archive: str) -> bytes:
    if archive == "zip":
        with zipfile.ZipFile(io.BytesIO(file)) as opened:
            return opened.read(opened.namelist()[0])
    return gzip.decompress(file) if archive == "gz" else file


def csv_records(organization: Organization, zone: str, config: str, options: dict[str, Any]) -> list[dict[str, str]]:
    file, issues = random_tasks.export(organization, "csv", zone, config, **options)
    assert issues == []
    text = unpacked(file, options["archive"]).decode()
    assert text.startswith("\ufeff") == options["bom"]
    csv.field_size_limit(2**31 - 1)
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff") if options["bom"] else text, newline=""), delimiter=options["delimiter"]))


def check_csv(organization: Organization, tasks: list[Task], zone: str, options: dict[str, Any]) -> None:
    given_back = unguard if options["guard"] == "formulas" else str
    for record, task in zip(csv_records(organization, zone, "basic", options), tasks, strict=True):
        assert record["id"] == str(task.pk)
        assert [given_back(record[name]) for name in TEXTS] == [getattr(task, name) for name in TEXTS]
        for name in ("latitude", "longitude"):
            assert record[name].replace(options["decimal"], ".") == ("" if getattr(task, name) is None else format(getattr(task, name), "f"))
        assert record["due_on"] == ("" if task.due_on is None else task.due_on.isoformat())
        for name in TIMES:
            moment = getattr(task, name)
            assert (datetime.fromisoformat(record[name]) if record[name] else None) == moment
            assert zone != "UTC" or record[name] == (iso(moment) or "")
    for record, task in zip(csv_records(organization, zone, "fedex", options), tasks, strict=True):
        assert given_back(record["instructions"]) == task.body
        assert record["phone"] == task.recipient_phone


def check_json(organization: Organization, tasks: list[Task]) -> None:
    records = json.loads(random_tasks.export(organization, "json")[0], parse_float=Decimal, parse_int=Decimal)
    for archive in ("gz", "none"):
        lines = unpacked(random_tasks.export(organization, "ndjson", archive=archive)[0], archive).decode().split("\n")
        assert lines.pop() == ""
        assert [json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in lines] == records
    for record, task in zip(records, tasks, strict=True):
        assert_same(record, task)


def check_parquet(organization: Organization, tasks: list[Task]) -> None:
    file, issues = random_tasks.export(organization, "parquet")
    assert issues == []
    for record, task in zip(parquet.read_table(io.BytesIO(file)).to_pylist(), tasks, strict=True):
        assert [record[name] for name in (*TEXTS, *TIMES, "due_on")] == [getattr(task, name) for name in (*TEXTS, *TIMES, "due_on")]
        for name in ("latitude", "longitude"):
            assert (record[name] and Decimal(record[name])) == getattr(task, name)


def check_xlsx(organization: Organization, tasks: list[Task], zone: str) -> None:
    file, issues = random_tasks.export(organization, "xlsx", zone)
    assert issues == []
    rows = list(openpyxl.load_workbook(io.BytesIO(file))["Tasks"].iter_rows(values_only=True))
    twins = load_workbook(io.BytesIO(file)).get_sheet_by_name("Tasks").to_python(skip_empty_area=False)
    header = [str(title) for title in rows.pop(0)]
    for row, twin, task in zip(rows, twins[1:], tasks, strict=True):
        record, second = dict(zip(header, row, strict=True)), dict(zip(header, twin, strict=True))
        assert record["id"] == second["id"] == task.pk
        for name in TEXTS:
            assert (as_text(record[name]) or "") == unescaped(str(second[name])) == getattr(task, name)
        for name in ("latitude", "longitude"):
            value = getattr(task, name)
            assert record[name] is value is None or Decimal(str(record[name])) == value
        due = record["due_on"].date() if isinstance(record["due_on"], datetime) else record["due_on"] and date.fromisoformat(record["due_on"])
        assert due == task.due_on
        for name in TIMES:
            assert_time(record[name], getattr(task, name), zone)
    check_long_cells(organization, tasks)


def check_long_cells(organization: Organization, tasks: list[Task]) -> None:
    file, issues = random_tasks.export(organization, "xlsx", config="fedex")
    listed = {issue.row_id: issue.text for issue in issues}
    rows = openpyxl.load_workbook(io.BytesIO(file))["Tasks"].iter_rows(min_row=2, values_only=True)
    for row, task in zip(rows, tasks, strict=True):
        text = as_text(row[-1]) or ""
        if task.pk in listed:
            assert listed[task.pk] == task.body
            assert text.endswith(CUT)
            assert task.body.startswith(text.removesuffix(CUT))
        else:
            assert text == task.body


def check_files(tasks: list[Task], zone: str, options: dict[str, Any]) -> None:
    """Every format of these tasks, read back."""
    Task.objects.all().delete()
    organization, _ = Organization.objects.get_or_create(slug="any", defaults={"name": "Any"})
    for number, task in enumerate(tasks):
        task.pk, task.organization, task.external_id = None, organization, f"{number}{task.city}"[:200]
    Task.objects.bulk_create(tasks)
    stored = list(Task.objects.select_related("flow").order_by("created_at", "pk"))  # numbers are rounded to 15 digits on their way in
    check_csv(organization, stored, zone, options)
    check_json(organization, stored)
    check_parquet(organization, stored)
    check_xlsx(organization, stored, zone)


@pytest.mark.django_db(transaction=True)
@DEV
@given(TASKS, ZONE, DIALECT)
def test_every_format_gives_every_task_back(tasks: list[Task], zone: str, options: dict[str, Any]) -> None:
    check_files(tasks, zone, options)


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
@LONG
@given(TASKS, ZONE, DIALECT)
def test_every_format_gives_every_task_back_at_length(tasks: list[Task], zone: str, options: dict[str, Any]) -> None:
    check_files(tasks, zone, options)


# -- The guard -----------------------------------------------------------------------------------------------------
CELL = st.one_of(ANY_TEXT, NASTY)


@settings(DEV, max_examples=1000)
@given(CELL)
def test_the_guard_can_be_undone_and_leaves_no_formula(text: str) -> None:
    cell = guard(text)
    assert unguard(cell) == text
    assert cell in (text, "'" + text)
    if cell[:1] in RISKY and cell:
        assert cell[0] in "+-"
        assert cell[1:2].isascii()
        assert cell[1:2].isdigit()
        assert set(cell[1:]) <= set("0123456789 ().")


@settings(DEV, max_examples=200)
@given(CELL, CELL)
def test_two_texts_never_become_one_cell(one: str, other: str) -> None:
    assert (guard(one) == guard(other)) == (one == other)
    assert guard("'" + one) != guard(one)


def check_guard_in_sql(cells: list[str]) -> None:
    with connection.cursor() as cursor:
        select = f"SELECT {sql_text(Kind.TEXT, 'c', Style())} FROM unnest(%s::text[]) WITH ORDINALITY AS given(c, n) ORDER BY n"
        cursor.execute(select, [cells])
        assert [cell or "" for (cell,) in cursor.fetchall()] == [guard(text) for text in cells]


@pytest.mark.django_db
@DEV
@given(st.lists(CELL, min_size=1, max_size=50))
def test_the_guard_in_sql_is_the_guard_in_python(cells: list[str]) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite's cells are rendered in Python")
    check_guard_in_sql(cells)


@pytest.mark.long
@pytest.mark.django_db
@LONG
@given(st.lists(CELL, min_size=1, max_size=200))
def test_the_guard_in_sql_is_the_guard_in_python_at_length(cells: list[str]) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite's cells are rendered in Python")
    check_guard_in_sql(cells)
