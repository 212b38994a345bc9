"""A file's first rows as texts, read back from the bytes that a format wrote: no second renderer."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from typing import Any

import openpyxl

from exports.cells import Kind
from exports.datasets import Spec
from exports.formats.xlsx_shell import NUMBER_FORMATS
from tasks.models.fields import plain

Row = list[str | None]
LONGEST_CELL = 2**31 - 1
_CONTROL = re.compile("_x([0-9A-Fa-f]{4})_")


def first_rows(file: bytes, spec: Spec, most: int) -> list[Row]:
    """Up to so many of the file's rows, a text for each column of the spec; None for an empty cell that the format tells apart."""
    return list(islice(READERS[spec.format](file, spec), most))


def _unpacked(file: bytes) -> bytes:
    """The file, or what its gzip or its zip's first member holds."""
    if file[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(file)) as archive:
            return archive.read(archive.namelist()[0])
    return gzip.decompress(file) if file[:2] == b"\x1f\x8b" else file


def _csv(file: bytes, spec: Spec) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_CELL)  # Python's own limit of 131,072 is no limit of ours
    text = io.StringIO(_unpacked(file).decode("utf-8-sig" if spec.options["bom"] else "utf-8"), newline="")
    rows = csv.reader(text, delimiter=spec.options["delimiter"])
    if spec.options["header"]:
        next(rows, None)
    yield from map(list, rows)


def _json_row(pairs: list[tuple[str, Any]]) -> Row:
    return [str(value).lower() if isinstance(value, bool) else value for _, value in pairs]


# Pairs, not a dict: two columns may have one title. Numbers stay the digits that they are.
_DECODER = json.JSONDecoder(object_pairs_hook=_json_row, parse_float=str, parse_int=str)


def _json(file: bytes, spec: Spec) -> Iterator[Row]:
    yield from _DECODER.decode(_unpacked(file).decode())


def _ndjson(file: bytes, spec: Spec) -> Iterator[Row]:
    for line in _unpacked(file).splitlines():
        yield _DECODER.decode(line.decode())


def _xlsx(file: bytes, spec: Spec) -> Iterator[Row]:
    book = openpyxl.load_workbook(io.BytesIO(file), read_only=True)
    for row in book.worksheets[0].iter_rows(min_row=2, max_col=len(spec.columns)):
        cells = [_sheet_text(cell) for cell in row]
        yield cells + [None] * (len(spec.columns) - len(cells))


def _sheet_text(cell: Any) -> str | None:
    value = cell.value
    if isinstance(value, datetime):
        return value.date().isoformat() if cell.number_format == NUMBER_FORMATS[Kind.DATE] else value.isoformat(" ")
    if isinstance(value, int | float):
        return plain(Decimal(repr(value)))
    return None if value is None else _CONTROL.sub(lambda match: chr(int(match[1], 16)), str(value))


def _parquet(file: bytes, spec: Spec) -> Iterator[Row]:
    from pyarrow import BufferReader, parquet  # an extra, and there if a file of it was written

    for batch in parquet.ParquetFile(BufferReader(file)).iter_batches():
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield [value.isoformat().replace("+00:00", "Z") if isinstance(value, date) else None if value is None else str(value) for value in row]


READERS: dict[str, Callable[[bytes, Spec], Iterator[Row]]] = {"csv": _csv, "json": _json, "ndjson": _ndjson, "xlsx": _xlsx, "parquet": _parquet}
