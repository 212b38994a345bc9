"""What the ORM can't say: expressions for both databases, and the functions that SQLite needs for them, equal by test.

The functions exist on the connections that `sources` opens, and only there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from exports.expressions.assignees import AssigneeNames, looks_names_up, with_names_joined
from exports.expressions.computed import PARTS, CellText, DatePart, DaysBetween, LocalDay, cell_text, days_between, local_part
from exports.expressions.conditions import AnyCase, Bytewise, ContainsText, small_text
from exports.expressions.stored import JsonText, TextToDecimal, TextToTime, json_text, text_to_decimal, text_to_time

# name: (arguments, function)
SQLITE_FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "cell_text": (4, cell_text),
    "local_part": (3, local_part),
    "days_between": (2, days_between),
    "small_text": (1, small_text),
    "json_text": (2, json_text),
    "text_to_time": (1, text_to_time),
    "text_to_decimal": (1, text_to_decimal),
}

__all__ = [
    "PARTS",
    "SQLITE_FUNCTIONS",
    "AnyCase",
    "AssigneeNames",
    "Bytewise",
    "CellText",
    "ContainsText",
    "DatePart",
    "DaysBetween",
    "JsonText",
    "LocalDay",
    "TextToDecimal",
    "TextToTime",
    "looks_names_up",
    "with_names_joined",
]
