"""How rows become a file: a class a format, in one table."""

from __future__ import annotations

from exports.formats.base import Format
from exports.formats.csv import CsvFormat

FORMATS: dict[str, Format] = {"csv": CsvFormat()}

__all__ = ["FORMATS", "Format"]
