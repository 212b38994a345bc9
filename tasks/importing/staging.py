"""Temporary tables the rows wait in, so that neither Python's memory nor a lock grows with the file."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError

from tasks.importing.mapping import ATTRIBUTES, NAMED, PLAIN
from tasks.models import Task


@dataclass(frozen=True)
class Staging:
    """The tables of one import: `rows` (line, task_id and a column a target), `people` (line, position, key, text) and `members` (key, id)."""

    connection: Any
    rows: str
    people: str
    members: str
    columns: tuple[str, ...]

    def _named(self, sql: str) -> str:
        return sql.format(rows=self.rows, people=self.people, members=self.members)

    def execute(self, sql: str, params: tuple[Any, ...] | list[Any] = ()) -> int:
        """Runs one statement, in which {rows}, {people} and {members} stand for the tables, and returns its row count."""
        with self.connection.cursor() as cursor:
            cursor.execute(self._named(sql), params)
            return int(cursor.rowcount)

    def fetch(self, sql: str, params: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Like `execute`, but returns the rows."""
        with self.connection.cursor() as cursor:
            cursor.execute(self._named(sql), params)
            return list(cursor.fetchall())

    def settle(self) -> None:
        """Tells the planner what the tables hold; call it once all rows are in."""
        self.execute("CREATE INDEX {people}_line ON {people} (line, position)")
        if self.connection.vendor == "postgresql":
            self.execute("ANALYZE {rows}")
            self.execute("ANALYZE {people}")

    def add(self, rows: list[list[Any]], people: list[tuple[Any, ...]]) -> None:
        """Appends a batch: rows as (line, *columns), people as (line, position, key, text)."""
        quoted = [f'"{name}"' for name in ("line", *self.columns)]
        _append(self.connection, self.rows, quoted, rows)
        _append(self.connection, self.people, ["line", "position", "key", "text"], people)


@contextmanager
def open_staging(connection: Any, columns: tuple[str, ...]) -> Iterator[Staging]:
    """Makes the tables for these columns, and drops them at the end."""
    token = secrets.token_hex(6)
    staging = Staging(connection, f"import_rows_{token}", f"import_people_{token}", f"import_members_{token}", columns)
    typed = "".join(f', "{name}" {_type(connection, name)}' for name in columns)
    try:
        staging.execute(f"CREATE TEMPORARY TABLE {{rows}} (line bigint, task_id bigint{typed})")
        staging.execute("CREATE TEMPORARY TABLE {people} (line bigint, position integer, key text, text text)")
        staging.execute("CREATE TEMPORARY TABLE {members} (key text PRIMARY KEY, id bigint)")
        yield staging
    finally:
        # Inside a broken transaction they cannot be dropped, but they go with it.
        with suppress(DatabaseError):
            staging.execute("DROP TABLE IF EXISTS {rows}")
            staging.execute("DROP TABLE IF EXISTS {people}")
            staging.execute("DROP TABLE IF EXISTS {members}")


def _type(connection: Any, name: str) -> str:
    if name in NAMED:
        return "text"
    field = Task._meta.get_field(name) if name == ATTRIBUTES else PLAIN[name]
    return str(field.db_type(connection))


def _append(connection: Any, table: str, columns: list[str], rows: list[Any]) -> None:
    if not rows:
        return
    names = ", ".join(columns)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            # Temporary tables live in a file of their own: the main database is not locked.
            cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({', '.join(['%s'] * len(columns))})", rows)
