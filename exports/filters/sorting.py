"""In which order: up to three declared columns, then the id."""

from __future__ import annotations

from typing import Any

from exports.datasets import Dataset
from exports.datasets.chosen import is_shape, is_text
from taskexport.errors import FieldError, Invalid

MOST_SORTS = 3
DIRECTIONS = ("asc", "desc")


def checked_sort(wanted: Any, dataset: Dataset, at: str = "sort") -> list[dict[str, str]]:
    """The frozen order. Raises Invalid."""
    if not isinstance(wanted, list) or len(wanted) > MOST_SORTS:
        raise Invalid.field(at, f"Write a list of at most {MOST_SORTS} objects of column and direction.")
    errors = []
    for number, each in enumerate(wanted):
        if not is_shape(each, "column", "direction?"):
            errors.append(FieldError(f"{at}[{number}]", "invalid", "Write an object of column and direction."))
        elif not is_text(each["column"]) or dataset.column(each["column"]) is None:
            errors.append(FieldError(f"{at}[{number}].column", "invalid", f"{dataset.name} have no such column."))
        elif each.get("direction", "asc") not in DIRECTIONS:
            errors.append(FieldError(f"{at}[{number}].direction", "invalid", f"Write one of: {', '.join(DIRECTIONS)}."))
    if errors:
        raise Invalid.all(errors)
    return [{"column": each["column"], "direction": each.get("direction", "asc")} for each in wanted]


def sort_in_words(sort: list[dict[str, str]]) -> str:
    """The order as part of a sentence."""
    return ", ".join(each["column"] + (" descending" if each["direction"] == "desc" else "") for each in sort)
