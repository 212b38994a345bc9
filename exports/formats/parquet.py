"""Parquet, where pyarrow is installed (requirements-parquet.txt): typed columns, row groups streamed in flat memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exports.cells import Form, Kind, Style
from exports.datasets import Column, Spec
from exports.formats.base import Target
from exports.formats.options import Option
from exports.sources import Query, Snapshot

# A row group: large enough for readers, small enough for flat memory, however long the texts are.
GROUP_ROWS = 50_000
GROUP_BYTES = 32 * 1024 * 1024  # of COPY text
# Decimals of any scale fit no one decimal type, and a double is not exact: they stay the digits that they are.
TYPES: dict[Kind, Any] = {
    Kind.INTEGER: pa.int64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.DATETIME: pa.timestamp("us", tz="UTC"),
    Kind.DATE: pa.date32(),
}
_UNESCAPE = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)


class ParquetFormat:
    """`{stem}.parquet`: times are instants in UTC, null and empty text apart, decimals exact as text."""

    name = "parquet"
    options = {"compression": Option("zstd", "How the columns are packed.", ("zstd", "snappy", "none"))}

    def extension(self, options: dict[str, Any], rows: int) -> str:
        return "parquet"

    def style(self, spec: Spec) -> Style:
        return Style(guard=False, form=Form.JSON)

    def write(self, snapshot: Snapshot, query: Query, spec: Spec, target: Target) -> Iterator[bytes]:
        titles = spec.titles
        types = [TYPES.get(column.kind, pa.string()) for column in query.columns]
        schema = pa.schema(list(zip(titles, types, strict=True)))
        sink = _Sink()
        with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), schema, compression=spec.options["compression"]) as writer:
            waiting: list[Any] = []
            count = size = 0
            for block in snapshot.text_lines(query, self.style(spec)):
                waiting.append(pa.record_batch(_arrays(block, query.columns), schema=schema))
                count += len(block)
                size += sum(map(len, block))
                if count >= GROUP_ROWS or size >= GROUP_BYTES:
                    writer.write_table(pa.Table.from_batches(waiting))
                    waiting, count, size = [], 0, 0
                yield sink.taken()
            if waiting:
                writer.write_table(pa.Table.from_batches(waiting))
        yield sink.taken()


class _Sink:
    """What the writer has written and nobody has taken yet."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.closed = False

    def write(self, piece: Any) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def flush(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        self.closed = True

    def taken(self) -> bytes:
        """All of it, which is then gone from here."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def _arrays(block: list[bytes], columns: tuple[Column, ...]) -> list[Any]:
    """The block's lines of COPY text, the row's id behind the columns, as one typed array a column."""
    data = b"".join(block)
    cells = data.replace(b"\n", b"\t").split(b"\t")
    cells.pop()  # behind the last line end
    width = len(columns) + 1
    return [_array(column.kind, cells[number::width]) for number, column in enumerate(columns)]


def _array(kind: Kind, cells: list[bytes]) -> Any:
    texts = pa.array([None if cell == b"\\N" else _plain(cell) for cell in cells], pa.binary()).cast(pa.string())
    if kind is Kind.BOOLEAN:
        return pc.starts_with(texts, "t")  # t and f, or true and false, by the database
    return texts.cast(TYPES[kind]) if kind in TYPES else texts


def _plain(cell: bytes) -> bytes:
    return _ESCAPE.sub(lambda match: _UNESCAPE.get(match[1], match[1]), cell) if b"\\" in cell else cell
