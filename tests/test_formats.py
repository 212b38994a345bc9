"""Every format, read back by another reader than what wrote it: each value comes back, or is listed as an issue."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from django.conf import settings
from python_calamine import load_workbook

from exports import worker
from exports.formats import FORMATS, settled_options
from exports.formats.issues import FEWEST_TO_FAIL, Issues
from exports.formats.xlsx import CELL_CHARS, CUT
from exports.models import ExportIssue
from exports.services import jobs, receipts
from taskexport.errors import AppError, Forbidden, Invalid
from tasks.models import Organization, Task, User
from tests import random_tasks
from tests.making import make_job, make_queued, make_tasks

pytestmark = pytest.mark.django_db(transaction=True)
TEXTS = ("title", "address_1", "address_2", "address_3", "city", "state", "zip")
TIMES = ("due_at", "completed_at", "created_at")


@pytest.fixture
def organization() -> Organization:
    organization = Organization.objects.create(slug="random", name="Random")
    random_tasks.make(organization, 400, seed=11)
    return organization


def ordered(organization: Organization) -> list[Task]:
    return list(Task.objects.filter(organization=organization).select_related("flow", "hub", "assignee").order_by("created_at", "pk"))


def iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


# -- JSON ----------------------------------------------------------------------------------------------------------
def assert_same(record: dict[str, Any], task: Task) -> None:
    for name in TEXTS:
        assert record[name] == getattr(task, name)
    assert (record["id"], record["reference"]) == (task.pk, task.external_id)
    assert record["flow"] == (task.flow.name if task.flow else None)
    assert record["latitude"] == task.latitude
    assert record["due_on"] == (task.due_on and task.due_on.isoformat())
    assert [record[name] for name in TIMES] == [iso(getattr(task, name)) for name in TIMES]


def test_ndjson_gives_every_value_back_null_and_empty_apart(organization: Organization) -> None:
    for options, opened in (({}, bytes), ({"archive": "gz"}, gzip.decompress)):
        lines = opened(random_tasks.export(organization, "ndjson", **options)[0]).decode().split("\n")
        assert lines.pop() == ""
        for line, task in zip(lines, ordered(organization), strict=True):
            assert_same(json.loads(line, parse_float=Decimal), task)
        assert any('"flow":null' in line for line in lines)
        assert any('"address_2":""' in line for line in lines)


def test_json_is_an_array(organization: Organization) -> None:
    records = json.loads(random_tasks.export(organization, "json")[0], parse_float=Decimal)
    for record, task in zip(records, ordered(organization), strict=True):
        assert_same(record, task)


def test_json_of_nothing_is_an_empty_array(acme: Organization) -> None:
    assert json.loads(random_tasks.export(acme, "json")[0]) == []


def test_json_over_10_000_tasks_is_parts_of_10_000_in_one_zip(editor: User, acme: Organization) -> None:
    make_tasks(acme, 20_001)
    job = make_queued(editor, acme, format="json")
    worker.run_next()
    file = jobs.get(editor, job.pk).file
    assert file.name == f"{job.pk}-task-export.zip"
    with zipfile.ZipFile(settings.FILES_ROOT / file.key) as archive:
        parts = [json.loads(archive.read(name)) for name in archive.namelist()]
        assert archive.namelist() == [f"{job.pk}-task-export-000{number}.json" for number in (1, 2, 3)]
    assert [len(part) for part in parts] == [10_000, 10_000, 1]
    assert [record["reference"] for part in parts for record in part] == [str(number) for number in range(1, 20_002)]


# -- CSV dialects --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("quoting", ["minimal", "all"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_dialects_come_back(delimiter: str, quoting: str, organization: Organization) -> None:
    options = {"archive": "none", "delimiter": delimiter, "quoting": quoting, "guard": "none"}
    text = random_tasks.export(organization, "csv", **options)[0].decode()
    records = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))
    for record, task in zip(records, ordered(organization), strict=True):
        assert [record[name] for name in TEXTS] == [getattr(task, name) for name in TEXTS]
        assert record["flow"] == (task.flow.name if task.flow else "")
    if quoting == "all":
        assert f'{delimiter}"{records[0]["status"]}"{delimiter}' in text
        assert '""' + delimiter not in re.sub(r'[^",;\t|\n]""', "", text.splitlines()[1])


def test_excel_in_europe_is_a_preset_whose_parts_may_be_changed(organization: Organization) -> None:
    text = random_tasks.export(organization, "csv", preset="excel-europe", archive="none")[0]
    assert text.startswith(b"\xef\xbb\xbfid;reference;")
    records = list(csv.DictReader(io.StringIO(text.decode("utf-8-sig"), newline=""), delimiter=";"))
    task = next(task for task in ordered(organization) if task.latitude and task.latitude % 1)
    assert {record["id"]: record["latitude"] for record in records}[str(task.pk)] == format(task.latitude, "f").replace(".", ",")
    settled = settled_options(FORMATS["csv"], {"preset": "excel-europe", "delimiter": ","})
    assert {key: settled[key] for key in ("preset", "delimiter", "bom", "decimal", "archive")} == {
        **{"preset": "excel-europe", "delimiter": ",", "bom": True, "decimal": ",", "archive": "zip"},
    }
    assert settled_options(FORMATS["csv"], {}) == {key: option.default for key, option in FORMATS["csv"].options.items()}


def test_csv_packed_as_gzip_and_without_a_header(organization: Organization) -> None:
    plain = random_tasks.export(organization, "csv", archive="none")[0]
    assert gzip.decompress(random_tasks.export(organization, "csv", archive="gz")[0]) == plain
    assert random_tasks.export(organization, "csv", archive="none", header=False)[0] == plain[plain.index(b"\n") + 1 :]


def test_options_that_a_format_does_not_have_are_refused_by_name(editor: User, acme: Organization) -> None:
    for values, field in (
        ({"options": {"delimeter": ";"}}, "options.delimeter"),
        ({"options": {"delimiter": "x"}}, "options.delimiter"),
        ({"options": {"bom": "yes"}}, "options.bom"),
        ({"format": "xlsx", "options": {"bom": True}}, "options.bom"),
    ):
        with pytest.raises(Invalid) as refusal:
            make_job(editor, acme, **values)
        assert [error.field for error in refusal.value.fields] == [field]


def test_only_an_admin_leaves_the_guard_out(editor: User, admin: User, acme: Organization) -> None:
    with pytest.raises(Forbidden):
        make_job(editor, acme, options={"guard": "none"})
    assert make_job(admin, acme, options={"guard": "none"}).spec["options"]["guard"] == "none"


# -- XLSX ----------------------------------------------------------------------------------------------------------
_ESCAPED = re.compile("_x([0-9A-F]{4})_")


def unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)


def as_text(cell: Any) -> str | None:
    return unescaped(cell) if isinstance(cell, str) else cell


def assert_time(cell: Any, moment: datetime | None, zone: str) -> None:
    """The cell is the local time typed, or where a spreadsheet can't hold it the ISO text."""
    if moment is None:
        assert cell is None
    elif isinstance(cell, datetime):
        assert cell == moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    else:
        assert datetime.fromisoformat(cell) == moment
        local = moment.astimezone(ZoneInfo(zone)) if 2 < moment.year < 9998 else moment
        odd = local.utcoffset().total_seconds() % 60
        assert moment.microsecond or not datetime(1900, 3, 2, tzinfo=UTC) < moment < datetime(2099, 12, 31, tzinfo=UTC) or odd


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_xlsx_gives_every_value_back_to_openpyxl(zone: str, organization: Organization) -> None:
    file, issues = random_tasks.export(organization, "xlsx", zone)
    assert issues == []
    rows = list(openpyxl.load_workbook(io.BytesIO(file))["Tasks"].iter_rows(values_only=True))
    header = [str(title) for title in rows.pop(0)]
    for row, task in zip(rows, ordered(organization), strict=True):
        record = dict(zip(header, row, strict=True))
        assert record["id"] == task.pk
        for name in TEXTS:
            assert (as_text(record[name]) or "") == getattr(task, name)
        assert as_text(record["reference"]) == task.external_id
        assert as_text(record["flow"]) == (task.flow.name if task.flow else None)
        for name in ("latitude", "longitude"):
            value = getattr(task, name)
            assert record[name] is value is None or Decimal(str(record[name])) == value
        due = record["due_on"].date() if isinstance(record["due_on"], datetime) else record["due_on"] and date.fromisoformat(record["due_on"])
        assert due == task.due_on
        for name in TIMES:
            assert_time(record[name], getattr(task, name), zone)


def test_xlsx_is_the_same_to_a_second_reader(organization: Organization) -> None:
    file = random_tasks.export(organization, "xlsx")[0]
    rows = load_workbook(io.BytesIO(file)).get_sheet_by_name("Tasks").to_python(skip_empty_area=False)
    header = [str(title) for title in rows.pop(0)]
    for row, task in zip(rows, ordered(organization), strict=True):
        record = dict(zip(header, row, strict=True))
        assert record["id"] == task.pk
        assert [unescaped(str(record[name])) for name in TEXTS] == [getattr(task, name) for name in TEXTS]


def test_xlsx_has_no_formula_a_frozen_bold_header_a_filter_and_widths(organization: Organization) -> None:
    file = random_tasks.export(organization, "xlsx")[0]
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        assert archive.testzip() is None
        assert not any(b"<f>" in archive.read(name) or b"<f " in archive.read(name) for name in archive.namelist())
    sheet = openpyxl.load_workbook(io.BytesIO(file))["Tasks"]
    assert (sheet.freeze_panes, sheet.auto_filter.ref, sheet.dimensions) == ("A2", "A1:V401", "A1:V401")
    assert sheet["A1"].font.bold
    assert sheet.column_dimensions["C"].width == 24
    assert sheet["B2"].data_type == "s"
    streamed = openpyxl.load_workbook(io.BytesIO(file), read_only=True)["Tasks"]
    assert sum(1 for _ in streamed.iter_rows()) == 401


def test_a_cell_too_long_is_cut_with_a_mark_and_listed_whole(editor: User, acme: Organization) -> None:
    fits, long = "x" * CELL_CHARS, "tab\there \\ 😀" * 4000
    Task.objects.create(organization=acme, title="fits", body=fits)
    Task.objects.create(organization=acme, title="long", body=long)
    job = make_queued(editor, acme, type="fedex", format="xlsx")
    worker.run_next()
    job = jobs.get(editor, job.pk)
    assert (job.status, job.error) == ("done", "")
    issue = ExportIssue.objects.get(job=job)
    assert (issue.row_id, issue.column, issue.reason, issue.text) == (Task.objects.get(title="long").pk, "body", "cell_too_long", long)
    book = openpyxl.load_workbook(settings.FILES_ROOT / job.file.key)
    assert book.sheetnames == ["Tasks", "Issues"]
    bodies = [row[-1].value for row in book["Tasks"].iter_rows(min_row=2)]
    assert bodies[0] == fits
    assert bodies[1].endswith(CUT)
    assert long.startswith(bodies[1].removesuffix(CUT))
    assert CELL_CHARS - 1 <= len(bodies[1].encode("utf-16-le")) // 2 <= CELL_CHARS
    assert [cell.value for cell in book["Issues"][2]][:3] == [str(issue.row_id), "body", "cell_too_long"]
    assert job.file.receipt["receipt"]["issues"] == 1
    assert receipts.verify(settings.FILES_ROOT / job.file.key, job.file.receipt) == []


def test_numbers_are_typed_while_a_spreadsheet_holds_all_their_digits(acme: Organization) -> None:
    typed = ["-76.6692365628603", "39.3470107281118", "0.000000123456789012345", "-0.5", "123456789012345"]
    texts = ["1234567890123450", "-12345678901234500000"]
    Task.objects.bulk_create([Task(organization=acme, title="x", latitude=Decimal(number)) for number in typed + texts])
    sheet = openpyxl.load_workbook(io.BytesIO(random_tasks.export(acme, "xlsx")[0]))["Tasks"]
    found = [cell.value for cell in sheet["U"]]
    assert found.pop(0) == "latitude"
    assert [type(value) for value in found] == [float] * 4 + [int] + [str] * 2
    assert [Decimal(str(value)) for value in found] == [Decimal(number) for number in typed + texts]


def test_what_reads_like_an_escape_comes_back(acme: Organization) -> None:
    titles = [
        "_x0041_",
        "_x0041\x0b",
        "_x0041\b",
        "_x0041\\b",
        "_x0041\f_",
        "_x0041\uffff",
        "_x0041\r",
        "_x0041_x0042\x01",
        "__x0041\x1f_",
        "_xface\x02",
    ]
    Task.objects.bulk_create([Task(organization=acme, title=title) for title in titles])
    sheet = openpyxl.load_workbook(io.BytesIO(random_tasks.export(acme, "xlsx")[0]))["Tasks"]
    assert [unescaped(cell.value) for cell in sheet["C"][1:]] == titles


def test_an_issue_that_escapes_make_longer_is_cut_with_a_mark_too(acme: Organization) -> None:
    Task.objects.create(organization=acme, title="x", body="\x0b" * 40_000 + "\r")
    file, (issue,) = random_tasks.export(acme, "xlsx", config="fedex")
    assert len(issue.text) == 40_001
    shown = openpyxl.load_workbook(io.BytesIO(file))["Issues"]["D2"].value
    assert shown.startswith("_x000B_" * 4000)
    assert shown.endswith(CUT)
    assert len(shown) == CELL_CHARS


def test_too_many_issues_fail_the_job_and_say_why(editor: User, acme: Organization) -> None:
    body = "y" * (CELL_CHARS + 1)
    Task.objects.bulk_create([Task(organization=acme, title=str(number), body=body) for number in range(FEWEST_TO_FAIL + 1)])
    job = make_queued(editor, acme, type="fedex", format="xlsx")
    worker.run_next()
    job = jobs.get(editor, job.pk)
    assert (job.status, job.error_code) == ("failed", "too_many_issues")
    assert "body" in job.error
    assert not ExportIssue.objects.exists()


@pytest.mark.parametrize(("rows", "most"), [(1, 100), (100_000, 100), (200_000, 200), (5_000_000, 5_000)])
def test_a_job_bears_100_rows_with_issues_or_one_in_a_thousand(rows: int, most: int) -> None:
    issues = Issues(rows)
    for row_id in [*range(most), *range(most)]:  # a row with two issues is one row
        issues.add(row_id, "body", "cell_too_long", "x")
    with pytest.raises(AppError, match=f"More than {most} rows") as refused:
        issues.add(most, "body", "cell_too_long", "x")
    assert refused.value.code == "too_many_issues"


def test_a_long_cell_is_whole_in_csv_and_json(editor: User, acme: Organization) -> None:
    body = "z" * 200_000
    Task.objects.create(organization=acme, title="long", body=body)
    for format_name in ("csv", "json", "ndjson"):
        job = make_queued(editor, acme, type="fedex", format=format_name)
        worker.run_next()
        job = jobs.get(editor, job.pk)
        assert job.file.receipt["receipt"]["issues"] == 0
        raw = (settings.FILES_ROOT / job.file.key).read_bytes()
        if format_name == "csv":
            with zipfile.ZipFile(io.BytesIO(raw)) as archive:
                raw = archive.read(archive.namelist()[0])
        assert body.encode() in raw


def test_more_rows_than_a_sheet_holds_go_on_in_a_second(organization: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exports.formats.xlsx.SHEET_ROWS", 200)  # the limit itself is a matter of minutes
    book = openpyxl.load_workbook(io.BytesIO(random_tasks.export(organization, "xlsx")[0]))
    assert book.sheetnames == ["Tasks", "Tasks 2"]
    assert [sheet.dimensions for sheet in book] == ["A1:V201", "A1:V201"]
    ids = [sheet.cell(row, 1).value for sheet in book for row in range(2, 202)]
    assert ids == [task.pk for task in ordered(organization)]


PACKINGS: list[tuple[str, dict[str, Any]]] = [
    *(("csv", {"archive": archive}) for archive in ("zip", "gz", "none")),
    *(("ndjson", {"archive": archive}) for archive in ("gz", "none")),
    *(("xlsx", {}), ("json", {})),
]


@pytest.mark.parametrize(("format_name", "options"), PACKINGS)
def test_every_format_has_a_receipt_that_verifies(format_name: str, options: dict[str, Any], editor: User, acme: Organization) -> None:
    random_tasks.make(acme, 50)
    job = make_queued(editor, acme, format=format_name, options=options, creation_start_date="0001-01-01", creation_end_date="9999-12-31")
    worker.run_next()
    job = jobs.get(editor, job.pk)
    assert (job.status, job.error, job.file.rows) == ("done", "", 50)
    path = settings.FILES_ROOT / job.file.key
    assert receipts.verify(path, job.file.receipt) == []
    signed = receipts.sign({**job.file.receipt["receipt"], "rows_written": 49})
    assert receipts.verify(path, signed) == ["The file has 50 rows, the receipt says 49."]


@pytest.mark.parametrize("header", [True, False])
def test_a_receipt_verifies_where_a_quote_follows_the_byte_order_mark(header: bool, editor: User, acme: Organization) -> None:
    Task.objects.create(organization=acme, title="one;\ntwo")
    columns = [{"key": "title", "title": "the\ntitle; all of it"}, "id"]
    job = make_queued(editor, acme, type="custom", columns=columns, options={"preset": "excel-europe", "header": header})
    worker.run_next()
    file = jobs.get(editor, job.pk).file
    assert receipts.verify(settings.FILES_ROOT / file.key, file.receipt) == []


def test_the_admin_and_the_api_list_what_did_not_fit(editor: User, acme: Organization, staff_client_of: Any, client_of: Any) -> None:
    Task.objects.create(organization=acme, title="long", body="w" * 40_000)
    job = make_queued(editor, acme, type="fedex", format="xlsx")
    worker.run_next()
    page = staff_client_of(editor).get(f"/admin/exports/exportjob/{job.pk}/change/").content.decode()
    assert "Values that did not fit" in page
    assert "cell_too_long" in page
    (issue,) = client_of(editor).get(f"/api/v1/export-jobs/{job.pk}/issues").json()["issues"]
    assert issue == {"row_id": Task.objects.get().pk, "column": "body", "reason": "cell_too_long", "text": "w" * 40_000}
