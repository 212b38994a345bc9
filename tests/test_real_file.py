"""A real city's service requests through import and export: every cell that went in comes out, in every format."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest

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
TEXTS = {"title": "SRType", "flow": "SRType", "hub": "Agency", "address_1": "Address", "zip": "ZipCode"}
TIMES = {"created_at": "CreatedDate", "due_at": "DueDate", "completed_at": "CloseDate"}
NUMBERS = {"latitude": "Latitude", "longitude": "Longitude"}
# What nobody's clock ever showed is moved to the first instant after the gap.
SKIPPED = {"03/11/2018 02", "03/10/2019 02", "03/12/2017 02", "03/13/2016 02", "03/08/2015 02", "03/09/2014 02"}


def wall_clock(value: Any) -> datetime | None:
    """A cell's time as the clock on the wall showed it."""
    if value in (None, ""):
        return None
    return value if isinstance(value, datetime) else datetime.fromisoformat(value).replace(tzinfo=None)


def records(format_name: str, organization: Organization) -> list[dict[str, Any]]:
    options = {"archive": "none"} if format_name in {"csv", "ndjson"} else {}
    file, issues = random_tasks.export(organization, format_name, ZONE, **options)
    assert issues == []
    if format_name == "csv":
        return list(csv.DictReader(io.StringIO(file.decode(), newline="")))
    if format_name == "xlsx":
        rows = openpyxl.load_workbook(io.BytesIO(file), read_only=True)["Tasks"].iter_rows(values_only=True)
        header = [str(title) for title in next(rows)]
        return [dict(zip(header, row, strict=True)) for row in rows]
    text = file.decode()
    return list(json.loads(text, parse_float=Decimal) if format_name == "json" else [json.loads(line) for line in text.splitlines()])


@pytest.fixture
def source(acme: Organization) -> dict[str, dict[str, str]]:
    """The city's rows by their id, imported into acme."""
    with Path(BALTIMORE).open(encoding="utf-8-sig", newline="") as file:
        rows = {row["SRRecordID"]: row for row in csv.DictReader(file)}
    assert importing.import_tasks(acme, BALTIMORE, importing.read_mapping(MAPPING)).created == len(rows) == 10_000
    return rows


def test_every_mapped_cell_comes_out_of_every_format(source: dict[str, dict[str, str]], acme: Organization) -> None:
    statuses = json.loads(MAPPING.read_text())["columns"]["SRStatus"][0]["values"]
    for format_name in ("csv", "xlsx", "json", "ndjson"):
        found = records(format_name, acme)
        assert {record["reference"] for record in found} == set(source)
        skipped = 0
        for record in found:
            row = source[record["reference"]]
            assert {name: record[name] or "" for name in TEXTS} == {name: row[header] for name, header in TEXTS.items()}
            assert record["status"] == statuses[row["SRStatus"]]
            for name, header in NUMBERS.items():
                assert (Decimal(str(record[name])) if record[name] not in (None, "") else None) == (Decimal(row[header]) if row[header] else None)
            for name, header in TIMES.items():
                if row[header][:13] in SKIPPED and row[header].endswith("AM"):
                    skipped += 1
                else:
                    assert wall_clock(record[name]) == (datetime.strptime(row[header], FORMAT) if row[header] else None)
        assert skipped == 2
