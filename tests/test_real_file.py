"""A real city's service requests through import and export: every cell that went in comes out, in every format."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pyarrow.parquet as pq
import pytest
from python_calamine import load_workbook

from exports.cells import unguard
from exports.datasets import ATTRIBUTES
from tasks import importing
from tasks.models import Organization
from tests import random_tasks
from tests.test_importing import BALTIMORE, REPOSITORY

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not BALTIMORE.exists(), reason="the real data set is not beside this clone"),
]
MAPPING = REPOSITORY / "docs" / "examples" / "baltimore-311.json"
ZONE = "America/New_York"
FORMAT = "%m/%d/%Y %I:%M:%S %p"
TEXTS = {"reference": "SRRecordID", "title": "SRType", "flow": "SRType", "hub": "Agency", "address_1": "Address", "zip": "ZipCode"}
TIMES = {"created_at": "CreatedDate", "due_at": "DueDate", "completed_at": "CloseDate"}
NUMBERS = {"latitude": "Latitude", "longitude": "Longitude"}
MAPPED = ("SRRecordID", "SRType", "CreatedDate", "CloseDate", *NUMBERS.values(), "Agency", "Address", "ZipCode")  # to columns of a task alone
# What nobody's clock ever showed is moved to the first instant after the gap.
SKIPPED = {"03/11/2018 02", "03/10/2019 02", "03/12/2017 02", "03/13/2016 02", "03/08/2015 02", "03/09/2014 02"}


def wall_clock(value: Any) -> datetime | None:
    """A cell's time as the clock on the wall showed it."""
    if value in (None, ""):
        return None
    return value if isinstance(value, datetime) else datetime.fromisoformat(value).replace(tzinfo=None)


Records = list[dict[str, Any]]


def read_csv(file: bytes) -> Records:
    rows = csv.DictReader(io.StringIO(file.decode(), newline=""))
    return [{name: cell if name in TIMES or name in NUMBERS else unguard(cell) for name, cell in row.items()} for row in rows]


def read_xlsx(file: bytes) -> Records:
    rows = openpyxl.load_workbook(io.BytesIO(file), read_only=True)["Tasks"].iter_rows(values_only=True)
    header = [str(title) for title in next(rows)]
    return [dict(zip(header, row, strict=True)) for row in rows]


def read_xlsx_by_calamine(file: bytes) -> Records:
    header, *rows = load_workbook(io.BytesIO(file)).get_sheet_by_name("Tasks").to_python(skip_empty_area=False)
    return [dict(zip(map(str, header), row, strict=True)) for row in rows]


def read_json(file: bytes) -> Records:
    return list(json.loads(file, parse_float=Decimal))


def read_ndjson(file: bytes) -> Records:
    return [json.loads(line, parse_float=Decimal) for line in file.splitlines()]


def read_parquet(file: bytes) -> Records:
    """Its times are instants: the wall's clock is the reader's to show."""
    rows: Records = pq.read_table(io.BytesIO(file)).to_pylist()
    for row in rows:
        row.update({name: row[name].astimezone(ZoneInfo(ZONE)).replace(tzinfo=None) for name in TIMES if row[name]})
    return rows


READERS: list[tuple[str, Callable[[bytes], Records]]] = [
    *(("csv", read_csv), ("xlsx", read_xlsx), ("xlsx", read_xlsx_by_calamine), ("json", read_json), ("ndjson", read_ndjson)),
    ("parquet", read_parquet),
]


@pytest.fixture
def source(acme: Organization) -> dict[str, dict[str, str]]:
    """The city's rows by their id, imported into acme."""
    with Path(BALTIMORE).open(encoding="utf-8-sig", newline="") as file:
        rows = {row["SRRecordID"]: row for row in csv.DictReader(file)}
    assert importing.import_tasks(acme, BALTIMORE, importing.read_mapping(MAPPING)).created == len(rows) == 10_000
    return rows


def test_every_cell_comes_out_of_every_format(source: dict[str, dict[str, str]], acme: Organization) -> None:
    statuses = json.loads(MAPPING.read_text())["columns"]["SRStatus"][0]["values"]
    attributes = {f"{ATTRIBUTES}{header}": header for header in next(iter(source.values())) if header not in MAPPED}
    assert len(attributes) == 26 - len(MAPPED)
    texts = TEXTS | attributes
    columns = tuple({"key": key, "title": key} for key in ("status", *texts, *TIMES, *NUMBERS))
    written: dict[str, bytes] = {}
    for format_name, read in READERS:
        if format_name not in written:
            options = {"archive": "none"} if format_name in {"csv", "ndjson"} else {}
            written[format_name], issues = random_tasks.export(acme, format_name, ZONE, columns=columns, **options)
            assert issues == []
        found = read(written[format_name])
        assert sorted(str(record["reference"]) for record in found) == sorted(source)
        skipped = 0
        for record in found:
            row = source[record["reference"]]
            assert {name: record[name] or "" for name in texts} == {name: row[header] for name, header in texts.items()}
            assert record["status"] == statuses[row["SRStatus"]]
            for name, header in NUMBERS.items():
                assert (Decimal(str(record[name])) if record[name] not in (None, "") else None) == (Decimal(row[header]) if row[header] else None)
            for name, header in TIMES.items():
                if row[header][:13] in SKIPPED and row[header].endswith("AM"):
                    skipped += 1
                else:
                    assert wall_clock(record[name]) == (datetime.strptime(row[header], FORMAT) if row[header] else None)
        assert skipped == 2
