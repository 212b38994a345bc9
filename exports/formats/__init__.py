"""How rows become a file: a class a format, in one table."""

from __future__ import annotations

import importlib.util
from typing import Any

from exports.formats.base import Format, content_type, stem
from exports.formats.csv import CsvFormat
from exports.formats.json import JsonFormat, NdjsonFormat
from exports.formats.options import settled
from exports.formats.xlsx import XlsxFormat

FORMATS: dict[str, Format] = {format_.name: format_ for format_ in (CsvFormat(), XlsxFormat(), JsonFormat(), NdjsonFormat())}

if importlib.util.find_spec("pyarrow"):  # an extra: requirements-parquet.txt
    from exports.formats.parquet import ParquetFormat

    FORMATS["parquet"] = ParquetFormat()


def settled_options(format_: Format, given: dict[str, Any]) -> dict[str, Any]:
    """All options of the format with their values. Raises Invalid naming `options.KEY`."""
    return settled(format_.options, given)


__all__ = ["FORMATS", "Format", "content_type", "settled_options", "stem"]
