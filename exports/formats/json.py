"""JSON: an array of objects, in parts of 10,000 in one zip when there are more; and NDJSON, an object a line."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from exports.cells import Form, Style
from exports.datasets import Spec
from exports.formats.archive import gzip, zip_members
from exports.formats.base import Target
from exports.formats.options import Option
from exports.sources import Query, Snapshot

PART_ROWS = 10_000
ROWS_AT_ONCE = 200  # joined: few, since a row may be long


def _style(spec: Spec) -> Style:
    return Style(zone=spec.timezone, guard=False, form=Form.JSON, date_format=spec.date_format)


def _lines(snapshot: Snapshot, query: Query, spec: Spec) -> Iterator[list[bytes]]:
    return snapshot.json_lines(query, _style(spec), spec.titles)


class JsonFormat:
    """`{stem}.json`, or `{stem}.zip` of `{stem}-0001.json` … above 10,000 rows."""

    name = "json"
    options: dict[str, Option] = {}

    def extension(self, options: dict[str, Any], rows: int) -> str:
        return "zip" if rows > PART_ROWS else "json"

    def style(self, spec: Spec) -> Style:
        return _style(spec)

    def write(self, snapshot: Snapshot, query: Query, spec: Spec, target: Target) -> Iterator[bytes]:
        lines = _lines(snapshot, query, spec)
        if target.rows <= PART_ROWS:
            return _array(itertools.chain.from_iterable(lines))
        return zip_members(_parts(lines, target.stem), target.modified_at, large=target.large)


def _parts(blocks: Iterator[list[bytes]], stem: str) -> Iterator[tuple[str, Iterator[bytes]]]:
    lines = itertools.chain.from_iterable(blocks)
    for number in itertools.count(1):
        first = next(lines, None)
        if first is None:
            return
        yield f"{stem}-{number:04}.json", _array(itertools.chain([first], itertools.islice(lines, PART_ROWS - 1)))


def _array(lines: Iterator[bytes]) -> Iterator[bytes]:
    """The lines as one JSON array, an object a line."""
    opening = b"[\n"
    while some := list(itertools.islice(lines, ROWS_AT_ONCE)):
        yield opening + b",\n".join(line[:-1] for line in some)
        opening = b",\n"
    yield b"[]\n" if opening == b"[\n" else b"\n]\n"


class NdjsonFormat:
    """`{stem}.ndjson` or `{stem}.ndjson.gz`."""

    name = "ndjson"
    options = {"archive": Option("none", "How the file is packed.", ("none", "gz"))}

    def extension(self, options: dict[str, Any], rows: int) -> str:
        return "ndjson.gz" if options["archive"] == "gz" else "ndjson"

    def style(self, spec: Spec) -> Style:
        return _style(spec)

    def write(self, snapshot: Snapshot, query: Query, spec: Spec, target: Target) -> Iterator[bytes]:
        lines = (b"".join(block) for block in _lines(snapshot, query, spec))
        return gzip(lines) if spec.options["archive"] == "gz" else lines
