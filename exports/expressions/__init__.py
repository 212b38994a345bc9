"""What the ORM can't say: expressions for both databases, and the functions that SQLite needs for them, equal by test.

The functions exist on the connections that `sources` opens, and on Django's own where it was taught them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connection

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


def teach_connection() -> None:
    """Gives Django's own connection the functions that conditions of an export ask SQLite for; may be called again."""
    if connection.vendor == "sqlite":
        connection.ensure_connection()
        for name, (arguments, function) in SQLITE_FUNCTIONS.items():
            connection.connection.create_function(name, arguments, function, deterministic=True)


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
    "teach_connection",
    "with_names_joined",
]
