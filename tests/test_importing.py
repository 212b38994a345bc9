"""Files become tasks: what is taken over, what is refused, and that a refusal changes nothing."""

from __future__ import annotations

import json
import os
import random
import time
import zipfile
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from openpyxl import Workbook

from taskexport.errors import Invalid, NotFound
from tasks import importing
from tasks.importing.rows import MAX_ROW_CHARS
from tasks.importing.times import reader, settle
from tasks.models import Case, Flow, Hub, Member, Organization, Subject, Task

pytestmark = pytest.mark.django_db

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("TASKEXPORT_SHARED", REPOSITORY.parent / "shared"))
BALTIMORE = SHARED / "data" / "baltimore-311.csv"
US_TIME = "%m/%d/%Y %I:%M:%S %p"
SIMPLE = {"columns": {"Id": "external_id", "Subject": "title"}}


@pytest.fixture
def acme() -> Organization:
    return Organization.objects.create(slug="acme", name="Acme", timezone="America/New_York")


@pytest.fixture
def globex() -> Organization:
    return Organization.objects.create(slug="globex", name="Globex", timezone="UTC")


@pytest.fixture
def load(tmp_path: Path, acme: Organization) -> Any:
    """Imports this text (or these bytes) into acme by this mapping."""

    def run(content: str | bytes, mapping: dict[str, Any] | None = None, **options: Any) -> importing.ImportResult:
        path = tmp_path / "tasks.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        organization = options.pop("organization", acme)
        return importing.import_tasks(organization, path, importing.parse_mapping(mapping or SIMPLE), **options)

    return run


@pytest.fixture
def load_workbook(tmp_path: Path, acme: Organization) -> Any:
    """Imports a workbook of these rows into acme by this mapping."""

    def run(rows: list[list[Any]], mapping: dict[str, Any] | None = None) -> importing.ImportResult:
        book = Workbook()
        for row in rows:
            book.active.append(row)
        path = tmp_path / "tasks.xlsx"
        book.save(path)
        return importing.import_tasks(acme, path, importing.parse_mapping(mapping or SIMPLE))

    return run


def errors(result: importing.ImportResult) -> list[str]:
    return [str(error) for error in result.errors]


# -- Times ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("zone", "local", "instant"),
    [
        ("America/New_York", "2018-03-11T02:43:56", "2018-03-11T07:00:00"),  # skipped
        ("America/New_York", "2018-03-11T02:00:00", "2018-03-11T07:00:00"),  # its first second
        ("America/New_York", "2018-03-11T02:59:59.999999", "2018-03-11T07:00:00"),  # its last
        ("America/New_York", "2018-03-11T03:00:00", "2018-03-11T07:00:00"),
        ("America/New_York", "2018-11-04T01:30:00", "2018-11-04T05:30:00"),  # comes twice
        ("Pacific/Apia", "2011-12-30T12:00:00", "2011-12-30T10:00:00"),  # a whole day was skipped
        ("Australia/Lord_Howe", "2019-10-06T02:15:00", "2019-10-05T15:30:00"),  # half an hour was
        ("Europe/Amsterdam", "2026-07-01T12:00:00.250000", "2026-07-01T10:00:00.250000"),
    ],
)
def test_a_local_time_is_settled(zone: str, local: str, instant: str) -> None:
    assert settle(datetime.fromisoformat(local), ZoneInfo(zone)) == datetime.fromisoformat(instant).replace(tzinfo=UTC)


@pytest.mark.parametrize("pattern", [US_TIME, "%Y-%m-%d %H:%M", "%d.%m.%Y", "%I %H %Y", "%H:%M:%S %p", "%Y%m%d%H", "%d %m", "%H%%%Y", "%d %b %y"])
def test_a_format_reads_what_strptime_reads(pattern: str) -> None:
    def outcome(read: Any, text: str) -> Any:
        try:
            return read(text)
        except ValueError:
            return "refused"

    rng = random.Random(1)
    for _ in range(500):
        time = datetime(1900, 1, 1) + timedelta(seconds=rng.randrange(8_000 * 365 * 86_400))
        text = "".join(char if rng.random() < 0.97 else rng.choice("0123456789 /APM") for char in time.strftime(pattern))
        assert outcome(reader(pattern), text) == outcome(lambda given: datetime.strptime(given, pattern), text)


def test_a_time_with_an_offset_is_kept(load: Any) -> None:
    mapping = {"columns": {"Id": "external_id", "Subject": "title", "Due": "due_at"}}
    load("Id,Subject,Due\n1,a,2026-03-08T02:30:00+05:30\n2,b,2026-01-02T03:04:05.678Z\n3,c,\n", mapping)
    assert list(Task.objects.order_by("external_id").values_list("due_at", flat=True)) == [
        datetime(2026, 3, 7, 21, 0, tzinfo=UTC),
        datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
        None,
    ]


def test_the_due_day_is_local(load: Any) -> None:
    mapping = {"columns": {"Id": "external_id", "Subject": "title", "Due": "due_at"}}
    load("Id,Subject,Due\n1,a,2026-01-02T03:00:00Z\n2,b,\n", mapping)
    assert list(Task.objects.order_by("external_id").values_list("due_on", flat=True)) == [date(2026, 1, 1), None]
    load("Id,Subject,Due\n1,a,2026-01-02T03:00:00Z\n", mapping, timezone="Asia/Tokyo")
    assert Task.objects.get(external_id="1").due_on == date(2026, 1, 2)


def test_a_mapped_due_day_is_taken_as_it_is(load: Any) -> None:
    mapping = {"columns": {"Id": "external_id", "Subject": "title", "Due": "due_at", "Day": {"to": "due_on", "format": "%d.%m.%Y"}}}
    load("Id,Subject,Due,Day\n1,a,2026-01-02T12:00:00Z,24.12.2025\n", mapping)
    assert Task.objects.get().due_on == date(2025, 12, 24)


def test_the_zone_is_the_mapping_s_before_the_organization_s(load: Any) -> None:
    mapping = {"timezone": "Europe/Amsterdam", "columns": {"Id": "external_id", "Subject": "title", "Due": "due_at"}}
    load("Id,Subject,Due\n1,a,2026-01-02 12:00\n", mapping)
    assert Task.objects.get().due_at == datetime(2026, 1, 2, 11, 0, tzinfo=UTC)


# -- Upsert and tenancy --------------------------------------------------------------------------------------------
def test_a_second_import_updates(load: Any) -> None:
    mapping = {"columns": {"Id": "external_id", "Subject": "title", "Town": "city"}, "unmapped": "attributes"}
    first = load("Id,Subject,Town,Meter\n1,a,Delft,007\n2,b,Gouda,\n", mapping)
    before = Task.objects.get(external_id="1")
    second = load("Id,Subject,Meter\n3,c,9\n1,A,008\n", {"columns": {"Id": "external_id", "Subject": "title"}})
    after = Task.objects.get(external_id="1")
    assert (first.created, first.updated, second.created, second.updated) == (2, 0, 1, 1)
    assert (after.pk, after.title, after.city, after.attributes) == (before.pk, "A", "Delft", {"Meter": "008"})
    assert after.created_at == before.created_at
    assert after.updated_at > before.updated_at
    assert Task.objects.count() == 3


def test_attributes_stay_when_unmapped_columns_are_ignored(load: Any) -> None:
    load("Id,Subject,Meter\n1,a,007\n")
    load("Id,Subject,Meter\n1,b,008\n", {**SIMPLE, "unmapped": "ignore"})
    assert Task.objects.get().attributes == {"Meter": "007"}
    assert Task.objects.get().title == "b"


def test_another_organization_s_task_of_the_same_reference_is_untouched(load: Any, acme: Organization, globex: Organization) -> None:
    theirs = Task.objects.create(organization=globex, external_id="1", title="theirs")
    Hub.objects.create(organization=globex, name="North")
    Member.objects.create(organization=globex, name="Ann")
    load("Id,Subject,Hub,Who\n1,ours,North,Ann\n", {"columns": {**SIMPLE["columns"], "Hub": "hub", "Who": "assignee"}})
    theirs.refresh_from_db()
    ours = Task.objects.get(organization=acme)
    assert (theirs.title, theirs.hub, theirs.assignee) == ("theirs", None, None)
    assert (ours.title, ours.hub.organization, ours.assignee.organization) == ("ours", acme, acme)


def test_rows_without_a_mapped_reference_are_always_new(load: Any) -> None:
    mapping = {"columns": {"Subject": "title", "Who": "assignee"}}
    for _ in range(2):
        load("Subject,Who\na,Ann\nb,Bob;Ann\n", mapping)
    assert Task.objects.count() == 4
    assert [[one.member.name for one in task.assignments.all()] for task in Task.objects.order_by("pk")] == [["Ann"], ["Bob", "Ann"]] * 2
    assert Task.objects.create(organization=Organization.objects.get(slug="acme"), title="next").pk > max(
        Task.objects.filter(title="b").values_list("pk", flat=True)
    )


def test_new_tasks_need_a_title(load: Any) -> None:
    load("Id,Subject\n1,a\n")
    mapping = {"columns": {"Id": "external_id", "Town": "city"}}
    with pytest.raises(Invalid, match="1 rows are new tasks.*map a column or a constant"):
        load("Id,Town\n1,Delft\n2,Gouda\n", mapping)
    assert list(Task.objects.values_list("title", "city")) == [("a", "")]
    assert load("Id,Town\n1,Delft\n", mapping).updated == 1
    assert list(Task.objects.values_list("title", "city")) == [("a", "Delft")]


# -- Bad rows ------------------------------------------------------------------------------------------------------
def test_a_bad_row_imports_nothing(load: Any) -> None:
    result = load("Id,Subject\n1,good\n2,\n")
    assert errors(result) == ["line 3, column Subject: title is empty"]
    assert (result.rows_read, result.bad, result.created, result.imported) == (2, 1, 0, False)
    assert not Task.objects.exists()


def test_skip_bad_imports_the_good_rows(load: Any) -> None:
    result = load("Id,Subject\n1,good\n2,\n,c\n", skip_bad=True)
    assert errors(result) == ["line 3, column Subject: title is empty", "line 4, column Id: external_id is empty"]
    assert (result.rows_read, result.bad, result.created, result.imported) == (3, 2, 1, True)
    assert Task.objects.get().title == "good"


def test_a_dry_run_counts_and_keeps_nothing(load: Any) -> None:
    mapping = {"columns": {**SIMPLE["columns"], "Flow": "flow", "Who": "assignee"}}
    result = load("Id,Subject,Flow,Who\n1,a,f,Ann\n", mapping, dry_run=True)
    assert (result.created, result.bad, result.imported) == (1, 0, False)
    assert not Task.objects.exists()
    assert not Flow.objects.exists()
    assert not Member.objects.exists()


def test_a_reference_twice_in_the_file_names_the_first_line(load: Any) -> None:
    content = "Id,Subject,Who\n1,a,Ann\n2,b,Bob\n1,c,Cleo\n1,d,Dan\n"
    mapping = {"columns": {**SIMPLE["columns"], "Who": "assignee"}}
    result = load(content, mapping)
    assert errors(result) == ["line 4, column Id: '1' is there twice, first in line 2", "line 5, column Id: '1' is there twice, first in line 2"]
    assert not Task.objects.exists()
    assert load(content, mapping, skip_bad=True).created == 2
    assert set(Task.objects.values_list("title", flat=True)) == {"a", "b"}
    assert set(Member.objects.values_list("name", flat=True)) == {"Ann", "Bob"}


def test_only_a_hundred_errors_are_listed_and_all_are_counted(load: Any) -> None:
    result = load("Id,Subject\n" + "".join(f"{number},\n" for number in range(250)) + "1000,a\n1000,b\n")
    assert (result.bad, len(result.errors)) == (251, 100)
    assert result.errors[-1].line == 101


@pytest.mark.parametrize(
    ("target", "text", "reason"),
    [
        ("latitude", "north", "'north' is no number; write one such as -76.61"),
        ("latitude", "90.1", "'90.1' lies outside -90 to 90"),
        ("latitude", "1_0", "'1_0' is no number; write one such as -76.61"),
        ("latitude", "NaN", "'NaN' is no number; write one such as -76.61"),
        ("longitude", "-180.5", "'-180.5' lies outside -180 to 180"),
        ("due_at", "soon", "'soon' is no time of ISO 8601, such as 2026-03-28T09:30:00+01:00"),
        ("due_at", "2026-02-30", "'2026-02-30' is no time of ISO 8601, such as 2026-03-28T09:30:00+01:00"),
        ("due_at", "9999-12-31T23:00", "'9999-12-31T23:00' lies outside the years 1 to 9999"),
        ("due_on", "28/03/2026", "'28/03/2026' is no day; write one such as 2026-03-28"),
        ({"to": "due_at", "format": US_TIME}, "2026-03-28", f"'2026-03-28' is no time of the format {US_TIME}"),
        ("created_at", "", "created_at is empty"),
        ("status", "Closed", "'Closed' is no status; write none, needs_action, in_progress, complete, or map it by values or a default"),
        ("country", "NLD", "'NLD' is no country code; write two letters such as NL"),
        ("country", "ÄÖ", "'ÄÖ' is no country code; write two letters such as NL"),
        ("zip", "1" * 21, "21 characters where 20 fit"),
        ("flow", "x" * 201, "201 characters where 200 fit"),
        ("assignee", "Ann;" + "x" * 201, "201 characters where a member's name has at most 200"),
        ("assignee", "Ann; bob@", "'bob@' has an @ and is no e-mail address"),
        ("city", "a\0b", "it holds a NUL character"),
    ],
)
def test_what_does_not_fit_is_refused(load: Any, target: Any, text: str, reason: str) -> None:
    result = load(f"Id,Subject,X\n1,a,{text}\n", {"columns": {**SIMPLE["columns"], "X": target}})
    assert errors(result) == [f"line 2, column X: {reason}"]
    assert not Task.objects.exists()


def test_bytes_that_are_no_utf_8_are_refused_where_they_stand(load: Any) -> None:
    result = load("Id,Subject\n1,ok\n2,Münster\n".encode("latin-1"))
    assert errors(result) == ["line 3, column Subject: it is not UTF-8: save the file as UTF-8"]


def test_a_wrong_number_of_cells_is_a_bad_row(load: Any) -> None:
    result = load("Id,Subject\n1,a,\n2\n\n3,c\n")
    assert errors(result) == ["line 2: 3 cells where the header has 2", "line 3: 1 cells where the header has 2"]


def test_the_line_is_where_the_record_starts(load: Any) -> None:
    result = load('Id,Subject\r\n1,"two\r\nlines, ""quoted"""\r\n\r\n2,"also\nlong\nbut without an end', skip_bad=True)
    assert errors(result) == ["line 5: a quote is opened here and never closed"]
    assert Task.objects.get().title == 'two\r\nlines, "quoted"'


# -- The mapping ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("mapping", "field", "words"),
    [
        ([], "map", "Write a JSON object"),
        ({}, "columns", "Write an object of headers"),
        ({"columns": {"A": "titel"}}, "columns.A", "'titel' is no target; the targets are external_id, title"),
        ({"columns": {"A": "organization"}}, "columns.A", "is no target"),
        ({"columns": {"A": "updated_at"}}, "columns.A", "is no target"),
        ({"columns": {"A": {"to": "title", "fmt": "x"}}}, "columns.A.fmt", "no such key"),
        ({"columns": {"A": {"to": "title", "format": "%Y"}}}, "columns.A.format", "leave it out"),
        ({"columns": {"A": {"to": "due_at", "format": "%Q"}}}, "columns.A.format", "no format of strptime"),
        ({"columns": {"A": {"to": "status", "values": {"x": 1}}}}, "columns.A.values", "object of texts"),
        ({"columns": {"A": {"to": "status", "default": None, "values": []}}}, "columns.A.values", "object of texts"),
        ({"columns": {"A": 7}}, "columns.A", "Write a target"),
        ({"columns": {"A": "title", "B": "title"}}, "title", "Two sources fill this target"),
        ({"columns": {"A": "subject"}}, "subject", "map a column or a constant to case"),
        ({"columns": {"A": "title"}, "constants": {"external_id": "1"}}, "constants.external_id", "reference of its own"),
        ({"columns": {"A": "title"}, "constants": {"town": "x"}}, "constants.town", "no such target"),
        ({"columns": {"A": "title"}, "constants": {"zip": 5}}, "constants.zip", "Write a text"),
        ({"columns": {"A": "title"}, "zone": "UTC"}, "zone", "no such key"),
        ({"columns": {"A": "title"}, "timezone": "Mars/Olympus"}, "timezone", "no IANA time zone"),
        ({"columns": {"A": "title"}, "delimiter": ";;"}, "delimiter", "one character"),
        ({"columns": {"A": "title"}, "unmapped": "keep"}, "unmapped", "attributes or ignore"),
    ],
)
def test_a_wrong_mapping_names_the_field_and_the_cure(mapping: Any, field: str, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        importing.parse_mapping(mapping)
    assert [one.field for one in caught.value.fields] == [field]
    assert words in caught.value.message


def test_a_column_that_the_file_lacks_is_refused(load: Any) -> None:
    with pytest.raises(Invalid, match="The file has no column 'Subject'; it has 'Id', 'Title'. Correct the mapping's columns"):
        load("Id,Title\n1,a\n")
    assert not Task.objects.exists()


def test_a_constant_that_does_not_fit_is_refused(load: Any) -> None:
    with pytest.raises(Invalid, match="constants.country: 'NLD' is no country code"):
        load("Id,Subject\n1,a\n", {**SIMPLE, "constants": {"country": "NLD"}})


def test_constants_values_and_defaults(load: Any) -> None:
    mapping = {
        "columns": {
            "Id": "external_id",
            "Subject": {"to": "title", "default": "untitled"},
            "State": [{"to": "status", "values": {"Closed": "complete"}, "default": "needs_action"}, "attributes"],
        },
        "constants": {"country": "NL", "hub": "North"},
    }
    load("Id,Subject,State\n1,,Closed\n2,b,Whatever\n", mapping)
    rows = Task.objects.order_by("pk").values_list("title", "status", "country", "hub__name", "attributes")
    assert list(rows) == [
        ("untitled", "complete", "NL", "North", {"State": "Closed"}),
        ("b", "needs_action", "NL", "North", {"State": "Whatever"}),
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "The file is empty"),
        ("Id,\n1,a\n", "no column 'Subject'"),
        ("Id,,Subject\n", "Column 2 has no header"),
        ("Id,Subject,Id\n", "'Id' is there twice"),
        ("Id,Süb\n".encode("latin-1"), "header of column 2 is not UTF-8"),
        ("Id,Subject\n".encode("utf-16"), "not UTF-8"),
        (b"PK\x03\x04 no workbook", "no workbook that can be read"),
    ],
)
def test_a_file_that_is_no_table_is_refused(load: Any, content: str | bytes, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        load(content)


# -- What is taken over --------------------------------------------------------------------------------------------
def test_text_arrives_as_it_is(load: Any) -> None:
    texts = ["=1+1", "  spaced ", "00123", "日本語 🚰", "\ttab", "a\\b\\n", "{rows} %s %%", "'", "é e\u0301"]
    content = "Id,Subject,Extra\n" + "".join(f'{number},"{text}","{text}"\n' for number, text in enumerate(texts))
    load(b"\xef\xbb\xbf" + content.encode())
    assert [(task.title, task.attributes) for task in Task.objects.order_by("pk")] == [(text, {"Extra": text}) for text in texts]


def test_an_empty_cell_makes_no_attribute_and_empties_a_field(load: Any) -> None:
    mapping = {"columns": {**SIMPLE["columns"], "Town": "city", "Lat": "latitude", "Hub": "hub"}}
    load("Id,Subject,Town,Lat,Hub,A,B\n1,a,Delft,52.010,North,x,y\n", mapping)
    assert (Task.objects.get().latitude, Task.objects.get().attributes) == (Decimal("52.01"), {"A": "x", "B": "y"})
    load("Id,Subject,Town,Lat,Hub,A,B\n1,a,,,,,y\n", mapping)
    task = Task.objects.get()
    assert (task.city, task.latitude, task.hub, task.attributes) == ("", None, None, {"B": "y"})


def test_a_semicolon_file_says_so(load: Any) -> None:
    load("Id;Subject\n1;a,b\n", {**SIMPLE, "delimiter": ";"})
    assert Task.objects.get().title == "a,b"


def test_named_things_are_made_once(load: Any, acme: Organization) -> None:
    known = Hub.objects.create(organization=acme, name="North")
    columns = {**SIMPLE["columns"], "Hub": "hub", "Case": "case", "Who": "subject"}
    load("Id,Subject,Hub,Case,Who\n1,a,North,C1,S\n2,b,South,C2,S\n3,c,North,C1,\n", {"columns": columns})
    assert Task.objects.get(external_id="1").hub == known
    assert (Hub.objects.count(), Case.objects.count(), Subject.objects.count()) == (2, 2, 2)
    assert all(task.subject is None or task.subject.case == task.case for task in Task.objects.all())


def test_a_task_that_changes_its_case_loses_its_subject(load: Any) -> None:
    load("Id,Subject,Case,Who\n1,a,C1,S\n2,b,C1,S\n", {"columns": {**SIMPLE["columns"], "Case": "case", "Who": "subject"}})
    load("Id,Subject,Case\n1,a,C1\n2,b,C2\n", {"columns": {**SIMPLE["columns"], "Case": "case"}})
    assert [task.subject and task.subject.name for task in Task.objects.order_by("external_id")] == ["S", None]


def test_assignees_are_found_or_made_and_the_first_leads(load: Any, acme: Organization) -> None:
    known = Member.objects.create(organization=acme, name="Ann", email="Ann@Acme.example")
    mapping = {"columns": {**SIMPLE["columns"], "Who": "assignee"}}
    load("Id,Subject,Who\n1,a,Bob; ann@acme.example\n2,b,\n3,c,Cleo@acme.example;cleo@ACME.example;Ann\n", mapping)
    names = [[one.member.name for one in task.assignments.all()] for task in Task.objects.order_by("pk")]
    assert names == [["Bob", "Ann"], [], ["Cleo@acme.example", "Ann"]]
    assert [task.assignee and task.assignee.name for task in Task.objects.order_by("pk")] == ["Bob", None, "Cleo@acme.example"]
    assert list(Member.objects.exclude(pk=known.pk).order_by("name").values_list("name", "email", "role", "user")) == [
        ("Bob", "", None, None),
        ("Cleo@acme.example", "cleo@acme.example", None, None),
    ]
    load("Id,Subject,Who\n1,a,ANN@acme.example\n", mapping)
    task = Task.objects.get(external_id="1")
    assert (task.assignee, list(task.assignees.all())) == (known, [known])
    assert Member.objects.count() == 3


@pytest.mark.parametrize("row", ["," * MAX_ROW_CHARS, f'"{"x" * 1_000_000}\n",' * (MAX_ROW_CHARS // 1_000_000 + 1)])
def test_a_csv_of_one_endless_row_is_refused(load: Any, row: str) -> None:
    for text in (row, f"Id,Subject\n1,a\n{row}"):
        with pytest.raises(Invalid, match="characters: is this a CSV"):
            load(text)
    assert not Task.objects.exists()


def test_a_csv_of_very_many_columns_is_read_in_seconds(load: Any) -> None:
    began = time.process_time()
    header = ",".join(f"c{number}" for number in range(200_000))
    with pytest.raises(Invalid, match="'c7' is there twice"):
        load(f"{header},c7\n")
    assert time.process_time() - began < 10


def test_a_workbook_that_says_it_has_more_rows_than_there_are_is_refused(load: Any, tmp_path: Path) -> None:
    book = Workbook()
    book.active.append(["Id", "Subject"])
    book.active.append([1, "a"])
    book.save(tmp_path / "whole.xlsx")
    with zipfile.ZipFile(tmp_path / "whole.xlsx") as whole, zipfile.ZipFile(tmp_path / "far.xlsx", "w") as far:
        for name in whole.namelist():
            far.writestr(name, whole.read(name).replace(b'<row r="2"', b'<row r="2000000000000"'))
    with pytest.raises(Invalid, match="cannot be read after row 1048577"):
        load((tmp_path / "far.xlsx").read_bytes())
    assert not Task.objects.exists()


def test_a_workbook_s_typed_cells(load_workbook: Any) -> None:
    columns = {"Id": "external_id", "Subject": "title", "Due": "due_at", "Day": "due_on", "Lat": "latitude", "Zip": "zip"}
    result = load_workbook(
        [
            ["Id", "Subject", "Due", "Day", "Lat", "Zip", "Count", "Share", "Paid", "When", None],
            [1, "a", datetime(2018, 3, 11, 2, 43, 56), datetime(2018, 3, 12), 39.0, "02134", 39.0, 0.1, True, datetime(2020, 1, 2, 3, 4, 5)],
            [],
            [2, "b", None, None, None, 2134],
        ],
        {"columns": columns},
    )
    first, second = Task.objects.order_by("external_id")
    assert (result.rows_read, errors(result)) == (2, [])
    assert (first.external_id, first.due_at, first.due_on) == ("1", datetime(2018, 3, 11, 7, 0, tzinfo=UTC), date(2018, 3, 12))
    assert (first.latitude, first.zip, second.zip, second.due_at) == (Decimal(39), "02134", "2134", None)
    assert first.attributes == {"Count": "39", "Share": "0.1", "Paid": "true", "When": "2020-01-02T03:04:05"}
    assert second.attributes == {}


def test_a_workbook_s_errors_count_its_rows(load_workbook: Any) -> None:
    result = load_workbook([["Id", "Subject"], [1, "a"], [], [2, None], [3, "c", None, "beyond"]])
    assert errors(result) == [
        "line 4, column Subject: title is empty",
        "line 5: a cell lies right of the last header: 4 cells where the header has 2",
    ]
    assert not Task.objects.exists()


def test_a_damaged_workbook_is_refused(load: Any, tmp_path: Path) -> None:
    book = Workbook()
    for number in range(300):
        book.active.append(["Id", "Subject"] if number == 0 else [number, f"task {number}"])
    book.save(tmp_path / "whole.xlsx")
    with zipfile.ZipFile(tmp_path / "whole.xlsx") as whole, zipfile.ZipFile(tmp_path / "cut.xlsx", "w") as cut:
        for name in whole.namelist():
            content = whole.read(name)
            cut.writestr(name, content[: len(content) // 2] if "sheet1" in name else content)
    with pytest.raises(Invalid, match="The workbook cannot be read after row 1"):
        load((tmp_path / "cut.xlsx").read_bytes())
    assert not Task.objects.exists()


def test_a_workbook_that_is_none_within_is_refused(load: Any, tmp_path: Path) -> None:
    book = Workbook()
    book.active.append(["Id", "Subject"])
    book.save(tmp_path / "whole.xlsx")
    with zipfile.ZipFile(tmp_path / "whole.xlsx") as whole, zipfile.ZipFile(tmp_path / "other.xlsx", "w") as other:
        for name in whole.namelist():
            content = whole.read(name)
            other.writestr(name, content.replace(b"sheet.main+xml", b"template.other+xml") if name == "[Content_Types].xml" else content)
    data = bytearray((tmp_path / "whole.xlsx").read_bytes())
    place = data.rindex(b"PK\x05\x06") + 16
    data[place : place + 4] = (int.from_bytes(data[place : place + 4], "little") + 100).to_bytes(4, "little")  # its members lie before its start
    for broken in ((tmp_path / "other.xlsx").read_bytes(), bytes(data)):
        with pytest.raises(Invalid, match="no workbook that can be read"):
            load(broken)
    assert not Task.objects.exists()


# -- The command ---------------------------------------------------------------------------------------------------
def run_command(tmp_path: Path, content: str, *options: str) -> str:
    (tmp_path / "map.json").write_text(json.dumps(SIMPLE))
    (tmp_path / "tasks.csv").write_text(content)
    out = StringIO()
    try:
        call_command("import_tasks", str(tmp_path / "tasks.csv"), "--map", str(tmp_path / "map.json"), *options, stdout=out)
    except CommandError as error:
        return f"{out.getvalue()}exit {error.returncode}: {error}"
    return out.getvalue()


def test_the_command_finds_the_organization_by_id_uuid_and_slug(tmp_path: Path, acme: Organization) -> None:
    for name in (str(acme.pk), str(acme.uuid), acme.slug):
        assert importing.find_organization(name) == acme
        assert "1 rows read, 0 bad, " in run_command(tmp_path, "Id,Subject\n1,a\n", "--organization", name)
    with pytest.raises(NotFound, match="no organization 'nobody'; write its id, uuid or slug"):
        importing.find_organization("nobody")


def test_the_command_tells_what_is_bad_and_fails(tmp_path: Path, acme: Organization) -> None:
    told = run_command(tmp_path, "Id,Subject\n1,\n", "--organization", "acme")
    assert told.startswith("line 2, column Subject: title is empty\nexit 1: 1 rows read, 1 bad: nothing was imported.")
    assert not Task.objects.exists()


def test_the_command_says_that_a_dry_run_kept_nothing(tmp_path: Path, acme: Organization) -> None:
    assert run_command(tmp_path, "Id,Subject\n1,a\n", "--organization", "acme", "--dry-run").startswith("Dry run, nothing was kept: 1 rows read")
    assert not Task.objects.exists()


def test_the_command_refuses_a_mapping_that_says_a_key_twice(tmp_path: Path, acme: Organization) -> None:
    (tmp_path / "map.json").write_text('{"columns": {"A": "title", "A": "body"}}')
    with pytest.raises(Invalid, match="the key 'A' is there twice"):
        importing.read_mapping(tmp_path / "map.json")


# -- The real file -------------------------------------------------------------------------------------------------
@pytest.mark.skipif(not BALTIMORE.exists(), reason="the real input is not on this machine")
def test_the_city_s_requests_arrive_whole(globex: Organization) -> None:
    mapping = importing.read_mapping(REPOSITORY / "docs" / "examples" / "baltimore-311.json")
    result = importing.import_tasks(globex, BALTIMORE, mapping)
    tasks = Task.objects.filter(organization=globex)
    assert (result.rows_read, result.created, result.bad) == (10_000, 10_000, 0)
    skipped = tasks.get(attributes__DueDate="03/11/2018 02:43:56 AM")
    assert (skipped.due_at, skipped.due_on) == (datetime(2018, 3, 11, 7, 0, tzinfo=UTC), date(2018, 3, 11))
    assert tasks.filter(due_at=None).count() == 286
    assert tasks.filter(completed_at=None).count() == 208
    assert tasks.filter(address_1="").count() == 309
    assert Flow.objects.filter(organization=globex).count() == 231
    assert tasks.filter(attributes__SRStatus="Closed (Duplicate)", status="complete").count() == 207
    first = tasks.get(external_id="18-00269879")
    assert (first.zip, first.latitude, first.longitude) == ("21215", Decimal(39), Decimal(-77))
    assert first.attributes["GeoLocation"] == "(39.0, -77.0)"
    assert "Outcome" not in first.attributes
