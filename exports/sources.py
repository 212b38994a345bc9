"""Where rows come from: one snapshot on a read-only connection of its own, counted and read in a single state of the data.

PostgreSQL renders CSV and JSON itself and its bytes pass through; on SQLite the same cells are rendered here, equal by test.
No server-side cursor, no OFFSET, never the whole result in memory.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings
from django.db import connections
from django.db.models import F, QuerySet
from psycopg.errors import QueryCanceled

from exports import cells, filters
from exports.cells import Form, Kind
from exports.datasets import DATASETS, Column, Spec
from exports.expressions import SQLITE_FUNCTIONS

ALIAS = "default"  # exports may read a replica: one name here
BLOCK_BYTES = 256 * 1024  # large enough that per-block work vanishes, small enough for flat memory
_IDENTIFIER_BYTES = 63  # PostgreSQL cuts longer names off
SQLITE_ROWS = 1000  # rows fetched at once from SQLite
PROGRESS_STEPS = 10_000  # of SQLite's machine between two looks at the clock: far below a millisecond


@dataclass(frozen=True)
class Query:
    """A compiled SELECT with the columns aliased c0, c1, …, in the file's order, and its COUNT."""

    columns: tuple[Column, ...]
    sql: str
    params: tuple[Any, ...]
    count_sql: str
    count_params: tuple[Any, ...]
    is_cut: bool = False  # to a window of its rows


@dataclass(frozen=True)
class Dialect:
    """How a CSV is written."""

    delimiter: str = ","
    quote_all: bool = False


class TooSlow(Exception):
    """The database did not answer in the time that it was given."""


class Snapshot(Protocol):
    """One consistent state of the data. A read gives blocks of rows, a bytes object a row with its line end.

    `rows_read` counts what was given, and is final only once a read has been exhausted.
    """

    rows_read: int

    def count(self, query: Query) -> int:
        """How many rows there are."""
        ...

    def row_id(self, query: Query, place: int) -> int:
        """The id of the row at this place of the file, from 1."""
        ...

    def estimate(self, query: Query) -> int | None:
        """About how many rows there are, at once; None where the database keeps no statistics."""
        ...

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Each statement inside may take so long; afterwards the snapshot goes on as before. Raises TooSlow."""
        ...

    def csv_lines(self, query: Query, style: cells.Style, dialect: Dialect) -> Iterator[list[bytes]]:
        """Rows as lines of CSV."""
        ...

    def json_lines(self, query: Query, style: cells.Style, names: list[str]) -> Iterator[list[bytes]]:
        """Rows as JSON objects with these names, a line each; no line end inside."""
        ...

    def text_lines(self, query: Query, style: cells.Style) -> Iterator[list[bytes]]:
        r"""Rows as COPY text: cells between tabs, `\N` for null, backslash escapes for tab, line ends, backslash and
        \b \f \v. The row's id is one more cell, at the end. In the SHEET form null and '' are one: an empty cell."""
        ...

    def cancel(self) -> None:
        """Breaks a running read off; may be called from another thread, and twice."""
        ...


def compile_query(spec: Spec, organization_ids: list[int]) -> Query:
    """The SELECT for this spec over these organizations, in the spec's order; the row's id stands last, as `row_id`."""
    rows = DATASETS[spec.dataset].rows().filter(created_at__gte=spec.created_from)
    if spec.created_before:
        rows = rows.filter(created_at__lt=spec.created_before)
    # One organization by equality, so that the index gives the order too.
    rows = rows.filter(organization_id=organization_ids[0]) if len(organization_ids) == 1 else rows.filter(organization_id__in=organization_ids)
    if spec.filter:
        rows = rows.filter(filters.condition(spec.filter, DATASETS[spec.dataset], spec.timezone))
    order: list[Any] = [*(filters.order(spec.sort, DATASETS[spec.dataset]) if spec.sort else ["created_at"]), "id"]
    columns = spec.kinds()
    # An explicit alias a column: the same column may be chosen twice.
    chosen = {f"c{number}": column.expression for number, column in enumerate(columns)}
    picked, counted = rows.order_by(*order).annotate(**chosen, row_id=F("pk")).values_list(*chosen, "row_id"), rows.order_by().values_list("pk")
    if spec.window:
        # The only OFFSET: contracts with pages ask for it. Its count needs no order: it is cut at the same two places.
        window = slice(spec.window["skip"], spec.window["skip"] + spec.window["most"])
        picked, counted = picked[window], counted[window]
    sql, params = _compile(picked)
    count_sql, count_params = _compile(counted)
    return Query(columns, sql, params, f"{_COUNT}{count_sql}{_COUNTED}", count_params, is_cut=spec.window is not None)


_COUNT, _COUNTED = "SELECT count(*) FROM (", ") AS counted"


def first(query: Query, rows: int) -> Query:
    """The same query cut to its first rows, and its count to as many."""
    limit = f" LIMIT {int(rows)}"
    sql, counted = query.sql, query.count_sql.removeprefix(_COUNT).removesuffix(_COUNTED)
    if query.is_cut:  # it has a LIMIT of its own
        sql, counted = f"SELECT * FROM ({sql}) AS cut", f"SELECT * FROM ({counted}) AS cut"
    return replace(query, sql=sql + limit, count_sql=_COUNT + counted + limit + _COUNTED)


def _place(query: Query, place: int) -> str:
    return f"SELECT row_id FROM ({query.sql}) AS chosen LIMIT 1 OFFSET {int(place) - 1}"


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

    def row_id(self, query: Query, place: int) -> int:
        return int(self._connection.execute(_place(query, place), query.params).fetchone()[0])

    def estimate(self, query: Query) -> int | None:
        (plans,) = self._connection.execute(f"EXPLAIN (FORMAT JSON) {query.sql}", query.params).fetchone()
        return int(plans[0]["Plan"]["Plan Rows"])

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        self._connection.execute("SAVEPOINT within")
        self._connection.execute("SELECT set_config('statement_timeout', %s, true)", [str(round(seconds * 1000))])
        try:
            yield
        except QueryCanceled:
            raise TooSlow() from None
        finally:
            self._connection.execute("ROLLBACK TO SAVEPOINT within")  # takes the time limit back too

    def csv_lines(self, query: Query, style: cells.Style, dialect: Dialect) -> Iterator[list[bytes]]:
        cell = self._cells(query, style)
        if len(cell) == 1:  # a lone empty cell would be an empty line, which readers skip: write it as ""
            cell = [f"COALESCE(({cell[0]})::text, '')"]
        options = f"FORMAT csv, DELIMITER E'{_SQL_DELIMITERS[dialect.delimiter]}'{', FORCE_QUOTE *' if dialect.quote_all else ''}"
        return self._copy(f"SELECT {', '.join(cell)} FROM ({query.sql}) AS chosen", options, query.params)

    def json_lines(self, query: Query, style: cells.Style, names: list[str]) -> Iterator[list[bytes]]:
        # The database writes the JSON, and COPY passes it through: with a quote and a delimiter that JSON escapes, CSV changes nothing.
        cell = self._cells(query, style)
        if max(len(name.encode()) for name in names) <= _IDENTIFIER_BYTES:
            quoted = (name.replace('"', '""').replace("%", "%%") for name in names)
            row = ", ".join(f'{text} AS "{name}"' for text, name in zip(cell, quoted, strict=True))
            select = f"SELECT row_to_json(row) FROM (SELECT {row} FROM ({query.sql}) AS chosen) AS row"
        else:  # slower, but a header may be longer than a column's name
            heads = (json.dumps(name, ensure_ascii=False).replace("'", "''").replace("%", "%%") for name in names)
            pairs = (f"'{head}:' || COALESCE(to_json({text})::text, 'null')" for text, head in zip(cell, heads, strict=True))
            row = " || ',' || ".join(pairs)
            select = f"SELECT '{{' || {row} || '}}' FROM ({query.sql}) AS chosen"
        return self._copy(select, "FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02'", query.params)

    def text_lines(self, query: Query, style: cells.Style) -> Iterator[list[bytes]]:
        select = f"SELECT {', '.join(self._cells(query, style))}, row_id FROM ({query.sql}) AS chosen"
        return self._copy(select, "FORMAT text, NULL ''" if style.form is Form.SHEET else "FORMAT text", query.params)

    def _cells(self, query: Query, style: cells.Style) -> list[str]:
        return [cells.sql_text(column.kind, f"c{number}", style) for number, column in enumerate(query.columns)]

    def _copy(self, select: str, options: str, params: tuple[Any, ...]) -> Iterator[list[bytes]]:
        cursor = self._connection.cursor()
        block: list[bytes] = []
        size = 0
        with cursor.copy(f"COPY ({select}) TO STDOUT ({options})", params) as copy:
            for line in copy:  # one row a message
                block.append(bytes(line))
                size += len(line)
                if size >= BLOCK_BYTES:
                    self.rows_read += len(block)
                    yield block
                    block, size = [], 0
        if block:
            yield block
        self.rows_read = cursor.rowcount  # COPY's own tag, the only count that is certain

    def cancel(self) -> None:
        self._connection.cancel_safe(timeout=5)

    def close(self) -> None:
        self._connection.close()


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
        return int(self._execute(_place(query, place), query.params).fetchone()[0])

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
        for rows in self._rendered(query, style):
            yield [csv_block(rows, dialect)]

    def json_lines(self, query: Query, style: cells.Style, names: list[str]) -> Iterator[list[bytes]]:
        heads = [("," if number else "{") + json.dumps(name, ensure_ascii=False) + ":" for number, name in enumerate(names)]
        # Numbers and booleans stand as they are, everything else is a string.
        bare = [column.kind in {Kind.INTEGER, Kind.DECIMAL, Kind.BOOLEAN} for column in query.columns]
        for rows in self._rendered(query, style):
            yield [_json_line(heads, bare, row) for row in rows]

    def text_lines(self, query: Query, style: cells.Style) -> Iterator[list[bytes]]:
        null = "" if style.form is Form.SHEET else "\\N"
        for rows in self._rendered(query, style, with_id=True):
            yield [("\t".join(null if cell is None else copy_escaped(str(cell)) for cell in row) + "\n").encode() for row in rows]

    def _rendered(self, query: Query, style: cells.Style, *, with_id: bool = False) -> Iterator[list[tuple[Any, ...]]]:
        renderers = [(number, render) for number, column in enumerate(query.columns) if (render := cells.python_text(column.kind, style))]
        cursor = self._execute(query.sql, query.params)
        while rows := cursor.fetchmany(SQLITE_ROWS):
            columns = list(zip(*rows, strict=True))
            if not with_id:
                columns.pop()
            for number, render in renderers:
                columns[number] = tuple(map(render, columns[number]))
            self.rows_read += len(rows)
            yield list(zip(*columns, strict=True))

    def cancel(self) -> None:
        self._connection.interrupt()

    def close(self) -> None:
        self._connection.close()


_SQL_DELIMITERS = {",": ",", ";": ";", "\t": "\\t", "|": "|"}
_COPY_ESCAPES = str.maketrans({"\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"})


def copy_escaped(text: str) -> str:
    """The text as COPY writes it."""
    return text.translate(_COPY_ESCAPES)


def _json_line(heads: list[str], bare: list[bool], row: tuple[Any, ...]) -> bytes:
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
