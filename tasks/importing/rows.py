"""The rows of a file, one after the other: CSV and XLSX look the same from here on."""

from __future__ import annotations

import csv
import errno
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from taskexport.errors import Invalid

# What a cell holds once it is read; an empty one is "". Only workbooks have typed times, and these know no zone.
Cell = str | datetime
MAX_CELL_CHARS = 16 * 1024 * 1024  # far above any text a person writes; keeps an unclosed quote from eating the memory
MAX_ROW_CHARS = 2 * MAX_CELL_CHARS  # each comma of a row becomes a cell
EXACT_INTEGERS = 2**53  # up to here a double tells all integers apart
MOST_ROWS = 1_048_576  # of a sheet; one that says more would be read, row after empty row, for ever

# What openpyxl lets through when a workbook is damaged; an XML error is a SyntaxError, a forbidden XML entity a ValueError.
# Of OSErrors, which a disk raises too, those are the workbook's that know no number, or a place before the file's start.
BROKEN = (InvalidFileException, zipfile.BadZipFile, zlib.error, LookupError, ValueError, TypeError, SyntaxError, EOFError, RuntimeError, OSError)


@dataclass(frozen=True)
class Table:
    """A file's header and its rows: (line, cells), or (line, reason) where the row could not be read. Blank rows are left out."""

    headers: list[str]
    rows: Iterator[tuple[int, list[Cell] | str]]


@contextmanager
def open_table(path: Path, delimiter: str = ",") -> Iterator[Table]:
    """The table in a CSV (UTF-8) or XLSX file (its first sheet), told apart by their first bytes. Raises Invalid."""
    try:
        with path.open("rb") as file:
            is_workbook = file.read(4) == b"PK\x03\x04"
    except OSError as error:
        raise Invalid.field("file", f"{path} cannot be read: {error.strerror}.") from None
    with _open_workbook(path) if is_workbook else _open_csv(path, delimiter) as rows:
        _, first = next(rows, (0, "The file is empty."))
        if isinstance(first, str):
            raise Invalid.field("file", first)
        headers = _headers(first)
        yield Table(headers, _fitted(rows, len(headers), None if is_workbook else len(first)))


def _fitted(rows: Iterator[tuple[int, list[Any] | str]], columns: int, cells: int | None) -> Iterator[tuple[int, list[Cell] | str]]:
    """The rows cut to the columns; a CSV's must have as many cells as its header, a workbook's end where its last cell is."""
    for line, row in rows:
        if isinstance(row, str):
            yield line, row
        elif cells is not None and len(row) != cells:
            yield line, f"{len(row)} cells where the header has {cells}"
        elif any(row[columns:]):
            yield line, f"a cell lies right of the last header: {len(row)} cells where the header has {columns}"
        else:
            yield line, row[:columns] + [""] * (columns - len(row))


def _headers(cells: list[Cell]) -> list[str]:
    headers = [str(cell) for cell in cells]
    while headers and not headers[-1]:  # workbooks often have empty columns at the end; a CSV's rows tell by their length
        headers.pop()
    seen: set[str] = set()
    for number, header in enumerate(headers, 1):
        if not header.strip():
            raise Invalid.field("file", f"Column {number} has no header: give it one.")
        if header in seen:
            raise Invalid.field("file", f"The header {header!r} is there twice: rename one.")
        seen.add(header)
        if "\0" in header or (not header.isascii() and any("\ud800" <= c <= "\udfff" for c in header)):
            raise Invalid.field("file", f"The header of column {number} is not UTF-8: save the file as UTF-8.")
    if not headers:
        raise Invalid.field("file", "The first row has no headers.")
    return headers


@contextmanager
def _open_csv(path: Path, delimiter: str) -> Iterator[Iterator[tuple[int, list[Any] | str]]]:
    csv.field_size_limit(MAX_CELL_CHARS)
    # Bytes that are no UTF-8 arrive as lone surrogates, so that they are reported with their line and column.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        lines = _Lines(file)
        yield _csv_rows(csv.reader(lines, delimiter=delimiter, strict=True), lines)


class _Lines:
    """A file's lines, of a row no more than a row may have. Raises Invalid."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.row_chars = 0  # of the present row, as far as it was read

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._file.readline(MAX_ROW_CHARS)
        if not line:
            raise StopIteration
        self.row_chars += len(line)
        if self.row_chars >= MAX_ROW_CHARS:
            raise Invalid.field("file", f"A row has more than {MAX_ROW_CHARS:,} characters: is this a CSV with a row a line?")
        return line


def _csv_rows(reader: Any, lines: _Lines) -> Iterator[tuple[int, list[Any] | str]]:
    while True:
        line, lines.row_chars = reader.line_num + 1, 0
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            text = str(error)
            yield line, "a quote is opened here and never closed" if "end of data" in text or "limit" in text else f"this is no CSV: {text}"
            continue
        if row:
            yield line, row


@contextmanager
def _open_workbook(path: Path) -> Iterator[Iterator[tuple[int, list[Any] | str]]]:
    # As an open file, because openpyxl judges a path by its ending.
    with path.open("rb") as file:
        try:
            book = load_workbook(file, read_only=True, data_only=True)
        except BROKEN as error:
            raise Invalid.field("file", f"{path} is no workbook that can be read: {_why(error)}.") from None
        try:
            if not book.worksheets:
                raise Invalid.field("file", "The workbook has no sheet with cells.")
            sheet = book.worksheets[0]
            sheet.reset_dimensions()  # some programs write a wrong one, which would cut rows off
            yield _workbook_rows(sheet)
        finally:
            book.close()


def _workbook_rows(sheet: Any) -> Iterator[tuple[int, list[Any] | str]]:
    number = 0
    try:
        for number, values in enumerate(sheet.iter_rows(values_only=True), 1):
            if number > MOST_ROWS:
                raise ValueError("a sheet has no more rows")
            if any(value is not None for value in values):
                yield number, [_cell(value) for value in values]
    except BROKEN as error:
        raise Invalid.field("file", f"The workbook cannot be read after row {number}: {_why(error)}.") from None


def _why(error: Exception) -> str:
    """What is wrong with the workbook. Raises an error that is none of its own."""
    if isinstance(error, OSError) and error.errno not in {None, errno.EINVAL}:
        raise error
    return str(error)


def _cell(value: Any) -> Cell:
    if value is None:
        return ""
    if isinstance(value, str | datetime):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < EXACT_INTEGERS else repr(value)
    return str(value)  # integers, times of day, durations
