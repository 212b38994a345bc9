"""Ids as texts say them: in a path, a parameter, a form, a cell of a file."""

from __future__ import annotations

MOST_DIGITS = 18  # a bigint holds any of them


def number(text: object) -> int:
    """The id that these ASCII digits say; 0, which no row has, for anything else."""
    digits = str(text)
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= MOST_DIGITS else 0
