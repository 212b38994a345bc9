"""A filter as a sentence for people."""

from __future__ import annotations

import json
from typing import Any

from exports.datasets import Dataset

WORDS = {
    "is": "is",
    "is_not": "is not",
    "is_any_case": "is, in any case of letters,",
    "in": "is one of",
    "not_in": "is none of",
    "contains": "contains",
    "does_not_contain": "does not contain",
    "starts_with": "starts with",
    "is_empty": "is empty",
    "is_not_empty": "is not empty",
    "lt": "is below",
    "lte": "is at most",
    "gt": "is above",
    "gte": "is at least",
    "between": "is between",
    "before": "is before",
    "after": "is after",
    "on": "is on",
    "within_last": "is within the last",
    "within_next": "is within the next",
    "more_than_ago": "is more than",
}
SHOWN = 10  # of a list's values


def in_words(tree: dict[str, Any], dataset: Dataset) -> str:
    """The tree as part of a sentence, such as `status is "none" and (city is "Oslo" or city is empty)`."""
    return _words(tree, dataset, outermost=True)


def _words(tree: dict[str, Any], dataset: Dataset, *, outermost: bool = False) -> str:
    for joint, word in (("all", " and "), ("any", " or ")):
        if joint in tree:
            text = word.join(_words(part, dataset) for part in tree[joint])
            return text if outermost or len(tree[joint]) == 1 else f"({text})"
    if "not" in tree:
        return f"not ({_words(tree['not'], dataset, outermost=True)})"
    return f"{column_in_words(tree['column'], dataset)} {WORDS[tree['op']]}{_value(tree)}"


def column_in_words(key: str, dataset: Dataset) -> str:
    """A key that people know from `columns` too, quoted where it is anybody's text."""
    return key if key in dataset.columns else json.dumps(key, ensure_ascii=False)


def _value(leaf: dict[str, Any]) -> str:
    value, op = leaf.get("value"), leaf["op"]
    if value is None:
        return ""
    if isinstance(value, dict):
        text = f" {value['amount']} {value['unit']}{'s' if value['amount'] != 1 else ''}"
        return f"{text} ago" if op == "more_than_ago" else text
    if op == "between":
        return f" {_one(value[0])} and {_one(value[1])}"
    if isinstance(value, list):
        more = f" and {len(value) - SHOWN} more" if len(value) > SHOWN else ""
        return " " + ", ".join(map(_one, value[:SHOWN])) + more
    return f" {_one(value)}"


def _one(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
