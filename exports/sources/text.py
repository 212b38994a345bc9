"""Rows of cells as lines of CSV, JSON and COPY text, as PostgreSQL writes them."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Dialect:
    """How a CSV is written."""

    delimiter: str = ","
    quote_all: bool = False


_COPY_ESCAPES = str.maketrans({"\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"})


def copy_escaped(text: str) -> str:
    """The text as COPY writes it."""
    return text.translate(_COPY_ESCAPES)


def json_line(heads: list[str], bare: list[bool], row: tuple[Any, ...]) -> bytes:
    """A row as a line of JSON: each head ends in its colon; a bare cell stands as it is, any other is a string."""
    parts = []
    for head, is_bare, cell in zip(heads, bare, row, strict=True):
        parts.append(head)
        parts.append("null" if cell is None else str(cell) if is_bare else json.dumps(cell, ensure_ascii=False))
    return ("".join(parts) + "}\n").encode()


# csv.writer quotes a cell that holds any character of the line end. CR and LF must be quoted, so both are in it, with a NUL,
# which no cell holds, to tell our line ends from a cell's own.
_LINE_END = "\r\n\0"


def csv_block(rows: list[tuple[Any, ...]], dialect: Dialect) -> bytes:
    """Rows of cells as CSV in UTF-8: LF ends a line; a cell that holds delimiter, quote, CR or LF is quoted; None is empty."""
    if dialect.quote_all:
        return "".join(_csv_line(row, dialect) for row in rows).encode()
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=dialect.delimiter, lineterminator=_LINE_END).writerows(rows)
    return buffer.getvalue().replace(_LINE_END, "\n").encode()


def _csv_line(row: tuple[Any, ...], dialect: Dialect) -> str:
    """A line whose cells are all quoted but for the empty ones."""
    if len(row) == 1 and row[0] in (None, ""):
        return '""\n'
    return dialect.delimiter.join("" if cell in (None, "") else '"' + str(cell).replace('"', '""') + '"' for cell in row) + "\n"
