"""Preflight: what a create would give, said before, by the code that writes the file; nothing is written."""

from __future__ import annotations

import csv
import gzip
import io
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from django.db import connection
from rest_framework.test import APIClient

from exports import sources
from exports.cells import Style
from exports.formats.xlsx import CELL_CHARS
from exports.models import ExportFile, ExportJob
from exports.services import preflight, specs
from tasks.models import Organization, Task, User
from tests import api, random_tasks
from tests.making import EVERYTHING, make_tasks

pytestmark = pytest.mark.django_db(transaction=True)
ClientOf = Callable[[User], APIClient]
URL = f"{api.JOBS}/preflight"
EVER = {"creation_start_date": "0001-01-01", "creation_end_date": "9999-12-31"}


@pytest.fixture
def ask(client_of: ClientOf, editor: User, acme: Organization) -> Callable[..., dict[str, Any]]:
    """The editor's preflight over everything in acme."""

    def ask(**values: Any) -> dict[str, Any]:
        response = client_of(editor).post(URL, api.wish(acme, **{**EVERYTHING, **values}))
        assert response.status_code == 200, response.content
        return dict(response.json()["preflight"])

    return ask


Ask = Callable[..., dict[str, Any]]


def codes(answer: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(warning["code"], warning["column"]) for warning in answer["warnings"]]


def task(organization: Organization, **values: Any) -> Task:
    return Task.objects.create(organization=organization, **{"title": "plain", **values})


def test_plain_tasks_raise_no_warning_and_nothing_is_written(ask: Ask, acme: Organization) -> None:
    make_tasks(acme, 30)
    answer = ask()
    assert (answer["rows"], answer["rows_exact"], answer["sampled_rows"], len(answer["preview"])) == (30, True, 30, 20)
    assert answer["warnings"] == []
    assert answer["seconds"] == preflight.START_SECONDS
    assert (ExportJob.objects.count(), ExportFile.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"zip": "01234"}, [("leading_zeros", "zip")]),
        ({"external_id": "1234567890123456"}, [("long_digits", "reference")]),
        ({"title": "=1+1"}, [("formulas", "title")]),
        ({"title": "@home"}, [("formulas", "title")]),
        ({"title": "-5 C"}, [("formulas", "title")]),
        ({"title": "+49 170 1234567"}, []),
        ({"title": "-5"}, []),
        ({"zip": "0"}, []),
        ({"title": "0.5"}, []),
        ({"title": "00", "city": "0123456789012"}, [("leading_zeros", "title"), ("leading_zeros", "city"), ("long_digits", "city")]),
    ],
)
def test_a_hazard_raises_exactly_its_warning_in_csv_alone(
    values: dict[str, str], expected: list[tuple[str, str]], ask: Ask, acme: Organization
) -> None:
    task(acme, **values)
    task(acme)
    assert codes(ask()) == expected
    assert [codes(ask(format=name)) for name in ("xlsx", "json", "ndjson")] == [[], [], []]


def test_a_warning_counts_cells_and_says_of_what(ask: Ask, acme: Organization) -> None:
    Task.objects.bulk_create([Task(organization=acme, title="x", zip=f"0{number}") for number in range(501)])
    (warning,) = ask()["warnings"]
    assert warning["detail"].startswith("Column zip: 500 of the first 500 rows have leading zeros")
    Task.objects.filter(zip__gt="050").delete()
    (warning,) = ask()["warnings"]
    assert warning["detail"].startswith(f"Column zip: {Task.objects.count()} of all {Task.objects.count()} rows have leading zeros")


def test_nothing_fits(ask: Ask, acme: Organization) -> None:
    for name in ("csv", "xlsx", "json", "ndjson"):
        answer = ask(format=name)
        assert codes(answer) == [("empty", None)]
        assert (answer["rows"], answer["preview"]) == (0, [])


def test_a_cell_too_long_for_a_sheet(ask: Ask, acme: Organization) -> None:
    task(acme, body="x" * CELL_CHARS)
    assert codes(ask(type="fedex", format="xlsx")) == []
    task(acme, body="x" * (CELL_CHARS + 1))
    assert codes(ask(type="fedex", format="xlsx")) == [("cell_too_long", "instructions")]
    assert codes(ask(type="fedex")) == []


def test_many_cells_too_long_would_fail_the_job(ask: Ask, acme: Organization) -> None:
    Task.objects.bulk_create([Task(organization=acme, title="x", body="y" * (CELL_CHARS + 1)) for _ in range(101)])
    answer = ask(type="fedex", format="xlsx")
    assert codes(answer) == [("cell_too_long", "instructions"), ("many_issues", None)]
    assert len(answer["preview"]) == 20


def test_two_sheets_and_parts(ask: Ask, acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("exports.formats.xlsx", "exports.services.hazards"):  # the limit itself is a matter of minutes
        monkeypatch.setattr(f"{module}.SHEET_ROWS", 10_000)
    make_tasks(acme, 10_000)
    assert [codes(ask(format=name)) for name in ("xlsx", "json")] == [[], []]
    task(acme)
    answer = ask(format="xlsx")
    assert codes(answer) == [("several_sheets", None)]
    assert answer["warnings"][0]["detail"] == "10,001 rows need 2 sheets: one holds 10,000 below its header."
    assert codes(ask(format="json")) == [("several_parts", None)]
    assert len(ask(format="json")["preview"]) == 20


def test_rows_too_long_make_the_sample_short(ask: Ask, acme: Organization) -> None:
    Task.objects.bulk_create([Task(organization=acme, title="x", body="y" * 1_000_000) for _ in range(12)])
    answer = ask(type="fedex")
    assert (answer["rows"], answer["rows_exact"], answer["sampled_rows"]) == (12, True, 8)
    assert answer["preview"][0][-1] == "y" * 1000 + "…"


# -- As the real file ----------------------------------------------------------------------------------------------
def real_rows(format_name: str, file: bytes, **options: Any) -> list[list[Any]]:
    """The file's rows by another reader than the service's own, below the header."""
    if format_name == "csv":
        text = gzip.decompress(file) if options.get("archive") == "gz" else file
        return list(csv.reader(io.StringIO(text.decode("utf-8-sig"), newline=""), delimiter=options.get("delimiter", ",")))[1:]
    if format_name == "xlsx":
        return [list(row) for row in openpyxl.load_workbook(io.BytesIO(file)).active.iter_rows(min_row=2, values_only=True)]
    records = json.loads(file) if format_name == "json" else [json.loads(line) for line in file.decode().split("\n")[:-1]]
    return [list(record.values()) for record in records]


@pytest.mark.parametrize(
    ("format_name", "options"),
    [
        ("csv", {"archive": "none"}),
        ("csv", {"preset": "excel-europe", "archive": "gz", "delimiter": ";"}),
        ("xlsx", {}),
        ("json", {}),
        ("ndjson", {}),
    ],
)
def test_the_preview_is_the_first_rows_of_the_real_file(format_name: str, options: dict[str, Any], ask: Ask, acme: Organization) -> None:
    random_tasks.make(acme, 60, seed=3)
    zone = "Asia/Kathmandu"
    answer = ask(format=format_name, options=options, timezone=zone, **EVER)
    file, _ = random_tasks.export(acme, format_name, zone, **options)
    rows = real_rows(format_name, file, **options)[:20]
    assert len(answer["preview"]) == len(rows) == 20
    for shown, real in zip(answer["preview"], rows, strict=True):
        for title, text, value in zip(answer["header"], shown, real, strict=True):
            if format_name == "csv":
                assert text == value
            elif isinstance(value, datetime):
                assert text == str(value.date() if title == "due_on" else value)
            elif isinstance(value, int | float):
                assert float(text) == value
            elif format_name == "xlsx" and isinstance(value, str):
                assert text == openpyxl.utils.escape.unescape(value)
            else:
                assert text == value
    assert abs(answer["size_bytes"] - len(file)) <= 40  # the time of day in an archive's head deflates to more or less


def test_size_and_time_are_near_the_real_ones(ask: Ask, acme: Organization, editor: User) -> None:
    make_tasks(acme, 20_000)
    for name in ("csv", "xlsx", "json", "ndjson"):
        size = ask(format=name)["size_bytes"]
        real = len(random_tasks.export(acme, name)[0])
        assert 0.6 < size / real < 1.7, name
    assert ask()["seconds"] == 1.4
    job = api.make_job(acme, editor, "done", format="csv", started_at=datetime.now(UTC) - timedelta(seconds=10), finished_at=datetime.now(UTC))
    ExportFile.objects.filter(job=job).update(rows=10_000)
    assert 20 < ask()["seconds"] < 22
    assert ask(format="xlsx")["seconds"] == 1.4


# -- Limits --------------------------------------------------------------------------------------------------------
def test_above_the_bound_rows_are_the_planners_estimate(ask: Ask, acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tasks(acme, 3000)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE tasks_task")
    monkeypatch.setattr(preflight, "EXACT_ROWS", 2999)
    answer = ask()
    if connection.vendor == "postgresql":
        assert not answer["rows_exact"]
        assert 3000 <= answer["rows"] < 3300
    else:
        assert (answer["rows"], answer["rows_exact"]) == (3000, True)
    monkeypatch.setattr(preflight, "EXACT_ROWS", 3000)
    assert ask()["rows_exact"]


def test_a_slow_count_and_a_slow_sample_are_said(ask: Ask, acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tasks(acme, 20_000)
    monkeypatch.setattr("exports.sources.sqlite.PROGRESS_STEPS", 100)
    monkeypatch.setattr(preflight, "COUNT_SECONDS", 0.001)
    answer = ask()
    assert (answer["rows_exact"], answer["sampled_rows"]) == (False, 500)
    assert answer["rows"] >= 500
    monkeypatch.setattr(preflight, "SAMPLE_SECONDS", 0.001)
    answer = ask(timezone="Asia/Kathmandu")
    assert codes(answer) == [("no_sample", None)]
    assert (answer["sampled_rows"], answer["preview"], answer["size_bytes"]) == (0, [], 0)


@pytest.mark.parametrize("format_name", ["csv", "json"])
def test_a_sample_of_all_rows_is_their_count(format_name: str, ask: Ask, acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tasks(acme, 20_000)
    monkeypatch.setattr("exports.sources.sqlite.PROGRESS_STEPS", 100)
    monkeypatch.setattr(preflight, "COUNT_SECONDS", 0.001)
    monkeypatch.setattr(preflight, "SAMPLE_SECONDS", 5.0)
    for rows, said in ((0, [("empty", None)]), (1, [])):  # no planner can know
        answer = ask(format=format_name, filter={"column": "title", "op": "does_not_contain", "value": "task"})
        assert (answer["rows"], answer["rows_exact"], answer["sampled_rows"], len(answer["preview"])) == (rows, True, rows, rows)
        assert codes(answer) == said
        task(acme)


def test_a_snapshot_goes_on_after_a_time_out(acme: Organization) -> None:
    make_tasks(acme, 20_000)
    spec = specs.make({"org_name": "x", "name": "x", "type": "basic", **EVERYTHING}).spec
    with sources.snapshot(Style()) as snapshot:
        query = sources.compile_query(spec, [acme.pk])
        counted = snapshot.count(query)
        with pytest.raises(sources.TooSlow), snapshot.within(0.001):
            list(snapshot.csv_lines(query, Style(), sources.Dialect()))
        Task.objects.all().delete()
        assert snapshot.count(query) == counted == 20_000
        assert snapshot.count(sources.first(query, 7)) == 7


# -- Rights and refusals -------------------------------------------------------------------------------------------
def test_who_may_ask(client_of: ClientOf, acme: Organization, editor: User, viewer: User, outsider: User, admin: User) -> None:
    body = api.wish(acme)
    assert [client_of(user).post(URL, body).status_code for user in (editor, admin, viewer, outsider)] == [200, 200, 403, 404]
    unguarded = api.wish(acme, options={"guard": "none"})
    task(acme, title="=1+1")
    assert client_of(editor).post(URL, unguarded).status_code == 403
    answer = client_of(admin).post(URL, api.wish(acme, options={"guard": "none"}, **EVERYTHING)).json()["preflight"]
    assert "may run them" in answer["warnings"][0]["detail"]


@pytest.mark.parametrize(
    "change", [{"type": "x"}, {"format": "x"}, {"options": {"bom": 1}}, {"creation_end_date": "2019-01-01"}, {"more": 1}, {"timezone": "x"}]
)
def test_it_refuses_what_a_create_refuses_in_the_same_words(change: dict[str, Any], client_of: ClientOf, editor: User, acme: Organization) -> None:
    client, body = client_of(editor), api.wish(acme, **change)
    mine, created = client.post(URL, body), client.post(api.JOBS, body)
    assert mine.status_code == created.status_code == 400
    assert mine.json() == created.json()


def test_it_sees_one_organization_alone(ask: Ask, acme: Organization, globex: Organization) -> None:
    make_tasks(globex, 10)
    task(acme, title="mine")
    assert [row[2] for row in ask()["preview"]] == ["mine"]


def test_times_are_in_the_zone(ask: Ask, acme: Organization) -> None:
    moment = datetime(2024, 7, 1, 12, tzinfo=UTC)
    task(acme, created_at=moment)
    for name, expected in (("csv", "2024-07-01T14:00:00+02:00"), ("xlsx", "2024-07-01 14:00:00")):
        answer = ask(format=name, timezone="Europe/Amsterdam")
        assert dict(zip(answer["header"], answer["preview"][0], strict=True))["created_at"] == expected
    assert moment.astimezone(ZoneInfo("Europe/Amsterdam")).hour == 14


def test_it_is_quick(ask: Ask, acme: Organization) -> None:
    make_tasks(acme, 2000)
    ask(format="xlsx")
    began = time.monotonic()
    ask(format="xlsx")
    assert time.monotonic() - began < 2
