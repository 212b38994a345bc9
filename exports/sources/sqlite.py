"""Rows from SQLite, whose raw values are rendered here."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings

from exports import cells
from exports.cells import Form, Kind
from exports.expressions import SQLITE_FUNCTIONS
from exports.sources.base import TooSlow
from exports.sources.query import ALIAS, Query, place_sql
from exports.sources.text import Dialect, copy_lines, csv_block, json_line

ROWS = 200  # fetched at once: what they become must stay within the processor's cache
PROGRESS_STEPS = 10_000  # of SQLite's machine between two looks at the clock: far below a millisecond
_PLACEHOLDER = re.compile(r"(?<!%)%s")


class SqliteSnapshot:
    """A deferred read transaction on a read-only connection of its own; values come as SQLite stores them."""

    def __init__(self) -> None:
        address = Path(settings.DATABASES[ALIAS]["NAME"]).absolute().as_uri()  # quoted: a folder may be called anything
        self.rows_read = 0
        self._connection = sqlite3.connect(f"{address}?mode=ro", uri=True, timeout=20, isolation_level=None, check_same_thread=False)
        for name, (arguments, function) in SQLITE_FUNCTIONS.items():
            self._connection.create_function(name, arguments, function, deterministic=True)
        self._connection.execute("BEGIN")

    def _execute(self, sql: str, params: tuple[Any, ...]) -> sqlite3.Cursor:
        return self._connection.execute(_PLACEHOLDER.sub("?", sql).replace("%%", "%"), params)

    def count(self, query: Query) -> int:
        return int(self._execute(query.count_sql, query.count_params).fetchone()[0])

    def row_id(self, query: Query, place: int) -> int:
        return int(self._execute(place_sql(query, place), query.params).fetchone()[0])

    def estimate(self, query: Query) -> int | None:
        return None

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        until = time.monotonic() + seconds
        self._connection.set_progress_handler(lambda: time.monotonic() > until, PROGRESS_STEPS)
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                raise TooSlow() from None
            raise
        finally:
            self._connection.set_progress_handler(None, 0)

    def csv_lines(self, query: Query, style: cells.Style, dialect: Dialect) -> Iterator[list[bytes]]:
        for columns in self._rendered(query, style):
            yield [csv_block(columns, dialect)]

    def json_lines(self, query: Query, style: cells.Style, names: list[str]) -> Iterator[list[bytes]]:
        heads = [("," if number else "{") + json.dumps(name, ensure_ascii=False) + ":" for number, name in enumerate(names)]
        # Numbers and booleans stand as they are, everything else is a string.
        bare = [column.kind in {Kind.INTEGER, Kind.DECIMAL, Kind.BOOLEAN} for column in query.columns]
        for columns in self._rendered(query, style):
            yield [json_line(heads, bare, row) for row in zip(*columns, strict=True)]

    def text_lines(self, query: Query, style: cells.Style) -> Iterator[list[bytes]]:
        null = "\\N" if style.form is Form.JSON else ""
        for columns in self._rendered(query, style, with_id=True):
            yield copy_lines(columns, null)

    def _rendered(self, query: Query, style: cells.Style, *, with_id: bool = False) -> Iterator[list[Sequence[Any]]]:
        """Blocks of rows, column by column."""
        renderers = [(number, render) for number, column in enumerate(query.columns) if (render := cells.python_column(column.kind, style))]
        cursor = self._execute(query.sql, query.params)
        while rows := cursor.fetchmany(ROWS):
            columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
            if not with_id:
                columns.pop()
            for number, render in renderers:
                columns[number] = render(columns[number])
            self.rows_read += len(rows)
            yield columns

    def cancel(self) -> None:
        self._connection.interrupt()

    def close(self) -> None:
        self._connection.close()
