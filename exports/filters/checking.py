"""What a person may ask for: every refusal names its path and the cure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from exports.cells import Kind
from exports.datasets import Column, Dataset
from exports.datasets.chosen import TIMES, is_text
from exports.filters import values
from exports.filters.operators import EMPTY, OPERATORS, RELATIVE
from taskexport.errors import FieldError, Invalid

MOST_DEPTH = 5
MOST_LEAVES = 100
MOST_CHOICES = 1000  # of `in`


class _Check:
    def __init__(self, dataset: Dataset, now: datetime | None, zone: str) -> None:
        self.dataset, self.now, self.zone = dataset, now, zone
        self.leaves = 0
        self.errors: list[FieldError] = []

    def refuse(self, at: str, detail: str) -> dict[str, Any]:
        self.errors.append(FieldError(at, "invalid", detail))
        return {}

    def node(self, tree: Any, at: str, depth: int) -> dict[str, Any]:
        if depth > MOST_DEPTH:
            return self.refuse(at, f"Conditions nest at most {MOST_DEPTH} deep.")
        if isinstance(tree, dict) and len(tree) == 1 and next(iter(tree)) in {"all", "any"}:
            ((joint, parts),) = tree.items()
            if not isinstance(parts, list) or not 1 <= len(parts) <= MOST_LEAVES:
                return self.refuse(f"{at}.{joint}", f"Write a list of 1 to {MOST_LEAVES} conditions.")
            return {joint: [self.node(part, f"{at}.{joint}[{number}]", depth + 1) for number, part in enumerate(parts)]}
        if isinstance(tree, dict) and set(tree) == {"not"}:
            return {"not": self.node(tree["not"], f"{at}.not", depth + 1)}
        if isinstance(tree, dict) and {"column", "op"} <= set(tree) <= {"column", "op", "value"}:
            self.leaves += 1
            if self.leaves > MOST_LEAVES:
                return self.refuse(at, f"A filter has at most {MOST_LEAVES} conditions.") if self.leaves == MOST_LEAVES + 1 else {}
            return self.leaf(tree, at)
        return self.refuse(at, 'Write {"all": […]}, {"any": […]}, {"not": {…}}, or an object of column, op and value.')

    def leaf(self, leaf: dict[str, Any], at: str) -> dict[str, Any]:
        column = self.dataset.column(leaf["column"]) if is_text(leaf["column"]) else None
        if column is None:
            attributes = ", attributes.KEY" if self.dataset.has_attributes else f", {self.dataset.open_keys}.KEY" if self.dataset.open_keys else ""
            known = ", ".join(self.dataset.columns)
            return self.refuse(f"{at}.column", f"{self.dataset.name} have no such column; they have: {known}{attributes}.")
        op = leaf["op"]
        if not isinstance(op, str) or op not in OPERATORS[column.kind]:
            return self.refuse(f"{at}.op", f"A column of kind {column.kind} has: {', '.join(OPERATORS[column.kind])}.")
        if op in EMPTY:
            return {"column": column.key, "op": op} if "value" not in leaf else self.refuse(f"{at}.value", f"{op} has no value; leave it out.")
        if "value" not in leaf:
            return self.refuse(f"{at}.value", f"{op} needs a value.")
        try:
            if op in RELATIVE:
                pinned = values.pinned(column.kind, op, leaf["value"], self.now or datetime.now().astimezone(), self.zone)
                return {"column": column.key, **(pinned if self.now else {"op": op, "value": leaf["value"]})}
            self.check_value(column, op, leaf["value"])
        except _At as error:
            return self.refuse(f"{at}.value{error.at}", error.detail)
        except ValueError as error:
            return self.refuse(f"{at}.value", str(error))
        return {"column": column.key, "op": op, "value": leaf["value"]}

    def check_value(self, column: Column, op: str, value: Any) -> None:
        if op in {"in", "not_in"}:
            if not isinstance(value, list) or not 1 <= len(value) <= MOST_CHOICES:
                raise ValueError(f"Write a list of 1 to {MOST_CHOICES} values.")
            for number, each in enumerate(value):
                self.one(column.kind, each, f"[{number}]")
        elif op == "between":
            if not isinstance(value, list) or len(value) != 2:
                raise ValueError("Write a list of the first and the last value.")
            first, last = (self.one(column.kind, each, f"[{number}]") for number, each in enumerate(value))
            if last < first:
                raise ValueError("The last value lies before the first; exchange them.")
        else:
            self.one(column.kind, value, "")

    def one(self, kind: Kind, value: Any, at: str) -> Any:
        try:
            return values.span(kind, value, self.zone)[0] if kind in TIMES else values.plain(kind, value)
        except ValueError as error:
            raise _At(at, str(error)) from None


class _At(Exception):
    def __init__(self, at: str, detail: str) -> None:
        super().__init__(detail)
        self.at, self.detail = at, detail


def checked(tree: Any, dataset: Dataset, *, now: datetime | None, zone: str, at: str = "filter") -> dict[str, Any]:
    """The frozen tree, its relative times pinned to `now` (None: left as they are, for a filter that is kept). Raises Invalid."""
    check = _Check(dataset, now, zone)
    frozen = check.node(tree, at, 1)
    if check.errors:
        raise Invalid.all(check.errors)
    return frozen
