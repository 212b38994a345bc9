"""A format's options, declared once: doors make their serializers and form fields of these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from taskexport.errors import FieldError, Invalid


@dataclass(frozen=True)
class Option:
    """One option: its default, what it may be (only booleans where `choices` is empty), and what it does."""

    default: str | bool
    help: str
    choices: tuple[str, ...] = ()


def checked(declared: dict[str, Option], given: dict[str, Any]) -> dict[str, Any]:
    """All options with their values, defaults filled in. Raises Invalid naming `options.KEY`."""
    errors = []
    for key, value in given.items():
        option = declared.get(key)
        if option is None:
            known = ", ".join(declared) or "none"
            errors.append(FieldError(f"options.{key}", "unknown", f"This format has no such option; it has: {known}."))
        elif option.choices and (not isinstance(value, str) or value not in option.choices):
            errors.append(FieldError(f"options.{key}", "invalid", f"Write one of: {', '.join(map(repr, option.choices))}."))
        elif not option.choices and not isinstance(value, bool):
            errors.append(FieldError(f"options.{key}", "invalid", "Write true or false."))
    if errors:
        raise Invalid("; ".join(f"{error.field}: {error.detail}" for error in errors), fields=errors)
    return {key: given.get(key, option.default) for key, option in declared.items()}
