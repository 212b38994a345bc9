"""How a dataset declares what it has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import F, QuerySet
from django.db.models.expressions import Combinable

from exports.cells import Kind
from exports.expressions import JsonText

ATTRIBUTES = "attributes."
KEY_LENGTH = 200  # of a column's key


@dataclass(frozen=True)
class Column:
    """A declared column: its stable key, the header people see, its kind, and the ORM expression that reads it."""

    key: str
    title: str
    kind: Kind
    expression: Combinable


@dataclass(frozen=True)
class Dataset:
    """Rows of one kind: where they come from and which columns they declare. `rows` is not yet cut to any organization.

    Every dataset has `id`, `organization` and `created_at`. With `has_attributes`, each key of the organization's own is a column.
    """

    name: str
    rows: Callable[[], QuerySet[Any]]
    columns: dict[str, Column]
    has_attributes: bool = False
    open_keys: str = ""  # the JSON field whose keys, `FIELD.KEY`, are columns too: what the source does not declare

    def column(self, key: str) -> Column | None:
        """The column of this key; `attributes.KEY` may be any key. None where there is no such column."""
        found = self.columns.get(key)
        if found is None and self.has_attributes and key.startswith(ATTRIBUTES) and len(ATTRIBUTES) < len(key) <= KEY_LENGTH:
            attribute = key.removeprefix(ATTRIBUTES)
            return Column(key, attribute, Kind.TEXT, JsonText(F("attributes"), attribute))
        prefix = f"{self.open_keys}."
        if found is None and self.open_keys and key.startswith(prefix) and len(prefix) < len(key) <= KEY_LENGTH:
            return Column(key, key.removeprefix(prefix), Kind.TEXT, JsonText(F(self.open_keys), key.removeprefix(prefix)))
        return found


def columns(*declared: tuple[str, str, Kind, str | Combinable]) -> dict[str, Column]:
    """Columns of (key, title, kind, path or expression), by key."""
    return {key: Column(key, title, kind, F(expression) if isinstance(expression, str) else expression) for key, title, kind, expression in declared}
