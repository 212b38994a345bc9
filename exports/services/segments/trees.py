"""A tree of conditions as a segment's rules, where rules can say it."""

from __future__ import annotations

from typing import Any

from exports.cells import Kind
from exports.datasets import DATASETS
from exports.services.segments.rules import FIELD_TYPES, OPERATORS
from taskexport.errors import FieldError, Invalid

_TYPES: dict[Kind, str] = {kind: name for name, kinds in reversed(FIELD_TYPES.items()) for kind in kinds}
# (operator of the tree, type of field) → the rule's operator and the keys of its value
_RULES = {(own, field_type): (name, keys) for name, (own, types, keys) in OPERATORS.items() for field_type in types}


def operators(kind: Kind) -> list[str]:
    """The tree's operators over a column of this kind that a rule can say."""
    return [own for own, field_type in _RULES if field_type == _TYPES[kind]]


def of_tree(tree: dict[str, Any], dataset: str, *, at: str = "filter") -> dict[str, Any]:
    """The definition of a segment that means the same as a checked tree. Raises Invalid where rules can't say it."""
    joint = next((joint for joint in ("all", "any") if joint in tree), None)
    if "not" in tree:
        raise Invalid.field(at, "A segment is one list of conditions; say the negation in its conditions.")
    parts = [(part, f"{at}.{joint}[{number}]") for number, part in enumerate(tree[joint])] if joint else [(tree, at)]
    errors: list[FieldError] = []
    rules = [_rule(part, dataset, path, errors) for part, path in parts]
    if errors:
        raise Invalid.all(errors)
    return {"entity": "", "index": dataset, "join": joint or "all", "rules": rules}


def _rule(leaf: dict[str, Any], dataset: str, at: str, errors: list[FieldError]) -> dict[str, Any]:
    column = DATASETS[dataset].column(leaf["column"]) if "column" in leaf else None
    if column is None:
        errors.append(FieldError(at, "invalid", "A segment is one list of conditions without groups; take this group apart."))
        return {}
    field_type = _TYPES[column.kind]
    name, keys = _RULES.get((leaf["op"], field_type), ("", ()))
    if not name:
        known = ", ".join(operators(column.kind))
        errors.append(FieldError(f"{at}.op", "invalid", f"A segment can't say {leaf['op']}; for this column it has: {known}."))
        return {}
    value = leaf.get("value")
    if "time_factor" in keys:
        said = {"time_factor": leaf["value"]["unit"], "time_amount": leaf["value"]["amount"]}
    else:
        said = dict(zip(keys, value if isinstance(value, list) else [value], strict=True))
    return {"field_name": column.key, "field_type": field_type, "operator": name, **said}
