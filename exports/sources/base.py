"""What every snapshot can do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from exports.cells import Style
from exports.sources.query import Query
from exports.sources.text import Dialect


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

    def csv_lines(self, query: Query, style: Style, dialect: Dialect) -> Iterator[list[bytes]]:
        """Rows as lines of CSV."""
        ...

    def json_lines(self, query: Query, style: Style, names: list[str]) -> Iterator[list[bytes]]:
        """Rows as JSON objects with these names, a line each; no line end inside."""
        ...

    def text_lines(self, query: Query, style: Style) -> Iterator[list[bytes]]:
        r"""Rows as COPY text: cells between tabs, backslash escapes for tab, line ends, backslash and \b \f \v. The row's id is
        one more cell, at the end. Null is `\N` in the JSON form; in the others null and '' are one: an empty cell."""
        ...

    def cancel(self) -> None:
        """Breaks a running read off; may be called from another thread, and twice."""
        ...
