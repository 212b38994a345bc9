"""The workbook around the rows, written by openpyxl: styles, header, widths, frozen pane, filter, properties."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass

from openpyxl import Workbook
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from exports.cells import Kind

# How wide a column of this kind is, in characters; a longer header widens it.
WIDTHS = {Kind.TEXT: 24, Kind.PHONE: 18, Kind.DATETIME: 20, Kind.DATE: 12, Kind.UUID: 36}
NUMBER_FORMATS = {Kind.DATETIME: "yyyy-mm-dd hh:mm:ss", Kind.DATE: "yyyy-mm-dd"}
ISSUE_TITLES = ["row", "column", "reason", "full text"]
_DIMENSION = re.compile(rb'<dimension ref="[^"]*" ?/>')
_STYLED = re.compile(rb'<c r="([A-Z]+)2" s="(\d+)"')


@dataclass(frozen=True)
class Shell:
    """Each data sheet's XML before and behind its rows, the Issues sheet if any, all other members, and the styles' numbers."""

    sheets: list[tuple[bytes, bytes]]
    issues: bytes
    members: list[tuple[str, bytes]]
    styles: dict[Kind, int]


def shell(name: str, titles: list[str], kinds: list[Kind], counts: list[int], issues: list[list[str]] | None = None) -> Shell:
    """The shell of a workbook with a sheet of so many rows for each count; titles and issues must be free of what XML forbids."""
    book = Workbook()
    book.remove(book.worksheets[0])
    book.properties.creator = "taskexport"
    styled = list(NUMBER_FORMATS)
    for number, rows in enumerate(counts, 1):
        sheet = book.create_sheet(name if number == 1 else f"{name} {number}")
        _furnish(sheet, titles, [max(WIDTHS.get(kind, 10), min(40, len(title) + 4)) for kind, title in zip(kinds, titles, strict=True)], rows)
        for column, kind in enumerate(styled, 1):  # a second row that only shows the styles' numbers, and is dropped below
            sheet.cell(2, column).number_format = NUMBER_FORMATS[kind]
    if issues:
        sheet = book.create_sheet("Issues")
        _furnish(sheet, ISSUE_TITLES, [12, 24, 20, 80], len(issues))
        for row in issues:
            sheet.append(row)
            for cell in sheet[sheet.max_row]:
                cell.data_type = "s"  # else openpyxl takes a leading = for a formula
    file = io.BytesIO()
    book.save(file)
    with zipfile.ZipFile(file) as archive:
        contents = {member: archive.read(member) for member in archive.namelist()}
    xml = [contents.pop(f"xl/worksheets/sheet{number}.xml") for number in range(1, len(counts) + 1)]
    issue_sheet = contents.pop(f"xl/worksheets/sheet{len(counts) + 1}.xml") if issues else b""
    numbers = {column: int(style) for column, style in _STYLED.findall(xml[0])}
    styles = {kind: numbers[get_column_letter(column).encode()] for column, kind in enumerate(styled, 1)}
    last = get_column_letter(len(titles))
    return Shell([_split(sheet, last, rows) for sheet, rows in zip(xml, counts, strict=True)], issue_sheet, list(contents.items()), styles)


def _furnish(sheet: Worksheet, titles: list[str], widths: list[int], rows: int) -> None:
    for column, (title, width) in enumerate(zip(titles, widths, strict=True), 1):
        cell = sheet.cell(1, column, title)
        cell.data_type, cell.font = "s", Font(bold=True)
        sheet.column_dimensions[get_column_letter(column)].width = width
    sheet.freeze_panes = "A2"
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(titles))}{rows + 1}"


def _split(xml: bytes, last_column: str, rows: int) -> tuple[bytes, bytes]:
    head, _, rest = xml.partition(b'<row r="2"')
    head = _DIMENSION.sub(b'<dimension ref="A1:%s%d"/>' % (last_column.encode(), rows + 1), head)
    return head, rest[rest.index(b"</sheetData>") :]
