"""A format's options, declared once: doors make their serializers and form fields of these."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from taskexport.errors import FieldError, Invalid


@dataclass(frozen=True)
class Option:
    """One option: its default, what it may be (only booleans where `choices` is empty), and what it does.

    A choice may bring other options' defaults with it: `presets` has them by choice.
    """

    default: str | bool
    help: str
    choices: tuple[str, ...] = ()
    presets: dict[Any, dict[str, str | bool]] = field(default_factory=dict)


def settled(declared: dict[str, Option], given: dict[str, Any]) -> dict[str, Any]:
    """All options with their values: as given, or by the preset, or the default. Raises Invalid naming `options.KEY`."""
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
        raise Invalid.all(errors)
    values: dict[str, Any] = {key: option.default for key, option in declared.items()}
    for key, option in declared.items():
        values |= option.presets.get(given.get(key, option.default), {})
    return values | given
