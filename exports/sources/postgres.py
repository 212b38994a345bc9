"""Rows from PostgreSQL, which writes CSV, JSON and COPY text itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections
from psycopg.errors import QueryCanceled

from exports import cells
from exports.cells import Form
from exports.sources.base import TooSlow
from exports.sources.query import ALIAS, Query, place_sql
from exports.sources.text import Dialect

BLOCK_BYTES = 64 * 1024  # large enough that per-block work vanishes; the socket holds more, so the database goes on meanwhile
READER = "taskexport snapshot"  # by which a session is known that only reads
_IDENTIFIER_BYTES = 63  # PostgreSQL cuts longer names off
_SQL_DELIMITERS = {",": ",", ";": ";", "\t": "\\t", "|": "|"}


class PostgresSnapshot:
    """A REPEATABLE READ READ ONLY transaction on a connection of its own, or the caller's transaction on Django's."""

    def __init__(self, zone: str = "UTC", *, is_shared: bool = False) -> None:
        wrapper: Any = connections[ALIAS]
        self.rows_read = 0
        if is_shared:
            self._connection = wrapper.connection
        else:
            self._connection = wrapper.get_new_connection(wrapper.get_connection_params())
            self._connection.autocommit = True  # so that BEGIN and its options are ours
            self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        # A sort that spills to disk costs more than this memory does; it is the server's, one export at a time.
        self._connection.execute(
            "SELECT set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true),"
            " set_config('TimeZone', %s, true), set_config('DateStyle', 'ISO, YMD', true), set_config('work_mem', '64MB', true),"
            f" set_config('jit', 'off', true), set_config('application_name', '{READER}', true)",
            [zone],
        )

    def count(self, query: Query) -> int:
        return int(self._connection.execute(query.count_sql, query.count_params).fetchone()[0])

    def row_id(self, query: Query, place: int) -> int:
        return int(self._connection.execute(place_sql(query, place), query.params).fetchone()[0])

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
            select = f"SELECT row_to_json(row.*) FROM (SELECT {row} FROM ({query.sql}) AS chosen) AS row"  # a header may be "row"
        else:  # slower, but a header may be longer than a column's name
            heads = (json.dumps(name, ensure_ascii=False).replace("'", "''").replace("%", "%%") for name in names)
            pairs = (f"'{head}:' || COALESCE(to_json({text})::text, 'null')" for text, head in zip(cell, heads, strict=True))
            row = " || ',' || ".join(pairs)
            select = f"SELECT '{{' || {row} || '}}' FROM ({query.sql}) AS chosen"
        return self._copy(select, "FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02'", query.params)

    def text_lines(self, query: Query, style: cells.Style) -> Iterator[list[bytes]]:
        select = f"SELECT {', '.join(self._cells(query, style))}, row_id FROM ({query.sql}) AS chosen"
        return self._copy(select, "FORMAT text" if style.form is Form.JSON else "FORMAT text, NULL ''", query.params)

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
