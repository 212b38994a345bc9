"""The rows of a change export: of all rows only those that were added or changed, and of those that are gone their ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from enum import StrEnum

from exports.cells import Style
from exports.datasets import Spec
from exports.sources.base import Snapshot
from exports.sources.digests import IdList
from exports.sources.query import Query, compile_absent, compile_existing, compile_present
from exports.sources.text import Dialect

IDS_AT_ONCE = 5000  # of one SELECT: enough that its planning is nothing, few enough for flat memory


class Change(StrEnum):
    """What became of a row since the base, in the order of the file: who applies it so frees a key before another row takes it."""

    DELETED = "deleted"
    LEFT = "left"  # it exists, but is no longer one of the export's rows
    CHANGED = "changed"
    ADDED = "added"


GONE = frozenset({Change.DELETED, Change.LEFT})


class ChangedRows:
    """A snapshot cut to these rows, by change and then by id. Every row stands in it once."""

    def __init__(self, snapshot: Snapshot, spec: Spec, organization_ids: list[int], lists: dict[Change, IdList]) -> None:
        self._snapshot, self._spec, self._organization_ids, self._lists = snapshot, spec, organization_ids, lists
        self.rows_read = 0

    def csv_lines(self, query: Query, style: Style, dialect: Dialect) -> Iterator[list[bytes]]:
        return self._each(lambda part: self._snapshot.csv_lines(part, style, dialect))

    def json_lines(self, query: Query, style: Style, names: list[str]) -> Iterator[list[bytes]]:
        return self._each(lambda part: self._snapshot.json_lines(part, style, names))

    def text_lines(self, query: Query, style: Style) -> Iterator[list[bytes]]:
        return self._each(lambda part: self._snapshot.text_lines(part, style))

    def _each(self, read: Callable[[Query], Iterator[list[bytes]]]) -> Iterator[list[bytes]]:
        for part in self._queries():
            before, self._snapshot.rows_read = self.rows_read, 0
            for block in read(part):
                self.rows_read = before + self._snapshot.rows_read
                yield block
            self.rows_read = before + self._snapshot.rows_read

    def _queries(self) -> Iterator[Query]:
        for change in Change:
            for ids in self._lists[change].parts(IDS_AT_ONCE):
                if change in GONE:
                    yield compile_absent(self._spec, ids, change)
                else:
                    yield compile_present(self._spec, self._organization_ids, ids, change)

    def count(self, query: Query) -> int:
        return sum(ids.count for ids in self._lists.values())

    def row_id(self, query: Query, place: int) -> int:
        return self._snapshot.row_id(query, place)

    def estimate(self, query: Query) -> int | None:
        return self.count(query)

    def within(self, seconds: float) -> AbstractContextManager[None]:
        return self._snapshot.within(seconds)

    def cancel(self) -> None:
        self._snapshot.cancel()


def existing(snapshot: Snapshot, spec: Spec, organization_ids: list[int], ids: list[int], style: Style) -> set[int]:
    """Those of the ids whose rows exist, whether or not the spec takes them."""
    lines = snapshot.text_lines(compile_existing(spec, organization_ids, ids), style)
    return {int(line.rpartition(b"\t")[2]) for block in lines for line in block}
