"""Rows of cells as lines of CSV, JSON and COPY text, as PostgreSQL writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Dialect:
    """How a CSV is written."""

    delimiter: str = ","
    quote_all: bool = False


_COPY_ESCAPES = str.maketrans({"\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"})
_COPY_SPECIAL = re.compile("[\\\\\b\f\n\r\t\v]")


def copy_escaped(text: str) -> str:
    """The text as COPY writes it."""
    return text.translate(_COPY_ESCAPES)


def copy_lines(columns: Sequence[Sequence[Any]], null: str) -> list[bytes]:
    """Columns of cells, one as long as the other, as lines of COPY text."""
    texts = [_copy_cells(column, null) for column in columns]
    return [f"{line}\n".encode() for line in map("\t".join, zip(*texts, strict=True))]


def _copy_cells(column: Sequence[Any], null: str) -> list[str]:
    cells = [cell for cell in column if cell is not None]
    try:
        joined = "".join(cells)
    except TypeError:  # numbers
        cells = list(map(str, cells))
        joined = "".join(cells)
    # One look at the whole column: most need no escapes anywhere.
    if _COPY_SPECIAL.search(joined):
        cells = list(map(copy_escaped, cells))
    if len(cells) == len(column):
        return cells
    following = iter(cells)
    return [null if cell is None else next(following) for cell in column]


def json_line(heads: list[str], bare: list[bool], row: tuple[Any, ...]) -> bytes:
    """A row as a line of JSON: each head ends in its colon; a bare cell stands as it is, any other is a string."""
    parts = []
    for head, is_bare, cell in zip(heads, bare, row, strict=True):
        parts.append(head)
        parts.append("null" if cell is None else str(cell) if is_bare else json.dumps(cell, ensure_ascii=False))
    return ("".join(parts) + "}\n").encode()


def csv_block(columns: Sequence[Sequence[Any]], dialect: Dialect) -> bytes:
    """Columns of cells, one as long as the other, as CSV in UTF-8: LF ends a line; a cell that holds delimiter, quote, CR or LF
    is quoted; None is empty."""
    texts = [_csv_cells(column, dialect) for column in columns]
    if len(texts) == 1:  # a lone empty cell would be an empty line, which readers skip
        texts = [[cell or '""' for cell in texts[0]]]
    return ("\n".join(map(dialect.delimiter.join, zip(*texts, strict=True))) + "\n").encode()


def _csv_cells(column: Sequence[Any], dialect: Dialect) -> list[str]:
    cells = ["" if cell is None else cell for cell in column]
    try:
        joined = "".join(cells)
    except TypeError:  # numbers
        cells = list(map(str, cells))
        joined = "".join(cells)
    if dialect.quote_all:
        return [_quoted(cell) if cell else "" for cell in cells]
    # One look at the whole column: most need no quotes anywhere.
    special = [character for character in (dialect.delimiter, '"', "\n", "\r") if character in joined]
    if not special:
        return cells
    is_special = re.compile(f"[{''.join(map(re.escape, special))}]").search
    return [_quoted(cell) if is_special(cell) else cell for cell in cells]


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'
