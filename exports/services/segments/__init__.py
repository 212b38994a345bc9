"""Segments: rows chosen by rules, saved or sent with a call."""

from exports.services.segments.rules import DEFINITION_KEYS, FIELD_TYPES, OPERATORS, checked, in_words, tree
from exports.services.segments.saved import apply, create, definition, delete, get, update, visible
from exports.services.segments.trees import of_tree, operators

__all__ = [
    "DEFINITION_KEYS",
    "FIELD_TYPES",
    "OPERATORS",
    "apply",
    "checked",
    "create",
    "definition",
    "delete",
    "get",
    "in_words",
    "of_tree",
    "operators",
    "tree",
    "update",
    "visible",
]
