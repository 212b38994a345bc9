"""Which operators a column of a kind has, and what their values are."""

from __future__ import annotations

from exports.cells import Kind

NEGATIONS = {"is_not": "is", "not_in": "in", "does_not_contain": "contains", "is_not_empty": "is_empty"}
EMPTY = ("is_empty", "is_not_empty")
RELATIVE = ("within_last", "within_next", "more_than_ago")
_SAME = ("is", "is_not", "in", "not_in")
_ORDERED = ("lt", "lte", "gt", "gte", "between")
_TEXTS = (*_SAME, "is_any_case", "contains", "does_not_contain", "starts_with", *EMPTY)
_NUMBERS = (*_SAME, *_ORDERED, *EMPTY)
_TIMES = ("on", "before", "after", *_ORDERED, *RELATIVE, *EMPTY)
OPERATORS: dict[Kind, tuple[str, ...]] = {
    Kind.TEXT: _TEXTS,
    Kind.PHONE: _TEXTS,
    Kind.INTEGER: _NUMBERS,
    Kind.DECIMAL: _NUMBERS,
    Kind.DATETIME: _TIMES,
    Kind.DATE: _TIMES,
    Kind.BOOLEAN: ("is", "is_not", *EMPTY),
    Kind.UUID: (*_SAME, *EMPTY),
}
UNITS = ("minute", "hour", "day", "week", "month", "year")
