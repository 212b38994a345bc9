"""Where rows come from: one snapshot on a read-only connection of its own, counted and read in a single state of the data.

PostgreSQL renders CSV and JSON itself and its bytes pass through; on SQLite the same cells are rendered here, equal by test.
No server-side cursor, no OFFSET, never the whole result in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections, transaction

from exports import cells
from exports.sources.base import Snapshot, TooSlow
from exports.sources.changed import Change, ChangedRows, existing
from exports.sources.postgres import PostgresSnapshot
from exports.sources.query import ALIAS, Query, compile_page, compile_query, compile_row, first
from exports.sources.settled import settled_until
from exports.sources.sqlite import SqliteSnapshot
from exports.sources.text import Dialect, copy_escaped, csv_block


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


@contextmanager
def glance(style: cells.Style) -> Iterator[Snapshot]:
    """The same for one short read that somebody waits for: on PostgreSQL over the connection that is open, and without a state of its own."""
    if connections[ALIAS].vendor != "postgresql":
        with snapshot(style) as found:
            yield found
        return
    with transaction.atomic(using=ALIAS):
        try:
            yield PostgresSnapshot(style.zone, is_shared=True)
        finally:
            transaction.set_rollback(True, using=ALIAS)  # which takes the settings back too


__all__ = [
    "Change",
    "ChangedRows",
    "Dialect",
    "PostgresSnapshot",
    "Query",
    "Snapshot",
    "SqliteSnapshot",
    "TooSlow",
    "compile_page",
    "compile_query",
    "compile_row",
    "copy_escaped",
    "csv_block",
    "existing",
    "first",
    "glance",
    "settled_until",
    "snapshot",
]
