"""CSV: UTF-8, lines end in LF; the database renders the rows. Plain, in a zip, or gzipped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from exports.cells import Style, guard
from exports.datasets import Spec
from exports.formats.archive import gzip, zip_members
from exports.formats.base import Target
from exports.formats.options import Option
from exports.sources import Dialect, Query, Snapshot, csv_block

PRESETS: dict[str, dict[str, str | bool]] = {
    "standard": {},
    "excel-europe": {"delimiter": ";", "bom": True, "decimal": ","},
}


class CsvFormat:
    """`{stem}.csv`, with `.zip` or `.gz` behind it unless `archive` is none."""

    name = "csv"
    options = {
        "preset": Option("standard", "Defaults for the rest: `excel-europe` is for Excel where decimals have a comma.", tuple(PRESETS), PRESETS),
        "archive": Option("zip", "How the file is packed.", ("zip", "gz", "none")),
        "delimiter": Option(",", "What stands between cells.", (",", ";", "\t", "|")),
        "decimal": Option(".", "What stands before a decimal's fraction.", (".", ",")),
        "quoting": Option("minimal", "Quotes only where a cell needs them, or around every cell that is not empty.", ("minimal", "all")),
        "header": Option(True, "The first line names the columns."),
        "bom": Option(False, "Starts with a byte order mark, by which Excel knows UTF-8."),
        "guard": Option("formulas", "A leading ' for cells that a spreadsheet would run; `none` is for admins.", ("formulas", "none")),
    }

    def extension(self, options: dict[str, Any], rows: int) -> str:
        return {"zip": "csv.zip", "gz": "csv.gz", "none": "csv"}[options["archive"]]

    def style(self, spec: Spec) -> Style:
        comma = spec.options["decimal"] == ","
        return Style(zone=spec.timezone, guard=spec.options["guard"] == "formulas", decimal_comma=comma, date_format=spec.date_format)

    def write(self, snapshot: Snapshot, query: Query, spec: Spec, target: Target) -> Iterator[bytes]:
        lines = self._lines(snapshot, query, spec)
        if spec.options["archive"] == "zip":
            return zip_members([(f"{target.stem}.csv", lines)], target.modified_at, large=target.large)
        return gzip(lines) if spec.options["archive"] == "gz" else lines

    def _lines(self, snapshot: Snapshot, query: Query, spec: Spec) -> Iterator[bytes]:
        style = self.style(spec)
        dialect = Dialect(spec.options["delimiter"], spec.options["quoting"] == "all")
        if spec.options["bom"]:
            yield b"\xef\xbb\xbf"
        if spec.options["header"]:
            yield csv_block([[guard(title) if style.guard else title] for title in spec.titles], dialect)
        for block in snapshot.csv_lines(query, style, dialect):
            yield b"".join(block)
