"""Where rows come from: one snapshot on a read-only connection of its own, counted and read in a single state of the data.

A snapshot gives `csv_bytes`: PostgreSQL renders the CSV itself and its bytes pass through; on SQLite the same cells are
rendered here. No server-side cursor, no OFFSET, never the whole result in memory.
"""

from __future__ import annotations

import csv
import io
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from django.conf import settings
from django.db import connections
from django.db.models import QuerySet

from exports import cells
from exports.datasets import DATASETS, Column, Spec

ALIAS = "default"  # exports may read a replica: one name here
BLOCK_BYTES = 256 * 1024  # large enough that per-block work vanishes, small enough for flat memory
SQLITE_ROWS = 1000  # rows fetched at once from SQLite


@dataclass(frozen=True)
class Query:
    """A compiled SELECT with the columns aliased c0, c1, …, in the file's order, and its COUNT."""

    columns: tuple[Column, ...]
    sql: str
    params: tuple[Any, ...]
    count_sql: str
    count_params: tuple[Any, ...]


class Snapshot(Protocol):
    """One consistent state of the data. `rows_read` is final only once a read has been exhausted."""

    rows_read: int

    def count(self, query: Query) -> int: ...

    def csv_bytes(self, query: Query, style: cells.Style) -> Iterator[bytes]: ...

    def cancel(self) -> None:
        """Breaks a running read off; may be called from another thread, and twice."""
        ...


def compile_query(spec: Spec, organization_ids: list[int]) -> Query:
    """The SELECT for this spec over these organizations, in the order of `(created_at, id)`."""
    rows = DATASETS[spec.dataset].rows().filter(created_at__gte=spec.created_from)
    if spec.created_before:
        rows = rows.filter(created_at__lt=spec.created_before)
    # One organization by equality, so that the index gives the order too.
    rows = rows.filter(organization_id=organization_ids[0]) if len(organization_ids) == 1 else rows.filter(organization_id__in=organization_ids)
    columns = spec.kinds()
    # An explicit alias a column: the same column may be chosen twice.
    chosen = {f"c{number}": column.expression for number, column in enumerate(columns)}
    sql, params = _compile(rows.order_by("created_at", "id").annotate(**chosen).values_list(*chosen))
    count_sql, count_params = _compile(rows.order_by().values_list("pk"))
    return Query(columns, sql, params, f"SELECT count(*) FROM ({count_sql}) AS counted", count_params)


def _compile(rows: QuerySet[Any, Any]) -> tuple[str, tuple[Any, ...]]:
    sql, params = rows.query.get_compiler(using=ALIAS).as_sql()
    return sql, tuple(params)


@contextmanager
def snapshot(style: cells.Style) -> Iterator[Snapshot]:
    """Opens a snapshot of the database that the settings name; times will be said in the style's zone."""
    if connections[ALIAS].vendor == "postgresql":
        postgres = PostgresSnapshot(style.zone)
        try:
            yield postgres
        finally:
            postgres.close()
    else:
        sqlite = SqliteSnapshot()
        try:
            yield sqlite
        finally:
            sqlite.close()


class PostgresSnapshot:
    """A REPEATABLE READ READ ONLY transaction on a connection of its own."""

    def __init__(self, zone: str = "UTC") -> None:
        wrapper: Any = connections[ALIAS]
        self.rows_read = 0
        self._connection = wrapper.get_new_connection(wrapper.get_connection_params())
        self._connection.autocommit = True  # so that BEGIN and its options are ours
        self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        # A sort that spills to disk costs more than this memory does; it is the server's, one export at a time.
        self._connection.execute(
            "SELECT set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true),"
            " set_config('TimeZone', %s, true), set_config('DateStyle', 'ISO, YMD', true), set_config('work_mem', '64MB', true),"
            " set_config('jit', 'off', true)",
            [zone],
        )

    def count(self, query: Query) -> int:
        return int(self._connection.execute(query.count_sql, query.count_params).fetchone()[0])

    def csv_bytes(self, query: Query, style: cells.Style) -> Iterator[bytes]:
        cell = [cells.sql_text(column.kind, f"c{number}", style) for number, column in enumerate(query.columns)]
        if len(cell) == 1:  # a lone empty cell would be an empty line, which readers skip: write it as ""
            cell = [f"COALESCE(({cell[0]})::text, '')"]
        statement = f"COPY (SELECT {', '.join(cell)} FROM ({query.sql}) AS chosen) TO STDOUT (FORMAT csv)"
        cursor = self._connection.cursor()
        block: list[bytes] = []
        size = 0
        with cursor.copy(statement, query.params) as copy:
            for line in copy:  # one row a message
                block.append(bytes(line))
                size += len(line)
                if size >= BLOCK_BYTES:
                    self.rows_read += len(block)
                    yield b"".join(block)
                    block, size = [], 0
        yield b"".join(block)
        self.rows_read = cursor.rowcount  # COPY's own tag, the only count that is certain

    def cancel(self) -> None:
        self._connection.cancel_safe(timeout=5)

    def close(self) -> None:
        self._connection.close()


_PLACEHOLDER = re.compile(r"(?<!%)%s")


class SqliteSnapshot:
    """A deferred read transaction on a read-only connection of its own; values come as SQLite stores them."""

    def __init__(self) -> None:
        path = settings.DATABASES[ALIAS]["NAME"]
        self.rows_read = 0
        self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20, isolation_level=None, check_same_thread=False)
        self._connection.execute("BEGIN")

    def _execute(self, sql: str, params: tuple[Any, ...]) -> sqlite3.Cursor:
        return self._connection.execute(_PLACEHOLDER.sub("?", sql).replace("%%", "%"), params)

    def count(self, query: Query) -> int:
        return int(self._execute(query.count_sql, query.count_params).fetchone()[0])

    def csv_bytes(self, query: Query, style: cells.Style) -> Iterator[bytes]:
        renderers = [(number, render) for number, column in enumerate(query.columns) if (render := cells.python_text(column.kind, style))]
        cursor = self._execute(query.sql, query.params)
        while rows := cursor.fetchmany(SQLITE_ROWS):
            columns = list(zip(*rows, strict=True))
            for number, render in renderers:
                columns[number] = tuple(map(render, columns[number]))
            rendered = list(zip(*columns, strict=True)) if renderers else rows
            self.rows_read += len(rows)
            yield csv_block(rendered)

    def cancel(self) -> None:
        self._connection.interrupt()

    def close(self) -> None:
        self._connection.close()


def csv_block(rows: list[tuple[Any, ...]]) -> bytes:
    """Rows of cells as CSV in UTF-8: LF ends a line; a cell that holds comma, quote, CR or LF is quoted; None is empty."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    text = buffer.getvalue()
    if "\r" in text:  # rare, and the one character that csv.writer leaves unquoted when lines end in LF
        text = "".join(_csv_line(row) for row in rows)
    return text.encode()


_NEEDS_QUOTES = re.compile(r'[",\r\n]')


def _csv_line(row: tuple[Any, ...]) -> str:
    cell_texts = ["" if value is None else str(value) for value in row]
    if len(cell_texts) == 1 and not cell_texts[0]:
        return '""\n'
    return ",".join('"' + text.replace('"', '""') + '"' if _NEEDS_QUOTES.search(text) else text for text in cell_texts) + "\n"
